"""Keys of CAs in a token: `pushpki init --token`, and `pushpki ca token`; the token is played by a fake."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding

from ca.keys import KeyAlgorithm, PublicKey, generate
from ca.pkcs11 import driver
from directory.initialization import TokenKeys
from tests.ca.strangers import Stranger
from tests.command import pushpki
from tests.directory.cli.workplace import Workplace, the_line_of
from tests.faketoken import FakeToken

NOW = datetime.now(UTC).replace(microsecond=0)
BEGIN, END = NOW - timedelta(days=1), NOW + timedelta(days=3650)


@pytest.fixture(scope="module")
def fake() -> Iterator[FakeToken]:
    token = FakeToken()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(driver, "Pkcs11Driver", lambda *_: token)
        yield token


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    place = tmp_path_factory.mktemp("token")
    module, pin_file = place / "module.so", place / "pin"
    module.touch()
    pin_file.touch(mode=0o600)
    pin_file.write_text("1234", encoding="ascii")
    return {"--pkcs11-module": str(module), "--token": "token-1", "--pin-file": str(pin_file)}


def options(parts: dict[str, str]) -> list[str]:
    return [word for part in parts.items() for word in part]


@pytest.fixture(scope="module")
def workplace(fake: FakeToken, parts: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Workplace:
    """An installation whose issuing CA is in the token."""
    fake.keys.clear()
    folder = tmp_path_factory.mktemp("cli") / "pushpki"
    only = ("--token-keys", TokenKeys.ISSUING.value)
    done = pushpki("init", "--dir", str(folder), *options(parts), *only, "--json")
    return Workplace(config=Path(done.document["configuration"]))


def test_an_installation_has_in_the_token_what_was_wanted(workplace: Workplace, fake: FakeToken) -> None:
    assert len(fake.keys) == 1

    (key,) = workplace.document("ca", "token", "list")["keys"]

    assert key["algorithm"] == "rsa-3072"
    assert "Issuing CA" in key["issuer"]
    assert workplace.document("verify") == {"violations": []}


def test_a_key_that_is_nobodys_is_told_apart(workplace: Workplace, fake: FakeToken) -> None:
    fake.keys[b"\x0a"] = generate(KeyAlgorithm.P_256)
    try:
        lines = workplace.lines("ca", "token", "list")
    finally:
        del fake.keys[b"\x0a"]

    assert "0a  p-256  of no issuer here" in lines


def test_every_issuers_key_in_it_is_tried(workplace: Workplace) -> None:
    document = workplace.document("ca", "token", "test")

    assert document["token"] == "token-1"
    assert len(document["issuers"]) == 1
    (line,) = workplace.lines("ca", "token", "test")
    assert line.endswith(",O=pushpki: signs.")


def test_a_key_that_signs_otherwise_is_found_out(workplace: Workplace, fake: FakeToken) -> None:
    ((key_id, key),) = fake.keys.items()
    fake.keys[key_id] = generate(KeyAlgorithm.RSA_3072)
    try:
        line = workplace.refusal("ca", "token", "test", code=70)
    finally:
        fake.keys[key_id] = key

    assert "came back with a signature that does not verify" in line


def test_a_token_that_is_away_is_named(workplace: Workplace, fake: FakeToken) -> None:
    fake.take_away()
    try:
        line = workplace.refusal("ca", "token", "test", code=75)
    finally:
        fake.bring_back()

    assert "token 'token-1' is not there" in line
    assert "pkcs11.module" in line


def test_a_pin_that_is_refused_is_told_with_its_file(workplace: Workplace, fake: FakeToken) -> None:
    fake.refuses_pin = True
    fake.end_session()
    try:
        line = workplace.refusal("ca", "token", "test", code=78)
    finally:
        fake.refuses_pin = False

    assert "does not take the PIN" in line
    assert "pkcs11.pin_file" in line


@pytest.mark.usefixtures("fake")
@pytest.mark.parametrize("gone", ["--pkcs11-module", "--token", "--pin-file"])
def test_a_token_is_named_whole_or_not_at_all(parts: dict[str, str], tmp_path: Path, gone: str) -> None:
    given = {part: value for part, value in parts.items() if part != gone}

    done = pushpki("init", "--dir", str(tmp_path / "pushpki"), *options(given))

    assert "give --pkcs11-module, --token and --pin-file" in the_line_of(done, 78)
    assert not (tmp_path / "pushpki").exists()


def test_without_a_token_there_is_none_to_list(template: Workplace) -> None:
    line = template.refusal("ca", "token", "list", code=78)

    assert "pkcs11: no token is configured" in line


def test_a_further_issuing_ca_has_its_key_in_the_token_where_that_is_wanted(
    workplace: Workplace, fake: FakeToken
) -> None:
    before = set(fake.keys)

    made = workplace.document("ca", "issuing", "create", "--token", "--activate")

    (key_id,) = fake.keys.keys() - before
    listed = {key["key_id"]: key["issuer"] for key in workplace.document("ca", "token", "list")["keys"]}
    assert listed[key_id.hex()] == made["subject"]
    issuers = {one["id"]: one["key"] for one in workplace.document("ca", "list")["issuers"]}
    assert issuers[made["id"]] == "token token-1"
    assert made["id"] in workplace.document("ca", "token", "test")["issuers"]
    assert workplace.document("verify") == {"violations": []}


def test_without_a_token_no_key_is_made_in_one(template: Workplace) -> None:
    line = template.refusal("ca", "issuing", "create", "--token", code=70)

    assert "no token is configured" in line


def test_a_request_has_its_key_there_until_it_is_withdrawn(
    workplace: Workplace, fake: FakeToken, tmp_path: Path
) -> None:
    before = set(fake.keys)
    out = str(tmp_path / "a.csr")

    pending = workplace.document("ca", "issuing", "csr", "--token", "--key", "p-256", "--out", out)

    (key_id,) = fake.keys.keys() - before
    shown = {one["id"]: one for one in workplace.document("ca", "list")["issuers"]}[pending["id"]]
    assert (shown["state"], shown["key"]) == ("pending", "token token-1")
    listed = {key["key_id"]: key["issuer"] for key in workplace.document("ca", "token", "list")["keys"]}
    assert listed[key_id.hex()] == f"{pending['subject']}, which waits for its certificate"
    assert workplace.document("ca", "issuing", "withdraw", pending["id"], "--yes")["key"] == "destroyed"
    assert set(fake.keys) == before
    assert workplace.document("verify") == {"violations": []}


def test_a_request_is_withdrawn_while_the_token_is_away(
    workplace: Workplace, fake: FakeToken, tmp_path: Path
) -> None:
    out = str(tmp_path / "a.csr")
    first, second = [
        workplace.document("ca", "issuing", "csr", "--token", "--key", "p-256", "--out", out)["id"]
        for _ in range(2)
    ]
    fake.take_away()
    try:
        document = workplace.document("ca", "issuing", "withdraw", first, "--yes")
        lines = workplace.lines("ca", "issuing", "withdraw", second, "--yes")
    finally:
        fake.bring_back()

    assert document == {"withdrawn": first, "key": "to be destroyed"}
    assert "Its key is not destroyed yet: token 'token-1' is not there." in " ".join(lines)
    assert {one["id"] for one in workplace.document("ca", "list")["issuers"]}.isdisjoint({first, second})
    listed = workplace.document("ca", "token", "list")["keys"]
    assert sum(key["spare"] for key in listed) == 2
    assert workplace.document("verify") == {"violations": []}


def test_a_request_that_comes_back_signed_certifies_with_its_key_there(
    workplace: Workplace, fake: FakeToken, tmp_path: Path
) -> None:
    before = set(fake.keys)
    pending, *command = _signed_request(workplace, tmp_path)
    ((key_id, key),) = [(key_id, fake.keys[key_id]) for key_id in fake.keys.keys() - before]
    del fake.keys[key_id]
    assert f"the key of request {pending} is lost" in workplace.refusal(*command, code=70)
    fake.keys[key_id] = key

    imported = workplace.document(*command)

    assert len(fake.keys.keys() - before) == 1
    assert pending == imported["id"]
    del fake.keys[key_id]
    assert "has no private key" in workplace.refusal("ca", "issuing", "activate", pending, code=75)
    fake.keys[key_id] = key
    workplace.document("ca", "issuing", "activate", imported["id"])
    issuers = {one["id"]: one for one in workplace.document("ca", "list")["issuers"]}
    assert (issuers[imported["id"]]["state"], issuers[imported["id"]]["key"]) == ("active", "token token-1")
    assert imported["id"] in workplace.document("ca", "token", "test")["issuers"]
    assert workplace.document("verify") == {"violations": []}


def test_a_responder_gets_its_key_there_where_the_setting_says_so(
    workplace: Workplace, fake: FakeToken, monkeypatch: pytest.MonkeyPatch
) -> None:
    (issuer, *_) = [
        one for one in workplace.document("ca", "list")["issuers"] if one["purpose"] == "issuing-ca"
    ]
    monkeypatch.setenv("PUSHPKI_CA__OCSP_RESPONDER_KEY", "token")
    before = set(fake.keys)

    first = workplace.document("ca", "responder", "renew", issuer["id"])
    second = workplace.document("ca", "responder", "renew", issuer["id"])

    assert (first["key"], second["number"]) == ("token token-1", first["number"] + 1)
    assert len(fake.keys.keys() - before) == 2
    listed = [
        key for key in workplace.document("ca", "token", "list")["keys"] if key["algorithm"] == "rsa-2048"
    ]
    assert sorted((key["spare"], key["issuer"]) for key in listed) == [
        (False, f"OCSP responder {second['number']} of {issuer['subject']}"),
        (True, None),
    ]
    assert any("to be destroyed" in line for line in workplace.lines("ca", "token", "list"))
    tried = workplace.lines("ca", "token", "test")
    assert f"OCSP responder {second['number']} of {issuer['subject']}: signs." in tried
    assert workplace.document("verify") == {"violations": []}


def test_without_a_token_no_responder_gets_its_key_there(
    template: Workplace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PUSHPKI_CA__OCSP_RESPONDER_KEY", "token")
    (issuer,) = [one for one in template.document("ca", "list")["issuers"] if one["purpose"] == "issuing-ca"]

    line = template.refusal("ca", "responder", "renew", issuer["id"], code=78)

    assert "ca.ocsp_responder_key: no token is configured" in line


def test_a_responder_of_what_is_no_issuing_ca_is_not_renewed(template: Workplace) -> None:
    (root,) = [one for one in template.document("ca", "list")["issuers"] if one["purpose"] == "root-ca"]

    line = template.refusal("ca", "responder", "renew", root["id"], code=66)

    assert "no issuing CA" in line


def _signed_request(workplace: Workplace, folder: Path) -> tuple[str, ...]:
    """Return a request for a key in the token, and the command that takes in what it was answered with."""
    request, signed, root = folder / "a.csr", folder / "signed.pem", folder / "root.pem"
    pending = workplace.document("ca", "issuing", "csr", "--token", "--key", "p-256", "--out", str(request))
    asked = x509.load_pem_x509_csr(request.read_bytes())
    stranger = Stranger("Stranger Root", not_before=BEGIN, not_after=END)
    certificate = stranger.certify(asked.subject, _key(asked), not_before=BEGIN, not_after=END)
    signed.write_bytes(certificate.public_bytes(Encoding.PEM))
    root.write_bytes(stranger.certificate.public_bytes(Encoding.PEM))
    trusted = stranger.certificate.fingerprint(SHA256()).hex()
    return (
        pending["id"],
        *("ca", "issuing", "import", str(signed), "--chain", str(root), "--trust", trusted),
    )


def _key(request: x509.CertificateSigningRequest) -> PublicKey:
    key = request.public_key()
    assert isinstance(key, PublicKey)
    return key
