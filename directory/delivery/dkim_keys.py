"""Which keys sign mail? Made, read, and as the DNS must show them (RFC 6376 section 3.6.1, RFC 8463).

It knows of no mail: whoever only makes or publishes a key needs nothing that reads messages.
"""

import base64
import re
from enum import StrEnum
from typing import TypeAlias

from cryptography.hazmat.primitives.asymmetric import ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

from directory.errors import ConfigurationRefused

SigningKey: TypeAlias = rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey

_SMALLEST_RSA = 2048
"""Bits; RFC 8301 section 3.2 asks signers for no less."""
_RSA_EXPONENT = 65537
_LABEL = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
_SELECTOR = re.compile(rf"(?!.{{64}}){_LABEL}(?:\.{_LABEL})*")
_TXT_STRING = 255
"""Octets of one string of a TXT record (RFC 1035 section 3.3)."""


class DkimAlgorithm(StrEnum):
    """Of a signing key."""

    RSA = "rsa"  # 2048 bits: what every verifier knows, and one DNS answer holds
    ED25519 = "ed25519"  # not known to all (RFC 8463)


def generate_key(algorithm: DkimAlgorithm) -> bytes:
    """Return a new private key, PEM, to be sealed."""
    key: SigningKey
    match algorithm:
        case DkimAlgorithm.RSA:
            key = rsa.generate_private_key(_RSA_EXPONENT, _SMALLEST_RSA)
        case DkimAlgorithm.ED25519:
            key = ed25519.Ed25519PrivateKey.generate()
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def check_selector(selector: str) -> str:
    """Return a selector as it is: labels of a host name (RFC 6376 section 3.1), in lower case.

    Raises:
        ConfigurationRefused: it is none.
    """
    if _SELECTOR.fullmatch(selector) is None:
        raise ConfigurationRefused(
            key="--selector", reason=f"{selector!r} is no selector", remedy="give a name such as pushpki2026"
        )
    return selector


def record_name(selector: str, domain: str) -> str:
    """Return under which name the DNS must hold the public key."""
    return f"{selector}._domainkey.{domain}"


def record_of(pem: bytes) -> str:
    """Return what the DNS must hold for a private key (RFC 6376 section 3.6.1).

    Raises:
        ConfigurationRefused: it is no key to sign with.
    """
    key = read_key(pem)
    if isinstance(key, ed25519.Ed25519PrivateKey):
        kind, public = "ed25519", key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    else:
        spki = PublicFormat.SubjectPublicKeyInfo
        kind, public = "rsa", key.public_key().public_bytes(Encoding.DER, spki)
    return f"v=DKIM1; k={kind}; p={base64.b64encode(public).decode()}"


def zone_line(name: str, text: str) -> str:
    """Write a TXT record for a zone file, in strings that are not too long."""
    strings = (text[start : start + _TXT_STRING] for start in range(0, len(text), _TXT_STRING))
    quoted = " ".join(f'"{string}"' for string in strings)
    return f"{name}. IN TXT {quoted}"


def read_key(pem: bytes) -> SigningKey:
    """Read a private key to sign with, without checking its arithmetic: sealing proves that it is ours.

    Raises:
        ConfigurationRefused: it is no RSA key of 2048 bits or more, and no Ed25519 key.
    """
    try:
        key = load_pem_private_key(pem, password=None, unsafe_skip_rsa_key_validation=True)
    except (ValueError, TypeError):
        # `from None`: what the parser says about a private key is nobody's reading.
        raise ConfigurationRefused(key="dkim", reason="not an unencrypted PKCS#8 private key") from None
    if isinstance(key, ed25519.Ed25519PrivateKey) or (
        isinstance(key, rsa.RSAPrivateKey) and key.key_size >= _SMALLEST_RSA
    ):
        return key
    raise ConfigurationRefused(key="dkim", reason="only Ed25519, or RSA of at least 2048 bits")
