"""An outbox in memory, held to the same contract as the store (tests/contracts/test_outbox.py)."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from ca.sealing import SealedSecret
from directory.audit import AuditEvent
from directory.delivery.outbox import Acceptance, DueMail, GivenUp, MailState
from directory.errors import StoreUnavailable
from directory.links import NewLink
from directory.mint_ports import MailClaim


@dataclass(slots=True, kw_only=True)
class Row:
    """One outgoing mail."""

    mail: DueMail
    due_at: datetime
    state: MailState = MailState.QUEUED
    claimed_by: str | None = None
    claimed_until: datetime | None = None
    attempts: int = 0
    failure: str | None = None
    given_up_because: GivenUp | None = None
    ended_at: datetime | None = None
    hold_until: datetime | None = None
    retries: list[datetime] = field(default_factory=list)


class MemoryOutbox:
    """Keeps rows in a dictionary; `unavailable` counts down the calls that fail."""

    def __init__(self) -> None:
        self.rows: dict[str, Row] = {}
        self.events: list[AuditEvent] = []
        self.unavailable = 0
        self.links: list[NewLink] = []

    def put(self, mail: DueMail, *, due_at: datetime | None = None) -> Row:
        row = Row(mail=mail, due_at=due_at or mail.created_at, attempts=mail.attempts)
        self.rows[mail.mail_id] = row
        return row

    def put_claimed(self, mail: DueMail, claim: MailClaim) -> Row:
        """Put a mail that is in somebody's hands from the beginning."""
        row = self.put(mail)
        row.claimed_by, row.claimed_until, row.attempts = claim.worker, claim.until, 1
        return row

    async def claim_due(
        self, *, worker: str, now: datetime, lease_until: datetime, most: int
    ) -> list[DueMail]:
        self._answer()
        due = [
            row
            for row in self._queued()
            if row.due_at <= now and (row.claimed_until is None or row.claimed_until <= now)
        ]
        claimed = sorted(due, key=lambda row: row.due_at)[:most]
        for row in claimed:
            row.claimed_by, row.claimed_until = worker, lease_until
            row.attempts += 1
        return [replace(row.mail, attempts=row.attempts - 1) for row in claimed]

    async def next_due(self) -> datetime | None:
        self._answer()
        moments = (max(row.due_at, row.claimed_until or row.due_at) for row in self._queued())
        return min(moments, default=None)

    async def release_claims(self, *, worker: str) -> None:
        self._answer()
        for row in self._queued():
            if row.claimed_by == worker:
                row.claimed_by = row.claimed_until = None

    async def record_composed(
        self, mail: DueMail, *, message: SealedSecret, links: Sequence[NewLink], at: datetime
    ) -> bool:
        self._answer()
        del at
        row = self.rows[mail.mail_id]
        if row.state is not MailState.QUEUED or row.attempts != mail.attempts + 1:
            return False
        row.mail = replace(row.mail, sealed_message=message)
        self.links.extend(links)
        return True

    async def record_accepted(self, mail: DueMail, acceptance: Acceptance, event: AuditEvent) -> None:
        self._answer()
        row = self._ending(mail, MailState.ACCEPTED, acceptance.at, event)
        if row is not None:
            row.hold_until = acceptance.hold_until

    async def record_retry(self, mail: DueMail, *, due_at: datetime, failure: str) -> None:
        self._answer()
        row = self.rows[mail.mail_id]
        if row.state is MailState.QUEUED and row.attempts == mail.attempts + 1:
            row.due_at, row.failure = due_at, failure
            row.claimed_by = row.claimed_until = None
            row.retries.append(due_at)

    async def record_postponed(self, mail: DueMail, *, due_at: datetime, reason: str) -> None:
        self._answer()
        row = self.rows[mail.mail_id]
        if row.state is MailState.QUEUED and row.attempts == mail.attempts + 1:
            row.attempts -= 1
            row.due_at, row.failure = due_at, reason
            row.claimed_by = row.claimed_until = None

    async def record_given_up(
        self,
        mail: DueMail,
        *,
        at: datetime,
        failure: str,
        event: AuditEvent,
        because: GivenUp = GivenUp.OUT_OF_TIME,
    ) -> None:
        self._answer()
        if self.rows[mail.mail_id].attempts != mail.attempts + 1:
            return
        row = self._ending(mail, MailState.GIVEN_UP, at, event)
        if row is not None:
            row.failure, row.given_up_because = failure, because

    def _queued(self) -> list[Row]:
        return [row for row in self.rows.values() if row.state is MailState.QUEUED]

    def _ending(self, mail: DueMail, state: MailState, at: datetime, event: AuditEvent) -> Row | None:
        row = self.rows[mail.mail_id]
        if row.state is not MailState.QUEUED:
            return None
        row.state, row.ended_at = state, at
        row.mail = replace(row.mail, sealed_message=None)
        row.claimed_by = row.claimed_until = None
        self.events.append(event)
        return row

    def _answer(self) -> None:
        if self.unavailable > 0:
            self.unavailable -= 1
            raise StoreUnavailable(reason="the disk is full")
