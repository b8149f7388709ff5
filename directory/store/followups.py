"""Which deliveries wait for a proof, and what is done about them? What a node has in hand others pass over.

What is due is looked for without locks on the recipients' budgets, and decided under them, in the order of
the recipients, so that two nodes never wait for each other.
"""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import (
    Connection,
    Select,
    bindparam,
    exists,
    literal,
    not_,
    select,
    update,
)

from directory.delivery.outbox import DeliveryState, MailKind, MailState, NewMail
from directory.followup import AcceptedBetween, AffectedEnrolment, EventOf
from directory.mailbudget import BUDGET_PERIOD, MOST_KEY_MAILS
from directory.status import Place
from directory.store import audit_log
from directory.store.database import Database
from directory.store.mail_budget import room_for, sent_to_the_same_person
from directory.store.mail_outcomes import cancel_mails
from directory.store.mail_queue import queue
from directory.store.rows import AnyRow, mailbox
from directory.store.tables import deliveries, enrolments, organizations, outgoing_mail, suppressions

_ASKED = deliveries.c.asked_at.is_not(None)
_GOT_THE_QUESTION = exists().where(
    outgoing_mail.c.enrolment_id == deliveries.c.enrolment_id,
    outgoing_mail.c.kind == MailKind.PROOF.value,
    outgoing_mail.c.state == MailState.ACCEPTED.value,
)
_WAITING: Select[*tuple[object, ...]] = (
    select(
        deliveries.c.enrolment_id,
        enrolments.c.organization_id,
        enrolments.c.address,
        organizations.c.mail_from,
    )
    .join_from(deliveries, enrolments, enrolments.c.id == deliveries.c.enrolment_id)
    .join(organizations, organizations.c.id == enrolments.c.organization_id)
    .where(
        # Literally, as the indexes have it: of a parameter nobody knows whether an index will do.
        deliveries.c.state == literal(DeliveryState.ACCEPTED.value, literal_execute=True),
        deliveries.c.accepted_at > bindparam("accepted_after"),
        deliveries.c.accepted_at <= bindparam("accepted_until"),
    )
    .order_by(deliveries.c.accepted_at, deliveries.c.enrolment_id)
    .limit(bindparam("most"))
    # Both: what a delivery has become meanwhile is seen only if its own row is locked.
    .with_for_update(of=[enrolments, deliveries], key_share=True, skip_locked=True)
)
_MAY_BE_WRITTEN_TO = (
    enrolments.c.live,
    # Who has got the next key is not asked for the last one any more.
    enrolments.c.place != Place.OVERTAKEN.value,
    organizations.c.disabled_at.is_(None),
    not_(exists().where(suppressions.c.address_key == enrolments.c.address_key)),
    sent_to_the_same_person() < MOST_KEY_MAILS,
)
# Each looks through an index of its own (`tables.deliveries`), whose condition it repeats.
_TO_ASK = _WAITING.where(deliveries.c.asked_at.is_(None), *_MAY_BE_WRITTEN_TO)
_TO_REMIND = _WAITING.where(
    _ASKED, deliveries.c.reminded_at.is_(None), _GOT_THE_QUESTION, *_MAY_BE_WRITTEN_TO
)
# Whether it is still live does not matter: one that ended is waited for no longer than any other.
_TO_GIVE_UP = _WAITING.where(_ASKED, _GOT_THE_QUESTION)
_MARK_UNPROVEN = (
    update(deliveries)
    .where(deliveries.c.enrolment_id == bindparam("of_enrolment"))
    .values(state=DeliveryState.UNPROVEN.value, unproven_at=bindparam("moment"))
)


class SqlFollowUps:
    """Finds deliveries that were accepted and not proven, and records what is done about them."""

    def __init__(self, database: Database, *, node: str) -> None:
        self._database = database
        self._node = node

    async def ask(self, accepted: AcceptedBetween, *, now: datetime, give_up_at: datetime, most: int) -> int:
        """Queue the mail that asks for a proof, where none was queued yet."""

        def work(connection: Connection) -> int:
            due = _due(connection, _TO_ASK, accepted, now, most)
            return len(_queue_within_budget(connection, due, MailKind.PROOF, now, give_up_at))

        return await self._database.write(work)

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

        def work(connection: Connection) -> int:
            due = _due(connection, _TO_REMIND, accepted, now, most)
            queued = _queue_within_budget(connection, due, MailKind.REMINDER, now, give_up_at)
            self._record(connection, queued, event_of)
            return len(queued)

        return await self._database.write(work)

    async def mark_unproven(
        self, accepted: AcceptedBetween, *, now: datetime, event_of: EventOf, most: int
    ) -> int:
        """Call deliveries unproven that were asked for a proof; cancel what is queued to their recipients."""

        def work(connection: Connection) -> int:
            due = _due(connection, _TO_GIVE_UP, accepted, now, most)
            for row in due:
                connection.execute(_MARK_UNPROVEN, {"of_enrolment": row.enrolment_id, "moment": now})
                cancel_mails(connection, row.enrolment_id, (MailKind.PROOF, MailKind.REMINDER), now)
            self._record(connection, due, event_of)
            return len(due)

        return await self._database.write(work)

    def _record(self, connection: Connection, rows: Sequence[AnyRow], event_of: EventOf) -> None:
        for row in rows:
            affected = AffectedEnrolment(enrolment_id=row.enrolment_id, organization_id=row.organization_id)
            audit_log.append(connection, self._node, event_of(affected))


def _due(
    connection: Connection,
    wanted: Select[*tuple[object, ...]],
    accepted: AcceptedBetween,
    now: datetime,
    most: int,
) -> Sequence[AnyRow]:
    return connection.execute(
        wanted,
        {
            "accepted_after": accepted.after,
            "accepted_until": accepted.until,
            "since": now - BUDGET_PERIOD,
            "most": most,
        },
    ).all()


def _queue_within_budget(
    connection: Connection, due: Sequence[AnyRow], kind: MailKind, now: datetime, give_up_at: datetime
) -> list[AnyRow]:
    """Queue a mail to each of them that there is still room for; return to which."""
    queued = []
    for row in sorted(due, key=lambda row: mailbox(row.address).base_key):
        recipient = mailbox(row.address)
        if not room_for(connection, recipient, now):
            continue
        queue(
            connection,
            NewMail(
                enrolment_id=row.enrolment_id,
                organization_id=row.organization_id,
                kind=kind,
                recipient=recipient,
                sender_domain=mailbox(row.mail_from).domain,
                at=now,
                due_at=now,
                give_up_at=give_up_at,
            ),
        )
        queued.append(row)
    return queued
