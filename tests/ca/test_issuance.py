from datetime import timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import AuthorityInformationAccessOID, NameOID
from cryptography.x509.verification import Criticality, ExtensionPolicy, PolicyBuilder, Store
from hypothesis import given
from hypothesis import strategies as st

from ca.address import Mailbox
from ca.errors import AddressRefused, KeyRefused, LintFailed, ProfileRefused
from ca.hierarchy import create_tls_server
from ca.issuance import Issuer
from ca.keys import KeyAlgorithm, PrivateKey, generate
from ca.linting import Linter
from ca.mailnames import mail_name
from ca.profiles import Purpose
from ca.publication import Publication
from ca.signers import SoftwareSigner
from tests.builders import (
    ALICE,
    JOERG,
    NOW,
    PUBLICATION,
    Authority,
    a_certificate,
    a_prepared_certificate,
    a_profile,
    an_authority,
)


@pytest.fixture(scope="module")
def certificate(authority: Authority, recipient_key: PrivateKey) -> x509.Certificate:
    return a_certificate(authority, recipient_key.public_key())


@pytest.mark.parametrize("purpose", [Purpose.RECIPIENT_ENCRYPTION, Purpose.RECIPIENT_DUAL])
@pytest.mark.parametrize("algorithm", KeyAlgorithm)
def test_certificates_of_every_purpose_and_algorithm_are_free_of_findings(
    authority: Authority, purpose: Purpose, algorithm: KeyAlgorithm
) -> None:
    certificate = a_certificate(
        authority, generate(algorithm).public_key(), profile=a_profile(purpose, key_algorithm=algorithm)
    )
    assert authority.linter.findings(certificate.public_bytes(Encoding.DER), purpose) == ()


@pytest.mark.parametrize(
    "address",
    [
        "alice@example.com",
        "Alice.Example+tag@example.com",
        "o'neil&co{}@example.com",
        "a@xn--mnchen-3ya.de",
        f"{'a' * 64}@example.com",
        f"{'a' * 64}@{'b' * 61}.{'c' * 61}.{'d' * 60}.com",
    ],
)
def test_addresses_of_every_shape_pass_the_linter(
    authority: Authority, recipient_key: PrivateKey, address: str
) -> None:
    mailbox = Mailbox.parse(address)
    certificate = a_certificate(authority, recipient_key.public_key(), mailbox=mailbox)
    assert rfc822_names(certificate) == [str(mailbox)]


def test_an_address_beyond_ascii_is_in_the_cn_and_in_an_smtp_utf8_mailbox_alone(
    authority: Authority, recipient_key: PrivateKey
) -> None:
    certificate = a_certificate(
        authority,
        recipient_key.public_key(),
        profile=a_profile(international_local_parts=True),
        mailbox=JOERG,
    )
    assert [(one.oid, one.value) for one in certificate.subject] == [(NameOID.COMMON_NAME, str(JOERG))]
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    assert names.critical is False
    assert list(names.value) == [mail_name(JOERG)]


def test_one_too_long_for_a_cn_is_named_by_a_critical_alternative_name(
    authority: Authority, recipient_key: PrivateKey
) -> None:
    mailbox = Mailbox.parse_international(f"{'ä' * 32}@{'d' * 40}.example.com")
    certificate = a_certificate(
        authority,
        recipient_key.public_key(),
        profile=a_profile(international_local_parts=True),
        mailbox=mailbox,
    )
    assert list(certificate.subject) == []
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    assert names.critical is True
    assert list(names.value) == [mail_name(mailbox)]


def test_an_address_beyond_ascii_takes_a_profile_that_allows_it(
    authority: Authority, recipient_key: PrivateKey
) -> None:
    with pytest.raises(ProfileRefused) as refused:
        a_prepared_certificate(authority, recipient_key.public_key(), mailbox=JOERG)
    assert refused.value.field == "international_local_parts"


def test_cn_emailaddress_and_rfc822name_are_the_same_bytes(certificate: x509.Certificate) -> None:
    assert [attribute.value for attribute in certificate.subject] == ["alice@example.com"] * 2
    assert rfc822_names(certificate) == ["alice@example.com"]


def test_the_email_address_in_the_name_is_an_ia5string(certificate: x509.Certificate) -> None:
    assert b"\x16\x11alice@example.com" in certificate.subject.public_bytes()


def test_the_name_begins_with_its_cn_in_text(certificate: x509.Certificate) -> None:
    assert certificate.subject.rfc4514_string().startswith("CN=alice@example.com,")


