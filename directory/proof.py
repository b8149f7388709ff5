"""Can the recipient decrypt with the key? He has shown it when he confirms by the link of an encrypted mail.

The link stands in a mail that only the holder of the key can read. To fetch it proves nothing, for scanners
fetch what they see; to confirm is an act of its own, which this is. It happens once, whatever races.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol, TypeAlias

from directory.audit import AuditEvent, AuditKind
from directory.clock import Clock
from directory.delivery.outbox import DeliveryState
from directory.links import PresentedLink


@dataclass(frozen=True, slots=True, kw_only=True)
class Proven:
    """The recipient has shown, just now, that he can decrypt."""

    enrolment_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AlreadyProven:
    """He had shown it before; nothing was changed."""

    enrolment_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkRefused:
    """The link is unknown, wrong or expired, or its enrolment has ended: nobody is told which."""


ProofAnswer: TypeAlias = Proven | AlreadyProven | LinkRefused


@dataclass(frozen=True, slots=True, kw_only=True)
class Provable:
    """What decides whether a link proves anything."""

    enrolment_id: str
    organization_id: str
    live: bool
    delivery: DeliveryState
    is_proven: bool
    link_is_used: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """A proof to be recorded, and the event of it."""

    enrolment_id: str
    at: datetime
    event: AuditEvent


Decision: TypeAlias = Callable[[Provable], Proof | AlreadyProven | LinkRefused]


class ProofStore(Protocol):
    """Where deliveries become proven."""

    async def prove(self, presented: PresentedLink, now: datetime, decide: Decision) -> ProofAnswer:
        """Find the link of a proof, decide, and record, all in one transaction; the enrolment is locked.

        To record a proof is to use the link up, to call the delivery proven, to end the hold and to cancel
        what else was queued to ask or remind the recipient. A link that is not there, is another's or has
        expired is refused without asking.
        """
        ...


class ProofDesk:
    """Takes proofs of possession."""

    def __init__(self, *, store: ProofStore, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    async def prove(self, presented: PresentedLink | None) -> ProofAnswer:
        """Record that the recipient can decrypt; None is a link that could not even be read.

        Raises:
            StoreUnavailable: the database does not answer; nothing was changed.
        """
        if presented is None:
            return LinkRefused()
        now = self._clock.now()

        def decide(provable: Provable) -> Proof | AlreadyProven | LinkRefused:
            if not provable.live or provable.delivery is DeliveryState.BOUNCED:
                return LinkRefused()
            if provable.is_proven:
                return AlreadyProven(enrolment_id=provable.enrolment_id)
            if provable.link_is_used:
                return LinkRefused()
            return Proof(enrolment_id=provable.enrolment_id, at=now, event=_event(provable, now))

        return await self._store.prove(presented, now, decide)


def _event(provable: Provable, now: datetime) -> AuditEvent:
    return AuditEvent(
        kind=AuditKind.CERTIFICATE_PROVEN,
        at=now,
        actor="recipient",
        subject=provable.enrolment_id,
        organization_id=provable.organization_id,
        detail={"delivery_before": provable.delivery.value},
    )
