"""Which deliveries to webhooks were there, and how did each attempt go? Reading them; queueing one again."""

import secrets
from collections.abc import Callable, Sequence
from functools import partial

from sqlalchemy import Connection, Row, Select, bindparam, exists, insert, select

from directory.audit import AuditEvent
from directory.channels.jobs import CallFailure, WebhookAttempt, WebhookEvent, WebhookState
from directory.channels.overview import Redelivery, WebhookDelivery
from directory.errors import RedeliveryRefused, Unknown
from directory.store import audit_log
from directory.store.database import Database
from directory.store.rows import AnyRow
from directory.store.tables import organizations, relays, webhook_attempts, webhook_deliveries
from directory.store.webhooks import RELEASABLE

_ALL: Select[*tuple[object, ...]] = select(webhook_deliveries)
_LATEST = _ALL.order_by(webhook_deliveries.c.created_at.desc(), webhook_deliveries.c.id)
_OF_ORGANIZATION = _LATEST.where(webhook_deliveries.c.organization_id == bindparam("organization_id"))
_OF_ENROLMENT = _ALL.where(webhook_deliveries.c.enrolment_id == bindparam("enrolment_id")).order_by(
    webhook_deliveries.c.created_at, webhook_deliveries.c.id
)
_BY_ID = _ALL.where(webhook_deliveries.c.id == bindparam("delivery_id"))
_ATTEMPTS = (
    select(webhook_attempts)
    .where(webhook_attempts.c.delivery_id == bindparam("delivery_id"))
    .order_by(webhook_attempts.c.attempt)
)
_HAS_WEBHOOK = select(
    exists().where(
        organizations.c.id == bindparam("organization_id"), organizations.c.webhook_url.is_not(None)
    )
)
_IS_RELEASABLE = select(exists().where(relays.c.enrolment_id == bindparam("enrolment_id"), RELEASABLE))


class SqlWebhookOverview:
    """The deliveries of webhooks, to be looked at."""

    def __init__(self, database: Database, *, node: str) -> None:
        self._database = database
        self._node = node

    async def deliveries(self, *, organization_id: str | None, most: int) -> Sequence[WebhookDelivery]:
        """Return the latest deliveries, of all organizations if none is named; the newest first."""
        query = _LATEST if organization_id is None else _OF_ORGANIZATION
        where = {} if organization_id is None else {"organization_id": organization_id}
        return await self._database.read(partial(_read, query=query.limit(most), where=where))

    async def of_enrolment(self, enrolment_id: str) -> Sequence[WebhookDelivery]:
        """Return the deliveries about an enrolment, the oldest first."""
        where = {"enrolment_id": enrolment_id}
        return await self._database.read(partial(_read, query=_OF_ENROLMENT, where=where))

    async def history(self, delivery_id: str) -> tuple[WebhookDelivery, Sequence[WebhookAttempt]]:
        """Return a delivery and its attempts, in their order."""

        def read(connection: Connection) -> tuple[WebhookDelivery, list[WebhookAttempt]]:
            where = {"delivery_id": delivery_id}
            return _one(connection, delivery_id), [
                _attempt(row) for row in connection.execute(_ATTEMPTS, where)
            ]

        return await self._database.read(read)

    async def queue_again(
        self, redelivery: Redelivery, event_of: Callable[[WebhookDelivery], AuditEvent]
    ) -> str:
        """Queue the same event of the same enrolment anew; return the new delivery's identifier."""
        new_id = secrets.token_hex(16)

        def again(connection: Connection) -> str:
            delivery = _one(connection, redelivery.delivery_id)
            _refuse_if_pointless(connection, delivery)
            connection.execute(
                insert(webhook_deliveries),
                {
                    "id": new_id,
                    "organization_id": delivery.organization_id,
                    "enrolment_id": delivery.enrolment_id,
                    "event": delivery.event.value,
                    "state": WebhookState.QUEUED.value,
                    "created_at": redelivery.at,
                    "due_at": redelivery.at,
                    "give_up_at": redelivery.give_up_at,
                    "attempts": 0,
                },
            )
            audit_log.append(connection, self._node, event_of(delivery))
            return new_id

        return await self._database.write(again)


def _refuse_if_pointless(connection: Connection, delivery: WebhookDelivery) -> None:
    if delivery.state is WebhookState.QUEUED:
        raise RedeliveryRefused(code="redelivery.under_way", reason="the delivery is under way already")
    where = {"organization_id": delivery.organization_id}
    if not connection.execute(_HAS_WEBHOOK, where).scalar_one():
        raise RedeliveryRefused(code="redelivery.no_webhook", reason="the organization has no webhook")
    if delivery.event is not WebhookEvent.PASSWORD_READY:
        return
    where = {"enrolment_id": delivery.enrolment_id}
    if not connection.execute(_IS_RELEASABLE, where).scalar_one():
        raise RedeliveryRefused(
            code="redelivery.not_releasable", reason="an agent has the password, or it is gone"
        )


def _read(
    connection: Connection, *, query: Select[*tuple[object, ...]], where: dict[str, str]
) -> list[WebhookDelivery]:
    return [_delivery(row) for row in connection.execute(query, where)]


def _one(connection: Connection, delivery_id: str) -> WebhookDelivery:
    row = connection.execute(_BY_ID, {"delivery_id": delivery_id}).one_or_none()
    if row is None:
        raise Unknown(kind="webhook delivery", name=delivery_id)
    return _delivery(row)


def _delivery(row: AnyRow | Row[*tuple[object, ...]]) -> WebhookDelivery:
    return WebhookDelivery(
        delivery_id=row.id,
        organization_id=row.organization_id,
        enrolment_id=row.enrolment_id,
        event=WebhookEvent(row.event),
        state=WebhookState(row.state),
        created_at=row.created_at,
        due_at=row.due_at,
        attempts=row.attempts,
        last_failure=row.last_failure,
        ended_at=row.ended_at,
    )


def _attempt(row: AnyRow) -> WebhookAttempt:
    return WebhookAttempt(
        at=row.at,
        milliseconds=row.milliseconds,
        status=row.status,
        failure=None if row.failure is None else CallFailure(row.failure),
    )
