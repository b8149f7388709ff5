from collections.abc import Callable
from datetime import timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.ciphers.algorithms import AES128, AES256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.hazmat.primitives.serialization.pkcs7 import PKCS7EnvelopeBuilder, PKCS7Options

from ca.envelopes import check_addressed, read_envelope
from ca.errors import EscrowRefused, KeyRefused
from ca.escrow import (
    EscrowedKey,
    RecoveryCertificate,
    escrow,
    may_sign,
    open_escrow,
)
from ca.keys import KeyAlgorithm, PrivateKey, generate, same_key
from ca.profiles import Purpose
from tests.builders import NOW, Authority, a_certificate, a_profile
from tests.recoverykeys import a_recovery_certificate, a_recovery_key


@pytest.fixture(scope="module")
def key(authority: Authority, recipient_key: PrivateKey) -> EscrowedKey:
    return EscrowedKey(
        private_key=recipient_key,
        certificate=a_certificate(authority, recipient_key.public_key()),
        chain=authority.chain,
    )


def test_what_is_escrowed_opens_with_the_recovery_key_and_explains_itself(key: EscrowedKey) -> None:
    certificate, recovery_key = a_recovery_key()

    opened = open_escrow(escrow(key, a_recovery_certificate()), recovery_key, certificate)

    assert same_key(opened.private_key.public_key(), key.certificate.public_key())
    assert (opened.certificate, opened.chain) == (key.certificate, key.chain)


def test_an_elliptic_key_is_escrowed_as_well(authority: Authority) -> None:
    own = generate(KeyAlgorithm.P_256)
    certificate = a_certificate(
        authority, own.public_key(), profile=a_profile(key_algorithm=KeyAlgorithm.P_256)
    )
    escrowed = EscrowedKey(private_key=own, certificate=certificate, chain=authority.chain)
    recovery_certificate, recovery_key = a_recovery_key()

    opened = open_escrow(escrow(escrowed, a_recovery_certificate()), recovery_key, recovery_certificate)

    assert same_key(opened.private_key.public_key(), own.public_key())


