"""What follows from a mail that came to a return path? Found, judged, recorded; the rest changes nothing.

A report counts where it came to the return path of a mail of the last days, and is about that mail's
recipient (see `judging`). Nobody is ever answered: what comes here may come from anybody, and an answer would
go to whoever he names.
"""

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Protocol

from directory.audit import AuditEvent, AuditKind
from directory.bounces.judging import Complained, Delayed, Failed, Ignored, SentMail, judge
from directory.bounces.reports import RecipientStatus, Report
from directory.clock import Clock
from directory.delivery.outbox import MailKind
from directory.delivery.returnpath import read_bare_token, read_token
from directory.delivery.text import one_line
from directory.limits import Limit, Rate

logger = logging.getLogger(__name__)

LIVE_FOR = timedelta(days=10)
"""How long after its end a mail's return path is live. Mail servers try for five days as a rule, and whoever
reports later has nothing to report (RFC 5321 section 4.5.4.1)."""

_LONGEST_FAILURE = 300
_ON_RECORD = Rate(burst=1, period=timedelta(days=1))
"""Per mail and kind: an event of the audit log is kept for ever, and strangers do not decide how many there
are."""


class Consequence(StrEnum):
    """What a genuine failure did."""

    WITHDRAWN = "withdrawn"  # the certificate has left the directory, the enrolment has ended
    RECORDED = "recorded"  # the key got through in another mail, or is proven, or this was no key mail
    KNOWN = "known"  # it was recorded before


class Outcome(StrEnum):
    """What became of a mail that came in."""

    WITHDRAWN = "withdrawn"
    RECORDED = "recorded"
    IGNORED = "ignored"
    UNKNOWN = "unknown"  # no live return path


@dataclass(frozen=True, slots=True, kw_only=True)
class FailedMail:
    """A mail of ours that came back for good."""

    mail: SentMail
    failure: str
    """For people to read: foreign words on one line."""
    status: str
    """The enhanced status code (RFC 3463), or nothing."""
    at: datetime


class BounceStore(Protocol):
    """Where mails are, and what happened to them. Each call but the first is one durable transaction."""

    async def sent_mail(self, bounce_token: str, *, ended_after: datetime) -> SentMail | None:
        """Return the mail with this return path that is queued or ended after the moment given."""
        ...

    async def record_failed(
        self, failed: FailedMail, event: Callable[[Consequence], AuditEvent]
    ) -> Consequence:
        """Record that a mail came back, and what follows: see `Consequence`."""
        ...

    async def record_remark(self, mail: SentMail, remark: str) -> None:
        """Keep what was said of a mail where its organization sees it."""
        ...

    async def append(self, event: AuditEvent, limit: Limit) -> None:
        """Append the event, unless the limit is used up."""
        ...


class Bounces:
    """Takes in what comes back."""

    def __init__(
        self, *, store: BounceStore, clock: Clock, on_queued: Callable[[], None] = lambda: None
    ) -> None:
        self._store = store
        self._clock = clock
        self._on_queued = on_queued

    async def expects(self, recipient: str) -> bool:
        """Say whether this is a live return path.

        Raises:
            StoreUnavailable: nobody can tell now.
        """
        return await self._sent_mail([recipient], envelope_id=None) is not None

    async def take(self, recipients: Sequence[str], report: Report) -> Outcome:
        """Take a report in that came to one of these addresses; of several the first that is live counts.

        Raises:
            StoreUnavailable: nothing was recorded; it must be delivered again.
        """
        mail = await self._sent_mail(recipients, envelope_id=report.envelope_id)
        if mail is None:
            logger.info("a mail came to no live return path: %s", report.kind)
            return Outcome.UNKNOWN
        outcome = await self._record(mail, report)
        logger.info("mail %s: a %s came back: %s", mail.mail_id, report.kind, outcome)
        return outcome

    async def _sent_mail(self, recipients: Sequence[str], *, envelope_id: str | None) -> SentMail | None:
        ended_after = self._clock.now() - LIVE_FOR
        for token in _tokens(recipients, envelope_id):
            if mail := await self._store.sent_mail(token, ended_after=ended_after):
                return mail
        return None

    async def _record(self, mail: SentMail, report: Report) -> Outcome:
        judgement = judge(report, mail)
        match judgement:
            case Failed(status=status):
                return await self._record_failed(mail, status)
            case Delayed(status=status):
                await self._store.record_remark(mail, _words("delayed", status))
                return Outcome.RECORDED
            case Complained():
                await self._store.record_remark(mail, "the recipient's side calls the mail spam")
                await self._append(AuditKind.MAIL_COMPLAINED, mail, {"mail": mail.kind.value})
                return Outcome.RECORDED
            case Ignored(value=reason):
                detail = {"mail": mail.kind.value, "reason": reason}
                await self._append(AuditKind.BOUNCE_IGNORED, mail, detail)
                return Outcome.IGNORED

    async def _record_failed(self, mail: SentMail, status: RecipientStatus) -> Outcome:
        kind = AuditKind.KEY_MAIL_BOUNCED if mail.kind is MailKind.KEY else AuditKind.MAIL_BOUNCED

        def event(consequence: Consequence) -> AuditEvent:
            detail = {"mail": mail.kind.value, "status": status.status, "consequence": consequence.value}
            return self._event(kind, mail, detail)

        failed = FailedMail(
            mail=mail, failure=_words("came back", status), status=status.status, at=self._clock.now()
        )
        consequence = await self._store.record_failed(failed, event)
        if consequence is Consequence.WITHDRAWN:
            self._on_queued()
            return Outcome.WITHDRAWN
        return Outcome.RECORDED if consequence is Consequence.RECORDED else Outcome.IGNORED

    async def _append(self, kind: AuditKind, mail: SentMail, detail: dict[str, str]) -> None:
        limit = Limit(name=kind.value, bucket=f"{kind.value}:{mail.mail_id}", rate=_ON_RECORD)
        await self._store.append(self._event(kind, mail, detail), limit)

    def _event(self, kind: AuditKind, mail: SentMail, detail: dict[str, str]) -> AuditEvent:
        return AuditEvent(
            kind=kind,
            at=self._clock.now(),
            actor="service",
            subject=mail.enrolment_id,
            organization_id=mail.organization_id,
            detail=detail,
        )


def _tokens(recipients: Sequence[str], envelope_id: str | None) -> Iterator[str]:
    found = [read_token(recipient) for recipient in recipients]
    if envelope_id is not None:
        found.append(read_bare_token(envelope_id))
    yield from dict.fromkeys(token for token in found if token is not None)


def _words(what: str, status: RecipientStatus) -> str:
    said = " ".join(part for part in (status.status, status.diagnostic) if part)
    return one_line(f"{what}: {said}" if said else what, longest=_LONGEST_FAILURE)
