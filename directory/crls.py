"""What is a CRL on record, what must it list, and when is the next one due?

Nothing that revokes has to remember to tell: what is revoked is counted by the rule that the latest CRL was
made by, and another number than it lists makes the next one due.

An entry stays until its certificate has expired and one scheduled CRL has shown it since (RFC 5280 section
3.3): a CRL lists what had not expired at the CRL before it, nor a scheduled interval ago.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Protocol

from ca.pkcs11 import TokenKey
from ca.revocation import RevokedCertificate
from ca.sealing import SealedSecret
from directory.audit import AuditEvent

_CLOCKS_APART = timedelta(minutes=5)
"""How far in the future a CRL may begin before it is taken for the work of a clock that was wrong."""


class Occasion(StrEnum):
    """Why a CRL is made."""

    FIRST = "first"
    REVOCATION = "revocation"
    SCHEDULE = "schedule"
    CLOCK = "clock"
    """The latest begins in the future: a clock was wrong, and nobody accepts it yet."""
    COMMAND = "command"


@dataclass(frozen=True, slots=True, kw_only=True)
class CrlRecord:
    """What is known of a CRL without reading it."""

    number: int
    this_update: datetime
    next_update: datetime
    covers_from: datetime
    """It lists what had not expired then."""
    entries: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredCrl:
    """A CRL as stored."""

    issuer_id: str
    der: bytes
    record: CrlRecord


@dataclass(frozen=True, slots=True, kw_only=True)
class StandingIssuer:
    """An issuer, and where its CRLs stand."""

    issuer_id: str
    certificate: bytes
    """DER."""
    is_root: bool
    is_foreign: bool = False
    """Whether somebody else publishes its CRLs."""
    sealed_key: SealedSecret | None
    """None where the key is elsewhere: in a token, or off-line."""
    token_key: TokenKey | None = None
    """Where in a token the key is."""
    latest: CrlRecord | None
    revoked: int
    """How many certificates the latest CRL would list if it were made by the same rule now."""


class CrlStore(Protocol):
    """Keeps the CRLs, and knows what they must list."""

    async def issuers(self) -> Sequence[StandingIssuer]:
        """Return every issuer."""
        ...

    async def revoked(self, issuer_id: str, covers_from: datetime) -> Sequence[RevokedCertificate]:
        """Return the issuer's revoked certificates that had not expired at that moment."""
        ...

    async def latest(self, issuer_id: str) -> StoredCrl | None:
        """Return the issuer's CRL with the greatest number."""
        ...

    async def publish(self, crl: StoredCrl, *, replaces: int | None, event: AuditEvent) -> bool:
        """Add a CRL if the latest still has the number `replaces`; tell whether that was so."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class CrlRhythm:
    """How often CRLs are made, and how long they hold."""

    interval: timedelta = timedelta(hours=24)
    validity: timedelta = timedelta(days=7)
    """At most ten days (CA/B S/MIME BR 4.9.7); several intervals, lest a day without service matter."""

    def due(self, latest: CrlRecord | None, *, revoked: int, now: datetime) -> Occasion | None:
        """Tell why the next CRL is due; None if the latest will do.

        `revoked` is how many certificates the latest would list if it were made by the same rule now.
        """
        if latest is None:
            return Occasion.FIRST
        if revoked != latest.entries:
            return Occasion.REVOCATION
        if now - latest.this_update >= self.interval:
            return Occasion.SCHEDULE
        return Occasion.CLOCK if latest.this_update - now > _CLOCKS_APART else None

    def covers_from(self, latest: CrlRecord | None, now: datetime) -> datetime:
        """Return since when a certificate must not have expired to be listed in the CRL made now."""
        begin = now - self.interval
        return begin if latest is None else min(begin, latest.this_update)


def next_number(latest: CrlRecord | None, now: datetime) -> int:
    """Return the number of the CRL made now: seconds since 1970, or one more than the latest.

    So it grows although an older database was restored (RFC 5280 section 5.2.3).
    """
    return max(latest.number + 1 if latest else 1, int(now.timestamp()))
