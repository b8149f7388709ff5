"""Hundreds of defects, one at a time: each is refused before the key signs, and what is good is not."""

import logging
from datetime import timedelta

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from ca.address import Mailbox
from ca.errors import LintFailed
from ca.issuance import Issuer
from ca.keys import KeyAlgorithm, PrivateKey, generate
from ca.profiles import DOMAIN_AUTHORITY, Purpose
from ca.signing import PreparedCertificate
from tests.builders import (
    JOERG,
    NOW,
    Authority,
    TokenKey,
    TokenSigner,
    a_prepared_certificate,
    a_profile,
)
from tests.ca.mutants import Mutant, international_mutants, mutants

RECIPIENTS = [purpose for purpose in Purpose if purpose.is_recipient]
ADDRESSES = (
    "a@example.com",
    "Anna.Muster+tag@mail.example.org",
    "o'neil@example.co.uk",
    "=3Dodd/but#fine$&{|}~^`?_-@example.net",
    f"{'l' * 64}@{'d' * 60}.example.com",
    "anna@xn--exmple-cua.com",
    "1@2.example.com",
)
INTERNATIONAL_ADDRESSES = (
    "jörg@example.com",
    "Jörg.Müller+Praxis@mail.example.org",
    "用户@xn--exmple-cua.com",
    "محمد@example.net",
    f"{'ä' * 32}@{'d' * 60}.example.com",
)


@pytest.fixture(scope="module")
def token(authority: Authority) -> TokenKey:
    assert isinstance(authority.issuing_key, rsa.RSAPrivateKey)
    return TokenKey(authority.issuing_key)


@pytest.fixture(scope="module")
def issuer(authority: Authority, token: TokenKey) -> Issuer:
    return authority.issuer_with(TokenSigner(signing_key=token))


@pytest.fixture(scope="module")
def keys(recipient_key: PrivateKey) -> dict[KeyAlgorithm, PrivateKey]:
    return {
        algorithm: recipient_key if algorithm is KeyAlgorithm.RSA_2048 else generate(algorithm)
        for algorithm in KeyAlgorithm
    }


def test_no_mutant_is_signed(
    authority: Authority,
    recipient_key: PrivateKey,
    issuer: Issuer,
    token: TokenKey,
    caplog: pytest.LogCaptureFixture,
) -> None:
    # pkilint logs the traceback of a rule that cannot be applied to what is spoiled.
    caplog.set_level(logging.CRITICAL)
    good = a_prepared_certificate(authority, recipient_key.public_key())
    made = list(mutants(good))
    before = token.signatures

    assert survivors(made, good, issuer) == []
    assert token.signatures == before
    assert len({mutant.name for mutant in made}) == len(made) >= 200
    assert issuer.sign(issuer.lint(good)).serial_number == good.serial_number


def test_no_mutant_of_an_international_address_is_signed(
    authority: Authority,
    recipient_key: PrivateKey,
    issuer: Issuer,
    token: TokenKey,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.CRITICAL)
    profile = a_profile(international_local_parts=True)
    good = a_prepared_certificate(authority, recipient_key.public_key(), profile=profile, mailbox=JOERG)
    made = list(international_mutants())
    before = token.signatures

    assert survivors(made, good, issuer) == []
    assert token.signatures == before
    assert len({mutant.name for mutant in made}) == len(made) >= 60
    assert issuer.sign(issuer.lint(good)).serial_number == good.serial_number


def survivors(made: list[Mutant], good: PreparedCertificate, issuer: Issuer) -> list[str]:
    """Return those that the linter lets pass."""
    passed = []
    for mutant in made:
        try:
            issuer.lint(mutant.spoil(good))
        except LintFailed:
            continue
        passed.append(mutant.name)
    return passed


@pytest.mark.parametrize("purpose", RECIPIENTS)
@pytest.mark.parametrize("algorithm", KeyAlgorithm)
def test_nothing_good_is_refused(
    authority: Authority,
    issuer: Issuer,
    keys: dict[KeyAlgorithm, PrivateKey],
    purpose: Purpose,
    algorithm: KeyAlgorithm,
) -> None:
    texts = [*ADDRESSES, *INTERNATIONAL_ADDRESSES]
    if purpose is Purpose.DOMAIN:
        texts = [f"{DOMAIN_AUTHORITY}@example.com"]
    for text in texts:
        for days in (1, 90, 825):
            profile = a_profile(
                purpose,
                key_algorithm=algorithm,
                validity=timedelta(days=days),
                international_local_parts=True,
            )
            public_key = keys[algorithm].public_key()
            prepared = issuer.prepare(profile, Mailbox.parse_international(text), public_key, NOW)
            assert issuer.lint(prepared).prepared is prepared
    assert issuer.certificate == authority.issuer.certificate
