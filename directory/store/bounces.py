"""Whose return path is this, and what did it do that the mail came back? One transaction for each report."""

from collections.abc import Callable
from datetime import datetime
from functools import partial

from sqlalchemy import Connection, bindparam, case, or_, select, update

from directory.audit import AuditEvent
from directory.bounces.bounces import Consequence, FailedMail
from directory.bounces.judging import SentMail
from directory.delivery.outbox import MailKind, MailState
from directory.errors import LimitReached
from directory.limits import Limit
from directory.store import audit_log, limits, rows, undelivered
from directory.store.database import Database
from directory.store.locks import lock_before_end
from directory.store.tables import outgoing_mail
from directory.store.undelivered import LostMail

_SENT_MAIL = select(
    outgoing_mail.c.id,
    outgoing_mail.c.enrolment_id,
    outgoing_mail.c.organization_id,
    outgoing_mail.c.kind,
    outgoing_mail.c.recipient,
    outgoing_mail.c.message_id,
).where(
    outgoing_mail.c.bounce_token == bindparam("token"),
    or_(outgoing_mail.c.ended_at.is_(None), outgoing_mail.c.ended_at > bindparam("ended_after")),
)
_REMARK = (
    update(outgoing_mail)
    .where(outgoing_mail.c.id == bindparam("mail_id"))
    .values(last_failure=bindparam("remark"))
)
# One that is queued was sent all the same, and its acceptance lost. Sent again it would only come back again.
_QUEUED = outgoing_mail.c.state == MailState.QUEUED.value
_CAME_BACK = (
    update(outgoing_mail)
    .where(outgoing_mail.c.id == bindparam("mail_id"))
    .values(
        state=case((_QUEUED, MailState.GIVEN_UP.value), else_=outgoing_mail.c.state),
        ended_at=case((_QUEUED, bindparam("moment")), else_=outgoing_mail.c.ended_at),
        message_master_key_id=None,
        message_wrapped_key=None,
        message_ciphertext=None,
        last_failure=bindparam("remark"),
    )
)


class SqlBounceStore:
    """Records what came back."""

    def __init__(self, database: Database, *, node: str) -> None:
        self._database = database
        self._node = node

    async def sent_mail(self, bounce_token: str, *, ended_after: datetime) -> SentMail | None:
        """Return the mail with this return path that is queued or ended after the moment given."""
        return await self._database.read(partial(_sent_mail, token=bounce_token, ended_after=ended_after))

    async def record_failed(
        self, failed: FailedMail, event: Callable[[Consequence], AuditEvent]
    ) -> Consequence:
        """Record that a mail came back, once, and what follows."""

        def record(connection: Connection) -> Consequence:
            lost = _lost(failed)
            lock_before_end(connection, lost.enrolment_id)
            if not undelivered.record_bounce(connection, lost):
                return Consequence.KNOWN
            connection.execute(
                _CAME_BACK,
                {"mail_id": lost.mail_id, "moment": failed.at, "remark": _storable(failed.failure)},
            )
            withdrawn = undelivered.draw_consequences(connection, lost, self._node)
            consequence = Consequence.WITHDRAWN if withdrawn else Consequence.RECORDED
            audit_log.append(connection, self._node, event(consequence))
            return consequence

        return await self._database.write(record)

    async def record_remark(self, mail: SentMail, remark: str) -> None:
        """Keep what was said of a mail where its organization sees it."""

        def keep(connection: Connection) -> None:
            connection.execute(_REMARK, {"mail_id": mail.mail_id, "remark": _storable(remark)})

        await self._database.write(keep)

    async def append(self, event: AuditEvent, limit: Limit) -> None:
        """Append the event, unless the limit is used up."""

        def append(connection: Connection) -> None:
            limits.charge(connection, [limit], event.at)
            audit_log.append(connection, self._node, event)

        try:
            await self._database.write(append)
        except LimitReached:
            return


def _sent_mail(connection: Connection, *, token: str, ended_after: datetime) -> SentMail | None:
    row = connection.execute(_SENT_MAIL, {"token": token, "ended_after": ended_after}).one_or_none()
    if row is None:
        return None
    return SentMail(
        mail_id=row.id,
        enrolment_id=row.enrolment_id,
        organization_id=row.organization_id,
        kind=MailKind(row.kind),
        recipient=rows.mailbox(row.recipient),
        message_id=row.message_id,
    )


def _lost(failed: FailedMail) -> LostMail:
    mail = failed.mail
    return LostMail(
        mail_id=mail.mail_id,
        enrolment_id=mail.enrolment_id,
        organization_id=mail.organization_id,
        kind=mail.kind,
        recipient=mail.recipient,
        status=failed.status,
        at=failed.at,
    )


def _storable(remark: str) -> str:
    # Foreign words: PostgreSQL refuses NUL in a text.
    return remark.replace("\x00", "\N{REPLACEMENT CHARACTER}")
