"""What happens to a delivery that nobody has proven? It is asked about, reminded of once, and then let be.

A loop beside everything else, on every node. Chores share their work through the store: what one node has in
hand another passes over. Other work that becomes due with time joins as a chore of its own.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol, TypeAlias

from directory.audit import AuditEvent, AuditKind
from directory.clock import Clock
from directory.errors import ConfigurationRefused, StoreUnavailable
from directory.faults import log_failure

logger = logging.getLogger(__name__)

INTERVAL = timedelta(minutes=15)
BATCH = 100
"""How much one transaction does: few enough that nobody who waits for its locks notices."""
_LOOK_BACK = timedelta(days=90)
"""What was left undone for longer, by a service that stood still, is left as it is: the search has an end."""


class Chore(Protocol):
    """Something that becomes due as time passes."""

    async def perform(self, now: datetime) -> int:
        """Do a batch of what is due, durably; return how much it was, 0 if nothing more is due.

        Raises:
            StoreUnavailable: the database does not answer; it is done next time.
        """
        ...


class FollowUp:
    """Performs the chores at start and then every quarter of an hour."""

    def __init__(self, *, chores: Sequence[Chore], clock: Clock, interval: timedelta = INTERVAL) -> None:
        self._chores = chores
        self._clock = clock
        self._interval = interval

    async def run(self, stopped: asyncio.Event) -> None:
        """Follow up until told to stop; what fails is tried again next time."""
        while not stopped.is_set():
            await self.perform(stopped)
            try:
                async with asyncio.timeout(self._interval.total_seconds()):
                    await stopped.wait()
            except TimeoutError:
                continue

    async def perform(self, stopped: asyncio.Event) -> None:
        """Perform every chore until nothing of it is due; one that fails does not keep the others from it."""
        for chore in self._chores:
            try:
                while not stopped.is_set() and await chore.perform(self._clock.now()):
                    pass
            except StoreUnavailable as error:
                logger.warning("following up has to wait: %s", error.reason)
            except Exception as error:  # noqa: BLE001 - the top loop; the other chores go on
                log_failure(f"the chore {type(chore).__name__}", error)


@dataclass(frozen=True, slots=True, kw_only=True)
class FollowUpRules:
    """How long a recipient may take.

    Raises:
        ConfigurationRefused: the reminder would come after nobody waits any more, or at once.
    """

    reminder_after: timedelta = timedelta(days=7)
    """After the key mail was accepted. Shorter than the budget's period, it would often have to wait."""
    unproven_after: timedelta = timedelta(days=30)
    """After the key mail was accepted."""
    mail_lifetime: timedelta = timedelta(days=5)
    """How long a mail of these is tried."""

    def __post_init__(self) -> None:
        if not timedelta(0) < self.reminder_after < self.unproven_after:
            raise ConfigurationRefused(
                key="delivery.reminder_days",
                reason="must be at least 1 and less than delivery.unproven_days",
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class AffectedEnrolment:
    """An enrolment that a chore has done something about."""

    enrolment_id: str
    organization_id: str


EventOf: TypeAlias = Callable[[AffectedEnrolment], AuditEvent]
"""What is written down of it, in the same transaction."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AcceptedBetween:
    """Deliveries whose key mail was accepted in a period, its end included."""

    after: datetime
    until: datetime


class FollowUpStore(Protocol):
    """Finds deliveries that were accepted, are live and not proven, and records what is done about them.

    Each call is one durable transaction over at most `most` deliveries that no other transaction has in hand,
    and returns how many it did something about. Mails are queued within the recipient's budget only, and
    never to a suppressed address.
    """

    async def ask(self, accepted: AcceptedBetween, *, now: datetime, give_up_at: datetime, most: int) -> int:
        """Queue the mail that asks for a proof, where none was queued yet."""
        ...

    async def remind(
        self,
        accepted: AcceptedBetween,
        *,
        now: datetime,
        give_up_at: datetime,
        event_of: EventOf,
        most: int,
    ) -> int:
        """Queue a reminder, where a proof was asked for and no reminder was queued yet."""
        ...

    async def mark_unproven(
        self, accepted: AcceptedBetween, *, now: datetime, event_of: EventOf, most: int
    ) -> int:
        """Call deliveries unproven that were asked for a proof; cancel what is queued to their recipients."""
        ...


class ProofRequests:
    """The chore that asks for a proof where that could not be done when the key mail was accepted.

    The budget may have been spent then, or the service had no public pages to confirm on.
    """

    def __init__(self, *, store: FollowUpStore, rules: FollowUpRules, most: int = BATCH) -> None:
        self._store = store
        self._rules = rules
        self._most = most

    async def perform(self, now: datetime) -> int:
        """Ask a batch of recipients."""
        accepted = AcceptedBetween(after=now - self._rules.unproven_after, until=now)
        give_up_at = now + self._rules.mail_lifetime
        return await self._store.ask(accepted, now=now, give_up_at=give_up_at, most=self._most)


class Reminders:
    """The chore that reminds recipients, each once."""

    def __init__(self, *, store: FollowUpStore, rules: FollowUpRules, most: int = BATCH) -> None:
        self._store = store
        self._rules = rules
        self._most = most

    async def perform(self, now: datetime) -> int:
        """Remind a batch of recipients."""
        return await self._store.remind(
            AcceptedBetween(after=now - self._rules.unproven_after, until=now - self._rules.reminder_after),
            now=now,
            give_up_at=now + self._rules.mail_lifetime,
            event_of=_events(AuditKind.REMINDER_QUEUED, now),
            most=self._most,
        )


class GivingUp:
    """The chore that no longer waits for a proof: the delivery counts as unproven, and nothing more is sent.

    The certificate stays, and so does the chance to prove it: the link of the mail works on.
    """

    def __init__(self, *, store: FollowUpStore, rules: FollowUpRules, most: int = BATCH) -> None:
        self._store = store
        self._rules = rules
        self._most = most

    async def perform(self, now: datetime) -> int:
        """Give a batch of deliveries up."""
        until = now - self._rules.unproven_after
        return await self._store.mark_unproven(
            AcceptedBetween(after=until - _LOOK_BACK, until=until),
            now=now,
            event_of=_events(AuditKind.DELIVERY_UNPROVEN, now),
            most=self._most,
        )


def _events(kind: AuditKind, now: datetime) -> EventOf:
    def event_of(affected: AffectedEnrolment) -> AuditEvent:
        return AuditEvent(
            kind=kind,
            at=now,
            actor="service",
            subject=affected.enrolment_id,
            organization_id=affected.organization_id,
        )

    return event_of
