"""Root and issuing CA in a token of SoftHSM2's: everything they sign, and what happens without the token."""

import asyncio
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509 import ocsp
from cryptography.x509.oid import NameOID

from ca.errors import TokenKeyMissing
from ca.hierarchy import AuthorityName, create_issuing
from ca.issuance import Issuer
from ca.keys import KeyAlgorithm, PrivateKey, generate, same_key
from ca.linting import Linter
from ca.ocsp import Good, OcspResponder, Period
from ca.ocsprequests import CertificateId
from ca.pkcs11 import TokenKey, TokenLimits, TokenSigner, TokenThread
from ca.pkcs11.driver import Pkcs11Driver
from ca.profiles import Profile, ProfileConfig, Purpose
from ca.publication import Publication
from ca.signers import SoftwareSigner
from ca.signing import SIGNATURE_HASH, SignatureScheme, require_signature, signature_over
from directory.audit import AuditEvent, AuditKind
from directory.settings import load_settings
from directory.wiring.installation import open_installation
from tests.builders import NOW, Authority, a_profile
from tests.command import pushpki
from tests.gateways import call, ldap_connection, look_up
from tests.interop.programs import an_address, authorities, mint, run
from tests.interop.softtoken import LABEL, PIN, SoftToken, soft_token
from tests.postbox import Postbox
from tests.responders import a_mark
from tests.service import SUFFIX, UNHURRIED, Installed, Running, install, serving, succeed

Program = Callable[[str], str]
PATIENT = TokenLimits(sign=60, connect=60)
RECOVERS_WITHIN_SECONDS = 60
"""Six times what is promised: the machine may be busy with other things."""
VARIABLES = {**UNHURRIED, "PUSHPKI_PKCS11__TIMEOUT_SECONDS": "4"}
BUSY = 51


@pytest.fixture(scope="module")
def token(program: Program, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SoftToken]:
    with soft_token(program, tmp_path_factory.mktemp("softhsm")) as made:
        yield made


@pytest.fixture(scope="module")
def installed(token: SoftToken, mail: Postbox, tmp_path_factory: pytest.TempPathFactory) -> Installed:
    folder = tmp_path_factory.mktemp("token") / "pushpki"
    return install(folder, smtp=mail.smtp, init=token.init_options)


@pytest.fixture(scope="module")
def service(installed: Installed) -> Iterator[Running]:
    with serving(installed, variables=VARIABLES) as running:
        yield running


@pytest.fixture
def connected(token: SoftToken) -> Iterator[TokenThread]:
    """The token, spoken to by this process."""
    thread = TokenThread(Pkcs11Driver(token.module, LABEL, lambda: PIN), PATIENT)
    yield thread
    thread.close()


def written(place: Path, *certificates: x509.Certificate) -> str:
    place.write_bytes(b"".join(one.public_bytes(Encoding.PEM) for one in certificates))
    return str(place)


def test_openssl_verifies_what_the_token_has_signed(
    program: Program, service: Running, tmp_path: Path
) -> None:
    issuing, root = authorities(program, service)
    _, der = mint(program, service)
    leaf = written(tmp_path / "leaf", x509.load_der_x509_certificate(der))

    done = run(
        [
            *(program("openssl"), "verify", "-x509_strict", "-purpose", "smimeencrypt"),
            *(
                "-CAfile",
                written(tmp_path / "root", root),
                "-untrusted",
                written(tmp_path / "issuing", issuing),
            ),
            leaf,
        ]
    )

    assert done.returncode == 0, done.stderr


def test_openssl_verifies_its_crls(program: Program, service: Running, tmp_path: Path) -> None:
    chain = authorities(program, service)
    bundle = written(tmp_path / "chain", *chain)
    for one in chain:
        key_id = one.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value.digest.hex()
        fetched = run([program("curl"), "-s", "--fail", f"{service.http}/crl/{key_id}.crl"])
        assert fetched.returncode == 0, key_id

        done = run(
            [program("openssl"), "crl", "-inform", "DER", "-noout", "-CAfile", bundle], data=fetched.stdout
        )

        assert b"verify OK" in done.stderr, done.stderr


def test_openssl_believes_the_responder_that_it_has_certified(
    program: Program, service: Running, tmp_path: Path
) -> None:
    issuing, root = authorities(program, service)
    _, der = mint(program, service)
    leaf = written(tmp_path / "leaf", x509.load_der_x509_certificate(der))

    done = run(
        [
            *(program("openssl"), "ocsp", "-issuer", written(tmp_path / "issuing", issuing), "-cert", leaf),
            *("-CAfile", written(tmp_path / "chain", issuing, root), "-url", f"{service.http}/ocsp"),
        ]
    )

    assert b"Response verify OK" in done.stderr, done.stderr
    assert b": good" in done.stdout


