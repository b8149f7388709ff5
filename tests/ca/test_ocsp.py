from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.padding import AsymmetricPadding
from cryptography.hazmat.primitives.asymmetric.utils import NoDigestInfo, Prehashed
from cryptography.hazmat.primitives.hashes import HashAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp
from cryptography.x509.oid import ExtendedKeyUsageOID
from pkilint import loader, pkix
from pkilint.pkix import extension, name
from pkilint.pkix import ocsp as ocsp_rules
from pkilint.validation import ValidationFindingSeverity
from typing_extensions import override

from ca.errors import KeyRefused, ProfileRefused, SigningRefused
from ca.keys import KeyAlgorithm, PrivateKey, generate
from ca.linting import Linter
from ca.ocsp import Good, NeverIssued, NotKnown, OcspResponder, Period, Refusal, Revoked, Status
from ca.ocsprequests import CertificateId, IdHash
from ca.profiles import Purpose
from ca.revocation import RevocationReason
from ca.signers import SoftwareSigner
from tests.builders import NOW, Authority, TokenKey, a_certificate, a_profile, an_authority
from tests.responders import a_mark, a_responder, a_responder_certificate

DAY = timedelta(days=1)
PERIOD = Period(this_update=NOW, next_update=NOW + DAY)
REVOKED = Revoked(at=NOW - DAY, reason=RevocationReason.KEY_COMPROMISE)
STATUSES: list[Status] = [Good(), REVOKED, NeverIssued(), NotKnown()]
EXTENDED_REVOKE = x509.ObjectIdentifier("1.3.6.1.5.5.7.48.1.9")


@pytest.fixture(scope="module")
def responder(authority: Authority) -> OcspResponder:
    return a_responder(authority)


@pytest.fixture(scope="module")
def answer(authority: Authority, responder: OcspResponder) -> Callable[..., ocsp.OCSPResponse]:
    def answered(status: Status, nonce: bytes | None = None) -> ocsp.OCSPResponse:
        return ocsp.load_der_ocsp_response(responder.answer(an_id(authority), status, PERIOD, nonce))

    return answered


def an_id(authority: Authority, serial_number: int = 4711, id_hash: IdHash = IdHash.SHA_1) -> CertificateId:
    return CertificateId(issuer=a_mark(authority, id_hash), serial_number=serial_number)


def findings(response: bytes) -> list[str]:
    """Judge a response by RFC 6960, as pkilint's own command does."""
    container = ocsp_rules.create_pkix_ocsp_response_validator_container(
        [
            ocsp_rules.create_response_decoder(),
            pkix.create_attribute_decoder(name.ATTRIBUTE_TYPE_MAPPINGS),
            pkix.create_extension_decoder(extension.EXTENSION_MAPPINGS),
        ],
        [],
    )
    results = container.validate(loader.load_ocsp_response(response, "response").root)
    return [
        found.finding.code
        for result in results
        for found in result.finding_descriptions
        if found.finding.severity <= ValidationFindingSeverity.NOTICE
    ]


@pytest.mark.parametrize("status", STATUSES, ids=lambda one: type(one).__name__)
@pytest.mark.parametrize("nonce", [None, b"n" * 32])
def test_every_kind_of_answer_is_free_of_findings(
    authority: Authority, responder: OcspResponder, status: Status, nonce: bytes | None
) -> None:
    assert findings(responder.answer(an_id(authority), status, PERIOD, nonce)) == []


def test_the_linter_would_find_something(authority: Authority, responder: OcspResponder) -> None:
    backwards = Period(this_update=NOW, next_update=NOW - DAY)
    assert findings(responder.answer(an_id(authority), Good(), backwards)) != []


def test_says_good_of_whom_and_until_when(
    authority: Authority, responder: OcspResponder, answer: Callable[..., ocsp.OCSPResponse]
) -> None:
    response = answer(Good())

    mark = a_mark(authority)
    assert response.response_status is ocsp.OCSPResponseStatus.SUCCESSFUL
    assert response.certificate_status is ocsp.OCSPCertStatus.GOOD
    assert (response.issuer_name_hash, response.issuer_key_hash) == (mark.name_hash, mark.key_hash)
    assert response.serial_number == 4711
    assert (response.this_update_utc, response.next_update_utc) == (NOW, NOW + DAY)
    assert response.certificates == [responder.certificate]
    assert response.responder_key_hash == _key_id(responder.certificate)
    assert list(response.extensions) == []


