"""Where a root is off line: its key file, and what is signed with it."""

from datetime import timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)

from ca.carequests import read_ca_request, request_issuing
from ca.crlrequests import CrlRequest, read_crl_request
from ca.errors import CrlRequestRefused, KeyFileUnusable, LintFailed, ProfileRefused
from ca.hierarchy import AuthorityName
from ca.keys import KeyAlgorithm, generate, same_key
from ca.linting import Linter
from ca.offline import OfflineCa, read_key_file
from ca.profiles import Purpose
from ca.revocation import RevocationReason, RevokedCertificate
from ca.signers import SoftwareSigner
from tests.builders import NOW, PUBLICATION, Authority, a_profile

PASSPHRASE = b"correct horse battery staple"
DAY = timedelta(days=1)
REVOKED = RevokedCertificate(serial_number=0xABCDEF, revoked_at=NOW, reason=RevocationReason.CA_COMPROMISE)
NAME = AuthorityName(organization="Example", common_name="Example Issuing CA 2027")


@pytest.fixture
def root(authority: Authority) -> OfflineCa:
    return OfflineCa(certificate=authority.root.certificate, key=authority.root_key)


def test_the_key_file_is_read_back_by_us_and_by_others(root: OfflineCa) -> None:
    file = root.write(PASSPHRASE)

    read = read_key_file(file, PASSPHRASE)
    assert read.certificate == root.certificate
    assert same_key(read.key.public_key(), root.key.public_key())
    assert file.startswith(b"-----BEGIN ENCRYPTED PRIVATE KEY-----")
    assert load_pem_private_key(file, PASSPHRASE).public_key() == root.key.public_key()


def test_nothing_of_the_key_shows(root: OfflineCa) -> None:
    assert "PrivateKey" not in repr(root)


@pytest.mark.parametrize("passphrase", [b"", b"nineteen octets ...", b"short"])
def test_a_short_passphrase_is_refused(root: OfflineCa, passphrase: bytes) -> None:
    with pytest.raises(KeyFileUnusable, match="20 characters"):
        root.write(passphrase)


def test_another_passphrase_opens_nothing(root: OfflineCa) -> None:
    with pytest.raises(KeyFileUnusable):
        read_key_file(root.write(PASSPHRASE), PASSPHRASE + b"!")


def test_what_is_no_key_file_is_refused(root: OfflineCa, authority: Authority) -> None:
    key = authority.issuing_key.private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(PASSPHRASE)
    )
    certificate = root.certificate.public_bytes(Encoding.PEM)
    for file in (b"nonsense", certificate, key, key + certificate):
        with pytest.raises(KeyFileUnusable):
            read_key_file(file, PASSPHRASE)


def a_request(root: OfflineCa, *, number: int = 7) -> CrlRequest:
    return CrlRequest(certificate=root.certificate, number=number, revoked=(REVOKED,))


def test_a_request_is_read_as_it_was_written(root: OfflineCa) -> None:
    request = read_crl_request(a_request(root).write())

    assert (request.certificate, request.number, list(request.revoked)) == (root.certificate, 7, [REVOKED])


@pytest.mark.parametrize(
    "change",
    [
        (b'"pushpki CRL', b'"other CRL'),
        (b'"version": 1', b'"version": 2'),
        (b"abcdef", b"xyz"),
        (b"cACompromise", b"mood"),
        (b"{", b"["),
    ],
)
def test_what_is_no_request_is_refused(root: OfflineCa, change: tuple[bytes, bytes]) -> None:
    with pytest.raises(CrlRequestRefused):
        read_crl_request(a_request(root).write().replace(*change))


def test_a_crl_of_a_root_holds_for_months(root: OfflineCa) -> None:
    crl = x509.load_der_x509_crl(root.sign_crl(a_request(root), NOW, 180 * DAY))

    assert crl.is_signature_valid(root.certificate.public_key())  # type: ignore[arg-type]  # of ours
    assert crl.issuer == root.certificate.subject
    assert [one.serial_number for one in crl] == [REVOKED.serial_number]
    assert crl.next_update_utc == NOW + 180 * DAY
    number = crl.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number
    assert number == int(NOW.timestamp())


def test_its_number_is_greater_than_those_before_though_the_clock_is_slow(root: OfflineCa) -> None:
    number = int(NOW.timestamp()) + 99

    crl = x509.load_der_x509_crl(root.sign_crl(a_request(root, number=number), NOW, DAY))

    assert crl.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number == number


def test_a_crl_that_holds_for_too_long_is_not_signed(root: OfflineCa) -> None:
    with pytest.raises(LintFailed):
        root.sign_crl(a_request(root), NOW, 400 * DAY)


def test_a_crl_of_another_ca_is_not_signed(root: OfflineCa, authority: Authority) -> None:
    request = CrlRequest(certificate=authority.issuer.certificate, number=1, revoked=())

    with pytest.raises(KeyFileUnusable):
        root.sign_crl(request, NOW, DAY)


def test_an_issuing_ca_is_certified_as_one_on_line_would_be(root: OfflineCa, linter: Linter) -> None:
    key = generate(KeyAlgorithm.RSA_2048)
    request = read_ca_request(request_issuing(SoftwareSigner(key), NAME).public_bytes(Encoding.DER))

    certificate = root.certify(request, a_profile(Purpose.ISSUING_CA), PUBLICATION, NOW)

    certificate.verify_directly_issued_by(root.certificate)
    assert certificate.subject == NAME.distinguished_name
    assert linter.findings(certificate.public_bytes(Encoding.DER), Purpose.ISSUING_CA) == ()


def test_an_issuing_ca_certifies_no_other(authority: Authority) -> None:
    issuing = OfflineCa(certificate=authority.issuer.certificate, key=authority.issuing_key)
    request = request_issuing(SoftwareSigner(generate(KeyAlgorithm.RSA_2048)), NAME)

    with pytest.raises(ProfileRefused):
        issuing.certify(
            read_ca_request(request.public_bytes(Encoding.DER)),
            a_profile(Purpose.ISSUING_CA),
            PUBLICATION,
            NOW,
        )