def test_the_command_lists_and_tries_its_keys(installed: Installed) -> None:
    config = ("--config", str(installed.config))

    listed = succeed("ca", "token", "list", *config)
    tried = succeed("ca", "token", "test", *config)

    assert listed["token"] == tried["token"] == LABEL
    assert sorted(key["algorithm"] for key in listed["keys"]) == ["rsa-3072", "rsa-4096"]
    assert all(key["issuer"] for key in listed["keys"])
    assert len(tried["issuers"]) == 2
    assert succeed("verify", *config) == {"violations": []}


def test_a_wrong_pin_is_one_clear_line_without_it(installed: Installed, token: SoftToken) -> None:
    token.pin_file.write_text("4711", encoding="ascii")
    try:
        done = pushpki("ca", "token", "test", "--config", str(installed.config))
    finally:
        token.pin_file.write_text(PIN, encoding="ascii")

    assert done.code == 78
    assert "token 'pushpki' does not take the PIN" in done.err
    assert "pkcs11.pin_file" in done.err
    assert "4711" not in done.err


def test_without_the_token_what_is_there_is_served_and_with_it_again_mints_go_on(
    service: Running, token: SoftToken
) -> None:
    known, unknown = an_address(), an_address()
    (certificate,) = look_up(service, known)
    token.take_away()
    try:
        assert asked_for(service, unknown) == (503, "mint.signer_unavailable")
        with ldap_connection(service) as connection:
            connection.search(SUFFIX, f"(mail={unknown})", attributes=["userCertificate;binary"])
            assert connection.result["result"] == BUSY
        assert look_up(service, known) == [certificate]
        status, document = call(service, "GET", "/readyz")
        assert (status, document["checks"]["token"]) == (200, "failed")
    finally:
        token.bring_back()

    began = time.monotonic()
    while asked_for(service, unknown)[0] != 200:
        assert time.monotonic() - began < RECOVERS_WITHIN_SECONDS
    assert len(look_up(service, unknown)) == 1
    log = (service.installed.folder / "serve.log").read_text(encoding="utf-8")
    assert log.count("nothing is minted until it signs again") == 1
    assert log.count(f"token {LABEL} signs again") == 1
    assert succeed("verify", "--config", str(service.installed.config)) == {"violations": []}


def asked_for(running: Running, address: str) -> tuple[int, str | None]:
    """Ask over HTTP; return the status, and the code of the problem if there is one."""
    status, document = call(
        running,
        "POST",
        "/api/v1/lookup",
        token=running.installed.gateway_token,
        body={"email": address},
    )
    return status, document.get("code")


def test_a_service_starts_without_its_token_and_serves_what_there_is(
    token: SoftToken, mail: Postbox, tmp_path: Path
) -> None:
    installed = install(tmp_path / "pushpki", smtp=mail.smtp, init=token.init_options)
    known = an_address()
    with serving(installed, variables=VARIABLES) as running:
        (certificate,) = look_up(running, known)
    token.take_away()
    try:
        with serving(installed, variables=VARIABLES) as running:
            assert look_up(running, known) == [certificate]
            assert asked_for(running, an_address()) == (503, "mint.signer_unavailable")
    finally:
        token.bring_back()


@pytest.mark.parametrize("algorithm", [KeyAlgorithm.RSA_2048, KeyAlgorithm.RSA_3072, KeyAlgorithm.P_256])
def test_keys_of_every_kind_are_made_and_sign_there(connected: TokenThread, algorithm: KeyAlgorithm) -> None:
    key_id = algorithm.value.encode()

    public_key = connected.generate(algorithm, key_id, "trial")

    signer = TokenSigner(connected, TokenKey(token=LABEL, key_id=key_id.hex()), public_key)
    require_signature(public_key, signature_over(b"text", signer), b"text", "trial")
    assert same_key(connected.public_keys()[key_id], public_key)


def test_a_key_that_is_destroyed_there_is_gone_with_both_halves(connected: TokenThread) -> None:
    public_key = connected.generate(KeyAlgorithm.P_256, b"gone", "trial")
    connected.generate(KeyAlgorithm.P_256, b"stays", "trial")
    signer = TokenSigner(connected, TokenKey(token=LABEL, key_id=b"gone".hex()), public_key)

    assert connected.destroy(b"gone")
    assert not connected.destroy(b"gone")

    assert b"stays" in connected.public_keys()
    assert b"gone" not in connected.public_keys()
    with pytest.raises(TokenKeyMissing):
        signature_over(b"text", signer)


