import gc
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.padding import AsymmetricPadding
from cryptography.hazmat.primitives.asymmetric.utils import NoDigestInfo, Prehashed
from cryptography.hazmat.primitives.hashes import HashAlgorithm
from typing_extensions import override

from ca.errors import LintFailed, SigningRefused
from ca.keys import KeyAlgorithm, PrivateKey, generate
from ca.linting import Linter
from ca.signers import Signer, SoftwareSigner
from ca.signing import LintedCertificate, PreparedCertificate, SigningGate
from tests.builders import (
    PUBLICATION,
    Authority,
    TokenKey,
    TokenSigner,
    a_prepared_certificate,
    a_profile,
    an_authority,
)


def a_gate(authority: Authority, signer: Signer | None = None) -> SigningGate:
    return SigningGate(
        signer or SoftwareSigner(authority.issuing_key), authority.linter, authority.issuer.certificate
    )


def a_token(authority: Authority) -> TokenKey:
    assert isinstance(authority.issuing_key, rsa.RSAPrivateKey)
    return TokenKey(authority.issuing_key)


@pytest.fixture(scope="module")
def prepared(authority: Authority, recipient_key: PrivateKey) -> PreparedCertificate:
    return a_prepared_certificate(authority, recipient_key.public_key())


def test_signs_exactly_the_bytes_that_were_linted(
    authority: Authority, prepared: PreparedCertificate
) -> None:
    gate = a_gate(authority)
    linted = gate.lint(prepared)
    certificate = gate.sign(linted)
    assert certificate.tbs_certificate_bytes == linted.tbs_certificate
    certificate.verify_directly_issued_by(authority.issuer.certificate)


def test_linting_does_not_use_the_issuers_key(authority: Authority, prepared: PreparedCertificate) -> None:
    token = a_token(authority)
    gate = a_gate(authority, TokenSigner(signing_key=token))
    linted = gate.lint(prepared)
    assert token.signatures == 0
    gate.sign(linted)
    assert token.signatures == 1


def test_signs_each_linted_certificate_once(authority: Authority, prepared: PreparedCertificate) -> None:
    gate = a_gate(authority)
    linted = gate.lint(prepared)
    gate.sign(linted)
    with pytest.raises(SigningRefused, match="signed before"):
        gate.sign(linted)


def test_signs_once_although_many_threads_ask(authority: Authority, prepared: PreparedCertificate) -> None:
    token = a_token(authority)
    gate = a_gate(authority, TokenSigner(signing_key=token))
    linted = gate.lint(prepared)

    def refused(_: int) -> bool:
        try:
            gate.sign(linted)
        except SigningRefused:
            return True
        return False

    with ThreadPoolExecutor(max_workers=8) as executor:
        assert sorted(executor.map(refused, range(8))) == [False] + [True] * 7
    assert token.signatures == 1


def test_refuses_what_another_gate_linted(authority: Authority, prepared: PreparedCertificate) -> None:
    token = a_token(authority)
    elsewhere = a_gate(authority).lint(prepared)
    with pytest.raises(SigningRefused, match="not linted for this issuer"):
        a_gate(authority, TokenSigner(signing_key=token)).sign(elsewhere)
    assert token.signatures == 0


def test_refuses_a_linted_certificate_made_by_hand(
    authority: Authority, prepared: PreparedCertificate
) -> None:
    token = a_token(authority)
    gate = a_gate(authority, TokenSigner(signing_key=token))
    genuine = gate.lint(prepared)
    forged = LintedCertificate(prepared, genuine.tbs_certificate, genuine._witness)
    with pytest.raises(SigningRefused, match="not linted for this issuer"):
        gate.sign(forged)
    assert token.signatures == 0


def test_a_linted_certificate_cannot_be_changed(authority: Authority, prepared: PreparedCertificate) -> None:
    linted = a_gate(authority).lint(prepared)
    with pytest.raises(AttributeError):
        linted.prepared = replace(prepared, serial_number=1)  # type: ignore[misc]  # that is the point


def test_forgets_what_was_linted_and_never_signed(
    authority: Authority, prepared: PreparedCertificate
) -> None:
    gate = a_gate(authority)
    gate.lint(prepared)
    gc.collect()
    assert len(gate._signable) == 0


def test_refuses_what_a_failing_token_signed(authority: Authority, prepared: PreparedCertificate) -> None:
    class FailingKey(TokenKey):
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

    assert isinstance(authority.issuing_key, rsa.RSAPrivateKey)
    gate = a_gate(authority, TokenSigner(signing_key=FailingKey(authority.issuing_key)))
    linted = gate.lint(prepared)
    with pytest.raises(SigningRefused, match="does not verify"):
        gate.sign(linted)


def test_refuses_what_was_signed_in_another_way_than_linted(
    authority: Authority, prepared: PreparedCertificate
) -> None:
    """The signer's two halves disagree: the public one is RSA, what signs is an elliptic key."""

    class TwoFacedSigner(SoftwareSigner):
        @property
        @override
        def signing_key(self) -> PrivateKey:
            return ec.generate_private_key(ec.SECP256R1())

    gate = a_gate(authority, TwoFacedSigner(authority.issuing_key))
    linted = gate.lint(prepared)
    with pytest.raises(SigningRefused, match="not what was linted"):
        gate.sign(linted)


def test_what_cannot_be_encoded_fails_the_lint(authority: Authority, prepared: PreparedCertificate) -> None:
    with pytest.raises(LintFailed) as failed:
        a_gate(authority).lint(replace(prepared, serial_number=0))
    assert failed.value.findings == ("pushpki.not_encodable (FATAL)",)
    assert isinstance(failed.value.__cause__, ValueError)


def test_a_failed_lint_does_not_repeat_the_address(
    authority: Authority, prepared: PreparedCertificate
) -> None:
    spoiled = replace(prepared, extensions=prepared.extensions[:2])
    with pytest.raises(LintFailed) as failed:
        a_gate(authority).lint(spoiled)
    assert "example.com" not in str(failed.value)


def test_an_authority_with_elliptic_keys_works_the_same(linter: Linter) -> None:
    authority = an_authority(linter, key_algorithm=KeyAlgorithm.P_256)
    profile = a_profile(key_algorithm=KeyAlgorithm.P_256)
    prepared = a_prepared_certificate(authority, generate(KeyAlgorithm.P_256).public_key(), profile=profile)
    certificate = authority.issuer.sign(authority.issuer.lint(prepared))
    certificate.verify_directly_issued_by(authority.issuer.certificate)
    assert authority.issuer.publication is PUBLICATION


def test_shows_purpose_and_serial_number_only(authority: Authority, prepared: PreparedCertificate) -> None:
    linted = a_gate(authority).lint(replace(prepared, serial_number=0xBEEF << 64))
    assert repr(linted) == "<LintedCertificate recipient-encryption beef0000000000000000>"
