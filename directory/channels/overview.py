"""Which deliveries to webhooks were there, and may one be made again? What operators and agents see."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from directory.audit import AuditEvent, AuditKind
from directory.channels.jobs import WebhookAttempt, WebhookEvent, WebhookState
from directory.clock import Clock


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookDelivery:
    """One delivery; no secret among it."""

    delivery_id: str
    organization_id: str
    enrolment_id: str
    event: WebhookEvent
    state: WebhookState
    created_at: datetime
    due_at: datetime
    attempts: int
    last_failure: str | None
    """A stable code, such as `status.503` or `timed_out`."""
    ended_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Redelivery:
    """A delivery to be made again, under a new identifier."""

    delivery_id: str
    at: datetime
    give_up_at: datetime


class WebhookOverviewStore(Protocol):
    """Reads deliveries, and queues them again."""

    async def deliveries(self, *, organization_id: str | None, most: int) -> Sequence[WebhookDelivery]:
        """Return the latest deliveries, of all organizations if none is named; the newest first."""
        ...

    async def of_enrolment(self, enrolment_id: str) -> Sequence[WebhookDelivery]:
        """Return the deliveries about an enrolment, the oldest first."""
        ...

    async def history(self, delivery_id: str) -> tuple[WebhookDelivery, Sequence[WebhookAttempt]]:
        """Return a delivery and its attempts, in their order.

        Raises:
            Unknown: there is none of that identifier.
        """
        ...

    async def queue_again(
        self, redelivery: Redelivery, event_of: Callable[[WebhookDelivery], AuditEvent]
    ) -> str:
        """Queue the same event of the same enrolment anew; return the new delivery's identifier.

        Raises:
            Unknown: there is none of that identifier.
            RedeliveryRefused: the password is with an agent or gone, the delivery is under way, or there is
                no webhook any more.
        """
        ...


class Redeliveries:
    """An operator who has a delivery made again, when the receiver has lost it or is mended."""

    def __init__(self, *, store: WebhookOverviewStore, clock: Clock, lifetime: timedelta, actor: str) -> None:
        self._store = store
        self._clock = clock
        self._lifetime = lifetime
        self._actor = actor

    async def redeliver(self, delivery_id: str) -> str:
        """Queue a delivery again; return the identifier under which it goes.

        Raises:
            Unknown, RedeliveryRefused: see `WebhookOverviewStore.queue_again`.
        """
        now = self._clock.now()

        def event_of(delivery: WebhookDelivery) -> AuditEvent:
            return AuditEvent(
                kind=AuditKind.WEBHOOK_REDELIVERED,
                at=now,
                actor=self._actor,
                subject=delivery.enrolment_id,
                organization_id=delivery.organization_id,
                detail={"event": delivery.event.value, "delivery": delivery_id},
            )

        again = Redelivery(delivery_id=delivery_id, at=now, give_up_at=now + self._lifetime)
        return await self._store.queue_again(again, event_of)
