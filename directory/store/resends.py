"""May this key mail be sent again, and if so, where does it wait? One transaction for both."""

from datetime import datetime

from sqlalchemy import Connection, bindparam, exists, select, update

from directory.delivery.outbox import DeliveryState, MailKind, MailState, NewMail
from directory.errors import Unknown
from directory.resending import Decision, Resend, Resendable
from directory.status import KeyState
from directory.store import audit_log
from directory.store.database import Database
from directory.store.locks import lock_enrolment
from directory.store.mail_budget import room_for
from directory.store.mail_queue import queue
from directory.store.rows import mailbox
from directory.store.tables import (
    deliveries,
    enrolments,
    held_keys,
    organizations,
    outgoing_mail,
    suppressions,
)

_RESENDABLE = (
    select(
        enrolments.c.id,
        enrolments.c.organization_id,
        enrolments.c.address,
        enrolments.c.live,
        organizations.c.mail_from,
        held_keys.c.state.label("key_state"),
        exists().where(suppressions.c.address_key == enrolments.c.address_key).label("suppressed"),
        exists()
        .where(
            outgoing_mail.c.enrolment_id == enrolments.c.id,
            outgoing_mail.c.kind == MailKind.KEY.value,
            outgoing_mail.c.state == MailState.QUEUED.value,
        )
        .label("is_queued"),
    )
    .join_from(enrolments, organizations, organizations.c.id == enrolments.c.organization_id)
    .join(held_keys, held_keys.c.enrolment_id == enrolments.c.id)
    .where(enrolments.c.id == bindparam("enrolment_id"))
)
_SET_FORMAT = (
    update(deliveries)
    .where(deliveries.c.enrolment_id == bindparam("of_enrolment"))
    .values(package_format=bindparam("new_format"))
)
# What is proven stays so, whatever copies are asked for.
_DELIVER_AGAIN = (
    update(deliveries)
    .where(deliveries.c.enrolment_id == bindparam("of_enrolment"), deliveries.c.proven_at.is_(None))
    .values(state=DeliveryState.QUEUED.value)
)


class SqlResendStore:
    """Queues key mails again."""

    def __init__(self, database: Database, *, node: str) -> None:
        self._database = database
        self._node = node

    async def resend(self, enrolment_id: str, now: datetime, decide: Decision) -> None:
        """Read the enrolment, decide, and queue, all in one transaction."""

        def work(connection: Connection) -> None:
            resend, event = decide(_resendable(connection, enrolment_id, now))
            _queue(connection, resend)
            audit_log.append(connection, self._node, event)

        await self._database.write(work)


def _resendable(connection: Connection, enrolment_id: str, now: datetime) -> Resendable:
    # So that two who ask at once do not both find that none is under way.
    lock_enrolment(connection, enrolment_id)
    row = connection.execute(_RESENDABLE, {"enrolment_id": enrolment_id}).one_or_none()
    if row is None:
        raise Unknown(kind="enrolment", name=enrolment_id)
    recipient = mailbox(row.address)
    return Resendable(
        enrolment_id=row.id,
        organization_id=row.organization_id,
        recipient=recipient,
        sender=mailbox(row.mail_from),
        live=row.live,
        key_is_held=row.key_state == KeyState.HELD,
        is_queued=row.is_queued,
        has_room=room_for(connection, recipient, now),
        suppressed=row.suppressed,
    )


def _queue(connection: Connection, resend: Resend) -> None:
    where = {"of_enrolment": resend.enrolment_id}
    if resend.package_format is not None:
        connection.execute(_SET_FORMAT, where | {"new_format": resend.package_format.value})
    connection.execute(_DELIVER_AGAIN, where)
    queue(
        connection,
        NewMail(
            enrolment_id=resend.enrolment_id,
            organization_id=resend.organization_id,
            kind=MailKind.KEY,
            recipient=resend.recipient,
            sender_domain=resend.sender.domain,
            at=resend.at,
            due_at=resend.at,
            give_up_at=resend.give_up_at,
        ),
    )
