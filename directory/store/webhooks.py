"""What is an organization's webhook told, when, and what came of it? Jobs claimed under leases, with history.

Claims are fenced by the count of attempts, as those of outgoing mail are.
"""

import secrets
from collections.abc import Sequence
from datetime import datetime
from functools import partial

from sqlalchemy import (
    BindParameter,
    Connection,
    and_,
    bindparam,
    exists,
    insert,
    not_,
    or_,
    select,
    update,
)

from directory.audit import AuditEvent
from directory.channels.jobs import (
    WebhookAttempt,
    WebhookEvent,
    WebhookJob,
    WebhookState,
)
from directory.relay import PasswordChannel, RelayState
from directory.store import audit_log, rows
from directory.store.claims import Claims
from directory.store.database import Database
from directory.store.relays import release
from directory.store.tables import (
    deliveries,
    enrolments,
    organizations,
    relays,
    webhook_attempts,
    webhook_deliveries,
)

_OF_ORGANIZATION: BindParameter[str] = bindparam("of_organization")
_HAS_WEBHOOK = select(
    exists().where(organizations.c.id == _OF_ORGANIZATION, organizations.c.webhook_url.is_not(None))
)

RELEASABLE = and_(
    relays.c.password_wrapped_key.is_not(None),
    or_(
        relays.c.state == RelayState.WAITING.value,
        and_(
            relays.c.state == RelayState.REVEALED.value,
            relays.c.released_through != PasswordChannel.AGENT.value,
        ),
    ),
)
"""Whose password a channel may still bring: no agent has seen to it, and it was not destroyed."""

_QUEUED = webhook_deliveries.c.state == WebhookState.QUEUED.value
_CLAIMS = Claims(webhook_deliveries, queued=_QUEUED, waiting=(_QUEUED,))
_END_OBSOLETE = (
    update(webhook_deliveries)
    .where(
        *_CLAIMS.is_due,
        or_(
            not_(
                exists().where(
                    organizations.c.id == webhook_deliveries.c.organization_id,
                    organizations.c.webhook_url.is_not(None),
                )
            ),
            and_(
                webhook_deliveries.c.event == WebhookEvent.PASSWORD_READY.value,
                not_(exists().where(relays.c.enrolment_id == webhook_deliveries.c.enrolment_id, RELEASABLE)),
            ),
        ),
    )
    .values(state=WebhookState.OBSOLETE.value, ended_at=bindparam("now"))
)
_CLAIMED = (
    select(
        webhook_deliveries.c.id.label("delivery_id"),
        webhook_deliveries.c.enrolment_id,
        webhook_deliveries.c.event,
        webhook_deliveries.c.created_at,
        webhook_deliveries.c.give_up_at,
        webhook_deliveries.c.attempts,
        enrolments.c.address,
        relays.c.password_master_key_id,
        relays.c.password_wrapped_key,
        relays.c.password_ciphertext,
        relays.c.expires_at,
        deliveries.c.language,
        *rows.ORGANIZATION,
    )
    .join_from(webhook_deliveries, enrolments)
    .join(organizations, organizations.c.id == webhook_deliveries.c.organization_id)
    .join(relays, relays.c.enrolment_id == enrolments.c.id)
    .join(deliveries, deliveries.c.enrolment_id == enrolments.c.id)
    .where(webhook_deliveries.c.id.in_(bindparam("delivery_ids", expanding=True)))
    .order_by(webhook_deliveries.c.due_at, webhook_deliveries.c.id)
)
_STILL_QUEUED = (_QUEUED, webhook_deliveries.c.id == bindparam("delivery_id"))
_STILL_OURS = (*_STILL_QUEUED, webhook_deliveries.c.attempts == bindparam("our_attempt"))
_DELIVERED = (
    update(webhook_deliveries)
    .where(*_STILL_QUEUED)
    .values(state=WebhookState.DELIVERED.value, ended_at=bindparam("moment"), last_failure=None)
)
_RETRY = (
    update(webhook_deliveries)
    .where(*_STILL_OURS)
    .values(
        due_at=bindparam("new_due_at"),
        last_failure=bindparam("failure"),
        claimed_by=None,
        claimed_until=None,
    )
)
_GIVE_UP = (
    update(webhook_deliveries)
    .where(*_STILL_OURS)
    .values(
        state=WebhookState.GIVEN_UP.value, ended_at=bindparam("moment"), last_failure=bindparam("failure")
    )
)


