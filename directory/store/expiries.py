"""Which passwords wait near or past their end, and what goes with them? One transaction for each batch."""

from datetime import datetime, timedelta

from sqlalchemy import Connection, Select, bindparam, exists, not_, or_, select, update

from directory.audit import AuditEvent, AuditKind
from directory.channels.jobs import WebhookEvent
from directory.delivery.outbox import MailKind, NewMail
from directory.expiry import ExpiredRelay, ExpiryEvent
from directory.relay import RelayOutcome, RelayState
from directory.store import audit_log, rows, webhooks
from directory.store.database import Database
from directory.store.locks import lock_renewals
from directory.store.mail_outcomes import withdraw
from directory.store.mail_queue import queue
from directory.store.overtaking import lead_after_end
from directory.store.tables import (
    EnrolmentEnd,
    deliveries,
    enrolments,
    organizations,
    outgoing_mail,
    relays,
    webhook_deliveries,
)

EXPIRED_NOTE = AuditKind.PASSWORD_EXPIRED.value
"""Stands where an agent would have written what came of his call."""

_WAITING: Select[*tuple[object, ...]] = (
    select(
        enrolments.c.id.label("enrolment_id"),
        enrolments.c.organization_id,
        enrolments.c.live,
        deliveries.c.proven_at,
        relays.c.expires_at,
        organizations.c.notices_to,
        organizations.c.mail_from,
    )
    .join_from(relays, enrolments, enrolments.c.id == relays.c.enrolment_id)
    .join(deliveries, deliveries.c.enrolment_id == enrolments.c.id)
    .join(organizations, organizations.c.id == enrolments.c.organization_id)
    .where(relays.c.state == RelayState.WAITING.value)
    .order_by(relays.c.expires_at)
    .limit(bindparam("most"))
    # All three: what became of one meanwhile is seen only if its own row is locked.
    .with_for_update(of=[enrolments, relays, deliveries], key_share=True, skip_locked=True)
)
_ENDING = _WAITING.where(
    enrolments.c.live,
    deliveries.c.proven_at.is_(None),
    relays.c.expires_at > bindparam("now"),
    relays.c.expires_at <= bindparam("ends_before"),
    enrolments.c.minted_at <= bindparam("minted_before"),
    or_(organizations.c.notices_to.is_not(None), organizations.c.webhook_url.is_not(None)),
    not_(
        exists().where(
            outgoing_mail.c.enrolment_id == relays.c.enrolment_id,
            outgoing_mail.c.kind == MailKind.NOTICE_EXPIRING.value,
        )
    ),
    not_(
        exists().where(
            webhook_deliveries.c.enrolment_id == relays.c.enrolment_id,
            webhook_deliveries.c.event == WebhookEvent.PASSWORD_EXPIRING.value,
        )
    ),
)
_ENDED = _WAITING.where(relays.c.expires_at <= bindparam("now"))
_DESTROY = (
    update(relays)
    .where(relays.c.enrolment_id == bindparam("of_enrolment"))
    .values(
        state=bindparam("new_state"),
        outcome=bindparam("new_outcome"),
        note=EXPIRED_NOTE,
        closed_at=bindparam("moment"),
        password_master_key_id=None,
        password_wrapped_key=None,
        password_ciphertext=None,
    )
)


class SqlExpiries:
    """The relays near or past their end."""

    def __init__(self, database: Database, *, node: str) -> None:
        self._database = database
        self._node = node

    async def warn(self, *, now: datetime, within: timedelta, most: int) -> int:
        """Queue the warning of passwords that end within the period, each once; return how many."""
        where = {"now": now, "ends_before": now + within, "minted_before": now - within, "most": most}

        def work(connection: Connection) -> int:
            ending = connection.execute(_ENDING, where).all()
            for row in ending:
                _tell(
                    connection,
                    row,
                    MailKind.NOTICE_EXPIRING,
                    WebhookEvent.PASSWORD_EXPIRING,
                    at=now,
                    until=row.expires_at,
                )
            return len(ending)

        return await self._database.write(work)

    async def expire(self, *, now: datetime, notice_until: datetime, event_of: ExpiryEvent, most: int) -> int:
        """Destroy the passwords whose time is over, and all that hangs on them; return how many."""

        def work(connection: Connection) -> int:
            ended = connection.execute(_ENDED, {"now": now, "most": most}).all()
            lock_renewals(connection, [row.enrolment_id for row in ended])
            switched: list[AuditEvent] = []
            for row in ended:
                if row.proven_at is not None:
                    # It reached him, whoever told him: a mail to the organization came back that was read.
                    _destroy(connection, row.enrolment_id, RelayState.RELAYED, RelayOutcome.RELAYED, now)
                    continue
                _expire(connection, row.enrolment_id, now)
                switched += lead_after_end(connection, row.enrolment_id, now)
                if row.live:
                    _tell(
                        connection,
                        row,
                        MailKind.NOTICE_EXPIRED,
                        WebhookEvent.PASSWORD_EXPIRED,
                        at=now,
                        until=notice_until,
                    )
            for row in ended:
                relay = ExpiredRelay(enrolment_id=row.enrolment_id, organization_id=row.organization_id)
                audit_log.append(connection, self._node, event_of(relay))
            for event in switched:
                audit_log.append(connection, self._node, event)
            return len(ended)

        return await self._database.write(work)


def _expire(connection: Connection, enrolment_id: str, at: datetime) -> None:
    _destroy(connection, enrolment_id, RelayState.FAILED, RelayOutcome.FAILED, at)
    withdraw(connection, enrolment_id, EnrolmentEnd.UNRELAYED, at)


def _destroy(
    connection: Connection, enrolment_id: str, state: RelayState, outcome: RelayOutcome, at: datetime
) -> None:
    connection.execute(
        _DESTROY,
        {
            "of_enrolment": enrolment_id,
            "moment": at,
            "new_state": state.value,
            "new_outcome": outcome.value,
        },
    )


def _tell(
    connection: Connection,
    row: rows.AnyRow,
    kind: MailKind,
    event: WebhookEvent,
    *,
    at: datetime,
    until: datetime,
) -> None:
    if row.notices_to is not None:
        notice = NewMail(
            enrolment_id=row.enrolment_id,
            organization_id=row.organization_id,
            kind=kind,
            recipient=rows.mailbox(row.notices_to),
            sender_domain=rows.mailbox(row.mail_from).domain,
            at=at,
            due_at=at,
            give_up_at=until,
        )
        queue(connection, notice)
    webhooks.queue(
        connection,
        organization_id=row.organization_id,
        enrolment_id=row.enrolment_id,
        event=event,
        at=at,
        give_up_at=until,
    )
