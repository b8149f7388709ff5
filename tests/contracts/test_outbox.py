"""The contract of `Outbox`: a mail is claimed by one worker at a time, and ends once."""

import asyncio
from datetime import datetime, timedelta

import pytest

from directory.audit import AuditEvent, AuditKind
from directory.delivery.outbox import DueMail, MailState
from tests.contracts.outboxes import MemoryWorld, OutboxWorld, SqlWorld
from tests.contracts.world import NOW, Store
from tests.directory.delivery.builders import an_acceptance

MINUTE = timedelta(minutes=1)
HALF_AN_HOUR = 30 * MINUTE
LEASE = NOW + 15 * MINUTE
HOLD = NOW + timedelta(days=7)


def an_event(mail: DueMail, kind: AuditKind = AuditKind.KEY_MAIL_ACCEPTED) -> AuditEvent:
    return AuditEvent(
        kind=kind,
        at=NOW,
        actor="service",
        subject=mail.enrolment_id,
        organization_id=mail.organization.organization_id,
        detail={"attempt": "1"},
    )


async def claim(
    world: OutboxWorld,
    *,
    worker: str = "worker-1",
    now: datetime = NOW,
    lease_until: datetime = LEASE,
    most: int = 10,
) -> list[DueMail]:
    return await world.outbox.claim_due(worker=worker, now=now, lease_until=lease_until, most=most)


async def claim_one(world: OutboxWorld, *, worker: str = "worker-1", now: datetime = NOW) -> DueMail:
    (mail,) = await claim(world, worker=worker, now=now, lease_until=now + 15 * MINUTE)
    return mail


async def accept(world: OutboxWorld, mail: DueMail) -> None:
    await world.outbox.record_accepted(mail, an_acceptance(NOW, hold_until=HOLD), an_event(mail))


async def give_up(world: OutboxWorld, mail: DueMail) -> None:
    event = an_event(mail, AuditKind.KEY_MAIL_GIVEN_UP)
    await world.outbox.record_given_up(mail, at=NOW, failure="RCPT: 550 5.1.1 no such user", event=event)


