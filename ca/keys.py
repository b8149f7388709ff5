"""Which keys does the authority work with, and how are they made, written and compared?

Knows nothing of who owns a key, where it is kept, or what a certificate says about it.
"""

import hashlib
from enum import StrEnum, unique
from typing import TypeAlias

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_der_private_key,
)

from ca.errors import KeyRefused
from ca.keyquality import check_quality

PrivateKey: TypeAlias = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey
"""An RSA or P-256 private key: in memory, or an object of the same interface that forwards to a token."""

PublicKey: TypeAlias = rsa.RSAPublicKey | ec.EllipticCurvePublicKey
"""An RSA or P-256 public key."""

_RSA_PUBLIC_EXPONENT = 65537
"""The only exponent we make or accept; CA/B S/MIME BR 6.1.6 asks for 2^16+1 or more."""


@unique
class KeyAlgorithm(StrEnum):
    """The kinds of key that may be certified. Closed: what is not here is refused."""

    RSA_2048 = "rsa-2048"
    RSA_3072 = "rsa-3072"
    RSA_4096 = "rsa-4096"
    P_256 = "p-256"

    @property
    def is_rsa(self) -> bool:
        """Whether the key can be the recipient of an RSA key transport; P-256 needs key agreement."""
        return self is not KeyAlgorithm.P_256


MODULUS_BITS = {
    KeyAlgorithm.RSA_2048: 2048,
    KeyAlgorithm.RSA_3072: 3072,
    KeyAlgorithm.RSA_4096: 4096,
}
"""How long the modulus of an RSA key is."""
_ALGORITHM_BY_BITS = {bits: algorithm for algorithm, bits in MODULUS_BITS.items()}


def generate(algorithm: KeyAlgorithm) -> PrivateKey:
    """Make a fresh key pair. RSA takes 50 ms to a second of CPU, without holding the interpreter lock.

    Raises:
        KeyRefused: the generator has made a key that can be taken apart, so it is broken.
    """
    if algorithm is KeyAlgorithm.P_256:
        return ec.generate_private_key(ec.SECP256R1())
    key = rsa.generate_private_key(_RSA_PUBLIC_EXPONENT, MODULUS_BITS[algorithm])
    check_quality(key.public_key())
    return key


def algorithm_of(public_key: object) -> KeyAlgorithm:
    """Name the algorithm of a public key of whatever origin.

    Raises:
        KeyRefused: it is none of `KeyAlgorithm`: another kind, size, curve or public exponent.
    """
    match public_key:
        case rsa.RSAPublicKey():
            if public_key.public_numbers().e != _RSA_PUBLIC_EXPONENT:
                raise KeyRefused("an RSA key must have the public exponent 65537")
            algorithm = _ALGORITHM_BY_BITS.get(public_key.key_size)
            if algorithm is None:
                raise KeyRefused(f"RSA keys of {public_key.key_size} bits are not accepted")
            return algorithm
        case ec.EllipticCurvePublicKey():
            if not isinstance(public_key.curve, ec.SECP256R1):
                raise KeyRefused(f"keys on the curve {public_key.curve.name} are not accepted")
            return KeyAlgorithm.P_256
        case _:
            raise KeyRefused("only RSA and P-256 keys are accepted")


def same_key(public_a: CertificatePublicKeyTypes, public_b: CertificatePublicKeyTypes) -> bool:
    """Whether both are the same public key, of whatever kind a certificate may hold."""
    return public_a == public_b


def key_hash(public_key: CertificatePublicKeyTypes) -> bytes:
    """Return the SHA-256 of the SubjectPublicKeyInfo (RFC 5280 section 4.1.2.7): the name of a key."""
    return hashlib.sha256(public_key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).digest()


def to_pkcs8(key: PrivateKey) -> bytes:
    """Write the key as an unencrypted PKCS#8 PrivateKeyInfo (RFC 5958), for sealing at once."""
    return key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())


def unsafe_from_sealed_pkcs8(der: bytes) -> PrivateKey:
    """Read a key that came out of our own authenticated sealing, without checking its arithmetic.

    Unsafe for any other origin: a hand-made RSA key whose parts do not fit together leaks itself through
    the signatures it makes. Sealing proves that the bytes are those `to_pkcs8` wrote, so the check, 125 ms
    for RSA-3072, would prove nothing more. Compare `public_key()` with the certificate's afterwards.

    Raises:
        KeyRefused: not a PKCS#8 private key, or of an algorithm we do not use.
    """
    try:
        key = load_der_private_key(der, password=None, unsafe_skip_rsa_key_validation=True)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        # `from None`: what the parser says about a private key's bytes is nobody's reading.
        raise KeyRefused("not an unencrypted PKCS#8 private key") from None
    if not isinstance(key, rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey):
        raise KeyRefused("only RSA and P-256 keys are accepted")
    algorithm_of(key.public_key())
    return key
