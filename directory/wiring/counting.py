"""How are the use cases counted, which know nothing of it? By what stands between them and their users."""

import time
from collections import Counter
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import TypeAlias

from ca.address import Mailbox
from directory.audit import AuditEvent
from directory.delivery.outbox import Acceptance, DueMail, GivenUp, Outbox
from directory.errors import DirectoryError
from directory.lookup import Absent, Answer, Deferred, Found, Minted, Minter, Question
from directory.policy import MintContext

Tally: TypeAlias = Counter[tuple[str, ...]]
"""How often something has happened, by the values of its labels."""

AnswerQuestion: TypeAlias = Callable[[Question], Awaitable[Answer]]


def counted_answers(answer: AnswerQuestion, front_end: str, tally: Tally) -> AnswerQuestion:
    """Return the same, counted by front end, outcome and reason."""

    async def answering(question: Question) -> Answer:
        try:
            given = await answer(question)
        except DirectoryError as error:
            tally[front_end, "failed", type(error).__name__] += 1
            raise
        tally[front_end, *_outcome(given)] += 1
        return given

    return answering


def _outcome(answer: Answer) -> tuple[str, str]:
    match answer:
        case Found():
            return "found", ""
        case Minted():
            return "minted", ""
        case Absent(refusal=refusal):
            return "absent", refusal.value
        case Deferred(refusal=refusal):
            return "deferred", refusal.value


class TimedMinter:
    """Mints, and tells how long what was minted has taken, in seconds."""

    def __init__(self, minter: Minter, observe: Callable[[float], None]) -> None:
        self._minter = minter
        self._observe = observe

    async def mint(self, mailbox: Mailbox, context: MintContext) -> Answer:
        """Mint, and take the time of what was minted."""
        began = time.perf_counter()
        answer = await self._minter.mint(mailbox, context)
        if isinstance(answer, Minted):
            self._observe(time.perf_counter() - began)
        return answer


class CountedOutbox:
    """The outbox, and a count of what is recorded in it, by outcome."""

    def __init__(self, outbox: Outbox, tally: Tally) -> None:
        self._outbox = outbox
        self._tally = tally
        self.claim_due = outbox.claim_due
        self.record_composed = outbox.record_composed
        self.record_postponed = outbox.record_postponed
        self.next_due = outbox.next_due
        self.release_claims = outbox.release_claims

    async def record_accepted(self, mail: DueMail, acceptance: Acceptance, event: AuditEvent) -> None:
        """Record and count."""
        await self._outbox.record_accepted(mail, acceptance, event)
        self._tally["accepted",] += 1

    async def record_retry(self, mail: DueMail, *, due_at: datetime, failure: str) -> None:
        """Record and count."""
        await self._outbox.record_retry(mail, due_at=due_at, failure=failure)
        self._tally["retried",] += 1

    async def record_given_up(
        self,
        mail: DueMail,
        *,
        at: datetime,
        failure: str,
        event: AuditEvent,
        because: GivenUp = GivenUp.OUT_OF_TIME,
    ) -> None:
        """Record and count."""
        await self._outbox.record_given_up(mail, at=at, failure=failure, event=event, because=because)
        self._tally["given_up",] += 1
