"""What is a CRL on record, what must it list, and when is the next one due?

An issuer has a complete CRL, and one of each partition: a share of its certificates that name the partition's
URL as their distribution point. A certificate stays in its partition for as long as it lives.

Nothing that revokes has to remember to tell: triggers of the database count, for each CRL, the changes of
what it must list, and another count than the latest CRL was made at makes the next one due.

An entry stays until its certificate has expired and one scheduled CRL has shown it since (RFC 5280 section
3.3): a CRL lists what had not expired at the CRL before it, nor a scheduled interval ago.
"""

from collections.abc import AsyncIterator, Sequence
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
    changes: int
    """How often what it must list had changed before that was read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredCrl:
    """A CRL as stored."""

    issuer_id: str
    partition: int | None = None
    """None: the complete one."""
    der: bytes
    record: CrlRecord


@dataclass(frozen=True, slots=True, kw_only=True)
class StandingCrl:
    """Where one of an issuer's CRLs stands."""

    partition: int | None = None
    """None: the complete one."""
    distribution_point: str | None = None
    """The URL by which certificates name the partition; None of the complete CRL."""
    latest: CrlRecord | None = None
    changes: int = 0
    """How often what it must list has changed."""


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
    crls: Sequence[StandingCrl]
    """The complete one, then those of its partitions."""
    cross_certificates: Sequence[bytes] = ()
    """What other CAs have certified of its key, DER."""

    @property
    def complete(self) -> StandingCrl:
        """Where the complete one stands."""
        return self.crls[0]


class CrlStore(Protocol):
    """Keeps the CRLs, and knows what they must list."""

    async def issuers(self) -> Sequence[StandingIssuer]:
        """Return every issuer."""
        ...

    def revoked(
        self, issuer_id: str, partition: int | None, covers_from: datetime
    ) -> AsyncIterator[Sequence[RevokedCertificate]]:
        """Yield what a CRL must list, page by page: what is revoked and had not expired at that moment."""
        ...

    async def latest(self, issuer_id: str, partition: int | None) -> StoredCrl | None:
        """Return the issuer's CRL with the greatest number."""
        ...

    async def latest_number(self, issuer_id: str, partition: int | None) -> int | None:
        """Return the number of that one."""
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

    at_once: int = 100_000
    """Up to so many entries a complete CRL is made at once when something was revoked; others always are."""
    pause: timedelta = timedelta(hours=1)
    """How soon after the one before it a longer one is made for that reason."""

    def due(self, standing: StandingCrl, now: datetime) -> Occasion | None:
        """Tell why the next CRL is due; None if the latest will do."""
        latest = standing.latest
        if latest is None:
            return Occasion.FIRST
        age = now - latest.this_update
        waits = standing.partition is None and latest.entries > self.at_once and age < self.pause
        if standing.changes != latest.changes and not waits:
            return Occasion.REVOCATION
        if age >= self.interval:
            return Occasion.SCHEDULE
        return Occasion.CLOCK if -age > _CLOCKS_APART else None

    def covers_from(self, latest: CrlRecord | None, now: datetime) -> datetime:
        """Return since when a certificate must not have expired to be listed in the CRL made now."""
        begin = now - self.interval
        return begin if latest is None else min(begin, latest.this_update)


def next_number(latest: CrlRecord | None, now: datetime) -> int:
    """Return the number of the CRL made now: seconds since 1970, or one more than the latest.

    So it grows although an older database was restored (RFC 5280 section 5.2.3).
    """
    return max(latest.number + 1 if latest else 1, int(now.timestamp()))
