import asyncio
import email
import logging
from dataclasses import replace
from datetime import datetime, timedelta
from email import policy
from itertools import pairwise

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from directory.audit import AuditKind
from directory.delivery.composing import Composed
from directory.delivery.outbox import DueMail, GivenUp, MailKind, MailState
from directory.delivery.settings import SmtpTimeouts
from directory.errors import MailRefused
from directory.mint_ports import MailClaim
from directory.organization import SmartHost, SmtpSecurity
from directory.steps import Step
from tests.directory.clocks import StoppedClock
from tests.directory.delivery.builders import NOW, PASSWORD, a_due_mail, a_fresh_enrolment
from tests.directory.delivery.memory import MemoryOutbox
from tests.directory.delivery.sink import Fate, SmtpSink, Stage, smtp_sink
from tests.directory.delivery.working import SETTINGS, an_organization_at, at_work, mails_for

MINUTE = timedelta(minutes=1)
DAY = timedelta(days=1)


def put(outbox: MemoryOutbox, sink: SmtpSink, count: int = 1) -> list[DueMail]:
    mails = mails_for(an_organization_at(sink.smart_host()), count)
    for mail in mails:
        outbox.put(mail)
    return mails


def message_ids(sink: SmtpSink) -> list[str]:
    return [
        email.message_from_bytes(transaction.message, policy=policy.default)["Message-ID"]
        for transaction in sink.transactions
        if transaction.content
    ]


async def test_sends_what_is_due_and_begins_the_hold() -> None:
    outbox = MemoryOutbox()
    async with smtp_sink() as sink:
        [mail] = put(outbox, sink)
        async with at_work(outbox) as work:
            await work.steps.reached(Step.MAIL_RECORDED)
    row = outbox.rows[mail.mail_id]
    assert row.state is MailState.ACCEPTED
    assert row.hold_until == NOW + 7 * DAY
    assert [transaction.recipients for transaction in sink.accepted] == [[b"RCPT TO:<mail0@example.org>"]]


async def test_tells_the_audit_log_that_a_mail_was_accepted() -> None:
    outbox = MemoryOutbox()
    async with smtp_sink() as sink:
        [mail] = put(outbox, sink)
        async with at_work(outbox) as work:
            await work.steps.reached(Step.MAIL_RECORDED)
    [event] = outbox.events
    assert (event.kind, event.at, event.actor) == (AuditKind.KEY_MAIL_ACCEPTED, NOW, "service")
    assert (event.subject, event.organization_id) == (mail.enrolment_id, "org-1")
    assert event.detail == {
        "mail": "key",
        "attempt": "1",
        "smart_host": "127.0.0.1",
        "response": "250 2.0.0 queued as 4F2A",
    }


async def test_the_steps_come_in_order() -> None:
    outbox = MemoryOutbox()
    taken: list[Step] = []
    async with smtp_sink() as sink:
        put(outbox, sink)
        async with at_work(outbox, on_step=taken.append) as work:
            await work.steps.reached(Step.MAIL_RECORDED)
    assert taken == [
        Step.MAIL_CLAIMED,
        Step.MAIL_COMPOSED,
        Step.MAIL_BEFORE_SEND,
        Step.MAIL_AFTER_DATA,
        Step.MAIL_RECORDED,
    ]


async def test_sends_a_mail_born_claimed_without_asking_the_outbox_for_it() -> None:
    outbox = MemoryOutbox()
    async with smtp_sink() as sink, at_work(outbox) as work:
        await work.waits.begun()
        [mail] = mails_for(an_organization_at(sink.smart_host()), 1)
        with work.worker.room(NOW) as claim:
            assert claim == MailClaim(worker="node-1", until=NOW + SETTINGS.lease)
            row = outbox.put_claimed(mail, claim)
            work.worker.enrolled(a_fresh_enrolment(mail, claim))
        await work.steps.reached(Step.MAIL_RECORDED)
        assert len(work.waits.asked) == 1
    assert (row.state, row.attempts) == (MailState.ACCEPTED, 1)
    assert len(sink.accepted) == 1