def test_the_domain_is_written_in_lower_case(authority: Authority, recipient_key: PrivateKey) -> None:
    certificate = a_certificate(
        authority, recipient_key.public_key(), mailbox=Mailbox.parse("alice@EXAMPLE.com")
    )
    assert rfc822_names(certificate) == ["alice@example.com"]


def test_an_address_too_long_for_a_cn_has_none(authority: Authority, recipient_key: PrivateKey) -> None:
    for length, expected in ((64, True), (65, False)):
        mailbox = Mailbox.parse(f"{'a' * (length - len('@example.com'))}@example.com")
        certificate = a_certificate(authority, recipient_key.public_key(), mailbox=mailbox)
        assert bool(certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)) is expected
        assert [name.value for name in certificate.subject.get_attributes_for_oid(NameOID.EMAIL_ADDRESS)] == [
            str(mailbox)
        ]


def test_points_to_its_issuer_and_its_status(authority: Authority, certificate: x509.Certificate) -> None:
    key_id = authority.issuer.key_id
    (point,) = certificate.extensions.get_extension_for_class(x509.CRLDistributionPoints).value
    assert point.full_name == [x509.UniformResourceIdentifier(PUBLICATION.crl_url(key_id))]
    access = certificate.extensions.get_extension_for_class(x509.AuthorityInformationAccess).value
    assert {entry.access_method: entry.access_location.value for entry in access} == {
        AuthorityInformationAccessOID.CA_ISSUERS: PUBLICATION.certificate_url(key_id),
        AuthorityInformationAccessOID.OCSP: PUBLICATION.ocsp_url,
    }


def test_recipients_are_spread_over_the_partitions_by_their_serial_numbers(
    authority: Authority, recipient_key: PrivateKey
) -> None:
    spread = authority.with_partitions(3, 8, 9)

    prepared = [a_prepared_certificate(spread, recipient_key.public_key()) for _ in range(100)]

    assert {one.crl_partition for one in prepared} == {3, 8, 9}
    assert all(one.crl_partition == (3, 8, 9)[one.serial_number % 3] for one in prepared)
    for one in prepared:
        (points,) = (known.value for known in one.extensions if known.oid == x509.CRLDistributionPoints.oid)
        assert isinstance(points, x509.CRLDistributionPoints)
        url = PUBLICATION.crl_url(authority.issuer.key_id, one.crl_partition)
        assert points[0].full_name == [x509.UniformResourceIdentifier(url)]


def test_without_partitions_the_complete_crl_is_named(
    authority: Authority, recipient_key: PrivateKey
) -> None:
    assert a_prepared_certificate(authority, recipient_key.public_key()).crl_partition is None


@pytest.mark.parametrize("purpose", [Purpose.RECIPIENT_ENCRYPTION, Purpose.PROXY])
def test_a_certificate_that_names_a_partition_is_free_of_findings(
    authority: Authority, recipient_key: PrivateKey, purpose: Purpose
) -> None:
    spread = authority.with_partitions(1024)

    certificate = a_certificate(spread, recipient_key.public_key(), profile=a_profile(purpose))

    assert authority.linter.findings(certificate.public_bytes(Encoding.DER), purpose) == ()


def test_an_ocsp_responder_is_in_no_partition(authority: Authority, recipient_key: PrivateKey) -> None:
    spread = authority.with_partitions(1, 2).issuer

    prepared = spread.prepare_ocsp_responder(
        a_profile(Purpose.OCSP_RESPONDER), recipient_key.public_key(), NOW
    )

    assert prepared.crl_partition is None


def test_the_key_id_is_the_authority_key_identifier(
    authority: Authority, certificate: x509.Certificate
) -> None:
    identifier = certificate.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value
    assert identifier.key_identifier is not None
    assert identifier.key_identifier.hex() == authority.issuer.key_id
    assert identifier.authority_cert_issuer is None


def test_a_path_validator_builds_the_chain_up_to_the_root(
    authority: Authority, certificate: x509.Certificate
) -> None:
    issuing, root = authority.chain
    ca_policy = ExtensionPolicy.permit_all().require_present(
        x509.BasicConstraints, Criticality.CRITICAL, None
    )
    verifier = (
        PolicyBuilder()
        .store(Store([root]))
        .time(NOW)
        .extension_policies(ca_policy=ca_policy, ee_policy=ExtensionPolicy.permit_all())
        .build_client_verifier()
    )
    assert verifier.verify(certificate, [issuing]).chain == [certificate, issuing, root]


