"""How does an organization know that a webhook call is ours, whole and fresh? An HMAC over time, id and body.

    Pushpki-Delivery: 5f0c8c2a4d1e4b7f9a3d6e8b7c1a2f30
    Pushpki-Signature: t=1790000000,v1=HEX

HEX is HMAC-SHA-256 (RFC 2104) under the organization's webhook secret over `t.id.body`. The receiver compares
in constant time, refuses what is older than five minutes, and answers an id that it has had before without
acting again: a call is repeated until it was answered, always under the same id.
"""

import hmac
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta

SIGNATURE_HEADER = "Pushpki-Signature"
DELIVERY_HEADER = "Pushpki-Delivery"
REPLAY_WINDOW = timedelta(minutes=5)
"""How far `t` may be from the receiver's clock, before or behind; it is the receiver who enforces it."""

_PREFIX = "whsec_"
_SECRET_OCTETS = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedCall:
    """The headers that make a body ours."""

    delivery_id: str
    signature: str

    @property
    def headers(self) -> dict[str, str]:
        """Both, by name."""
        return {DELIVERY_HEADER: self.delivery_id, SIGNATURE_HEADER: self.signature}


def new_secret() -> str:
    """Draw a webhook secret of 256 bits; its text, as shown once and as it keys the HMAC."""
    return _PREFIX + secrets.token_hex(_SECRET_OCTETS)


def signed(body: bytes, *, delivery_id: str, secret: str, at: datetime) -> SignedCall:
    """Sign a body for one attempt; the time is in whole seconds since 1970."""
    timestamp = str(int(at.timestamp()))
    content = b".".join((timestamp.encode("ascii"), delivery_id.encode("ascii"), body))
    code = hmac.digest(secret.encode("ascii"), content, "sha256").hex()
    return SignedCall(delivery_id=delivery_id, signature=f"t={timestamp},v1={code}")
