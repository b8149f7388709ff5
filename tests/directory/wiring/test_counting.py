"""What is counted on the way, and that nothing else changes there."""

from collections import Counter
from datetime import timedelta

import pytest

from ca.address import Mailbox
from ca.keys import PrivateKey
from directory.audit import AuditEvent, AuditKind
from directory.errors import StoreUnavailable
from directory.lookup import Absent, Answer, Deferred, Found, Minted, Question
from directory.policy import MintContext, Refusal
from directory.wiring.counting import CountedOutbox, Tally, TimedMinter, counted_answers
from tests.builders import Authority
from tests.directory.builders import a_gateway, a_mint_context
from tests.directory.delivery.builders import NOW, a_due_mail, an_acceptance
from tests.directory.delivery.memory import MemoryOutbox
from tests.directory.http.house import a_published_certificate

ANNA = Mailbox.parse("anna@example.com")
LATER = timedelta(seconds=5)


class Asked:
    """Answers every question the same way: `Lookup.answer` and `Minter`."""

    def __init__(self, answer: Answer | Exception) -> None:
        self._answer = answer

    async def answer(self, _question: Question) -> Answer:
        if isinstance(self._answer, Exception):
            raise self._answer
        return self._answer

    async def mint(self, _mailbox: Mailbox, _context: MintContext) -> Answer:
        return await self.answer(Question(mailbox=ANNA, asker=a_gateway()))


@pytest.fixture(scope="module")
def found(authority: Authority, recipient_key: PrivateKey) -> Found:
    return Found(certificate=a_published_certificate(authority, recipient_key.public_key()))


async def tallied(answer: Answer | Exception) -> Tally:
    tally: Tally = Counter()
    ask = counted_answers(Asked(answer).answer, "ldap", tally)
    if isinstance(answer, Exception):
        with pytest.raises(type(answer)):
            await ask(Question(mailbox=ANNA, asker=a_gateway()))
    else:
        assert await ask(Question(mailbox=ANNA, asker=a_gateway())) is answer
    return tally


async def test_what_was_found_or_minted_is_counted(found: Found) -> None:
    minted = Minted(certificate=found.certificate, enrolment_id="e")

    assert await tallied(found) == {("ldap", "found", ""): 1}
    assert await tallied(minted) == {("ldap", "minted", ""): 1}


@pytest.mark.parametrize("refusal", Refusal)
async def test_a_refusal_is_counted_by_its_code(refusal: Refusal) -> None:
    assert await tallied(Absent(refusal=refusal)) == {("ldap", "absent", refusal.value): 1}
    deferred = Deferred(refusal=refusal, retry_after=LATER)
    assert await tallied(deferred) == {("ldap", "deferred", refusal.value): 1}


async def test_a_failure_is_counted_and_stays_one() -> None:
    assert await tallied(StoreUnavailable(reason="gone")) == {("ldap", "failed", "StoreUnavailable"): 1}


async def test_only_what_was_minted_is_timed(found: Found) -> None:
    seconds: list[float] = []
    minted = Minted(certificate=found.certificate, enrolment_id="e")
    for answer in (found, Absent(refusal=Refusal.REVOKED), minted):
        minter = TimedMinter(Asked(answer), seconds.append)
        assert await minter.mint(ANNA, a_mint_context()) is answer

    assert len(seconds) == 1
    assert seconds[0] >= 0


async def test_attempts_at_a_mail_are_counted_once_they_are_on_record() -> None:
    outbox, tally = MemoryOutbox(), Counter[tuple[str, ...]]()
    counted = CountedOutbox(outbox, tally)
    for number in range(3):
        outbox.put(a_due_mail(mail_id=f"mail-{number}"))
    first, second, third = await counted.claim_due(worker="w", now=NOW, lease_until=NOW + LATER, most=3)
    event = AuditEvent(kind=AuditKind.KEY_MAIL_ACCEPTED, at=NOW, actor="service", subject="e")

    await counted.record_accepted(first, an_acceptance(NOW), event)
    await counted.record_retry(second, due_at=NOW, failure="busy")
    await counted.record_given_up(third, at=NOW, failure="gone", event=event)
    outbox.unavailable = 1
    with pytest.raises(StoreUnavailable):
        await counted.record_retry(second, due_at=NOW, failure="busy")

    assert tally == {("accepted",): 1, ("retried",): 1, ("given_up",): 1}