def test_begins_an_hour_ago_but_not_before_its_issuer(
    authority: Authority, recipient_key: PrivateKey
) -> None:
    issuer_begin = authority.issuer.certificate.not_valid_before_utc
    soon = NOW + timedelta(minutes=30)
    later = NOW + timedelta(days=30)
    for moment, begin in (
        (NOW, issuer_begin),
        (soon, soon - timedelta(hours=1)),
        (later, later - timedelta(hours=1)),
    ):
        certificate = a_certificate(authority, recipient_key.public_key(), now=moment)
        assert certificate.not_valid_before_utc == begin


def test_825_days_pass_the_linter(authority: Authority, recipient_key: PrivateKey) -> None:
    certificate = a_certificate(
        authority, recipient_key.public_key(), profile=a_profile(validity=timedelta(days=825))
    )
    lifetime = certificate.not_valid_after_utc - certificate.not_valid_before_utc
    assert timedelta(days=824) < lifetime < timedelta(days=825)


def test_refuses_a_certificate_that_would_outlive_its_issuer(
    authority: Authority, recipient_key: PrivateKey
) -> None:
    end = authority.issuer.certificate.not_valid_after_utc
    a_prepared_certificate(authority, recipient_key.public_key(), now=end - timedelta(days=825))
    with pytest.raises(ProfileRefused, match="outlive the issuer") as refused:
        a_prepared_certificate(authority, recipient_key.public_key(), now=end - timedelta(days=824))
    assert refused.value.field == "validity"


def test_refuses_to_issue_before_the_issuer_is_valid(authority: Authority, recipient_key: PrivateKey) -> None:
    early = authority.issuer.certificate.not_valid_before_utc - timedelta(seconds=1)
    with pytest.raises(ProfileRefused, match="not yet valid"):
        a_prepared_certificate(authority, recipient_key.public_key(), now=early)


def test_serial_numbers_are_positive_short_enough_and_never_the_same(
    authority: Authority, recipient_key: PrivateKey
) -> None:
    serials = [
        a_prepared_certificate(authority, recipient_key.public_key()).serial_number for _ in range(2000)
    ]
    assert len(set(serials)) == len(serials)
    assert all(0 < serial < 2**159 for serial in serials)
    # Each of the 159 bits is set about as often as not: 2000 throws, seven standard deviations.
    for bit in range(159):
        assert 840 < sum(serial >> bit & 1 for serial in serials) < 1160


def test_refuses_a_key_shorter_than_2048_bits(authority: Authority) -> None:
    weak = rsa.generate_private_key(65537, 1024)  # noqa: S505 - its weakness is the point
    with pytest.raises(KeyRefused, match="1024 bits"):
        a_prepared_certificate(authority, weak.public_key())


def test_refuses_a_good_key_of_another_algorithm_than_the_profiles(
    authority: Authority, recipient_key: PrivateKey
) -> None:
    with pytest.raises(KeyRefused, match="asks for p-256, the key is rsa-2048"):
        a_prepared_certificate(
            authority, recipient_key.public_key(), profile=a_profile(key_algorithm=KeyAlgorithm.P_256)
        )


@pytest.mark.parametrize("purpose", [Purpose.ROOT_CA, Purpose.ISSUING_CA, Purpose.TLS_SERVER])
def test_a_mailbox_gets_no_certificate_of_another_purpose(
    authority: Authority, recipient_key: PrivateKey, purpose: Purpose
) -> None:
    with pytest.raises(ProfileRefused, match="do not belong to a mailbox"):
        a_prepared_certificate(authority, recipient_key.public_key(), profile=a_profile(purpose))


def test_a_root_issues_no_recipients_certificates(authority: Authority, recipient_key: PrivateKey) -> None:
    with pytest.raises(ProfileRefused, match="root-ca keys do not sign"):
        authority.root.prepare(a_profile(), ALICE, recipient_key.public_key(), NOW)


def test_an_issuing_ca_issues_no_issuing_ca(authority: Authority, recipient_key: PrivateKey) -> None:
    with pytest.raises(ProfileRefused, match="issuing-ca keys do not sign"):
        authority.issuer.prepare_issuing_ca(
            a_profile(Purpose.ISSUING_CA), authority.issuer.name, recipient_key.public_key(), NOW
        )


def test_refuses_a_signer_whose_key_is_not_the_certificates(
    authority: Authority, recipient_key: PrivateKey
) -> None:
    with pytest.raises(KeyRefused, match="does not belong to the issuer"):
        authority.issuer_with(SoftwareSigner(recipient_key))


def test_refuses_an_issuer_that_is_no_ca(
    authority: Authority, certificate: x509.Certificate, recipient_key: PrivateKey
) -> None:
    with pytest.raises(ProfileRefused, match="neither a root"):
        Issuer(certificate, SoftwareSigner(recipient_key), PUBLICATION, authority.linter)