async def test_sends_what_was_minted_without_room_as_soon_as_it_is_told() -> None:
    outbox = MemoryOutbox()
    async with smtp_sink() as sink, at_work(outbox) as work:
        await work.waits.begun()
        [mail] = put(outbox, sink)
        work.worker.enrolled(a_fresh_enrolment(mail, None))
        await work.steps.reached(Step.MAIL_RECORDED)
    assert len(sink.accepted) == 1


async def test_has_room_for_as_many_as_may_be_in_flight_and_has_it_again_afterwards() -> None:
    async with at_work(MemoryOutbox(), settings=replace(SETTINGS, in_flight=2)) as work:
        await work.waits.begun()
        with work.worker.room(NOW) as first, work.worker.room(NOW) as second, work.worker.room(NOW) as third:
            assert first is not None
            assert second is not None
            assert third is None
        with work.worker.room(NOW) as again:
            assert again is not None


async def test_has_no_room_before_it_has_given_up_the_claims_of_its_former_life() -> None:
    outbox = MemoryOutbox()
    outbox.unavailable = 1
    async with at_work(outbox) as work:
        await work.waits.begun()
        with work.worker.room(NOW) as claim:
            assert claim is None


async def test_has_no_room_once_it_was_stopped() -> None:
    async with at_work(MemoryOutbox()) as work:
        await work.waits.begun()
        await work.stop()
        with work.worker.room(NOW) as claim:
            assert claim is None


async def test_sends_at_once_when_notified() -> None:
    outbox = MemoryOutbox()
    async with smtp_sink() as sink, at_work(outbox) as work:
        await work.waits.begun()
        put(outbox, sink)
        work.worker.notify()
        await work.steps.reached(Step.MAIL_RECORDED)
    assert len(sink.accepted) == 1


async def test_looks_for_mail_even_if_nobody_notifies_it() -> None:
    outbox = MemoryOutbox()
    async with smtp_sink() as sink, at_work(outbox) as work:
        await work.waits.begun()
        assert work.waits.asked == [SETTINGS.poll]
        put(outbox, sink)
        work.waits.end()
        await work.steps.reached(Step.MAIL_RECORDED)
    assert len(sink.accepted) == 1


async def test_waits_no_longer_than_until_the_next_mail_is_due() -> None:
    outbox = MemoryOutbox()
    outbox.put(a_due_mail(), due_at=NOW + timedelta(seconds=7))
    async with at_work(outbox) as work:
        await work.waits.begun()
        assert work.waits.asked == [timedelta(seconds=7)]


async def test_sends_many_over_few_connections() -> None:
    outbox = MemoryOutbox()
    async with smtp_sink() as sink:
        put(outbox, sink, count=40)
        settings = replace(SETTINGS, in_flight=16, connections_per_host=3)
        async with at_work(outbox, settings=settings) as work:
            await work.steps.reached(Step.MAIL_RECORDED, times=40)
    assert len(sink.accepted) == 40
    assert len(set(message_ids(sink))) == 40
    assert sink.connections <= 3


async def test_tries_again_later_under_the_same_message_id() -> None:
    outbox = MemoryOutbox()
    async with smtp_sink(SmtpSink(script={Stage.RCPT: [b"450 4.2.0 greylisted"] * 2})) as sink:
        [mail] = put(outbox, sink)
        async with at_work(outbox) as work:
            await work.steps.reached(Step.MAIL_RECORDED)
            row = outbox.rows[mail.mail_id]
            assert (row.state, row.failure) == (MailState.QUEUED, "RCPT: 450 4.2.0 greylisted")
            await work.later(MINUTE)
            await work.steps.reached(Step.MAIL_RECORDED, times=2)
            await work.later(2 * MINUTE)
            await work.steps.reached(Step.MAIL_RECORDED, times=3)
    assert row.retries == [NOW + MINUTE, NOW + 3 * MINUTE]
    assert row.state is MailState.ACCEPTED
    assert message_ids(sink) == [mail.message_id]
    assert [event.detail["attempt"] for event in outbox.events] == ["3"]


