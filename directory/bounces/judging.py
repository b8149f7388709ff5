"""Is a report genuine, and what became of the mail? What it claims, held against the mail that was sent.

That it came to the mail's own return path shows that its author handled the mail, or somebody did who told
him. It must besides be about our recipient: by name, or by returning our mail with its Message-ID. One about
others says nothing, even where it came to the right address.
"""

from dataclasses import dataclass
from enum import StrEnum

from ca.address import Mailbox
from directory.bounces.reports import Fate, RecipientStatus, Report, ReportKind
from directory.delivery.outbox import MailKind


@dataclass(frozen=True, slots=True, kw_only=True)
class SentMail:
    """A mail whose return path is live: it is queued, or has ended not long ago."""

    mail_id: str
    enrolment_id: str
    organization_id: str
    kind: MailKind
    recipient: Mailbox
    message_id: str


class Ignored(StrEnum):
    """Why a report changes nothing."""

    NOT_ABOUT_OUR_RECIPIENT = "not_about_our_recipient"
    DELIVERED = "delivered"
    RECEIPT = "receipt"
    AUTOMATIC_REPLY = "automatic_reply"
    OTHER = "other"
    UNREADABLE = "unreadable"


@dataclass(frozen=True, slots=True, kw_only=True)
class Failed:
    """The mail did not get through, and nobody goes on trying."""

    status: RecipientStatus


@dataclass(frozen=True, slots=True, kw_only=True)
class Delayed:
    """Somebody goes on trying."""

    status: RecipientStatus


@dataclass(frozen=True, slots=True, kw_only=True)
class Complained:
    """The recipient, or who filters his mail, calls it spam."""


Judgement = Failed | Delayed | Complained | Ignored

_WITHOUT_STATUS = {
    ReportKind.RECEIPT: Ignored.RECEIPT,
    ReportKind.AUTOMATIC_REPLY: Ignored.AUTOMATIC_REPLY,
    ReportKind.OTHER: Ignored.OTHER,
    ReportKind.UNREADABLE: Ignored.UNREADABLE,
}


def judge(report: Report, mail: SentMail) -> Judgement:
    """Say what a report that came to this mail's return path means for it."""
    if report.kind in _WITHOUT_STATUS:
        return _WITHOUT_STATUS[report.kind]
    is_returned = mail.message_id in report.returned_message_ids
    if report.kind is ReportKind.COMPLAINT:
        return Complained() if is_returned else Ignored.NOT_ABOUT_OUR_RECIPIENT
    about_us = [status for status in report.statuses if mail.recipient.key in status.recipients]
    # Forwarded elsewhere, it failed there, under a name we do not know.
    relevant = about_us or (list(report.statuses) if is_returned else [])
    if not relevant:
        return Ignored.NOT_ABOUT_OUR_RECIPIENT
    return _judge_statuses(relevant)


def _judge_statuses(statuses: list[RecipientStatus]) -> Judgement:
    """One that was reached is enough: to him the mail is on its way."""
    by_fate = {status.fate: status for status in statuses}
    if Fate.DELIVERED in by_fate:
        return Ignored.DELIVERED
    if delayed := by_fate.get(Fate.DELAYED):
        return Delayed(status=delayed)
    return Failed(status=by_fate[Fate.FAILED])