def test_neither_key_nor_address_is_in_the_envelope(key: EscrowedKey) -> None:
    envelope = escrow(key, a_recovery_certificate())
    assert isinstance(key.private_key, RSAPrivateKey)
    prime = key.private_key.private_numbers().p
    assert b"PRIVATE KEY" not in envelope
    assert b"alice" not in envelope
    assert prime.to_bytes((prime.bit_length() + 7) // 8, "big") not in envelope


def test_a_key_under_another_certificate_is_not_escrowed(key: EscrowedKey) -> None:
    other = EscrowedKey(
        private_key=generate(KeyAlgorithm.P_256), certificate=key.certificate, chain=key.chain
    )
    with pytest.raises(KeyRefused, match="does not belong"):
        escrow(other, a_recovery_certificate())


def test_another_recovery_key_opens_nothing(key: EscrowedKey) -> None:
    certificate, _ = a_recovery_key()
    _, other = a_recovery_key(2)
    with pytest.raises(EscrowRefused):
        open_escrow(escrow(key, a_recovery_certificate()), other, certificate)


def test_an_envelope_to_another_certificate_is_recognised_before_it_is_tried(key: EscrowedKey) -> None:
    certificate, recovery_key = a_recovery_key(2)
    with pytest.raises(EscrowRefused, match="another certificate"):
        open_escrow(escrow(key, a_recovery_certificate()), recovery_key, certificate)


def test_no_altered_envelope_yields_a_key_that_is_not_the_certificates(key: EscrowedKey) -> None:
    certificate, recovery_key = a_recovery_key()
    envelope = escrow(key, a_recovery_certificate())
    for place in range(40, len(envelope), len(envelope) // 40):
        altered = bytearray(envelope)
        altered[place] ^= 1
        try:
            opened = open_escrow(bytes(altered), recovery_key, certificate)
        except EscrowRefused:
            continue
        assert same_key(opened.private_key.public_key(), opened.certificate.public_key())


@pytest.mark.parametrize("content", [b"", b"nothing", b"-----BEGIN PRIVATE KEY-----\n"])
def test_an_envelope_without_a_key_is_refused(content: bytes) -> None:
    certificate, recovery_key = a_recovery_key()
    builder = PKCS7EnvelopeBuilder().set_data(content or b" ").add_recipient(certificate)
    envelope = builder.set_content_encryption_algorithm(AES256).encrypt(Encoding.DER, [PKCS7Options.Binary])
    with pytest.raises(EscrowRefused, match="does not open"):
        open_escrow(envelope, recovery_key, certificate)


def test_an_envelope_of_the_wrong_cipher_or_cut_off_is_seen_from_outside(key: EscrowedKey) -> None:
    certificate, _ = a_recovery_key()
    weaker = PKCS7EnvelopeBuilder().set_data(b"key").add_recipient(certificate)
    with pytest.raises(EscrowRefused, match="other algorithms"):
        check_addressed(
            weaker.set_content_encryption_algorithm(AES128).encrypt(Encoding.DER, [PKCS7Options.Binary]),
            certificate,
        )
    envelope = escrow(key, a_recovery_certificate())
    for damaged in (envelope[:-1], envelope[: len(envelope) // 2], b"", b"\x30\x00", envelope + b"\x00"):
        with pytest.raises(EscrowRefused):
            read_envelope(damaged)


def test_two_recipients_are_one_too_many() -> None:
    first, second = (a_recovery_key(number)[0] for number in (1, 2))
    builder = PKCS7EnvelopeBuilder().set_data(b"key").add_recipient(first).add_recipient(second)
    envelope = builder.set_content_encryption_algorithm(AES256).encrypt(Encoding.DER, [PKCS7Options.Binary])
    with pytest.raises(EscrowRefused, match="one recipient"):
        check_addressed(envelope, first)


def self_signed(
    key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey, *extensions: x509.ExtensionType
) -> x509.Certificate:
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "Recovery")])
    builder = x509.CertificateBuilder(name, name, key.public_key(), 1, NOW, NOW + timedelta(days=1))
    for extension in extensions:
        builder = builder.add_extension(extension, critical=True)
    return builder.sign(key, hashes.SHA256())


def usage(**allowed: bool) -> x509.KeyUsage:
    names = ("digital_signature", "content_commitment", "key_encipherment", "data_encipherment")
    others = ("key_agreement", "key_cert_sign", "crl_sign", "encipher_only", "decipher_only")
    return x509.KeyUsage(**{name: allowed.get(name, False) for name in (*names, *others)})


@pytest.mark.parametrize(
    ("made", "reason"),
    [
        (lambda: self_signed(rsa.generate_private_key(65537, 2048)), "3072 bits"),
        (lambda: self_signed(ec.generate_private_key(ec.SECP256R1())), "3072 bits"),
        (lambda: self_signed(a_recovery_key()[1], usage(digital_signature=True)), "must not be used"),
    ],
)
def test_refuses_to_escrow_to(made: Callable[[], x509.Certificate], reason: str) -> None:
    with pytest.raises(EscrowRefused, match=reason):
        RecoveryCertificate(made())


def test_a_certificate_without_key_usage_may_be_for_anything() -> None:
    RecoveryCertificate(self_signed(a_recovery_key()[1]))


def test_what_is_no_certificate_is_refused() -> None:
    with pytest.raises(EscrowRefused, match="not a certificate"):
        RecoveryCertificate.from_der(b"nothing")


def test_a_recovery_certificate_is_not_encrypted_to_after_its_end() -> None:
    recovery = a_recovery_certificate()
    end = recovery.certificate.not_valid_after_utc
    assert recovery.is_valid_at(NOW)
    assert recovery.is_valid_at(end)
    assert not recovery.is_valid_at(end + timedelta(seconds=1))
    assert not recovery.is_valid_at(NOW - timedelta(days=1))


def test_a_recovery_certificate_is_named_by_its_fingerprint() -> None:
    recovery = a_recovery_certificate()
    assert recovery.fingerprint == recovery.certificate.fingerprint(hashes.SHA256()).hex()
    assert RecoveryCertificate.from_der(recovery.der).fingerprint == recovery.fingerprint


@pytest.mark.parametrize(
    ("purpose", "expected"),
    [(Purpose.RECIPIENT_ENCRYPTION, False), (Purpose.RECIPIENT_DUAL, True)],
)
def test_who_may_sign_is_read_from_the_certificate(
    authority: Authority, recipient_key: PrivateKey, purpose: Purpose, *, expected: bool
) -> None:
    certificate = a_certificate(authority, recipient_key.public_key(), profile=a_profile(purpose))
    assert may_sign(certificate.extensions) is expected


def test_a_certificate_without_key_usage_may_sign() -> None:
    assert may_sign(self_signed(a_recovery_key()[1]).extensions)