async def test_a_copy_after_a_lost_reply_has_the_same_message_id() -> None:
    outbox = MemoryOutbox()
    async with smtp_sink(SmtpSink(script={Stage.DOT: [Fate.DROP]})) as sink:
        [mail] = put(outbox, sink)
        async with at_work(outbox) as work:
            await work.steps.reached(Step.MAIL_RECORDED)
            await work.later(MINUTE)
            await work.steps.reached(Step.MAIL_RECORDED, times=2)
    assert message_ids(sink) == [mail.message_id, mail.message_id]
    assert outbox.rows[mail.mail_id].state is MailState.ACCEPTED


async def test_gives_up_at_once_on_a_verdict_on_the_recipient() -> None:
    outbox = MemoryOutbox()
    async with smtp_sink(SmtpSink(always={Stage.RCPT: b"550 5.1.1 mail0@example.org unknown"})) as sink:
        [mail] = put(outbox, sink)
        async with at_work(outbox) as work:
            await work.steps.reached(Step.MAIL_RECORDED)
    row = outbox.rows[mail.mail_id]
    assert row.state is MailState.GIVEN_UP
    assert row.failure == "RCPT: 550 5.1.1 mail0@example.org unknown"
    [event] = outbox.events
    assert event.kind is AuditKind.KEY_MAIL_GIVEN_UP
    assert event.detail == {"mail": "key", "attempt": "1", "failure": "rcpt.550"}
    assert row.given_up_because is GivenUp.REFUSED


async def test_a_server_without_smtputf8_is_nothing_against_the_recipients_domain() -> None:
    outbox = MemoryOutbox()
    async with smtp_sink() as sink:
        organization = an_organization_at(sink.smart_host())
        row = outbox.put(a_due_mail(address="jörg@example.org", organization=organization))
        async with at_work(outbox) as work:
            await work.steps.reached(Step.MAIL_RECORDED)
    assert row.state is MailState.GIVEN_UP
    assert (row.failure or "").startswith("EHLO: 5.6.7 ")
    assert row.given_up_because is GivenUp.OUT_OF_TIME
    assert sink.transactions == []


async def test_of_another_mail_the_record_says_that_it_was_no_key_mail() -> None:
    outbox = MemoryOutbox()
    async with smtp_sink(SmtpSink(always={Stage.RCPT: b"550 5.1.1 unknown"})) as sink:
        [mail] = mails_for(an_organization_at(sink.smart_host()))
        outbox.put(replace(mail, kind=MailKind.REMINDER))
        async with at_work(outbox) as work:
            await work.steps.reached(Step.MAIL_RECORDED)
    [event] = outbox.events
    assert event.kind is AuditKind.MAIL_GIVEN_UP
    assert event.detail == {"mail": "reminder", "attempt": "1", "failure": "rcpt.550"}


async def test_gives_up_when_the_days_are_over_and_not_before() -> None:
    outbox = MemoryOutbox()
    clock = StoppedClock()
    async with smtp_sink(SmtpSink(always={Stage.MAIL: b"550 5.7.1 not from you"})) as sink:
        [mail] = put(outbox, sink)
        row = outbox.rows[mail.mail_id]
        async with at_work(outbox, clock=clock) as work:
            attempts = 0
            while row.state is MailState.QUEUED:
                attempts += 1
                await work.steps.reached(Step.MAIL_RECORDED, times=attempts)
                await work.later(max(row.due_at - clock.now(), timedelta(0)))
    assert row.ended_at == mail.give_up_at
    pauses = [later - earlier for earlier, later in pairwise(row.retries)]
    assert pauses[:4] == [2 * MINUTE, 4 * MINUTE, 8 * MINUTE, 16 * MINUTE]
    assert max(pauses) == 120 * MINUTE
    assert row.retries[-1] == mail.give_up_at
    assert outbox.events[-1].detail == {"mail": "key", "attempt": str(attempts), "failure": "mail.550"}


async def test_a_mail_found_after_its_days_is_tried_once_more() -> None:
    outbox = MemoryOutbox()
    clock = StoppedClock(NOW + 30 * DAY)
    async with smtp_sink() as sink:
        [mail] = put(outbox, sink)
        async with at_work(outbox, clock=clock) as work:
            await work.steps.reached(Step.MAIL_RECORDED)
    assert outbox.rows[mail.mail_id].state is MailState.ACCEPTED


