from datetime import timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes

from ca.houserules import broken_between, broken_by
from ca.keys import KeyAlgorithm, PrivateKey, generate
from ca.linting import Linter
from ca.profiles import Purpose
from tests.builders import NOW, Authority, a_certificate, a_profile, an_authority


def test_our_certificates_break_none_of_our_rules(authority: Authority, recipient_key: PrivateKey) -> None:
    leaf = a_certificate(authority, recipient_key.public_key())
    issuing, root = authority.chain
    assert [*broken_by(leaf, Purpose.RECIPIENT_ENCRYPTION), *broken_between(leaf, issuing)] == []
    assert [*broken_by(issuing, Purpose.ISSUING_CA), *broken_between(issuing, root)] == []
    assert [*broken_by(root, Purpose.ROOT_CA), *broken_between(root, root)] == []


def test_the_key_usage_expected_depends_on_the_key(authority: Authority) -> None:
    elliptic = a_certificate(
        authority,
        generate(KeyAlgorithm.P_256).public_key(),
        profile=a_profile(key_algorithm=KeyAlgorithm.P_256),
    )
    assert list(broken_by(elliptic, Purpose.RECIPIENT_ENCRYPTION)) == []


def test_a_root_is_not_an_issuing_ca(authority: Authority) -> None:
    assert set(broken_by(authority.root.certificate, Purpose.ISSUING_CA)) == {
        "pushpki.key_usage_not_of_the_purpose",
        "pushpki.extended_key_usage_not_of_the_purpose",
        "pushpki.basic_constraints_not_of_the_purpose",
        "pushpki.validity_too_long",
    }


def test_a_certificate_is_not_another_cas_of_the_same_name(
    authority: Authority, linter: Linter, recipient_key: PrivateKey
) -> None:
    leaf = a_certificate(authority, recipient_key.public_key())
    namesake = an_authority(linter).issuer.certificate
    assert list(broken_between(leaf, namesake)) == ["pushpki.authority_key_identifier_not_the_issuers"]


def test_a_certificate_lives_within_its_issuers_life(
    authority: Authority, linter: Linter, recipient_key: PrivateKey
) -> None:
    leaf = a_certificate(authority, recipient_key.public_key())
    younger = an_authority(linter, now=NOW + timedelta(days=1)).issuer.certificate
    older = an_authority(linter, issuing_validity=timedelta(days=100)).issuer.certificate
    assert "pushpki.begins_before_the_issuer" in broken_between(leaf, younger)
    assert "pushpki.outlives_the_issuer" in broken_between(leaf, older)


def test_an_issuer_without_a_key_identifier_is_nobodys_issuer(
    authority: Authority, recipient_key: PrivateKey
) -> None:
    leaf = a_certificate(authority, recipient_key.public_key())
    without = (
        x509.CertificateBuilder()
        .issuer_name(leaf.issuer)
        .subject_name(leaf.issuer)
        .public_key(authority.issuing_key.public_key())
        .serial_number(1)
        .not_valid_before(leaf.not_valid_before_utc)
        .not_valid_after(leaf.not_valid_after_utc)
        .sign(authority.issuing_key, hashes.SHA256())
    )
    assert list(broken_between(leaf, without)) == ["pushpki.authority_key_identifier_not_the_issuers"]
