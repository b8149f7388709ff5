"""Every defect is found in the copy, before the issuer's key is used (the linter's reason to be here)."""

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from ca.errors import LintFailed
from ca.issuance import Issuer
from ca.keys import PrivateKey
from ca.signing import PreparedCertificate
from tests.builders import Authority, TokenKey, TokenSigner, a_prepared_certificate
from tests.ca.defects import DEFECTS, Defect


@pytest.fixture(scope="module")
def token(authority: Authority) -> TokenKey:
    assert isinstance(authority.issuing_key, rsa.RSAPrivateKey)
    return TokenKey(authority.issuing_key)


@pytest.fixture(scope="module")
def issuer(authority: Authority, token: TokenKey) -> Issuer:
    return authority.issuer_with(TokenSigner(signing_key=token))


@pytest.fixture(scope="module")
def good(authority: Authority, recipient_key: PrivateKey) -> PreparedCertificate:
    return a_prepared_certificate(authority, recipient_key.public_key())


@pytest.mark.parametrize("defect", DEFECTS, ids=lambda defect: defect.name)
def test_the_issuers_key_is_not_used_when_lint_fails(
    defect: Defect, issuer: Issuer, token: TokenKey, good: PreparedCertificate
) -> None:
    before = token.signatures
    with pytest.raises(LintFailed) as failed:
        issuer.lint(defect.spoil(good))
    assert defect.code in {finding.split()[0] for finding in failed.value.findings}
    assert token.signatures == before


def test_what_is_spoiled_was_good_before(issuer: Issuer, token: TokenKey, good: PreparedCertificate) -> None:
    linted = issuer.lint(good)
    before = token.signatures
    assert issuer.sign(linted).serial_number == good.serial_number
    assert token.signatures == before + 1


def test_each_defect_has_its_own_name() -> None:
    assert len({defect.name for defect in DEFECTS}) == len(DEFECTS) >= 50