async def test_one_dead_smart_host_does_not_keep_the_others_waiting() -> None:
    outbox = MemoryOutbox()
    async with smtp_sink(SmtpSink(always={Stage.GREETING: Fate.HANG})) as dead, smtp_sink() as alive:
        for mail in mails_for(
            an_organization_at(dead.smart_host(), organization_id="org-2"), 6, prefix="dead"
        ):
            outbox.put(mail)
        living = mails_for(an_organization_at(alive.smart_host()), 6, prefix="alive")
        for mail in living:
            outbox.put(mail)
        settings = replace(SETTINGS, connections_per_host=2, stopping=timedelta(milliseconds=10))
        async with at_work(outbox, settings=settings) as work:
            await work.steps.reached(Step.MAIL_RECORDED, times=6)
            assert {outbox.rows[mail.mail_id].state for mail in living} == {MailState.ACCEPTED}


async def test_waiting_for_a_busy_smart_host_is_no_attempt() -> None:
    outbox = MemoryOutbox()
    settings = replace(SETTINGS, connections_per_host=1, connection_wait=timedelta(milliseconds=20))
    async with smtp_sink(SmtpSink(script={Stage.DOT: [Fate.HANG]})) as sink:
        mails = put(outbox, sink, count=2)
        async with at_work(outbox, settings=replace(settings, stopping=timedelta(milliseconds=10))) as work:
            await work.steps.reached(Step.MAIL_RECORDED)
            [stood_back] = [row for mail in mails if (row := outbox.rows[mail.mail_id]).claimed_by is None]
            assert (stood_back.state, stood_back.attempts) == (MailState.QUEUED, 0)
            assert stood_back.failure == "WAIT: all connections there are in use"
            assert stood_back.due_at == NOW + timedelta(seconds=10)
    assert stood_back.retries == []


async def test_a_smart_host_that_failed_is_left_alone_for_a_while() -> None:
    outbox = MemoryOutbox()
    async with smtp_sink(SmtpSink(script={Stage.GREETING: [b"421 4.3.2 not now"]})) as sink:
        put(outbox, sink, count=5)
        async with at_work(outbox, settings=replace(SETTINGS, connections_per_host=1)) as work:
            await work.steps.reached(Step.MAIL_RECORDED, times=5)
            assert sink.connections == 1
            assert {row.failure for row in outbox.rows.values()} == {"CONNECT: 421 4.3.2 not now"}
            await work.later(MINUTE)
            await work.steps.reached(Step.MAIL_RECORDED, times=10)
    assert len(sink.accepted) == 5


async def test_an_attempt_that_takes_too_long_is_cut_off() -> None:
    outbox = MemoryOutbox()
    settings = replace(SETTINGS, longest_attempt=timedelta(milliseconds=100))
    async with smtp_sink(SmtpSink(script={Stage.DOT: [Fate.HANG]})) as sink:
        [mail] = put(outbox, sink)
        async with at_work(outbox, settings=settings) as work:
            await work.steps.reached(Step.MAIL_RECORDED)
    assert outbox.rows[mail.mail_id].state is MailState.QUEUED
    assert (outbox.rows[mail.mail_id].failure or "").startswith("ATTEMPT: not finished within")


async def test_a_mail_that_cannot_be_composed_is_tried_again_and_hurts_no_other(
    caplog: pytest.LogCaptureFixture,
) -> None:
    outbox = MemoryOutbox()
    async with smtp_sink() as sink:
        organization = an_organization_at(sink.smart_host())
        outbox.put(
            a_due_mail(
                mail_id="odd", organization=organization, private_key=rsa.generate_private_key(65537, 2048)
            )
        )
        put(outbox, sink)
        async with at_work(outbox) as work:
            await work.steps.reached(Step.MAIL_RECORDED, times=2)
    assert outbox.rows["mail-0"].state is MailState.ACCEPTED
    odd = outbox.rows["odd"]
    assert (odd.state, odd.failure) == (MailState.QUEUED, "SERVICE: a fault in the service: KeyRefused")
    assert odd.due_at == NOW + MINUTE
    [record] = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert record.getMessage().startswith("a fault in mail odd: KeyRefused in ")


