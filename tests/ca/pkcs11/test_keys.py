"""Keys that forward to a token, where cryptography's builders expect a private key."""

import copy
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from ca.address import Mailbox
from ca.crllinting import CrlLinter
from ca.errors import SignerUnavailable, SigningRefused
from ca.issuance import Issuer
from ca.keys import KeyAlgorithm, PrivateKey, generate
from ca.ocsp import Good, OcspResponder, Period
from ca.ocsprequests import CertificateId
from ca.pkcs11 import TokenKey, TokenLimits, TokenSigner, TokenThread
from ca.profiles import Purpose
from ca.revocation import CrlIssuer, PreparedCrl
from ca.signing import SignatureScheme
from tests.builders import NOW, PUBLICATION, Authority, a_profile
from tests.faketoken import FakeToken
from tests.responders import a_mark

KEY = TokenKey(token="token-1", key_id="0a")
DAY = timedelta(days=1)
ANNA = Mailbox.parse("anna@example.org")


@pytest.fixture
def fake() -> FakeToken:
    return FakeToken()


@pytest.fixture
def holding(fake: FakeToken) -> Iterator[Callable[[PrivateKey], TokenSigner]]:
    token = TokenThread(fake, TokenLimits(sign=60, connect=60))

    def hold(key: PrivateKey) -> TokenSigner:
        fake.keys[b"\x0a"] = key
        return TokenSigner(token, KEY, key.public_key())

    yield hold
    token.close()


Holding = Callable[[PrivateKey], TokenSigner]


@pytest.mark.parametrize("scheme", SignatureScheme)
def test_a_certificate_is_signed_in_the_token(
    authority: Authority,
    recipient_key: PrivateKey,
    holding: Holding,
    fake: FakeToken,
    scheme: SignatureScheme,
) -> None:
    certificate = authority.issuer.certificate
    signer = holding(authority.issuing_key)
    issuer = Issuer(certificate, signer, PUBLICATION, authority.linter, scheme=scheme)
    linted = issuer.lint(
        issuer.prepare(a_profile(Purpose.RECIPIENT_ENCRYPTION), ANNA, recipient_key.public_key(), NOW)
    )

    issuer.sign(linted).verify_directly_issued_by(certificate)

    assert fake.calls == ["connect", "sign"]


@pytest.mark.parametrize("scheme", SignatureScheme)
def test_a_crl_is_signed_in_the_token(
    authority: Authority, holding: Holding, scheme: SignatureScheme
) -> None:
    issuer = CrlIssuer(authority.root.certificate, holding(authority.root_key), CrlLinter(), scheme=scheme)

    crl = issuer.issue(PreparedCrl(number=1, this_update=NOW, next_update=NOW + DAY, revoked=()))

    assert crl.is_signature_valid(authority.root_key.public_key())


@pytest.mark.parametrize("algorithm", [KeyAlgorithm.RSA_2048, KeyAlgorithm.P_256])
def test_an_ocsp_response_is_signed_in_the_token(
    authority: Authority, holding: Holding, algorithm: KeyAlgorithm
) -> None:
    key = generate(algorithm)
    profile = a_profile(Purpose.OCSP_RESPONDER, key_algorithm=algorithm)
    prepared = authority.issuer.prepare_ocsp_responder(profile, key.public_key(), NOW)
    certificate = authority.issuer.sign(authority.issuer.lint(prepared))
    responder = OcspResponder(certificate, authority.issuer.certificate, holding(key))
    period = Period(this_update=NOW, next_update=NOW + DAY)
    about = CertificateId(issuer=a_mark(authority), serial_number=7)

    answer = responder.answer(about, Good(), period)

    assert responder.joined([answer, answer]) != answer  # its own signature is checked by the responder


def test_a_p_256_signature_is_der() -> None:
    key = generate(KeyAlgorithm.P_256)
    token = TokenThread(FakeToken({b"\x0a": key}), TokenLimits(sign=60, connect=60))
    signing_key = TokenSigner(token, KEY, key.public_key()).signing_key
    assert isinstance(signing_key, ec.EllipticCurvePrivateKey)

    signature = signing_key.sign(b"text", ec.ECDSA(hashes.SHA256()))

    public_key = key.public_key()
    assert isinstance(public_key, ec.EllipticCurvePublicKey)
    public_key.verify(signature, b"text", ec.ECDSA(hashes.SHA256()))