def test_rsassa_pss_is_signed_there(program: Program, connected: TokenThread, tmp_path: Path) -> None:
    public_key = connected.generate(KeyAlgorithm.RSA_2048, b"pss", "trial")
    signer = TokenSigner(connected, TokenKey(token=LABEL, key_id=b"pss".hex()), public_key)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Trial")])
    request = x509.CertificateSigningRequestBuilder(name).sign(
        signer.signing_key, SIGNATURE_HASH, rsa_padding=SignatureScheme.PSS.padding_for(signer.signing_key)
    )
    file = tmp_path / "request"
    file.write_bytes(request.public_bytes(Encoding.PEM))

    done = run([program("openssl"), "req", "-in", str(file), "-verify", "-noout", "-text"])

    assert done.returncode == 0, done.stderr
    assert b"verify OK" in done.stderr + done.stdout
    assert b"rsassaPss" in done.stdout


def test_an_ocsp_responders_key_signs_there(connected: TokenThread, authority: Authority) -> None:
    public_key = connected.generate(KeyAlgorithm.P_256, b"ocsp", "responder")
    signer = TokenSigner(connected, TokenKey(token=LABEL, key_id=b"ocsp".hex()), public_key)
    profile = a_profile(Purpose.OCSP_RESPONDER, key_algorithm=KeyAlgorithm.P_256)
    prepared = authority.issuer.prepare_ocsp_responder(profile, public_key, NOW)
    certificate = authority.issuer.sign(authority.issuer.lint(prepared))
    responder = OcspResponder(certificate, authority.issuer.certificate, signer)

    answer = responder.answer(
        CertificateId(issuer=a_mark(authority), serial_number=7),
        Good(),
        Period(this_update=NOW, next_update=NOW + timedelta(days=1)),
    )

    response = ocsp.load_der_ocsp_response(answer)
    assert response.certificate_status is ocsp.OCSPCertStatus.GOOD
    require_signature(public_key, response.signature, response.tbs_response_bytes, "response")


def test_a_key_that_is_known_is_found_in_no_file_of_the_service(
    program: Program, token: SoftToken, mail: Postbox, tmp_path: Path
) -> None:
    key = generate(KeyAlgorithm.RSA_3072)
    assert isinstance(key, rsa.RSAPrivateKey)
    imported = TokenKey(token=LABEL, key_id="0a0b0c")
    pem = tmp_path / "key.pem"
    pem.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    token.util(
        program,
        *("--import", str(pem), "--token", LABEL, "--pin", PIN),
        *("--label", "imported", "--id", imported.key_id),
    )
    pem.unlink()
    installed = install(tmp_path / "pushpki", smtp=mail.smtp, init=token.init_options)
    asyncio.run(put_to_work(installed, key, imported))

    with serving(installed, variables=VARIABLES) as running:
        (der,) = look_up(running, an_address())
        every = authorities(program, running)
        issuing = next(one for one in every if same_key(one.public_key(), key.public_key()))
        x509.load_der_x509_certificate(der).verify_directly_issued_by(issuing)
        of_process = Path(f"/proc/{running.process.pid}")
        assert PIN.encode() not in (of_process / "cmdline").read_bytes()
        assert PIN.encode() not in (of_process / "environ").read_bytes()
        files = [path.read_bytes() for path in installed.folder.rglob("*") if path.is_file()]

    numbers = key.private_numbers()
    for secret in (numbers.d, numbers.p, numbers.q, numbers.dmp1):
        octets = secret.to_bytes((secret.bit_length() + 7) // 8, "big")
        assert not any(octets in content for content in files)
    log = (installed.folder / "serve.log").read_text(encoding="utf-8")
    assert PIN not in log


async def put_to_work(installed: Installed, key: PrivateKey, place: TokenKey) -> None:
    """Make an issuing CA of a key that is in the token already, certified by the root in there."""
    async with open_installation(load_settings(installed.config), None) as opened:
        root = next(
            one for one in (await opened.issuers.hierarchy()).issuers if one.purpose is Purpose.ROOT_CA
        )
        linter, now = Linter(), opened.clock.now()
        publication = Publication(opened.settings.ca.public_url)
        certificate = x509.load_der_x509_certificate(root.certificate)
        profile = Profile.from_config(ProfileConfig.standard(Purpose.ISSUING_CA))
        issuing = await asyncio.to_thread(
            create_issuing,
            Issuer(certificate, opened.signers.of_issuer(root), publication, linter),
            profile,
            AuthorityName(organization="pushpki", common_name="Issuing CA 2"),
            key.public_key(),
            now,
        )
        issuer = Issuer(issuing, SoftwareSigner(key), publication, linter)
        stored = opened.stored_issuer(
            issuer, place, purpose=Purpose.ISSUING_CA, parent_id=root.issuer_id, active_from=now
        )
        event = AuditEvent(
            kind=AuditKind.ISSUER_CREATED, at=now, actor="operator:test", subject=issuer.key_id
        )
        await opened.issuers.add(stored, event)