def test_says_since_when_and_why_it_was_revoked(answer: Callable[..., ocsp.OCSPResponse]) -> None:
    response = answer(REVOKED)

    assert response.certificate_status is ocsp.OCSPCertStatus.REVOKED
    assert response.revocation_time_utc == NOW - DAY
    assert response.revocation_reason is x509.ReasonFlags.key_compromise


@pytest.mark.parametrize("reason", RevocationReason)
def test_every_reason_can_be_told_and_no_reason_is_told_by_silence(
    answer: Callable[..., ocsp.OCSPResponse], reason: RevocationReason
) -> None:
    told = answer(Revoked(at=NOW, reason=reason)).revocation_reason

    assert told == (None if reason is RevocationReason.UNSPECIFIED else x509.ReasonFlags(reason.value))


def test_what_another_node_revoked_a_moment_from_now_is_revoked_now(
    answer: Callable[..., ocsp.OCSPResponse],
) -> None:
    response = answer(Revoked(at=NOW + timedelta(seconds=3), reason=RevocationReason.SUPERSEDED))

    assert response.revocation_time_utc == NOW


def test_what_was_never_issued_is_on_hold_since_1970_and_says_so(
    answer: Callable[..., ocsp.OCSPResponse],
) -> None:
    response = answer(NeverIssued())

    assert response.certificate_status is ocsp.OCSPCertStatus.REVOKED
    assert response.revocation_time_utc == datetime(1970, 1, 1, tzinfo=UTC)
    assert response.revocation_reason is x509.ReasonFlags.certificate_hold
    (extended,) = response.extensions
    assert extended.oid == EXTENDED_REVOKE
    assert not extended.critical


def test_what_is_not_known_is_unknown(answer: Callable[..., ocsp.OCSPResponse]) -> None:
    assert answer(NotKnown()).certificate_status is ocsp.OCSPCertStatus.UNKNOWN


def test_repeats_the_nonce(answer: Callable[..., ocsp.OCSPResponse]) -> None:
    response = answer(Good(), b"n" * 32)

    assert response.extensions.get_extension_for_class(x509.OCSPNonce).value.nonce == b"n" * 32


@pytest.mark.parametrize("algorithm", [KeyAlgorithm.RSA_2048, KeyAlgorithm.P_256])
def test_joins_what_it_says_of_several_certificates(authority: Authority, algorithm: KeyAlgorithm) -> None:
    responder = a_responder(authority, algorithm)
    parts = [
        responder.answer(an_id(authority, 1), Good(), PERIOD, b"n" * 16),
        responder.answer(an_id(authority, 2, IdHash.SHA_256), NeverIssued(), PERIOD),
        responder.answer(an_id(authority, 3), REVOKED, PERIOD),
    ]

    der = responder.joined(parts)

    response = ocsp.load_der_ocsp_response(der)
    told = [
        (one.serial_number, one.certificate_status, one.hash_algorithm.name) for one in response.responses
    ]
    assert told == [
        (1, ocsp.OCSPCertStatus.GOOD, "sha1"),
        (2, ocsp.OCSPCertStatus.REVOKED, "sha256"),
        (3, ocsp.OCSPCertStatus.REVOKED, "sha1"),
    ]
    assert response.extensions.get_extension_for_class(x509.OCSPNonce).value.nonce == b"n" * 16
    assert response.extensions.get_extension_for_oid(EXTENDED_REVOKE) is not None
    assert findings(der) == []


def test_joins_answers_without_any_extension(authority: Authority, responder: OcspResponder) -> None:
    parts = [responder.answer(an_id(authority, serial), Good(), PERIOD) for serial in (1, 2)]

    response = ocsp.load_der_ocsp_response(responder.joined(parts))

    assert list(response.extensions) == []
    assert [one.serial_number for one in response.responses] == [1, 2]


