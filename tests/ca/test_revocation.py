from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.padding import AsymmetricPadding
from cryptography.hazmat.primitives.asymmetric.utils import NoDigestInfo, Prehashed
from cryptography.hazmat.primitives.hashes import HashAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import given
from hypothesis import strategies as st
from typing_extensions import override

from ca.crllinting import CrlLinter
from ca.distantkeys import DistantSigner
from ca.errors import KeyRefused, LintFailed, ProfileRefused, SigningRefused
from ca.keys import KeyAlgorithm, PrivateKey, generate
from ca.linting import Linter
from ca.revocation import CrlIssuer, PreparedCrl, RevocationReason, RevokedCertificate
from ca.signers import Signer, SoftwareSigner
from ca.signing import SignatureScheme
from tests.builders import NOW, PUBLICATION, Authority, TokenKey, TokenSigner, a_certificate, an_authority

WEEK = timedelta(days=7)
GREATEST_SERIAL = 2**159 - 1


@pytest.fixture(scope="module")
def crl_linter() -> CrlLinter:
    return CrlLinter()


@pytest.fixture(scope="module")
def issuer(authority: Authority, crl_linter: CrlLinter) -> CrlIssuer:
    return a_crl_issuer(authority, crl_linter)


def a_crl_issuer(authority: Authority, linter: CrlLinter, signer: Signer | None = None) -> CrlIssuer:
    return CrlIssuer(authority.issuer.certificate, signer or SoftwareSigner(authority.issuing_key), linter)


def a_token(authority: Authority) -> TokenKey:
    assert isinstance(authority.issuing_key, rsa.RSAPrivateKey)
    return TokenKey(authority.issuing_key)


def a_prepared_crl(*revoked: RevokedCertificate, number: int = 1) -> PreparedCrl:
    return PreparedCrl(number=number, this_update=NOW, next_update=NOW + WEEK, revoked=revoked)


def a_revoked_certificate(
    serial_number: int = 4711, *, reason: RevocationReason = RevocationReason.SUPERSEDED
) -> RevokedCertificate:
    return RevokedCertificate(serial_number=serial_number, revoked_at=NOW - timedelta(hours=1), reason=reason)


def test_says_who_issues_it_when_and_which_it_is(authority: Authority, issuer: CrlIssuer) -> None:
    crl = issuer.issue(a_prepared_crl(number=2**62))

    certificate = authority.issuer.certificate
    key_identifier = crl.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value
    assert crl.issuer == certificate.subject
    assert key_identifier.key_identifier == bytes.fromhex(authority.issuer.key_id)
    assert crl.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number == 2**62
    assert (crl.last_update_utc, crl.next_update_utc) == (NOW, NOW + WEEK)
    assert crl.is_signature_valid(authority.issuing_key.public_key())


def test_a_root_issues_one_too(authority: Authority, crl_linter: CrlLinter) -> None:
    issuer = CrlIssuer(authority.root.certificate, SoftwareSigner(authority.root_key), crl_linter)

    crl = issuer.issue(a_prepared_crl())

    assert crl.issuer == authority.root.name
    assert crl.is_signature_valid(authority.root_key.public_key())


def test_an_issuer_with_an_elliptic_curve_issues_one_too(linter: Linter, crl_linter: CrlLinter) -> None:
    authority = an_authority(linter, key_algorithm=KeyAlgorithm.P_256)

    crl = a_crl_issuer(authority, crl_linter).issue(a_prepared_crl(a_revoked_certificate()))

    assert crl.is_signature_valid(authority.issuing_key.public_key())


def test_without_entries_it_has_no_list_of_them(issuer: CrlIssuer) -> None:
    # RFC 5280 section 5.1.2.6: the list is absent, not empty; pkilint refuses an empty one.
    assert len(issuer.issue(a_prepared_crl())) == 0


@pytest.mark.parametrize(
    "reason", [reason for reason in RevocationReason if reason is not RevocationReason.UNSPECIFIED]
)
def test_an_entry_says_which_when_and_why(issuer: CrlIssuer, reason: RevocationReason) -> None:
    revoked = a_revoked_certificate(reason=reason)

    (entry,) = issuer.issue(a_prepared_crl(revoked))

    assert (entry.serial_number, entry.revocation_date_utc) == (4711, revoked.revoked_at)
    assert entry.extensions.get_extension_for_class(x509.CRLReason).value.reason.value == reason.value


def test_an_unspecified_reason_is_said_by_saying_nothing(issuer: CrlIssuer) -> None:
    (entry,) = issuer.issue(a_prepared_crl(a_revoked_certificate(reason=RevocationReason.UNSPECIFIED)))

    assert list(entry.extensions) == []


