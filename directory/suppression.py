"""Who wants no mail from us, ever? Addresses whose owner, or an operator for him, has stopped all of it.

It holds for every organization, known and unknown. No mail to the address also means no key for it, so by the
one invariant no certificate: what is not proven yet leaves the directory, and nothing new is minted. A
certificate that is proven stays, for its owner has the key and reads with it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Protocol, TypeAlias

from ca.address import Mailbox
from directory.audit import AuditEvent, AuditKind
from directory.clock import Clock
from directory.followup import BATCH, AffectedEnrolment, EventOf
from directory.links import PresentedLink
from directory.proof import LinkRefused


class SuppressionReason(StrEnum):
    """Why an address gets no mail."""

    RECIPIENT = "recipient"  # he said so himself, by the link of a mail
    OPERATOR = "operator"  # he said so some other way


@dataclass(frozen=True, slots=True, kw_only=True)
class Suppression:
    """An address that gets no mail."""

    address: str
    since: datetime
    reason: SuppressionReason


@dataclass(frozen=True, slots=True, kw_only=True)
class Stopped:
    """From now on the address gets no mail."""

    address: str
    ended: int = 0
    """How many enrolments of it ended, and certificates left the directory."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AlreadyStopped:
    """It got none before."""

    address: str


StopAnswer: TypeAlias = Stopped | AlreadyStopped | LinkRefused


class SuppressionStore(Protocol):
    """Keeps the suppressions. Each change is one durable transaction with its events.

    With a suppression, in the same transaction, everything queued to the address is cancelled, and what is
    live and not proven ends: certificate withdrawn, relay failed, hold over.
    """

    async def stop(self, presented: PresentedLink, now: datetime, event_of: EventOf) -> StopAnswer:
        """Suppress the address that the link was sent to; the link's own enrolment gets an event in any case.

        A link that is not there, is another's or has expired is refused.
        """
        ...

    async def add(
        self, mailbox: Mailbox, *, event: AuditEvent, event_of: EventOf
    ) -> Stopped | AlreadyStopped:
        """Suppress an address in an operator's name."""
        ...

    async def lift(self, mailbox: Mailbox, event: AuditEvent) -> None:
        """Let the address get mail again; what has ended stays so.

        Raises:
            Unknown: it is not suppressed.
        """
        ...

    async def all(self) -> Sequence[Suppression]:
        """Return all suppressions, the oldest first."""
        ...

    async def end_overtaken(self, now: datetime, event_of: EventOf, *, most: int) -> int:
        """End up to so many enrolments that were minted while their address was being suppressed."""
        ...


class OptOut:
    """What a recipient can do without anybody's help: stop all mail to his address."""

    def __init__(self, *, store: SuppressionStore, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    async def stop(self, presented: PresentedLink | None) -> StopAnswer:
        """Stop all mail to the address the link was sent to; None is a link that could not even be read.

        The link works as often as it is used: an address that an operator let through again can be stopped
        again.

        Raises:
            StoreUnavailable: the database does not answer; nothing was changed.
        """
        if presented is None:
            return LinkRefused()
        now = self._clock.now()
        return await self._store.stop(presented, now, _opted_out(now, "recipient"))


class SuppressionDesk:
    """What an operator can do: see who gets no mail, stop an address, lift it."""

    def __init__(self, *, store: SuppressionStore, clock: Clock, actor: str) -> None:
        self._store = store
        self._clock = clock
        self._actor = actor

    async def add(self, mailbox: Mailbox) -> Stopped | AlreadyStopped:
        """Stop all mail to the address."""
        now = self._clock.now()
        event = AuditEvent(
            kind=AuditKind.SUPPRESSION_ADDED, at=now, actor=self._actor, subject=f"address:{mailbox.key}"
        )
        return await self._store.add(mailbox, event=event, event_of=_opted_out(now, self._actor))

    async def lift(self, mailbox: Mailbox) -> None:
        """Let the address get mail again, because its owner asked for it.

        Raises:
            Unknown: it is not suppressed.
        """
        event = AuditEvent(
            kind=AuditKind.SUPPRESSION_LIFTED,
            at=self._clock.now(),
            actor=self._actor,
            subject=f"address:{mailbox.key}",
        )
        await self._store.lift(mailbox, event)

    async def all(self) -> Sequence[Suppression]:
        """Return all suppressions, the oldest first."""
        return await self._store.all()


class OvertakenMints:
    """The chore that ends what was minted in the moment its address was suppressed.

    A mint asks whether the address is suppressed before it begins. One that was under way while the recipient
    pressed the button has a certificate out whose key mail nobody will send; it must not stay.
    """

    def __init__(self, *, store: SuppressionStore, most: int = BATCH) -> None:
        self._store = store
        self._most = most

    async def perform(self, now: datetime) -> int:
        """End what is due; return how much it was."""
        return await self._store.end_overtaken(now, _opted_out(now, "service"), most=self._most)


def _opted_out(now: datetime, actor: str) -> EventOf:
    def event_of(ended: AffectedEnrolment) -> AuditEvent:
        return AuditEvent(
            kind=AuditKind.RECIPIENT_OPTED_OUT,
            at=now,
            actor=actor,
            subject=ended.enrolment_id,
            organization_id=ended.organization_id,
        )

    return event_of
