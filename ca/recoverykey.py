"""How is the key kept that opens what was escrowed? In a file under a passphrase that nobody knows.

The passphrase is 256 random bits and exists as shares only (`ca.shares`): M people who come together open the
file, and fewer do not. All this happens off line. The file holds the recovery certificate as well, and is of
no use without the shares; it is copied like any other file, so that its loss is nobody's end.
"""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)

from ca.errors import EscrowRefused
from ca.hierarchy import AuthorityName, create_recovery_certificate
from ca.keys import PrivateKey, same_key
from ca.linting import Linter
from ca.shares import SECRET_OCTETS, Share, join, split


@dataclass(frozen=True, slots=True, kw_only=True)
class SharedRecoveryKey:
    """A fresh recovery key, to be given to its keepers."""

    certificate: x509.Certificate
    file: bytes
    """PEM: the certificate, and the private key encrypted (RFC 5958, PBES2)."""
    shares: tuple[Share, ...]


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class OpenRecoveryKey:
    """A recovery key whose keepers have come together."""

    certificate: x509.Certificate
    key: RSAPrivateKey


def create_recovery_key(
    name: AuthorityName, now: datetime, linter: Linter, *, threshold: int, shares: int
) -> SharedRecoveryKey:
    """Make a recovery key that so many of so many people open together.

    Raises:
        SharesRefused: the numbers protect nothing.
        LintFailed: its certificate breaks a rule.
    """
    secret = secrets.token_bytes(SECRET_OCTETS)
    shared = split(secret, threshold=threshold, shares=shares)
    certificate, key = create_recovery_certificate(name, now, linter)
    return SharedRecoveryKey(
        certificate=certificate,
        file=certificate.public_bytes(Encoding.PEM) + _locked(key, secret),
        shares=shared,
    )


def open_recovery_key(file: bytes, shares: Sequence[Share]) -> OpenRecoveryKey:
    """Open a recovery key with the shares of its keepers.

    Raises:
        SharesRefused: they are not enough shares of one secret.
        EscrowRefused: the file holds no recovery key, or they are shares of another one.
    """
    secret = join(shares)
    try:
        certificate = x509.load_pem_x509_certificate(file)
    except ValueError as error:
        raise EscrowRefused("the file holds no recovery key with its certificate") from error
    try:
        key = load_pem_private_key(file, _passphrase(secret))
    except (ValueError, TypeError, UnsupportedAlgorithm):
        # `from None`: what a parser says about a private key's bytes is nobody's reading.
        raise EscrowRefused("the recovery key does not open: these are shares of another one") from None
    if not isinstance(key, RSAPrivateKey) or not same_key(key.public_key(), certificate.public_key()):
        raise EscrowRefused("the key in the file is not the certificate's")
    return OpenRecoveryKey(certificate=certificate, key=key)


def _locked(key: PrivateKey, secret: bytes) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(_passphrase(secret)))


def _passphrase(secret: bytes) -> bytes:
    return secret.hex().encode("ascii")
