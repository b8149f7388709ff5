"""RSASSA-PSS where it is wanted, with the parameters of RFC 4055; linted and verified as the other is."""

from datetime import timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding
from cryptography.x509.oid import SignatureAlgorithmOID

from ca.crllinting import CrlLinter
from ca.issuance import Issuer
from ca.keys import KeyAlgorithm, PrivateKey
from ca.linting import Linter
from ca.profiles import Purpose
from ca.revocation import CrlIssuer, PreparedCrl
from ca.signers import SoftwareSigner
from ca.signing import SignatureScheme
from tests.builders import ALICE, NOW, PUBLICATION, Authority, a_profile, an_authority


def certified(
    authority: Authority, key: PrivateKey, purpose: Purpose = Purpose.RECIPIENT_ENCRYPTION
) -> x509.Certificate:
    signer = SoftwareSigner(authority.issuing_key)
    issuer = Issuer(
        authority.issuer.certificate, signer, PUBLICATION, authority.linter, scheme=SignatureScheme.PSS
    )
    return issuer.sign(issuer.lint(issuer.prepare(a_profile(purpose), ALICE, key.public_key(), NOW)))


def assert_pss(signed: x509.Certificate | x509.CertificateRevocationList) -> None:
    assert signed.signature_algorithm_oid == SignatureAlgorithmOID.RSASSA_PSS
    assert isinstance(signed.signature_hash_algorithm, hashes.SHA256)
    parameters = signed.signature_algorithm_parameters
    assert isinstance(parameters, padding.PSS)
    assert parameters._salt_length == 32


@pytest.mark.parametrize("purpose", [Purpose.RECIPIENT_ENCRYPTION, Purpose.RECIPIENT_DUAL, Purpose.PROXY])
def test_a_certificate_signed_with_pss_lints_clean_and_verifies(
    authority: Authority, recipient_key: PrivateKey, purpose: Purpose
) -> None:
    certificate = certified(authority, recipient_key, purpose)

    assert_pss(certificate)
    certificate.verify_directly_issued_by(authority.issuer.certificate)


def test_a_crl_signed_with_pss_lints_clean_and_verifies(authority: Authority) -> None:
    certificate = authority.issuer.certificate
    signer = SoftwareSigner(authority.issuing_key)
    issuer = CrlIssuer(certificate, signer, CrlLinter(), scheme=SignatureScheme.PSS)

    crl = issuer.issue(
        PreparedCrl(number=1, this_update=NOW, next_update=NOW + timedelta(days=7), revoked=[])
    )

    assert_pss(crl)
    assert crl.is_signature_valid(signer.public_key)


def test_an_elliptic_key_signs_as_ever(linter: Linter, recipient_key: PrivateKey) -> None:
    certificate = certified(an_authority(linter, key_algorithm=KeyAlgorithm.P_256), recipient_key)

    assert isinstance(certificate.signature_algorithm_parameters, ec.ECDSA)


def test_the_usual_scheme_is_pkcs1(authority: Authority, recipient_key: PrivateKey) -> None:
    prepared = authority.issuer.prepare(a_profile(), ALICE, recipient_key.public_key(), NOW)
    certificate = authority.issuer.sign(authority.issuer.lint(prepared))

    assert isinstance(certificate.signature_algorithm_parameters, padding.PKCS1v15)
