"""Whose mail is this? A DKIM signature with the organization's key (RFC 6376).

dkimpy brings the text into its canonical form, which is where signatures break; the private key is used by
`cryptography`: in constant time, many times faster, and for Ed25519 (RFC 8463) without another library.
"""

import base64
import hashlib
from collections.abc import Iterator, Sequence
from functools import lru_cache

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ed25519, padding
from dkim import rfc822_parse
from dkim.canonicalization import Relaxed, Simple

from ca.sealing import SealedSecret, Sealer
from directory.delivery.dkim_keys import SigningKey, read_key
from directory.organization import Dkim, Organization, dkim_key_identity

_LINE = 72
_KEYS_KEPT = 64

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


class DkimSigner:
    """Signs mails with the keys of their organizations.

    A key that has been opened is kept: to open, read and prepare it would cost every mail a good part of the
    signature. It is kept by its sealed form, so one that was replaced, or sealed anew, is opened anew.
    """

    def __init__(self, sealer: Sealer) -> None:
        self._sealer = sealer
        self._key_of = lru_cache(maxsize=_KEYS_KEPT)(self._opened)

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
        key = self._key_of(organization.organization_id, dkim.sealed_key)
        return signature(message, key, dkim=dkim, domain=organization.mail_from.domain) + message

    def _opened(self, organization_id: str, sealed_key: SealedSecret) -> SigningKey:
        return read_key(self._sealer.unseal(sealed_key, dkim_key_identity(organization_id)))


def signature(message: bytes, key: SigningKey, *, dkim: Dkim, domain: str) -> bytes:
    """Return the header field that signs a message, ended by CRLF."""
    head, blank_line, body = message.partition(b"\r\n\r\n")
    headers, _ = rfc822_parse(head + blank_line)
    canonical = Relaxed.canonicalize_headers(headers)
    # Lines of quoted-printable and base64 are passed on as they are; for a body of them the relaxed form
    # only costs time.
    body_hash = hashlib.sha256(Simple.canonicalize_body(body)).digest()
    names = list(_names(canonical))
    algorithm = b"ed25519-sha256" if isinstance(key, ed25519.Ed25519PrivateKey) else b"rsa-sha256"
    value = b"\r\n ".join(
        (
            b" v=1; a=%s; c=relaxed/simple;" % algorithm,
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
