"""OpenSSL finds its way from a recipient to somebody else's root, by a cross-certificate, and to ours."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding

from ca.issuerimport import fingerprint
from ca.keys import KeyAlgorithm, generate
from tests.ca.strangers import Stranger
from tests.interop.programs import authorities, entries, ldapsearch, mint, run
from tests.service import Running, succeed

Find = Callable[[str], str]
NOW = datetime.now(UTC).replace(microsecond=0)
BEGIN, END = NOW - timedelta(days=1), NOW + timedelta(days=3000)


@pytest.fixture
def friend() -> Stranger:
    """Somebody else's root."""
    return Stranger("Friendly Root", not_before=BEGIN, not_after=END)


@pytest.fixture
def crossed(program: Find, service: Running, friend: Stranger, tmp_path: Path) -> Iterator[x509.Certificate]:
    """Have our root certified by the other one, and published, for as long as the test runs."""
    _, root = authorities(program, service)
    certificate = friend.certify(root.subject, root.public_key(), not_before=BEGIN, not_after=END)
    file, above = tmp_path / "crossed.pem", tmp_path / "above.pem"
    file.write_bytes(pem(certificate))
    above.write_bytes(pem(friend.certificate))
    config = ("--config", str(service.installed.config))
    trust = ("--chain", str(above), "--trust", fingerprint(friend.certificate).hex())
    taken = succeed("ca", "cross", "import", str(file), *trust, *config)
    yield certificate
    succeed("ca", "cross", "remove", taken["id"], "--yes", *config)


def pem(*certificates: x509.Certificate) -> bytes:
    return b"".join(one.public_bytes(Encoding.PEM) for one in certificates)


def all_of(find: Find, service: Running, certificate: x509.Certificate, tmp_path: Path) -> bytes:
    """Return what openssl reads of all certificates of an issuer, PEM."""
    identifier = certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    file = tmp_path / "issuer.p7c"
    url = f"{service.http}/ca/{identifier.digest.hex()}.p7c"
    done = run([find("curl"), "-s", "--fail", "-o", str(file), url])
    assert done.returncode == 0, done.stderr
    done = run([find("openssl"), "pkcs7", "-inform", "DER", "-in", str(file), "-print_certs"])
    assert done.returncode == 0, done.stderr
    return done.stdout


def wait_for(
    find: Find, service: Running, crossed: x509.Certificate, root: x509.Certificate, at: Path
) -> None:
    for _ in range(2000):
        if crossed in x509.load_pem_x509_certificates(all_of(find, service, root, at)):
            return
    pytest.fail("the cross-certificate is not published")


def test_a_recipient_is_verified_under_the_other_root_and_under_ours(
    program: Find, service: Running, crossed: x509.Certificate, friend: Stranger, tmp_path: Path
) -> None:
    issuing, root = authorities(program, service)
    _, recipient = mint(program, service)
    wait_for(program, service, crossed, root, tmp_path)
    (tmp_path / "recipient.pem").write_bytes(pem(x509.load_der_x509_certificate(recipient)))

    def verified(trusted: x509.Certificate, *between: x509.Certificate) -> bytes:
        (tmp_path / "trusted.pem").write_bytes(pem(trusted))
        (tmp_path / "between.pem").write_bytes(pem(*between))
        files = ("-CAfile", str(tmp_path / "trusted.pem"), "-untrusted", str(tmp_path / "between.pem"))
        options = ("-purpose", "smimeencrypt", "-show_chain", *files)
        done = run([program("openssl"), "verify", *options, str(tmp_path / "recipient.pem")])
        return done.stdout + done.stderr

    assert b"Friendly Root" in (by_friend := verified(friend.certificate, issuing, crossed))
    assert b": OK" in by_friend
    assert b": OK" in (by_ours := verified(root, issuing, crossed))
    assert b"Friendly Root" not in by_ours
    assert b": OK" not in verified(friend.certificate, issuing)


def test_ldap_has_both_certificates_of_the_root_and_our_own_first(
    program: Find, service: Running, crossed: x509.Certificate, tmp_path: Path
) -> None:
    _, root = authorities(program, service)
    wait_for(program, service, crossed, root, tmp_path)

    done = ldapsearch(
        program("ldapsearch"),
        *("-H", service.ldap, "-s", "base", "-b", root.subject.rfc4514_string()),
        *("(objectClass=*)", "cACertificate;binary"),
    )

    (entry,) = entries(done.stdout)
    both = [one.public_bytes(Encoding.DER) for one in (root, crossed)]
    assert entry["cACertificate;binary"] == both


def test_openssl_refuses_what_another_ca_certifies_beyond_the_domains_that_ours_permits(
    program: Find, service: Running, friend: Stranger, tmp_path: Path
) -> None:
    _, root = authorities(program, service)
    theirs, out = tmp_path / "theirs.pem", tmp_path / "signed.pem"
    key = generate(KeyAlgorithm.RSA_2048)
    name = x509.Name(list(root.subject)[:1] + list(friend.name))
    theirs.write_bytes(pem(friend.certify(name, key.public_key(), not_before=BEGIN, not_after=END)))
    succeed(
        *("ca", "cross", "sign", str(theirs), "--permit", "other.example", "--out", str(out), "--yes"),
        *("--config", str(service.installed.config)),
    )
    (tmp_path / "root.pem").write_bytes(pem(root))

    def verified(address: str) -> bytes:
        recipient = (
            x509.CertificateBuilder(
                issuer_name=name,
                subject_name=x509.Name([]),
                public_key=generate(KeyAlgorithm.RSA_2048).public_key(),
                serial_number=x509.random_serial_number(),
                not_valid_before=BEGIN,
                not_valid_after=END,
            )
            .add_extension(x509.SubjectAlternativeName([x509.RFC822Name(address)]), critical=True)
            .sign(key, SHA256())
        )
        (tmp_path / "recipient.pem").write_bytes(pem(recipient))
        files = ("-CAfile", str(tmp_path / "root.pem"), "-untrusted", str(out))
        done = run([program("openssl"), "verify", *files, str(tmp_path / "recipient.pem")])
        return done.stdout + done.stderr

    assert b": OK" in verified("anna@other.example")
    assert b"permitted subtree violation" in verified("anna@hospital.org")