def test_no_entry_was_revoked_after_the_crl_was_made(issuer: CrlIssuer) -> None:
    ahead = replace(a_revoked_certificate(), revoked_at=NOW + timedelta(seconds=90))

    (entry,) = issuer.issue(a_prepared_crl(ahead))

    assert entry.revocation_date_utc == NOW


@given(
    serials=st.sets(st.integers(1, GREATEST_SERIAL), max_size=20),
    reasons=st.lists(st.sampled_from(RevocationReason), min_size=20, max_size=20),
    number=st.integers(1, 2**63 - 1),
    moment=st.datetimes(datetime(2026, 1, 1), datetime(2075, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001 - as Hypothesis wants bounds
)
def test_whatever_is_revoked_is_listed_and_lints(
    issuer: CrlIssuer,
    authority: Authority,
    serials: set[int],
    reasons: list[RevocationReason],
    number: int,
    moment: datetime,
) -> None:
    revoked = tuple(
        RevokedCertificate(serial_number=serial, revoked_at=moment, reason=reason)
        for serial, reason in zip(sorted(serials), reasons, strict=False)
    )

    crl = issuer.issue(
        PreparedCrl(number=number, this_update=moment, next_update=moment + WEEK, revoked=revoked)
    )

    read = x509.load_der_x509_crl(crl.public_bytes(Encoding.DER))
    assert {entry.serial_number for entry in read} == serials
    assert read.is_signature_valid(authority.issuing_key.public_key())
    assert read.last_update_utc == moment.replace(microsecond=0)


def test_a_certificate_of_the_issuers_is_found_in_it(
    authority: Authority, issuer: CrlIssuer, recipient_key: PrivateKey
) -> None:
    certificate = a_certificate(authority, recipient_key.public_key())

    crl = issuer.issue(a_prepared_crl(a_revoked_certificate(certificate.serial_number)))

    assert crl.get_revoked_certificate_by_serial_number(certificate.serial_number) is not None
    assert crl.get_revoked_certificate_by_serial_number(certificate.serial_number ^ 1) is None


@pytest.mark.parametrize(
    ("broken", "code"),
    [
        (replace(a_prepared_crl(), next_update=NOW + timedelta(days=11)), "cabf.crl_invalid_validity_period"),
        (replace(a_prepared_crl(), next_update=NOW - WEEK), "pushpki.not_encodable"),
        (a_prepared_crl(a_revoked_certificate(0)), "pushpki.not_encodable"),
        (a_prepared_crl(a_revoked_certificate(2**160)), "pushpki.not_encodable"),
        (a_prepared_crl(number=2**160), "pkix.crl_number_out_of_range"),
    ],
)
def test_refuses_what_breaks_a_rule_before_the_issuers_key_is_used(
    authority: Authority, crl_linter: CrlLinter, broken: PreparedCrl, code: str
) -> None:
    token = a_token(authority)
    issuer = a_crl_issuer(authority, crl_linter, TokenSigner(signing_key=token))

    with pytest.raises(LintFailed, match=code):
        issuer.issue(broken)
    assert token.signatures == 0


def test_one_entry_of_each_kind_is_linted_however_many_there_are(
    authority: Authority,
) -> None:
    seen: list[bytes] = []

    class Watching(CrlLinter):
        @override
        def findings(self, der: bytes) -> tuple[()]:
            seen.append(der)
            return ()

    reasons = [RevocationReason.SUPERSEDED, RevocationReason.KEY_COMPROMISE]
    revoked = [a_revoked_certificate(n, reason=reasons[n % 2]) for n in range(1, 1001)]

    crl = a_crl_issuer(authority, Watching()).issue(a_prepared_crl(*revoked))

    (linted,) = seen
    assert [entry.serial_number for entry in x509.load_der_x509_crl(linted)] == [1, 2, 1000]
    assert len(crl) == 1000


def test_the_key_is_used_once(authority: Authority, crl_linter: CrlLinter) -> None:
    token = a_token(authority)

    a_crl_issuer(authority, crl_linter, TokenSigner(signing_key=token)).issue(a_prepared_crl())

    assert token.signatures == 1


class WrongTokenKey(TokenKey):
    """A token that answers with a signature over something else."""

    @override
    def sign(
        self,
        data: bytes,
        padding: AsymmetricPadding,
        algorithm: Prehashed | HashAlgorithm | NoDigestInfo,
    ) -> bytes:
        return super().sign(data + b"!", padding, algorithm)


def test_refuses_a_signature_that_does_not_verify(authority: Authority, crl_linter: CrlLinter) -> None:
    assert isinstance(authority.issuing_key, rsa.RSAPrivateKey)
    issuer = a_crl_issuer(
        authority, crl_linter, TokenSigner(signing_key=WrongTokenKey(authority.issuing_key))
    )

    with pytest.raises(SigningRefused, match="the CRL came back with a signature that does not verify"):
        issuer.issue(a_prepared_crl())


def test_refuses_anothers_key(authority: Authority, crl_linter: CrlLinter) -> None:
    with pytest.raises(KeyRefused):
        a_crl_issuer(authority, crl_linter, SoftwareSigner(generate(KeyAlgorithm.P_256)))


def test_refuses_a_certificate_that_may_not_sign_crls(
    authority: Authority, crl_linter: CrlLinter, recipient_key: PrivateKey
) -> None:
    certificate = a_certificate(authority, recipient_key.public_key())

    with pytest.raises(ProfileRefused, match="may not sign CRLs"):
        CrlIssuer(certificate, SoftwareSigner(recipient_key), crl_linter)


POINT = "http://pki.example.com/crl/0123/7.crl"


def test_a_complete_one_is_limited_to_nothing(issuer: CrlIssuer) -> None:
    crl = issuer.issue(a_prepared_crl())

    assert [one.oid for one in crl.extensions] == [
        x509.AuthorityKeyIdentifier.oid,
        x509.CRLNumber.oid,
    ]


def test_that_of_a_partition_says_critically_which_certificates_it_is_about(issuer: CrlIssuer) -> None:
    prepared = replace(a_prepared_crl(a_revoked_certificate()), distribution_point=POINT)

    crl = issuer.issue(prepared)

    found = crl.extensions.get_extension_for_class(x509.IssuingDistributionPoint)
    assert found.critical
    assert found.value == x509.IssuingDistributionPoint(
        full_name=[x509.UniformResourceIdentifier(POINT)],
        relative_name=None,
        only_contains_user_certs=False,
        only_contains_ca_certs=False,
        only_some_reasons=None,
        indirect_crl=False,
        only_contains_attribute_certs=False,
    )


def test_that_of_a_partition_is_about_what_certificates_name_octet_for_octet(
    authority: Authority, crl_linter: CrlLinter, recipient_key: PrivateKey
) -> None:
    # RFC 5280 section 5.2.5: the identical encoding must be used in certificate and CRL.
    named = authority.with_partitions(7)
    certificate = a_certificate(named, recipient_key.public_key())
    url = PUBLICATION.crl_url(authority.issuer.key_id, 7)

    crl = a_crl_issuer(authority, crl_linter).issue(replace(a_prepared_crl(), distribution_point=url))

    (point,) = certificate.extensions.get_extension_for_class(x509.CRLDistributionPoints).value
    scope = crl.extensions.get_extension_for_class(x509.IssuingDistributionPoint).value
    assert point.full_name == scope.full_name
    assert bytes((0x86, len(url))) + url.encode() in crl.public_bytes(Encoding.DER)
    assert bytes((0x86, len(url))) + url.encode() in certificate.public_bytes(Encoding.DER)


def test_entries_are_read_once(issuer: CrlIssuer) -> None:
    entries = iter([a_revoked_certificate(1), a_revoked_certificate(2)])

    assert len(issuer.issue(replace(a_prepared_crl(), revoked=entries))) == 2


@pytest.mark.parametrize("scheme", SignatureScheme)
@pytest.mark.parametrize("key_algorithm", [KeyAlgorithm.RSA_2048, KeyAlgorithm.P_256])
def test_a_key_in_another_process_signs_what_was_linted_here(
    linter: Linter, crl_linter: CrlLinter, scheme: SignatureScheme, key_algorithm: KeyAlgorithm
) -> None:
    authority = an_authority(linter, key_algorithm=key_algorithm)
    certificate = authority.issuer.certificate
    with_key = CrlIssuer(certificate, SoftwareSigner(authority.issuing_key), crl_linter, scheme=scheme)
    asked: list[bytes] = []

    def ask(octets: bytes) -> bytes:
        asked.append(octets)
        return with_key.unsafe_sign(octets)

    distant = DistantSigner(authority.issuing_key.public_key(), ask)

    crl = CrlIssuer(certificate, distant, crl_linter, scheme=scheme).issue(a_prepared_crl())

    assert asked == [crl.tbs_certlist_bytes]
    assert crl.is_signature_valid(authority.issuing_key.public_key())


def test_its_text_names_the_issuer(issuer: CrlIssuer) -> None:
    assert repr(issuer) == "<CrlIssuer CN=Example Issuing CA 2026,O=Example>"