def queue(
    connection: Connection,
    *,
    organization_id: str,
    enrolment_id: str,
    event: WebhookEvent,
    at: datetime,
    give_up_at: datetime,
) -> None:
    """Queue a delivery in the transaction of what it tells of; nothing where there is no webhook."""
    if not connection.execute(_HAS_WEBHOOK, {"of_organization": organization_id}).scalar_one():
        return
    connection.execute(
        insert(webhook_deliveries),
        {
            "id": secrets.token_hex(16),
            "organization_id": organization_id,
            "enrolment_id": enrolment_id,
            "event": event.value,
            "state": WebhookState.QUEUED.value,
            "created_at": at,
            "due_at": at,
            "give_up_at": give_up_at,
            "attempts": 0,
        },
    )


class SqlWebhookJobs:
    """The jobs of webhooks."""

    def __init__(self, database: Database, *, node: str) -> None:
        self._database = database
        self._node = node

    async def claim_due(
        self, *, worker: str, now: datetime, lease_until: datetime, most: int
    ) -> Sequence[WebhookJob]:
        """Claim up to `most` due jobs; end on the way what has ceased to matter."""
        claim = {"worker": worker, "now": now, "lease_until": lease_until, "most": most}
        return await self._database.write(partial(_claim, claim=claim))

    async def next_due(self) -> datetime | None:
        """Return when the next job becomes due or its claim runs out; None if nothing is queued."""
        return await self._database.read(_next_due)

    async def release_claims(self, *, worker: str) -> None:
        """Give up the claims of this worker."""
        await self._database.write(partial(_release_claims, worker=worker))

    async def record_delivered(
        self, job: WebhookJob, attempt: WebhookAttempt, event: AuditEvent | None
    ) -> None:
        """Record it once; a second worker that told the same changes nothing."""

        def record(connection: Connection) -> None:
            where = {"delivery_id": job.delivery_id, "moment": attempt.at}
            if connection.execute(_DELIVERED, where).rowcount == 0:
                return
            _remember(connection, job, attempt)
            if job.event is WebhookEvent.PASSWORD_READY:
                release(connection, job.enrolment_id, PasswordChannel.WEBHOOK, attempt.at)
            if event is not None:
                audit_log.append(connection, self._node, event)

        await self._database.write(record)

    async def record_retry(self, job: WebhookJob, attempt: WebhookAttempt, *, due_at: datetime) -> None:
        """Release the claim, unless it ran out and somebody else has one now."""

        def record(connection: Connection) -> None:
            values = {**_fence(job), "new_due_at": due_at, "failure": attempt.code}
            if connection.execute(_RETRY, values).rowcount:
                _remember(connection, job, attempt)

        await self._database.write(record)

    async def record_given_up(self, job: WebhookJob, attempt: WebhookAttempt, event: AuditEvent) -> None:
        """Record it, unless the claim ran out and somebody else has one now."""

        def record(connection: Connection) -> None:
            values = {**_fence(job), "moment": attempt.at, "failure": attempt.code}
            if connection.execute(_GIVE_UP, values).rowcount:
                _remember(connection, job, attempt)
                audit_log.append(connection, self._node, event)

        await self._database.write(record)


def _claim(connection: Connection, *, claim: dict[str, object]) -> list[WebhookJob]:
    connection.execute(_END_OBSOLETE, {"now": claim["now"]})
    delivery_ids = connection.execute(_CLAIMS.claim, claim).scalars().all()
    if not delivery_ids:
        return []
    return [_job(row) for row in connection.execute(_CLAIMED, {"delivery_ids": delivery_ids})]


def _job(row: rows.AnyRow) -> WebhookJob:
    return WebhookJob(
        delivery_id=row.delivery_id,
        organization=rows.organization(row),
        enrolment_id=row.enrolment_id,
        event=WebhookEvent(row.event),
        created_at=row.created_at,
        give_up_at=row.give_up_at,
        attempts=row.attempts - 1,
        mailbox=rows.mailbox(row.address),
        language=row.language,
        sealed_password=rows.sealed(
            row.password_master_key_id, row.password_wrapped_key, row.password_ciphertext
        ),
        expires_at=row.expires_at,
    )


def _remember(connection: Connection, job: WebhookJob, attempt: WebhookAttempt) -> None:
    connection.execute(
        insert(webhook_attempts),
        {
            "delivery_id": job.delivery_id,
            "attempt": job.attempts + 1,
            "at": attempt.at,
            "status": attempt.status,
            "failure": None if attempt.failure is None else attempt.failure.value,
            "milliseconds": attempt.milliseconds,
        },
    )


def _next_due(connection: Connection) -> datetime | None:
    due: datetime | None = connection.execute(_CLAIMS.next_due).scalar_one()
    return due


def _release_claims(connection: Connection, *, worker: str) -> None:
    connection.execute(_CLAIMS.release, {"worker": worker})


def _fence(job: WebhookJob) -> dict[str, object]:
    return {"delivery_id": job.delivery_id, "our_attempt": job.attempts + 1}
