"""Which mails are in the outbox, and whose are held up? The side of the outbox that people look at."""

from collections.abc import Callable, Sequence
from datetime import datetime
from functools import partial

from sqlalchemy import ColumnElement, Connection, and_, bindparam, delete, or_, select, update

from directory.audit import AuditEvent
from directory.cursors import Cursor
from directory.delivery.outbox import MailKind, MailState
from directory.outbox_admin import MailFilter, MailRecord, Pause
from directory.store import audit_log
from directory.store.database import Database
from directory.store.outbox import EVERYBODY
from directory.store.rows import AnyRow, mailbox
from directory.store.statements import Upsert
from directory.store.tables import mail_pauses, organizations, outgoing_mail

_MAILS = (
    select(
        outgoing_mail.c.id,
        outgoing_mail.c.enrolment_id,
        outgoing_mail.c.kind,
        outgoing_mail.c.recipient,
        outgoing_mail.c.message_id,
        outgoing_mail.c.state,
        outgoing_mail.c.created_at,
        outgoing_mail.c.due_at,
        outgoing_mail.c.give_up_at,
        outgoing_mail.c.attempts,
        outgoing_mail.c.claimed_until,
        outgoing_mail.c.last_failure,
        outgoing_mail.c.ended_at,
        organizations.c.slug,
    )
    .join_from(outgoing_mail, organizations, organizations.c.id == outgoing_mail.c.organization_id)
    .order_by(outgoing_mail.c.created_at.desc(), outgoing_mail.c.id.desc())
)
_PAUSES = (
    select(mail_pauses, organizations.c.slug)
    .join_from(mail_pauses, organizations, organizations.c.id == mail_pauses.c.organization_id, isouter=True)
    .order_by(mail_pauses.c.since)
)
_PAUSE = Upsert(
    mail_pauses, lambda insert: insert.on_conflict_do_nothing().returning(mail_pauses.c.organization_id)
)
_RESUME = (
    delete(mail_pauses)
    .where(mail_pauses.c.organization_id == bindparam("whose"))
    .returning(mail_pauses.c.since)
)
_QUEUED = outgoing_mail.c.state == MailState.QUEUED.value
_HELD_UP = select(outgoing_mail.c.id, outgoing_mail.c.created_at, outgoing_mail.c.give_up_at).where(_QUEUED)
_EXTEND = (
    update(outgoing_mail)
    .where(outgoing_mail.c.id == bindparam("mail_id"))
    .values(give_up_at=bindparam("later"))
)


class SqlOutboxAdministration:
    """The outbox as operators and agents see it."""

    def __init__(self, database: Database, *, node: str) -> None:
        self._database = database
        self._node = node

    async def mails(self, wanted: MailFilter, *, after: Cursor | None, most: int) -> Sequence[MailRecord]:
        """Return the mails that are meant, the newest first, from behind a place in that order."""
        return await self._database.read(partial(_mails, wanted=wanted, after=after, most=most))

    async def pauses(self) -> Sequence[Pause]:
        """Return who is held up."""
        return await self._database.read(_pauses)

    async def pause(self, organization_id: str | None, event: AuditEvent) -> bool:
        """Hold mail up from the event on; False if it was already."""
        row = {"organization_id": organization_id or EVERYBODY, "since": event.at, "actor": event.actor}

        def work(connection: Connection) -> bool:
            if connection.execute(_PAUSE.on(connection), row).first() is None:
                return False
            audit_log.append(connection, self._node, event)
            return True

        return await self._database.write(work)

    async def resume(self, organization_id: str | None, event: AuditEvent) -> bool:
        """Let it go, with as much time left as when it was held up; False if nobody held it up."""

        def work(connection: Connection) -> bool:
            whose = {"whose": organization_id or EVERYBODY}
            since: datetime | None = connection.execute(_RESUME, whose).scalar_one_or_none()
            if since is None:
                return False
            _give_back_time(connection, organization_id, since, event.at)
            audit_log.append(connection, self._node, event)
            return True

        return await self._database.write(work)

    async def flush(self, wanted: MailFilter, *, at: datetime, event: Callable[[int], AuditEvent]) -> int:
        """Let the queued mails that are meant be due at once; return how many there were."""
        flush = update(outgoing_mail).where(_QUEUED, *_conditions(wanted)).values(due_at=at)

        def work(connection: Connection) -> int:
            count = connection.execute(flush).rowcount
            if count:
                audit_log.append(connection, self._node, event(count))
            return count

        return await self._database.write(work)


def _mails(
    connection: Connection, *, wanted: MailFilter, after: Cursor | None, most: int
) -> list[MailRecord]:
    query = _MAILS.where(*_conditions(wanted)).limit(most)
    if after is not None:
        query = query.where(_older_than(after))
    return [_record(row) for row in connection.execute(query)]


def _older_than(place: Cursor) -> ColumnElement[bool]:
    at, mail_id = outgoing_mail.c.created_at, outgoing_mail.c.id
    return or_(at < place.moment, and_(at == place.moment, mail_id < place.record_id))


def _conditions(wanted: MailFilter) -> list[ColumnElement[bool]]:
    columns = {
        outgoing_mail.c.state: wanted.state,
        outgoing_mail.c.kind: wanted.kind,
        outgoing_mail.c.organization_id: wanted.organization_id,
        outgoing_mail.c.enrolment_id: wanted.enrolment_id,
        outgoing_mail.c.id: wanted.mail_id,
    }
    conditions = [column == str(value) for column, value in columns.items() if value is not None]
    if wanted.domain is not None:
        conditions.append(outgoing_mail.c.recipient_key.endswith(f"@{wanted.domain}", autoescape=True))
    return conditions


def _record(row: AnyRow) -> MailRecord:
    state = MailState(row.state)
    return MailRecord(
        mail_id=row.id,
        enrolment_id=row.enrolment_id,
        organization=row.slug,
        kind=MailKind(row.kind),
        recipient=mailbox(row.recipient),
        message_id=row.message_id,
        state=state,
        created_at=row.created_at,
        due_at=row.due_at,
        give_up_at=row.give_up_at,
        attempts=row.attempts,
        # The claim of whoever ended it stays in the row.
        in_hands_until=row.claimed_until if state is MailState.QUEUED else None,
        last_failure=row.last_failure,
        ended_at=row.ended_at,
    )


def _pauses(connection: Connection) -> list[Pause]:
    return [
        Pause(organization=row.slug, since=row.since, actor=row.actor) for row in connection.execute(_PAUSES)
    ]


def _give_back_time(
    connection: Connection, organization_id: str | None, since: datetime, until: datetime
) -> None:
    held_up = _HELD_UP
    if organization_id is not None:
        held_up = held_up.where(outgoing_mail.c.organization_id == organization_id)
    later = [
        {"mail_id": row.id, "later": row.give_up_at + (until - max(since, row.created_at))}
        for row in connection.execute(held_up)
    ]
    if later:
        connection.execute(_EXTEND, later)