def test_refuses_an_issuer_without_the_extensions_of_a_ca(
    authority: Authority, certificate: x509.Certificate
) -> None:
    bare = (
        x509.CertificateBuilder()
        .issuer_name(certificate.issuer)
        .subject_name(certificate.issuer)
        .public_key(authority.issuing_key.public_key())
        .serial_number(1)
        .not_valid_before(NOW)
        .not_valid_after(NOW)
        .sign(authority.issuing_key, hashes.SHA256())
    )
    with pytest.raises(ProfileRefused, match="not a CA certificate"):
        Issuer(bare, SoftwareSigner(authority.issuing_key), PUBLICATION, authority.linter)


def test_a_rehearsal_finds_an_address_of_publication_that_no_certificate_may_name(
    authority: Authority, recipient_key: PrivateKey
) -> None:
    authority.issuer.rehearse(a_profile(), recipient_key.public_key(), NOW)
    private = Issuer(
        authority.issuer.certificate,
        SoftwareSigner(authority.issuing_key),
        Publication("http://pki.hospital.internal"),
        authority.linter,
    )
    with pytest.raises(LintFailed, match=r"cabf\.internal_domain_name"):
        private.rehearse(a_profile(), recipient_key.public_key(), NOW)


def test_a_rehearsal_finds_an_issuer_that_ends_too_soon(linter: Linter, recipient_key: PrivateKey) -> None:
    ending = an_authority(linter, issuing_validity=timedelta(days=30))
    with pytest.raises(ProfileRefused, match="outlive"):
        ending.issuer.rehearse(a_profile(), recipient_key.public_key(), NOW)


def test_a_domain_that_is_nobodys_on_the_internet_gets_no_certificate(
    authority: Authority, recipient_key: PrivateKey
) -> None:
    with pytest.raises(LintFailed, match=r"cabf\.internal_domain_name"):
        a_certificate(authority, recipient_key.public_key(), mailbox=Mailbox.parse("alice@hospital.internal"))


@given(
    st.from_regex(
        r"[A-Za-z0-9#$&'+/=?^_`{|}~][A-Za-z0-9#$&'+/=?^_`{|}~-]{0,19}(\.[A-Za-z0-9#$&'+/=?^_`{|}~-]{1,20})?",
        fullmatch=True,
    )
)
def test_any_local_part_the_parser_accepts_passes_the_linter(
    authority: Authority, recipient_key: PrivateKey, local_part: str
) -> None:
    try:
        mailbox = Mailbox.parse(f"{local_part}@example.com")
    except AddressRefused:
        return
    linted = authority.issuer.lint(
        a_prepared_certificate(authority, recipient_key.public_key(), mailbox=mailbox)
    )
    assert linted.prepared.serial_number > 0


def test_a_tls_servers_key_cannot_be_an_issuer(linter: Linter) -> None:
    certificate, key = create_tls_server(["localhost"], NOW, linter)
    with pytest.raises(ProfileRefused, match="neither a root"):
        Issuer(certificate, SoftwareSigner(key), PUBLICATION, linter)


def test_shows_its_name_and_no_key(authority: Authority) -> None:
    assert repr(authority.issuer) == "<Issuer CN=Example Issuing CA 2026,O=Example>"


def rfc822_names(certificate: x509.Certificate) -> list[str]:
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return names.get_values_for_type(x509.RFC822Name)


AUTHORITY_OF_A_DOMAIN = Mailbox.parse("domain-confidentiality-authority@example.com")


@pytest.mark.parametrize(
    ("purpose", "mailbox"),
    [(purpose, AUTHORITY_OF_A_DOMAIN) for purpose in Purpose if purpose.is_recipient and purpose != "domain"]
    + [(Purpose.DOMAIN, ALICE)],
)
def test_a_whole_domain_is_bound_by_its_own_profile_and_no_other(
    authority: Authority, recipient_key: PrivateKey, purpose: Purpose, mailbox: Mailbox
) -> None:
    with pytest.raises(ProfileRefused) as refused:
        authority.issuer.prepare(a_profile(purpose), mailbox, recipient_key.public_key(), NOW)
    assert refused.value.field == "purpose"


def test_the_certificate_of_a_domain_has_the_address_of_rfc_3183_as_its_name(
    authority: Authority, recipient_key: PrivateKey
) -> None:
    certificate = a_certificate(
        authority,
        recipient_key.public_key(),
        profile=a_profile(Purpose.DOMAIN),
        mailbox=AUTHORITY_OF_A_DOMAIN,
    )
    names = {str(attribute.value) for attribute in certificate.subject}
    assert names == {str(AUTHORITY_OF_A_DOMAIN)}
