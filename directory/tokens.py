"""What does a token look like, and is this the one? Tokens of gateways and agents.

A token is `KIND_IDENTIFIER_SECRET`: the kind lets a secret scanner recognise it, the identifier finds its
record, the secret carries 160 bits. Only the SHA-256 of the secret is stored, which suffices at that entropy.
"""

import hashlib
import hmac
import secrets
from dataclasses import dataclass, field
from enum import StrEnum

_IDENTIFIER_BYTES = 8
_SECRET_BYTES = 20
_LONGEST_TOKEN = 128


class TokenKind(StrEnum):
    """Whose token it is; also its prefix."""

    GATEWAY = "ppgw"
    AGENT = "ppra"
    RECOVERY_AGENT = "pprc"


@dataclass(frozen=True, slots=True, kw_only=True)
class IssuedToken:
    """A fresh token: the text is shown once, identifier and digest are stored."""

    token_id: str
    digest: bytes
    text: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class PresentedToken:
    """A well-formed token that somebody presented; not yet known to be genuine."""

    kind: TokenKind
    token_id: str
    secret: str = field(repr=False)

    def matches(self, digest: bytes) -> bool:
        """Tell, in constant time, whether the stored digest is of this token's secret."""
        return hmac.compare_digest(_digest(self.secret), digest)


def issue_token(kind: TokenKind) -> IssuedToken:
    """Make a token from the operating system's randomness."""
    token_id = secrets.token_hex(_IDENTIFIER_BYTES)
    secret = secrets.token_hex(_SECRET_BYTES)
    return IssuedToken(token_id=token_id, digest=_digest(secret), text=f"{kind}_{token_id}_{secret}")


def read_token(text: str) -> PresentedToken | None:
    """Take a presented token apart; None when it does not have the form of one."""
    if len(text) > _LONGEST_TOKEN:
        return None
    parts = text.split("_")
    match parts:
        case [kind, token_id, secret] if kind in tuple(TokenKind) and token_id.isalnum() and secret.isalnum():
            return PresentedToken(kind=TokenKind(kind), token_id=token_id, secret=secret)
        case _:
            return None


def _digest(secret: str) -> bytes:
    return hashlib.sha256(secret.encode()).digest()
