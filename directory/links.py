"""Which links do mails carry, and is this one of ours? A link is a bearer's right to one thing for a while.

Its token is an identifier, which finds the record, and a secret of 160 bits, of which only the SHA-256 is
stored: at that entropy it suffices. A token that is unknown, wrong, expired or for another purpose is the
same: not a link.
"""

import base64
import hashlib
import hmac
import re
import secrets
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

_IDENTIFIER_BYTES = 10
_SECRET_BYTES = 20
_TOKEN = re.compile(r"([a-z2-7]{16})([a-z2-7]{32})")


class LinkPurpose(StrEnum):
    """What a link is for; one made for something else does not count."""

    INSTALL = "install"
    PROOF = "proof"
    STOP = "stop"


@dataclass(frozen=True, slots=True, kw_only=True)
class NewLink:
    """A fresh link as it is stored."""

    link_id: str
    purpose: LinkPurpose
    digest: bytes = field(repr=False)
    expires_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class PresentedLink:
    """A well-formed token that somebody presented; not yet known to be genuine."""

    link_id: str
    secret: str = field(repr=False)

    def matches(self, digest: bytes) -> bool:
        """Tell, in constant time, whether the stored digest is of this token's secret."""
        return hmac.compare_digest(_digest(self.secret), digest)


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """A genuine link that has not expired."""

    link_id: str
    purpose: LinkPurpose
    enrolment_id: str
    created_at: datetime
    expires_at: datetime
    used_at: datetime | None
    downloads: int


def issue_link(purpose: LinkPurpose, expires_at: datetime) -> tuple[str, NewLink]:
    """Make a link from the operating system's randomness; return its token, which is stored nowhere."""
    link_id, secret = _base32(_IDENTIFIER_BYTES), _base32(_SECRET_BYTES)
    link = NewLink(link_id=link_id, purpose=purpose, digest=_digest(secret), expires_at=expires_at)
    return link_id + secret, link


def read_link(text: str) -> PresentedLink | None:
    """Take a presented token apart; None when it does not have the form of one."""
    match = _TOKEN.fullmatch(text)
    return None if match is None else PresentedLink(link_id=match[1], secret=match[2])


def _base32(octets: int) -> str:
    # RFC 4648 section 6, in lower case: no letter of it needs escaping in a URL, or looks like another.
    return base64.b32encode(secrets.token_bytes(octets)).decode("ascii").lower()


def _digest(secret: str) -> bytes:
    return hashlib.sha256(secret.encode("ascii")).digest()
