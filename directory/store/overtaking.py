"""How does a renewed certificate come to lead? Both enrolments, its certificate, and no more reminders.

The enrolments are locked by the caller, the older one first (`locks`). The certificate is written before the
event: its trigger takes the lock under which changes are announced.
"""

import logging
from collections.abc import Sequence
from datetime import datetime
from functools import partial

from sqlalchemy import Connection, Select, bindparam, literal, select, text, update
from sqlalchemy.exc import IntegrityError

from directory.audit import AuditEvent
from directory.delivery.outbox import MailKind
from directory.errors import SlotTaken
from directory.overtaking import Successor, SwitchReason, lead_switched
from directory.status import Place
from directory.store import audit_log
from directory.store.database import Database
from directory.store.locks import lock_with_renewed
from directory.store.mail_outcomes import cancel_mails
from directory.store.tables import certificates, enrolments

logger = logging.getLogger(__name__)

# Written out as the index of those that wait has it: SQLite uses it only where it sees its condition.
_WAITING: Select[*tuple[str, ...]] = select(
    enrolments.c.id, enrolments.c.organization_id, enrolments.c.renews_enrolment_id
).where(text("enrolments.live"), enrolments.c.place == literal(Place.WAITING.value, literal_execute=True))
_ITSELF = _WAITING.where(enrolments.c.id == bindparam("of_enrolment"))
_BEHIND = _WAITING.where(enrolments.c.renews_enrolment_id == bindparam("of_enrolment"))
_DUE = (
    _WAITING.join(certificates, certificates.c.enrolment_id == enrolments.c.id)
    .where(certificates.c.served_from <= bindparam("now"))
    .order_by(certificates.c.served_from, enrolments.c.id)
    .limit(bindparam("most"))
)
_OVERTAKE = (
    update(enrolments)
    .where(
        enrolments.c.id == bindparam("of_enrolment"),
        enrolments.c.live,
        enrolments.c.place == Place.LEADING.value,
    )
    .values(place=Place.OVERTAKEN.value)
)
_LEAD = (
    update(enrolments).where(enrolments.c.id == bindparam("of_enrolment")).values(place=Place.LEADING.value)
)
_SERVE = (
    update(certificates)
    .where(
        certificates.c.enrolment_id == bindparam("of_enrolment"),
        certificates.c.served_from > bindparam("moment"),
    )
    .values(served_from=bindparam("moment"))
)
_ASKING = (MailKind.PROOF, MailKind.REMINDER)


class SqlOvertaking:
    """The renewals that wait."""

    def __init__(self, database: Database, *, node: str) -> None:
        self._database = database
        self._node = node

    async def record_due(self, now: datetime, *, most: int) -> int:
        """Let up to so many lead that are served by now, each in a transaction of its own."""
        due = await self._database.read(lambda connection: _successors(connection, _DUE, now=now, most=most))
        return sum([await self._recorded(each, now) for each in due])

    async def _recorded(self, due: Successor, now: datetime) -> int:
        try:
            return await self._database.write(partial(self._record, due, now))
        except SlotTaken:
            # Damage, which `pushpki verify` shows as well; the others are recorded all the same.
            logger.error("renewal %s cannot lead: another does", due.enrolment_id)  # noqa: TRY400 - it says all
            return 0

    def _record(self, due: Successor, now: datetime, connection: Connection) -> int:
        lock_with_renewed(connection, due.enrolment_id)
        # What others have made of it meanwhile is seen now.
        still_due = _successors(connection, _ITSELF, of_enrolment=due.enrolment_id)
        for successor in still_due:
            try:
                event = _let_lead(connection, successor, SwitchReason.DUE, now)
            except IntegrityError:
                raise SlotTaken from None
            audit_log.append(connection, self._node, event)
        return len(still_due)


def lead_if_proven(connection: Connection, enrolment_id: str, at: datetime) -> list[AuditEvent]:
    """Let an enrolment lead whose key was proven just now, if it waited to; return the events to append."""
    waiting = _successors(connection, _ITSELF, of_enrolment=enrolment_id)
    return [_let_lead(connection, successor, SwitchReason.PROVEN, at) for successor in waiting]


def lead_after_end(connection: Connection, enrolment_id: str, at: datetime) -> list[AuditEvent]:
    """Let the renewal of an enrolment lead that has just ended, if there is one; return the events to append.

    It has a key of its own, which is on its way: whatever became of the other concerns it in nothing.
    """
    waiting = _successors(connection, _BEHIND, of_enrolment=enrolment_id)
    return [_let_lead(connection, successor, SwitchReason.ALONE, at) for successor in waiting]


def _successors(
    connection: Connection, wanted: Select[*tuple[str, ...]], **parameters: object
) -> Sequence[Successor]:
    return [
        Successor(enrolment_id=row.id, organization_id=row.organization_id, renews=row.renews_enrolment_id)
        for row in connection.execute(wanted, parameters)
    ]


def _let_lead(
    connection: Connection, successor: Successor, because: SwitchReason, at: datetime
) -> AuditEvent:
    connection.execute(_OVERTAKE, {"of_enrolment": successor.renews})
    cancel_mails(connection, successor.renews, _ASKING, at)
    connection.execute(_LEAD, {"of_enrolment": successor.enrolment_id})
    connection.execute(_SERVE, {"of_enrolment": successor.enrolment_id, "moment": at})
    return lead_switched(successor, because, at)
