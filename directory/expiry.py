"""What becomes of a password that nobody passes on? A warning while there is time; then it is destroyed.

A key whose password was never told is of no use to anybody, and a certificate for it makes mail that nobody
can read: so it leaves the directory with the password. What was once revealed does not expire: somebody has
it, and says himself what came of it.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from directory.audit import AuditEvent, AuditKind

WARNING = timedelta(days=7)
"""So long before its end a password is warned of, and not before it has waited so long itself."""
NOTICE_LIFETIME = timedelta(days=5)
"""How long the notice of an expired password is tried."""
_BATCH = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpiredRelay:
    """A relay whose time is over."""

    enrolment_id: str
    organization_id: str


class ExpiryEvent(Protocol):
    """Makes the audit event of one expiry."""

    def __call__(self, relay: ExpiredRelay) -> AuditEvent:
        """Return what is written down in the same transaction."""
        ...


class ExpiryStore(Protocol):
    """Finds waiting relays near or past their end. Each call is one durable transaction over a batch."""

    async def warn(self, *, now: datetime, within: timedelta, most: int) -> int:
        """Queue the warning of passwords that end within the period, each once; return how many.

        Only of those that have waited that long already, and whose organization can be told.
        """
        ...

    async def expire(self, *, now: datetime, notice_until: datetime, event_of: ExpiryEvent, most: int) -> int:
        """Destroy the passwords whose time is over, and all that hangs on them; return how many.

        The relay has failed, the certificate is withdrawn, the enrolment ends; what was queued to the
        recipient is cancelled, and the organization is told. Where the recipient has proven his key, the
        password was passed on, whatever is on record of it: only the service's copy is destroyed.
        """
        ...


class RelayWarnings:
    """The chore that warns of passwords that should be passed on soon."""

    def __init__(self, *, store: ExpiryStore) -> None:
        self._store = store

    async def perform(self, now: datetime) -> int:
        """Warn of a batch."""
        return await self._store.warn(now=now, within=WARNING, most=_BATCH)


class RelayExpiry:
    """The chore that destroys passwords that were not passed on in time."""

    def __init__(self, *, store: ExpiryStore) -> None:
        self._store = store

    async def perform(self, now: datetime) -> int:
        """Let a batch expire."""

        def event_of(relay: ExpiredRelay) -> AuditEvent:
            return AuditEvent(
                kind=AuditKind.PASSWORD_EXPIRED,
                at=now,
                actor="service",
                subject=relay.enrolment_id,
                organization_id=relay.organization_id,
            )

        return await self._store.expire(
            now=now, notice_until=now + NOTICE_LIFETIME, event_of=event_of, most=_BATCH
        )