class OutboxContract:
    """What every outbox promises; a subclass brings one along as the fixture `world`."""

    async def test_a_claim_by_a_clock_that_was_ahead_ends_when_its_worker_starts_anew(
        self, world: OutboxWorld
    ) -> None:
        await world.put("mail-1", due_at=NOW)
        tomorrow = NOW + timedelta(days=1)
        claimed = await claim_one(world, now=tomorrow)
        assert await claim(world, now=NOW + HALF_AN_HOUR) == []

        await world.outbox.release_claims(worker="worker-1")

        assert (await claim_one(world, now=NOW + HALF_AN_HOUR)).mail_id == claimed.mail_id

    async def test_an_empty_outbox_has_nothing_due(self, world: OutboxWorld) -> None:
        assert await claim(world) == []
        assert await world.outbox.next_due() is None

    async def test_a_claimed_mail_has_what_is_needed_to_compose_it(self, world: OutboxWorld) -> None:
        await world.put("anna", due_at=NOW)

        mail = await claim_one(world)

        assert mail.enrolment_id == "anna"
        assert mail.message_id == "<anna.key@hospital.org>"
        assert mail.attempts == 0
        assert (mail.created_at, mail.give_up_at) == (NOW, NOW + timedelta(days=5))
        assert mail.organization.organization_id == "org-1"
        assert mail.certificate
        assert len(mail.chain) == 2

    async def test_the_longest_due_come_first_and_no_more_than_asked_for(self, world: OutboxWorld) -> None:
        for name, minutes in (("third", 1), ("first", 3), ("second", 2)):
            await world.put(name, due_at=NOW - minutes * MINUTE)

        assert [mail.enrolment_id for mail in await claim(world, most=2)] == ["first", "second"]
        assert [mail.enrolment_id for mail in await claim(world, most=2)] == ["third"]

    async def test_what_is_not_due_yet_is_not_claimed(self, world: OutboxWorld) -> None:
        await world.put("anna", due_at=NOW + MINUTE)

        assert await claim(world, now=NOW + MINUTE - timedelta(microseconds=1)) == []
        assert len(await claim(world, now=NOW + MINUTE)) == 1

    async def test_a_claimed_mail_is_nobody_elses_until_the_lease_ends(self, world: OutboxWorld) -> None:
        await world.put("anna", due_at=NOW)
        await claim_one(world)

        assert await claim(world, worker="worker-2", now=LEASE - timedelta(microseconds=1)) == []
        assert await claim(world, worker="worker-1", now=LEASE - timedelta(microseconds=1)) == []
        again = await claim_one(world, worker="worker-2", now=LEASE)
        assert again.attempts == 1

    async def test_of_many_claimers_at_once_each_mail_goes_to_one(self, world: OutboxWorld) -> None:
        for number in range(20):
            await world.put(f"mail-{number}", due_at=NOW)

        rounds = await asyncio.gather(*(claim(world, worker=f"worker-{n}", most=7) for n in range(8)))
        rounds.append(await claim(world, most=20))

        claimed = [mail.enrolment_id for mails in rounds for mail in mails]
        assert sorted(claimed) == sorted(f"mail-{number}" for number in range(20))

    async def test_the_next_due_is_the_earliest_of_all(self, world: OutboxWorld) -> None:
        await world.put("later", due_at=NOW + 2 * MINUTE)
        await world.put("sooner", due_at=NOW + MINUTE)

        assert await world.outbox.next_due() == NOW + MINUTE

    async def test_a_claimed_mail_is_next_due_when_its_lease_ends(self, world: OutboxWorld) -> None:
        await world.put("anna", due_at=NOW)
        await claim_one(world)

        assert await world.outbox.next_due() == LEASE

    async def test_a_released_claim_is_due_as_before(self, world: OutboxWorld) -> None:
        await world.put("ours", due_at=NOW - MINUTE)
        await claim_one(world, worker="worker-1")
        await world.put("theirs", due_at=NOW)
        await claim_one(world, worker="worker-2")

        await world.outbox.release_claims(worker="worker-1")

        assert await world.outbox.next_due() == NOW - MINUTE
        assert [mail.enrolment_id for mail in await claim(world)] == ["ours"]

    async def test_acceptance_ends_a_mail_and_begins_the_hold(self, world: OutboxWorld) -> None:
        await world.put("anna", due_at=NOW)
        mail = await claim_one(world)

        await accept(world, mail)

        stored = await world.stored("anna")
        assert (stored.state, stored.hold_until) == (MailState.ACCEPTED, HOLD)
        assert await world.outbox.next_due() is None
        assert await claim(world, now=LEASE) == []
        assert await world.events() == [an_event(mail)]

    async def test_a_retry_is_due_when_it_says_and_keeps_the_reason(self, world: OutboxWorld) -> None:
        await world.put("anna", due_at=NOW)
        mail = await claim_one(world)

        await world.outbox.record_retry(mail, due_at=NOW + MINUTE, failure="CONNECT: connection refused")

        stored = await world.stored("anna")
        assert (stored.state, stored.failure) == (MailState.QUEUED, "CONNECT: connection refused")
        assert await world.outbox.next_due() == NOW + MINUTE
        assert await claim(world) == []
        again = await claim_one(world, now=NOW + MINUTE)
        assert (again.message_id, again.attempts) == (mail.message_id, 1)
        assert await world.events() == []

    async def test_a_mail_that_was_not_tried_stands_back_without_an_attempt(self, world: OutboxWorld) -> None:
        await world.put("anna", due_at=NOW)
        mail = await claim_one(world)

        await world.outbox.record_postponed(mail, due_at=NOW + MINUTE, reason="WAIT: all in use")

        assert await claim(world) == []
        assert (await world.stored("anna")).failure == "WAIT: all in use"
        assert (await claim_one(world, now=NOW + MINUTE)).attempts == mail.attempts

    async def test_whoever_lost_his_claim_postpones_nothing(self, world: OutboxWorld) -> None:
        await world.put("anna", due_at=NOW)
        hung = await claim_one(world, worker="hung")
        await claim_one(world, worker="other", now=LEASE)

        await world.outbox.record_postponed(hung, due_at=NOW, reason="too late")

        assert await claim(world, now=LEASE) == []

    async def test_giving_up_ends_a_mail_and_keeps_the_reason(self, world: OutboxWorld) -> None:
        await world.put("anna", due_at=NOW)
        mail = await claim_one(world)

        await give_up(world, mail)

        stored = await world.stored("anna")
        assert (stored.state, stored.failure) == (MailState.GIVEN_UP, "RCPT: 550 5.1.1 no such user")
        assert stored.hold_until is None
        assert await world.outbox.next_due() is None
        assert await world.events() == [an_event(mail, AuditKind.KEY_MAIL_GIVEN_UP)]

    async def test_a_mail_ends_once(self, world: OutboxWorld) -> None:
        await world.put("anna", due_at=NOW)
        mail = await claim_one(world)
        await accept(world, mail)

        await accept(world, mail)
        await give_up(world, mail)
        await world.outbox.record_retry(mail, due_at=NOW, failure="too late")

        assert (await world.stored("anna")).state is MailState.ACCEPTED
        assert await claim(world, now=LEASE) == []
        assert await world.events() == [an_event(mail)]

    async def test_acceptance_counts_even_after_the_lease_ended(self, world: OutboxWorld) -> None:
        await world.put("anna", due_at=NOW)
        hung = await claim_one(world)
        await claim_one(world, worker="worker-2", now=LEASE)

        await accept(world, hung)

        assert (await world.stored("anna")).state is MailState.ACCEPTED

    async def test_a_failure_does_not_count_after_another_claimed_the_mail(self, world: OutboxWorld) -> None:
        await world.put("anna", due_at=NOW)
        hung = await claim_one(world)
        await claim_one(world, worker="worker-2", now=LEASE)

        await world.outbox.record_retry(hung, due_at=NOW, failure="ATTEMPT: not finished")
        await give_up(world, hung)

        assert (await world.stored("anna")).state is MailState.QUEUED
        assert await world.outbox.next_due() == LEASE + 15 * MINUTE
        assert await world.events() == []

    async def test_a_failure_in_foreign_words_is_kept(self, world: OutboxWorld) -> None:
        await world.put("anna", due_at=NOW)
        mail = await claim_one(world)
        failure = "RCPT: 450 Пользователь недоступен \U0001f4ea " + "x" * 400

        await world.outbox.record_retry(mail, due_at=NOW, failure=failure)

        assert (await world.stored("anna")).failure == failure


class TestMemoryOutbox(OutboxContract):
    """The one that the worker's own tests rely on."""

    @pytest.fixture
    def world(self) -> OutboxWorld:
        return MemoryWorld()


class TestSqlOutbox(OutboxContract):
    """The store's, on every database."""

    @pytest.fixture
    def world(self, store: Store) -> OutboxWorld:
        return SqlWorld(store)