@pytest.mark.parametrize("refusal", Refusal)
def test_a_refusal_says_why_and_nothing_else(refusal: Refusal) -> None:
    assert ocsp.load_der_ocsp_response(refusal.der).response_status is refusal.value


def test_a_responders_certificate_is_free_of_findings_and_for_nothing_else(authority: Authority) -> None:
    certificate = a_responder_certificate(authority, generate(KeyAlgorithm.RSA_2048))

    extensions = certificate.extensions
    assert authority.linter.findings(certificate.public_bytes(Encoding.DER), Purpose.OCSP_RESPONDER) == ()
    assert extensions.get_extension_for_class(x509.OCSPNoCheck).critical is False
    usage = extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(usage) == [ExtendedKeyUsageOID.OCSP_SIGNING]
    assert certificate.not_valid_after_utc - certificate.not_valid_before_utc < 90 * DAY
    assert certificate.subject.rfc4514_string() == "CN=Example Issuing CA 2026 OCSP,O=Example"


def test_a_responders_certificate_ends_with_its_issuer(linter: Linter) -> None:
    authority = an_authority(linter, issuing_validity=3 * DAY)

    certificate = a_responder_certificate(authority, generate(KeyAlgorithm.RSA_2048))

    assert certificate.not_valid_after_utc == authority.issuer.certificate.not_valid_after_utc


def test_refuses_a_key_that_is_not_the_certificates(authority: Authority, responder: OcspResponder) -> None:
    other = SoftwareSigner(generate(KeyAlgorithm.RSA_2048))
    with pytest.raises(KeyRefused):
        OcspResponder(responder.certificate, authority.issuer.certificate, other)


def test_refuses_a_certificate_that_may_not_sign_answers(
    authority: Authority, recipient_key: PrivateKey
) -> None:
    certificate = a_certificate(authority, recipient_key.public_key())
    with pytest.raises(ProfileRefused, match="may not sign"):
        OcspResponder(certificate, authority.issuer.certificate, SoftwareSigner(recipient_key))


def test_refuses_a_responder_of_another_issuer(authority: Authority, linter: Linter) -> None:
    key = generate(KeyAlgorithm.RSA_2048)
    certificate = a_responder_certificate(authority, key)
    other = an_authority(linter, name="Other").issuer.certificate
    with pytest.raises(ProfileRefused, match="this issuer"):
        OcspResponder(certificate, other, SoftwareSigner(key))


@pytest.mark.parametrize("purpose", [Purpose.ISSUING_CA, Purpose.RECIPIENT_DUAL])
def test_a_responder_is_certified_by_its_own_profile_alone(
    authority: Authority, recipient_key: PrivateKey, purpose: Purpose
) -> None:
    with pytest.raises(ProfileRefused):
        authority.issuer.prepare_ocsp_responder(a_profile(purpose), recipient_key.public_key(), NOW)


class FaultyKey(TokenKey):
    """A token whose arithmetic has a fault."""

    @override
    def sign(
        self,
        data: bytes,
        padding: AsymmetricPadding,
        algorithm: Prehashed | HashAlgorithm | NoDigestInfo,
    ) -> bytes:
        signature = bytearray(super().sign(data, padding, algorithm))
        signature[-1] ^= 1
        return bytes(signature)


def test_a_signature_with_a_fault_is_never_given_away(authority: Authority) -> None:
    key = generate(KeyAlgorithm.RSA_2048)
    assert isinstance(key, rsa.RSAPrivateKey)
    certificate = a_responder_certificate(authority, key)
    sound = OcspResponder(certificate, authority.issuer.certificate, SoftwareSigner(key))
    faulty = OcspResponder(certificate, authority.issuer.certificate, SoftwareSigner(FaultyKey(key)))
    part = sound.answer(an_id(authority), Good(), PERIOD)

    with pytest.raises(SigningRefused, match="does not verify"):
        faulty.answer(an_id(authority), Good(), PERIOD)
    with pytest.raises(SigningRefused, match="does not verify"):
        faulty.joined([part, part])


def _key_id(certificate: x509.Certificate) -> bytes:
    return certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value.digest
