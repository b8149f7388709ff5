"""What follows when a mail was refused or came back? One way for both, in the transaction that records it.

For a key mail that was the key's only way: certificate withdrawn, relay failed, enrolment ended (see
`mail_outcomes`), its renewal leads if there is one, and a notice to the organization. For a password mail:
the password waits for an agent again. Whatever the mail was, it counts against the recipient's domain, which
is paused when it is too many.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import Connection, bindparam, func, not_, select

from ca.address import Mailbox
from directory.audit import AuditEvent, AuditKind
from directory.bounces.pausing import MOST_HARD_BOUNCES, PAUSE, WITHIN
from directory.channels.jobs import WebhookEvent
from directory.delivery.outbox import MailKind, NewMail
from directory.store import audit_log, mail_outcomes, rows, webhooks
from directory.store.mail_queue import queue
from directory.store.overtaking import lead_after_end
from directory.store.statements import Upsert
from directory.store.tables import bounces, organizations, outgoing_mail, paused_domains

NOTICE_LIFETIME: Final = timedelta(days=5)
_LONGEST_STATUS: Final = 16

_BOUNCE = Upsert(
    bounces,
    lambda insert: insert.on_conflict_do_nothing(index_elements=[bounces.c.mail_id]).returning(
        bounces.c.mail_id
    ),
)
_NOTICES = select(organizations.c.notices_to, organizations.c.mail_from).where(
    organizations.c.id == bindparam("organization_id")
)
# A failure for want of time says nothing of the domain's mailboxes.
# Mailboxes are counted, not mails: a person gets several, and must not get his domain paused by himself.
_RECENT = (
    select(func.count(outgoing_mail.c.recipient_base.distinct()))
    .join_from(bounces, outgoing_mail)
    .where(
        bounces.c.organization_id == bindparam("organization_id"),
        bounces.c.domain == bindparam("domain"),
        bounces.c.at > bindparam("since"),
        not_(bounces.c.status.startswith("4")),
    )
)
_PAUSE = Upsert(
    paused_domains,
    lambda insert: insert.on_conflict_do_update(
        index_elements=[paused_domains.c.organization_id, paused_domains.c.domain],
        set_={"paused_at": insert.excluded.paused_at, "until": insert.excluded.until},
        where=paused_domains.c.until <= insert.excluded.paused_at,
    ).returning(paused_domains.c.domain),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class LostMail:
    """A mail that will not arrive."""

    mail_id: str
    enrolment_id: str
    organization_id: str
    kind: MailKind
    recipient: Mailbox
    status: str
    """The enhanced status code, as far as it is known."""
    at: datetime


def record_bounce(connection: Connection, lost: LostMail) -> bool:
    """Put a mail among those that came back; return whether it was not there before."""
    row = {
        "mail_id": lost.mail_id,
        "organization_id": lost.organization_id,
        "domain": lost.recipient.domain,
        "at": lost.at,
        "status": lost.status[:_LONGEST_STATUS],
    }
    return connection.execute(_BOUNCE.on(connection), row).one_or_none() is not None


def draw_consequences(connection: Connection, lost: LostMail, node: str) -> bool:
    """Do what follows from a mail that is lost; return whether a certificate was withdrawn for it."""
    withdrawn = False
    events: list[AuditEvent] = []
    match lost.kind:
        case MailKind.KEY:
            withdrawn = mail_outcomes.key_mail_lost(connection, lost.enrolment_id, lost.at)
            if withdrawn:
                events += lead_after_end(connection, lost.enrolment_id, lost.at)
                _queue_notice(connection, lost, MailKind.NOTICE_BOUNCED)
                webhooks.queue(
                    connection,
                    organization_id=lost.organization_id,
                    enrolment_id=lost.enrolment_id,
                    event=WebhookEvent.KEY_MAIL_BOUNCED,
                    at=lost.at,
                    give_up_at=lost.at + NOTICE_LIFETIME,
                )
        case MailKind.PASSWORD:
            mail_outcomes.password_mail_lost(connection, lost.enrolment_id)
        case _:
            pass
    if lost.kind in mail_outcomes.TO_RECIPIENT:
        events += _pause_domain_if_too_many(connection, lost)
    # Last of all, for other mails of the domain want its pause before the audit head.
    audit_log.append_all(connection, node, events)
    return withdrawn


def _queue_notice(connection: Connection, lost: LostMail, kind: MailKind) -> None:
    organization = connection.execute(_NOTICES, {"organization_id": lost.organization_id}).one()
    if organization.notices_to is None:
        return
    notice = NewMail(
        enrolment_id=lost.enrolment_id,
        organization_id=lost.organization_id,
        kind=kind,
        recipient=rows.mailbox(organization.notices_to),
        sender_domain=rows.mailbox(organization.mail_from).domain,
        at=lost.at,
        due_at=lost.at,
        give_up_at=lost.at + NOTICE_LIFETIME,
    )
    queue(connection, notice)


def _pause_domain_if_too_many(connection: Connection, lost: LostMail) -> list[AuditEvent]:
    whose = {"organization_id": lost.organization_id, "domain": lost.recipient.domain}
    recent: int = connection.execute(_RECENT, whose | {"since": lost.at - WITHIN}).scalar_one()
    if recent < MOST_HARD_BOUNCES:
        return []
    pause = whose | {"paused_at": lost.at, "until": lost.at + PAUSE}
    if connection.execute(_PAUSE.on(connection), pause).one_or_none() is None:
        return []  # it is paused already
    _queue_notice(connection, lost, MailKind.NOTICE_PAUSED)
    return [
        AuditEvent(
            kind=AuditKind.DOMAIN_PAUSED,
            at=lost.at,
            actor="service",
            subject=lost.recipient.domain,
            organization_id=lost.organization_id,
            detail={"until": (lost.at + PAUSE).isoformat(timespec="seconds"), "bounces": str(recent)},
        )
    ]
