"""Whose mail is this? A DKIM signature with the organization's key (RFC 6376), and the record that proves it.

dkimpy brings the text into its canonical form, which is where signatures break; the private key is used by
`cryptography`: in constant time, many times faster, and for Ed25519 (RFC 8463) without another library.
"""

import base64
import hashlib
import re
from collections.abc import Iterator, Sequence
from enum import StrEnum
from typing import TypeAlias

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ed25519, padding, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)
from dkim import rfc822_parse
from dkim.canonicalization import Relaxed

from ca.sealing import Sealer
from directory.errors import ConfigurationRefused
from directory.organization import Dkim, Organization, dkim_key_identity

SigningKey: TypeAlias = rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey

_SMALLEST_RSA = 2048
"""Bits; RFC 8301 section 3.2 asks signers for no less."""
_RSA_EXPONENT = 65537
_LABEL = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
_SELECTOR = re.compile(rf"(?!.{{64}}){_LABEL}(?:\.{_LABEL})*")
_LINE = 72
_TXT_STRING = 255
"""Octets of one string of a TXT record (RFC 1035 section 3.3)."""

# Each is named once more than it occurs, so that nobody can add another: a second From or Subject would be
# the one that some programs show (RFC 6376 section 8.15). Those that do not occur may not be added at all.
_SIGNED = (
    b"From",
    b"To",
    b"Cc",
    b"Reply-To",
    b"Subject",
    b"Date",
    b"Message-ID",
    b"In-Reply-To",
    b"References",
    b"List-Unsubscribe",
    b"MIME-Version",
    b"Content-Language",
    b"Content-Type",
    b"Content-Transfer-Encoding",
    b"Auto-Submitted",
)


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


class DkimSigner:
    """Signs mails with the keys of their organizations."""

    def __init__(self, sealer: Sealer) -> None:
        self._sealer = sealer

    def sign(self, organization: Organization, message: bytes) -> bytes:
        """Return the message with a signature on top; as it is where the organization has no key for it.

        The signing domain is that of From, which aligns by the strictest reading (RFC 9989). No `l=`: what is
        added to the body breaks the signature. No `t=` nor `x=`: a mail may be sent again for days, and comes
        the second time as it came the first.

        Raises:
            SealBroken: the key does not open; it is another organization's, or was tampered with.
        """
        dkim = organization.correspondence.dkim
        if dkim is None:
            return message
        key = read_key(self._sealer.unseal(dkim.sealed_key, dkim_key_identity(organization.organization_id)))
        return signature(message, key, dkim=dkim, domain=organization.mail_from.domain) + message


def signature(message: bytes, key: SigningKey, *, dkim: Dkim, domain: str) -> bytes:
    """Return the header field that signs a message, ended by CRLF."""
    headers, body = rfc822_parse(message)
    canonical = Relaxed.canonicalize_headers(headers)
    body_hash = hashlib.sha256(Relaxed.canonicalize_body(body)).digest()
    names = list(_names(canonical))
    algorithm = b"ed25519-sha256" if isinstance(key, ed25519.Ed25519PrivateKey) else b"rsa-sha256"
    value = b"\r\n ".join(
        (
            b" v=1; a=%s; c=relaxed/relaxed;" % algorithm,
            b"d=%s; s=%s;" % (domain.encode("ascii"), dkim.selector.encode("ascii")),
            b"h=%s;" % _folded_names(names),
            b"bh=%s;" % base64.b64encode(body_hash),
            b"b=",
        )
    )
    [(name, unsigned)] = Relaxed.canonicalize_headers([(b"DKIM-Signature", value + b"\r\n")])
    signed = b"".join(b"%s:%s" % field for field in _selected(canonical, names))
    # The field itself comes last, with an empty b= and without a line end (RFC 6376 section 3.7).
    made = _signed(key, signed + b"%s:%s" % (name, unsigned.rstrip(b"\r\n")))
    return b"DKIM-Signature:%s%s\r\n" % (value, _folded(base64.b64encode(made)))


def _signed(key: SigningKey, data: bytes) -> bytes:
    if isinstance(key, ed25519.Ed25519PrivateKey):
        return key.sign(hashlib.sha256(data).digest())  # RFC 8463 section 3: of the hash, not of the text
    return key.sign(data, padding.PKCS1v15(), hashes.SHA256())


def _names(headers: Sequence[tuple[bytes, bytes]]) -> Iterator[bytes]:
    present = [name for name, _ in headers]
    for name in _SIGNED:
        yield from (name,) * (present.count(name.lower()) + 1)


def _selected(
    headers: Sequence[tuple[bytes, bytes]], names: Sequence[bytes]
) -> Iterator[tuple[bytes, bytes]]:
    """Yield the fields that the names stand for: of several alike, the last one first (section 5.4.2)."""
    left = list(headers)
    for wanted in names:
        found = next((field for field in reversed(left) if field[0] == wanted.lower()), None)
        if found is not None:
            left.remove(found)
            yield found


def _folded_names(names: Sequence[bytes]) -> bytes:
    lines, line = [], b""
    for name in names:
        if line and len(line) + len(name) >= _LINE:
            lines.append(line)
            line = b""
        line += (b":" if line or lines else b"") + name
    return b"\r\n  ".join([*lines, line])


def _folded(text: bytes) -> bytes:
    return b"\r\n  ".join(text[start : start + _LINE] for start in range(0, len(text), _LINE))
