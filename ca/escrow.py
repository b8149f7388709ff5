"""How is a recipient's key given into the keeping of people who are not on line, and how is it got back?

    key, certificate, chain ──► CMS EnvelopedData ──► recovery certificate, whose key is nowhere near

Whoever escrows cannot open what he has escrowed. The content is what OpenSSL calls a PEM bundle: the private
key (PKCS#8), its certificate, and those above it, the issuer's first. So it explains itself after years, and
opens without this program (`openssl cms -decrypt`).

EnvelopedData does not prove who made it: whoever opens one compares the key with the certificate.
"""

import hashlib
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import Final, Self

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey
from cryptography.hazmat.primitives.ciphers.algorithms import AES256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.hazmat.primitives.serialization.pkcs7 import (
    PKCS7EnvelopeBuilder,
    PKCS7Options,
    pkcs7_decrypt_der,
)

from ca.envelopes import check_addressed
from ca.errors import EscrowRefused, KeyRefused
from ca.keyquality import check_quality
from ca.keys import PrivateKey, same_key

SHORTEST_MODULUS: Final = 3072
"""In bits. What is escrowed may be read for as long as anybody keeps the mail that it opens."""


class RecoveryCertificate:
    """A certificate that keys may be escrowed to: RSA of 3072 bits or more, meant for encrypting keys.

    Raises:
        EscrowRefused: it is none.
    """

    def __init__(self, certificate: x509.Certificate) -> None:
        _check(certificate)
        # Tried out before anything depends on it: what came from elsewhere may be written in odd ways.
        _enveloped(b"trial", certificate)
        self.certificate = certificate

    @classmethod
    def from_der(cls, der: bytes) -> Self:
        """Read one.

        Raises:
            EscrowRefused: it is not a certificate, or not one to escrow to.
        """
        try:
            return cls(x509.load_der_x509_certificate(der))
        except ValueError as error:
            raise EscrowRefused("it is not a certificate") from error

    @cached_property
    def der(self) -> bytes:
        """Its DER."""
        return self.certificate.public_bytes(Encoding.DER)

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of its DER, in hex: its name."""
        return hashlib.sha256(self.der).hexdigest()

    def is_valid_at(self, moment: datetime) -> bool:
        """Whether it may be encrypted to at that moment."""
        return self.certificate.not_valid_before_utc <= moment <= self.certificate.not_valid_after_utc


@dataclass(frozen=True, slots=True, kw_only=True)
class EscrowedKey:
    """What is in an envelope."""

    private_key: PrivateKey = field(repr=False)
    certificate: x509.Certificate
    chain: tuple[x509.Certificate, ...]
    """The issuer's certificate, then those above it."""


def escrow(key: EscrowedKey, to: RecoveryCertificate) -> bytes:
    """Return the envelope (DER) that the holder of the recovery key alone opens, looked at from outside.

    Raises:
        KeyRefused: the key is not the certificate's.
        EscrowRefused: what the library made is not an envelope to that certificate.
    """
    if not same_key(key.private_key.public_key(), key.certificate.public_key()):
        raise KeyRefused("the private key does not belong to the certificate")
    parts = [key.private_key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())]
    parts += [one.public_bytes(Encoding.PEM) for one in (key.certificate, *key.chain)]
    return _enveloped(b"".join(parts), to.certificate)


def open_escrow(envelope: bytes, recovery_key: RSAPrivateKey, certificate: x509.Certificate) -> EscrowedKey:
    """Open an envelope with the recovery key; off line, where people have joined their shares.

    Raises:
        EscrowRefused: it is not one to that certificate, was altered, or does not open with this key.
    """
    check_addressed(envelope, certificate)
    try:
        content = pkcs7_decrypt_der(envelope, certificate, recovery_key, [])
        private_key = load_pem_private_key(content, None)
        own, *chain = x509.load_pem_x509_certificates(content)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        # `from None`: what a parser says about a private key's bytes is nobody's reading.
        raise EscrowRefused("it does not open with this key, or was altered") from None
    if not isinstance(private_key, RSAPrivateKey | EllipticCurvePrivateKey):
        raise EscrowRefused("the key in it is of another kind than a recipient's")
    if not same_key(private_key.public_key(), own.public_key()):
        raise EscrowRefused("the key in it is not the certificate's")
    return EscrowedKey(private_key=private_key, certificate=own, chain=tuple(chain))


def may_sign(extensions: x509.Extensions) -> bool:
    """Whether somebody who had the key of a certificate with these could sign in its holder's name."""
    try:
        usage = extensions.get_extension_for_class(x509.KeyUsage).value
    except x509.ExtensionNotFound:
        # RFC 5280 section 4.2.1.3: without the extension the key may be used for anything.
        return True
    return usage.digital_signature or usage.content_commitment


def _check(certificate: x509.Certificate) -> None:
    key = certificate.public_key()
    if not isinstance(key, RSAPublicKey) or key.key_size < SHORTEST_MODULUS:
        raise EscrowRefused(f"keys are escrowed to RSA keys of {SHORTEST_MODULUS} bits or more only")
    try:
        check_quality(key)
        usage = certificate.extensions.get_extension_for_class(x509.KeyUsage).value
    except x509.ExtensionNotFound:
        return
    except (KeyRefused, ValueError, x509.DuplicateExtension) as error:
        raise EscrowRefused(f"it is not to be encrypted to: {error}") from error
    if not usage.key_encipherment:
        raise EscrowRefused("its key must not be used to encrypt keys")


def _enveloped(content: bytes, certificate: x509.Certificate) -> bytes:
    builder = PKCS7EnvelopeBuilder().set_data(content).add_recipient(certificate)
    builder = builder.set_content_encryption_algorithm(AES256)
    envelope = builder.encrypt(Encoding.DER, [PKCS7Options.Binary])
    check_addressed(envelope, certificate)
    return envelope
