"""Which addresses get no mail, and what ends with that? Suppression and consequences are one transaction."""

from collections.abc import Sequence
from datetime import datetime
from functools import partial

from sqlalchemy import Connection, Select, bindparam, delete, select, update

from ca.address import Mailbox
from directory.audit import AuditEvent
from directory.delivery.outbox import MailState
from directory.errors import Unknown
from directory.followup import AffectedEnrolment, EventOf
from directory.links import LinkPurpose, PresentedLink
from directory.proof import LinkRefused
from directory.store import audit_log, links
from directory.store.database import Database
from directory.store.locks import lock_enrolments_of_address
from directory.store.mail_outcomes import ERASED, TO_RECIPIENT, end_hold, end_undelivered
from directory.store.rows import mailbox as stored_mailbox
from directory.store.statements import Upsert
from directory.store.tables import EnrolmentEnd, deliveries, enrolments, outgoing_mail, suppressions
from directory.suppression import AlreadyStopped, StopAnswer, Stopped, Suppression, SuppressionReason

_ADD = Upsert(
    suppressions,
    lambda insert: insert.on_conflict_do_nothing(index_elements=[suppressions.c.address_key]).returning(
        suppressions.c.address_key
    ),
)
_LIFT = delete(suppressions).where(suppressions.c.address_key == bindparam("lifted_key"))
_ALL = select(suppressions).order_by(suppressions.c.since, suppressions.c.address_key)
_ENROLMENT = select(enrolments.c.id, enrolments.c.organization_id, enrolments.c.address).where(
    enrolments.c.id == bindparam("enrolment_id")
)
_CANCEL = (
    update(outgoing_mail)
    .where(
        outgoing_mail.c.recipient_key == bindparam("of_recipient"),
        outgoing_mail.c.state == MailState.QUEUED.value,
        outgoing_mail.c.kind.in_([kind.value for kind in TO_RECIPIENT]),
    )
    .values(state=MailState.CANCELLED.value, ended_at=bindparam("moment"), **ERASED)
)
_UNPROVEN = (
    select(enrolments.c.id, enrolments.c.organization_id)
    .join_from(enrolments, deliveries, deliveries.c.enrolment_id == enrolments.c.id)
    .where(enrolments.c.live, deliveries.c.proven_at.is_(None))
    .order_by(enrolments.c.id)
)
_UNPROVEN_OF_ADDRESS = _UNPROVEN.where(enrolments.c.address_key == bindparam("address_key"))
_OVERTAKEN = (
    _UNPROVEN.add_columns(enrolments.c.address_key)
    .where(enrolments.c.address_key.in_(select(suppressions.c.address_key)))
    .limit(bindparam("most"))
)


class SqlSuppressions:
    """Keeps the suppressions."""

    def __init__(self, database: Database, *, node: str) -> None:
        self._database = database
        self._node = node

    async def stop(self, presented: PresentedLink, now: datetime, event_of: EventOf) -> StopAnswer:
        """Suppress the address that the link was sent to."""

        def work(connection: Connection) -> StopAnswer:
            link = links.find(connection, presented=presented, purpose=LinkPurpose.STOP, now=now)
            if link is None:
                return LinkRefused()
            links.use(connection, link.link_id, now)
            row = connection.execute(_ENROLMENT, {"enrolment_id": link.enrolment_id}).one()
            recipient = stored_mailbox(row.address)
            if not _add(connection, recipient, SuppressionReason.RECIPIENT, now):
                return AlreadyStopped(address=str(recipient))
            ended = _end_unproven(connection, recipient.key, now)
            asked = AffectedEnrolment(enrolment_id=row.id, organization_id=row.organization_id)
            for affected in (asked, *(other for other in ended if other != asked)):
                audit_log.append(connection, self._node, event_of(affected))
            return Stopped(address=str(recipient), ended=len(ended))

        return await self._database.write(work)

    async def add(
        self, mailbox: Mailbox, *, event: AuditEvent, event_of: EventOf
    ) -> Stopped | AlreadyStopped:
        """Suppress an address in an operator's name."""

        def work(connection: Connection) -> Stopped | AlreadyStopped:
            if not _add(connection, mailbox, SuppressionReason.OPERATOR, event.at):
                return AlreadyStopped(address=str(mailbox))
            ended = _end_unproven(connection, mailbox.key, event.at)
            for told in (event, *map(event_of, ended)):
                audit_log.append(connection, self._node, told)
            return Stopped(address=str(mailbox), ended=len(ended))

        return await self._database.write(work)

    async def lift(self, mailbox: Mailbox, event: AuditEvent) -> None:
        """Let the address get mail again."""

        def work(connection: Connection) -> None:
            if connection.execute(_LIFT, {"lifted_key": mailbox.key}).rowcount == 0:
                raise Unknown(kind="suppression", name=str(mailbox))
            audit_log.append(connection, self._node, event)

        await self._database.write(work)

    async def all(self) -> Sequence[Suppression]:
        """Return all suppressions, the oldest first."""
        return await self._database.read(_all)

    async def end_overtaken(self, now: datetime, event_of: EventOf, *, most: int) -> int:
        """End up to so many enrolments that were minted while their address was being suppressed."""
        overtaken = await self._database.read(partial(_overtaken, most=most))

        def end(address_key: str, connection: Connection) -> int:
            ended = _end_unproven(connection, address_key, now)
            for affected in ended:
                audit_log.append(connection, self._node, event_of(affected))
            return len(ended)

        return sum([await self._database.write(partial(end, address_key)) for address_key in overtaken])


def _add(connection: Connection, mailbox: Mailbox, reason: SuppressionReason, now: datetime) -> bool:
    added = connection.execute(
        _ADD.on(connection),
        {
            "address_key": mailbox.key,
            "address": str(mailbox),
            "reason": reason.value,
            "since": now,
        },
    )
    return added.one_or_none() is not None


def _end_unproven(connection: Connection, address_key: str, now: datetime) -> list[AffectedEnrolment]:
    """Take back what is queued to the address, and end what only a mail could have completed."""
    lock_enrolments_of_address(connection, address_key)
    connection.execute(_CANCEL, {"of_recipient": address_key, "moment": now})
    ended = [
        AffectedEnrolment(enrolment_id=row.id, organization_id=row.organization_id)
        for row in connection.execute(_UNPROVEN_OF_ADDRESS, {"address_key": address_key})
    ]
    for affected in ended:
        end_undelivered(connection, affected.enrolment_id, EnrolmentEnd.OPTED_OUT, now)
        end_hold(connection, affected.enrolment_id, now)
    return ended


def _overtaken(connection: Connection, *, most: int) -> list[str]:
    found: Select[*tuple[object, ...]] = _OVERTAKEN
    return sorted({row.address_key for row in connection.execute(found, {"most": most})})


def _all(connection: Connection) -> list[Suppression]:
    return [
        Suppression(address=row.address, since=row.since, reason=SuppressionReason(row.reason))
        for row in connection.execute(_ALL)
    ]
