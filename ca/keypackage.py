"""How is a private key wrapped so that its recipient, and nobody else, can take it into his mail program?

A key package is a PKCS#12 file (RFC 7292) with exactly one identity: the key, its certificate and the chain
above it. The library fixes the MAC at 2048 rounds whatever one asks for, so it is the password, not the
format, that keeps the key: see `ca.passwords`. Knows nothing of mail, links or installation pages.
"""

import re
import secrets
from collections.abc import Sequence
from enum import StrEnum, unique
from functools import lru_cache

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import (
    KeySerializationEncryption,
    PrivateFormat,
    pkcs12,
)

from ca.address import Mailbox
from ca.errors import KeyRefused
from ca.keys import PrivateKey, same_key
from ca.passwords import Password

_BEYOND_BMP = re.compile(r"[^\u0000-\uffff]")
_ROUNDS = 1000
"""The fewest that RFC 8018 section 4.2 recommends; every importer accepts them. More would slow down the
bags, for us as for the recipient, and not an attacker: he has to guess 112 bits and more, at any price."""


@unique
class KeyPackageFormat(StrEnum):
    """How the file is encrypted."""

    COMPATIBLE = "compatible"
    """3DES for both bags, SHA-1 MAC: imports everywhere, also into macOS before 15, Android before 14,
    Windows Server 2016 and gpgsm 2.2, which report a modern file as a wrong password."""

    MODERN = "modern"
    """PBES2 with AES-256 and PBKDF2-HMAC-SHA-256, SHA-256 MAC."""


@unique
class PackageContents(StrEnum):
    """What stands in the file besides the identity."""

    WITH_CHAIN = "with_chain"
    """The issuer's certificate and those above it. Without them several mail programs reject the recipient's
    own certificate."""

    IDENTITY_ALONE = "identity_alone"
    """Nothing: for importers that take a file of several certificates for a broken one."""


def build_key_package(
    *,
    private_key: PrivateKey,
    certificate: x509.Certificate,
    chain: Sequence[x509.Certificate],
    password: Password,
    package_format: KeyPackageFormat,
    friendly_name: str,
    contents: PackageContents = PackageContents.WITH_CHAIN,
) -> bytes:
    """Wrap the key with its certificate and the chain, issuer first, up to and including the root.

    A chain that is left out of the file has to lead from the certificate to a root all the same.

    Raises:
        KeyRefused: the key is not the certificate's, or the chain does not lead from it to a root.
        ValueError: the password holds what some importer cannot type or decode; its text is not repeated.
    """
    if not same_key(private_key.public_key(), certificate.public_key()):
        raise KeyRefused("the private key does not belong to the certificate")
    _check_chain(certificate, chain)
    return pkcs12.serialize_key_and_certificates(
        friendly_name.encode(),
        private_key,
        certificate,
        chain if contents is PackageContents.WITH_CHAIN else None,
        _encryption(package_format, _typeable(password)),
    )


def build_keyless_package(chain: Sequence[x509.Certificate], package_format: KeyPackageFormat) -> bytes:
    """Wrap certificates alone, under a password nobody knows: for trying out what becomes of such files."""
    password = secrets.token_hex(16).encode("ascii")
    return pkcs12.serialize_key_and_certificates(
        b"specimen", None, None, chain, _encryption(package_format, password)
    )


def friendly_name_for(mailbox: Mailbox, certificate: x509.Certificate) -> str:
    """Name the identity as key stores list it: `alice@example.com S/MIME 2026-11`.

    It is a BMPString (RFC 2985 section 5.5.1): where the address has characters that it cannot hold, readers
    would find no name, or nothing at all, so U+FFFD stands for them.
    """
    address = _BEYOND_BMP.sub("\ufffd", str(mailbox))
    return f"{address} S/MIME {certificate.not_valid_before_utc:%Y-%m}"


def _check_chain(certificate: x509.Certificate, chain: Sequence[x509.Certificate]) -> None:
    if not chain:
        raise KeyRefused("the chain is missing")
    _check_issued(certificate, chain[0])
    _check_up_to_root(tuple(chain))


@lru_cache(maxsize=64)
def _check_up_to_root(chain: tuple[x509.Certificate, ...]) -> None:
    """Check what is the same for every certificate of an issuer."""
    issuers = (*chain[1:], chain[-1])  # the last one is the root and its own issuer
    for subject, issuer in zip(chain, issuers, strict=True):
        _check_issued(subject, issuer)


def _check_issued(subject: x509.Certificate, issuer: x509.Certificate) -> None:
    try:
        subject.verify_directly_issued_by(issuer)
    except (ValueError, TypeError, InvalidSignature) as error:
        raise KeyRefused("the chain does not lead from the certificate to a root") from error


def _typeable(password: Password) -> bytes:
    text = password.reveal()
    # Java refuses passwords beyond ASCII on files that others open; blanks at the ends get lost on paper.
    if not text or not text.isascii() or not text.isprintable() or text != text.strip():
        raise ValueError("the password of a key package is printable ASCII without blanks at its ends")
    return text.encode("ascii")


def _encryption(package_format: KeyPackageFormat, password: bytes) -> KeySerializationEncryption:
    builder = PrivateFormat.PKCS12.encryption_builder().kdf_rounds(_ROUNDS)
    match package_format:
        case KeyPackageFormat.COMPATIBLE:
            return (
                builder.key_cert_algorithm(pkcs12.PBES.PBESv1SHA1And3KeyTripleDESCBC)
                .hmac_hash(hashes.SHA1())  # noqa: S303 - the older importers know no other MAC
                .build(password)
            )
        case KeyPackageFormat.MODERN:
            return (
                builder.key_cert_algorithm(pkcs12.PBES.PBESv2SHA256AndAES256CBC)
                .hmac_hash(hashes.SHA256())
                .build(password)
            )