def test_another_key_in_the_token_is_found_out_by_its_signature(
    authority: Authority, recipient_key: PrivateKey, holding: Holding, fake: FakeToken
) -> None:
    signer = holding(authority.issuing_key)
    fake.keys[b"\x0a"] = recipient_key
    issuer = Issuer(authority.issuer.certificate, signer, PUBLICATION, authority.linter)
    linted = issuer.lint(
        issuer.prepare(a_profile(Purpose.RECIPIENT_ENCRYPTION), ANNA, recipient_key.public_key(), NOW)
    )

    with pytest.raises(SigningRefused):
        issuer.sign(linted)


def test_a_token_that_is_away_is_known_before_anything_is_spent(
    authority: Authority, recipient_key: PrivateKey, holding: Holding, fake: FakeToken
) -> None:
    issuer = Issuer(
        authority.issuer.certificate, holding(authority.issuing_key), PUBLICATION, authority.linter
    )
    profile = a_profile(Purpose.RECIPIENT_ENCRYPTION)
    linted = issuer.lint(issuer.prepare(profile, ANNA, recipient_key.public_key(), NOW))
    issuer.require_signer()
    fake.take_away()

    with pytest.raises(SignerUnavailable):
        issuer.sign(linted)

    with pytest.raises(SignerUnavailable):
        issuer.require_signer()


def test_a_token_is_not_asked_before_something_is_to_be_signed(
    authority: Authority, holding: Holding, fake: FakeToken
) -> None:
    Issuer(authority.issuer.certificate, holding(authority.issuing_key), PUBLICATION, authority.linter)

    assert fake.calls == []


@pytest.mark.parametrize("algorithm", [KeyAlgorithm.RSA_2048, KeyAlgorithm.P_256])
def test_the_private_half_does_not_come_out(holding: Holding, algorithm: KeyAlgorithm) -> None:
    key: Any = holding(generate(algorithm)).signing_key

    with pytest.raises(UnsupportedAlgorithm, match="does not leave it"):
        key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    with pytest.raises(UnsupportedAlgorithm, match="does not leave it"):
        key.private_numbers()
    assert copy.copy(key) is copy.deepcopy(key) is key


def test_it_does_nothing_but_sign(holding: Holding) -> None:
    rsa_key: Any = holding(generate(KeyAlgorithm.RSA_2048)).signing_key
    ec_key: Any = holding(generate(KeyAlgorithm.P_256)).signing_key

    with pytest.raises(UnsupportedAlgorithm, match="decrypts nothing"):
        rsa_key.decrypt(b"", padding.PKCS1v15())
    with pytest.raises(UnsupportedAlgorithm, match="agrees on nothing"):
        ec_key.exchange(ec.ECDH(), ec_key.public_key())


@pytest.mark.parametrize(
    ("scheme", "algorithm"),
    [
        (padding.PKCS1v15(), hashes.SHA512()),
        (padding.PSS(mgf=padding.MGF1(hashes.SHA256()), salt_length=20), hashes.SHA256()),
        (padding.OAEP(padding.MGF1(hashes.SHA256()), hashes.SHA256(), None), hashes.SHA256()),
    ],
)
def test_it_signs_in_no_way_that_nobody_asks_for(
    holding: Holding, fake: FakeToken, scheme: Any, algorithm: hashes.HashAlgorithm
) -> None:
    key = holding(generate(KeyAlgorithm.RSA_2048)).signing_key
    assert isinstance(key, rsa.RSAPrivateKey)

    with pytest.raises(UnsupportedAlgorithm):
        key.sign(b"text", scheme, algorithm)

    assert fake.calls == []


def test_it_is_named_by_where_it_is(holding: Holding) -> None:
    signer = holding(generate(KeyAlgorithm.P_256))

    assert repr(signer) == "<TokenSigner token-1/0a>"
    assert signer.signing_key.key_size == 256


def test_certificates_say_the_key_of_the_token(holding: Holding) -> None:
    key = generate(KeyAlgorithm.P_256)
    name = x509.Name([])
    builder = x509.CertificateBuilder().issuer_name(name).subject_name(name).serial_number(1)
    builder = builder.not_valid_before(NOW).not_valid_after(NOW + DAY).public_key(key.public_key())

    certificate = builder.sign(holding(key).signing_key, hashes.SHA256())

    certificate.verify_directly_issued_by(certificate)