async def test_the_log_holds_neither_addresses_nor_secrets(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    outbox = MemoryOutbox()
    async with smtp_sink(SmtpSink(always={Stage.RCPT: b"550 5.1.1 mail0@example.org unknown"})) as sink:
        [mail] = put(outbox, sink)
        broken = replace(mail, mail_id="broken", sealed_key=mail.sealed_password)
        outbox.put(broken)
        async with at_work(outbox) as work:
            await work.steps.reached(Step.MAIL_RECORDED, times=2)
    assert "broken" in caplog.text
    for secret in ("example.org", PASSWORD, "PRIVATE"):
        assert secret not in caplog.text


async def test_outlives_an_outbox_that_is_unavailable(caplog: pytest.LogCaptureFixture) -> None:
    outbox = MemoryOutbox()
    outbox.unavailable = 3
    async with smtp_sink() as sink:
        put(outbox, sink)
        async with at_work(outbox) as work:
            for times in (1, 2, 3):
                await work.waits.begun(times)
                work.waits.end()
            await work.steps.reached(Step.MAIL_RECORDED)
    assert len(sink.accepted) == 1
    assert caplog.text.count("the outbox is unavailable: the disk is full") == 3


async def test_insists_on_recording_that_a_mail_was_accepted() -> None:
    outbox = MemoryOutbox()

    def fill_the_disk(step: Step) -> None:
        if step is Step.MAIL_AFTER_DATA:
            outbox.unavailable = 2

    async with smtp_sink() as sink:
        [mail] = put(outbox, sink)
        async with at_work(outbox, on_step=fill_the_disk) as work:
            while work.steps.taken[Step.MAIL_RECORDED] == 0:
                work.waits.end()
                await asyncio.sleep(0)
    assert outbox.rows[mail.mail_id].state is MailState.ACCEPTED
    assert len(sink.accepted) == 1


async def test_what_could_not_be_recorded_is_due_again_when_the_lease_ends() -> None:
    outbox = MemoryOutbox()
    clock = StoppedClock()
    disks_to_lose = [1]

    def lose_the_disk(step: Step) -> None:
        if step is Step.MAIL_AFTER_DATA and disks_to_lose:
            outbox.unavailable = disks_to_lose.pop()
            clock.advance(SETTINGS.lease)

    async with smtp_sink() as sink:
        [mail] = put(outbox, sink)
        async with at_work(outbox, clock=clock, on_step=lose_the_disk) as work:
            await work.steps.reached(Step.MAIL_AFTER_DATA)
            work.worker.notify()
            await work.steps.reached(Step.MAIL_RECORDED)
    assert message_ids(sink) == [mail.message_id, mail.message_id]
    assert outbox.rows[mail.mail_id].state is MailState.ACCEPTED


async def test_survives_a_fault_in_the_outbox(caplog: pytest.LogCaptureFixture) -> None:
    class Faulty(MemoryOutbox):
        faults = 1

        async def next_due(self) -> None:
            if self.faults:
                self.faults -= 1
                raise ZeroDivisionError

    outbox = Faulty()
    async with smtp_sink() as sink, at_work(outbox) as work:
        await work.waits.begun()
        put(outbox, sink)
        work.worker.notify()
        await work.steps.reached(Step.MAIL_RECORDED)
    assert len(sink.accepted) == 1
    assert "a fault in the delivery worker: ZeroDivisionError in " in caplog.text


async def test_a_fault_in_a_record_is_that_mails_alone(caplog: pytest.LogCaptureFixture) -> None:
    class Faulty(MemoryOutbox):
        async def record_retry(self, *_: object, **__: object) -> None:
            raise ZeroDivisionError

    outbox = Faulty()
    async with smtp_sink(SmtpSink(script={Stage.RCPT: [b"450 later"]})) as sink:
        put(outbox, sink, count=2)
        async with at_work(outbox, settings=replace(SETTINGS, connections_per_host=1)) as work:
            await work.steps.reached(Step.MAIL_RECORDED)
    assert len(sink.accepted) == 1
    assert "a fault in the record of mail mail-0: ZeroDivisionError in " in caplog.text


async def test_finishes_what_is_in_flight_when_stopped() -> None:
    outbox = MemoryOutbox()
    async with smtp_sink() as sink:
        put(outbox, sink, count=3)
        async with at_work(outbox) as work:
            await work.steps.reached(Step.MAIL_BEFORE_SEND)
            await work.stop()
    assert len(sink.accepted) == len(outbox.events) >= 1
    assert [row.claimed_by for row in outbox.rows.values()] == [None] * 3


async def test_what_does_not_finish_in_time_is_cut_off_and_released() -> None:
    outbox = MemoryOutbox()
    async with smtp_sink(SmtpSink(always={Stage.DOT: Fate.HANG})) as sink:
        [mail] = put(outbox, sink)
        async with at_work(outbox, settings=replace(SETTINGS, stopping=timedelta(0))) as work:
            await work.steps.reached(Step.MAIL_BEFORE_SEND)
            await work.stop()
    row = outbox.rows[mail.mail_id]
    assert (row.state, row.claimed_by, row.due_at) == (MailState.QUEUED, None, NOW)


async def test_begins_with_giving_up_the_claims_of_a_former_life() -> None:
    outbox = MemoryOutbox()
    async with smtp_sink() as sink:
        put(outbox, sink)
        await outbox.claim_due(worker="node-1", now=NOW, lease_until=NOW + SETTINGS.lease, most=10)
        async with at_work(outbox, name="node-1") as work:
            await work.steps.reached(Step.MAIL_RECORDED)
    assert len(sink.accepted) == 1


async def test_leaves_the_claims_of_others_alone() -> None:
    outbox = MemoryOutbox()
    async with smtp_sink() as sink:
        put(outbox, sink)
        await outbox.claim_due(worker="node-2", now=NOW, lease_until=NOW + SETTINGS.lease, most=10)
        async with at_work(outbox, name="node-1") as work:
            await work.waits.begun()
    assert sink.transactions == []


async def test_opens_no_secret_for_a_smart_host_that_is_not_there(caplog: pytest.LogCaptureFixture) -> None:
    # The secrets of this mail do not open; nobody notices, as there is nobody to hand it to.
    outbox = MemoryOutbox()
    async with smtp_sink() as sink:
        nowhere = sink.smart_host()
    [mail] = mails_for(an_organization_at(nowhere))
    outbox.put(replace(mail, sealed_key=mail.sealed_password))
    async with at_work(outbox) as work:
        await work.steps.reached(Step.MAIL_RECORDED)
    assert outbox.rows[mail.mail_id].failure == "CONNECT: connection refused"
    assert caplog.records == []


async def test_a_mail_to_a_host_without_a_name_is_tried_again() -> None:
    outbox = MemoryOutbox()
    host = SmartHost(host="does-not-exist.invalid", port=25, security=SmtpSecurity.STARTTLS)
    [mail] = mails_for(an_organization_at(host))
    outbox.put(mail)
    async with at_work(outbox) as work:
        await work.steps.reached(Step.MAIL_RECORDED)
    assert outbox.rows[mail.mail_id].state is MailState.QUEUED


async def test_a_claim_outlives_the_attempt() -> None:
    outbox = MemoryOutbox()
    async with smtp_sink(SmtpSink(always={Stage.DOT: Fate.HANG})) as sink:
        [mail] = put(outbox, sink)
        settings = replace(SETTINGS, stopping=timedelta(0), timeouts=SmtpTimeouts())
        async with at_work(outbox, settings=settings) as work:
            await work.steps.reached(Step.MAIL_BEFORE_SEND)
            assert outbox.rows[mail.mail_id].claimed_until == NOW + settings.lease


async def test_what_must_not_be_written_is_given_up_at_once() -> None:
    class Refusing:
        def compose(self, mail: DueMail, *, now: datetime) -> Composed:
            del mail, now
            raise MailRefused(code="mail.not_wanted", reason="nobody wants it")

    outbox = MemoryOutbox()
    async with smtp_sink() as sink:
        [mail] = mails_for(an_organization_at(sink.smart_host()))
        row = outbox.put(mail)
        async with at_work(outbox, composer=Refusing()) as work:
            await work.steps.reached(Step.MAIL_RECORDED)

    assert (row.state, sink.accepted) == (MailState.GIVEN_UP, [])
    assert "mail.not_wanted" in str(row.failure)
