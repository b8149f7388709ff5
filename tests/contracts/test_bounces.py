"""The port `BounceStore` with the use case on it: what a report does and does not do, on both databases."""

import asyncio
from datetime import timedelta

import pytest
from sqlalchemy import Connection, select

from ca.address import Mailbox
from directory.audit import AuditKind
from directory.bounces.bounces import LIVE_FOR, Outcome
from directory.bounces.pausing import MOST_HARD_BOUNCES, PAUSE, WITHIN
from directory.bounces.reports import read_report
from directory.delivery.outbox import DeliveryState, GivenUp, MailKind, NewMail
from directory.relay import RelayState
from directory.store.lookup import SqlDirectoryReader
from directory.store.mail_queue import queue
from directory.store.tables import outgoing_mail
from tests.contracts.bouncing import DESK, FAR, House
from tests.contracts.world import ANNA, NOW, Store, a_reservation, an_event, mint
from tests.directory.bounces.builders import a_notification, an_automatic_reply
from tests.directory.builders import a_gateway
from tests.directory.delivery.builders import an_acceptance


@pytest.fixture
def house(store: Store) -> House:
    return House(store)


async def test_a_key_mail_that_comes_back_takes_its_certificate_out_of_the_directory(house: House) -> None:
    record = await house.sent()

    assert await house.bounce(record.bounce_token) is Outcome.WITHDRAWN

    status = await house.status()
    assert (status.live, status.delivery, status.relay) == (False, DeliveryState.BOUNCED, RelayState.FAILED)
    assert status.last_failure is not None
    assert "5.1.1" in status.last_failure
    assert not await house.is_served()


async def test_no_other_is_minted_for_the_address(house: House) -> None:
    record = await house.sent()
    await house.bounce(record.bounce_token)

    context = await SqlDirectoryReader(house.database).mint_context(ANNA.key, a_gateway())
    assert context is not None
    assert context.bounced


async def test_the_event_says_what_followed(house: House) -> None:
    record = await house.sent()
    await house.bounce(record.bounce_token)

    (event,) = await house.events()
    assert event.kind is AuditKind.KEY_MAIL_BOUNCED
    assert (event.subject, event.organization_id) == ("enrolment-1", "org-1")
    assert event.detail == {"mail": "key", "status": "5.1.1", "consequence": "withdrawn"}


async def test_the_organization_is_told_once(house: House) -> None:
    await house.tell_desk()
    record = await house.sent()
    await house.bounce(record.bounce_token)
    await house.bounce(record.bounce_token)

    (notice,) = await house.claimed()
    assert (notice.kind, notice.recipient, notice.mailbox) == (MailKind.NOTICE_BOUNCED, DESK, ANNA)
    assert house.notified == 1


async def test_a_refusal_by_the_smart_host_tells_the_organization_likewise(house: House) -> None:
    await house.tell_desk()
    await mint(house.database)
    (mail,) = await house.claimed()
    await house.outbox.record_given_up(
        mail, at=NOW, failure="RCPT: 550 5.1.1", event=an_event(), because=GivenUp.REFUSED
    )

    (notice,) = await house.claimed()
    assert notice.kind is MailKind.NOTICE_BOUNCED


async def test_the_second_report_of_a_mail_changes_nothing(house: House) -> None:
    record = await house.sent()
    await house.bounce(record.bounce_token)

    assert await house.bounce(record.bounce_token) is Outcome.IGNORED
    assert len(await house.events()) == 1


async def test_mails_that_were_to_follow_are_not_sent(house: House) -> None:
    record = await house.sent()
    await _queue(house, MailKind.PROOF, ANNA)
    await _queue(house, MailKind.PASSWORD, DESK)
    await house.bounce(record.bounce_token)

    assert await house.claimed() == []


async def test_a_mail_whose_acceptance_was_lost_is_not_sent_again(house: House) -> None:
    record = await mint(house.database)  # queued: the reply to its final dot never came

    assert await house.bounce(record.bounce_token) is Outcome.WITHDRAWN
    assert await house.claimed() == []


async def test_an_acceptance_that_is_recorded_after_the_bounce_does_not_undo_it(house: House) -> None:
    record = await mint(house.database)
    (mail,) = await house.claimed()
    await house.bounce(record.bounce_token)
    await house.outbox.record_accepted(mail, an_acceptance(NOW), an_event())

    assert (await house.status()).delivery is DeliveryState.BOUNCED
    assert not await house.is_served()


async def test_a_proven_key_is_not_taken_back(house: House) -> None:
    record = await house.sent()
    await house.store.sql("UPDATE deliveries SET state = 'proven', proven_at = accepted_at")

    assert await house.bounce(record.bounce_token) is Outcome.RECORDED
    assert (await house.status()).delivery is DeliveryState.PROVEN
    assert await house.is_served()


async def test_where_the_key_got_through_in_another_mail_it_stays(house: House) -> None:
    record = await house.sent()
    house.clock.advance(FAR)
    await house.resend()
    (second,) = await house.accept_all()

    assert await house.bounce(second.bounce_token) is Outcome.RECORDED
    assert await house.is_served()
    assert await house.bounce(record.bounce_token) is Outcome.WITHDRAWN
    assert not await house.is_served()


async def test_where_another_is_on_its_way_the_first_may_come_back(house: House) -> None:
    record = await house.sent()
    house.clock.advance(FAR)
    await house.resend()

    assert await house.bounce(record.bounce_token) is Outcome.RECORDED
    assert (await house.status()).delivery is DeliveryState.QUEUED
    assert await house.is_served()


async def test_when_that_is_refused_too_the_certificate_goes(house: House) -> None:
    record = await house.sent()
    house.clock.advance(FAR)
    await house.resend()
    await house.bounce(record.bounce_token)
    (second,) = await house.claimed()
    await house.outbox.record_given_up(second, at=house.clock.now(), failure="550", event=an_event())

    assert not await house.is_served()


async def test_two_mails_that_come_back_at_once_leave_none(house: House) -> None:
    record = await house.sent()
    house.clock.advance(FAR)
    await house.resend()
    (second,) = await house.accept_all()

    outcomes = await asyncio.gather(house.bounce(record.bounce_token), house.bounce(second.bounce_token))

    assert sorted(outcomes) == [Outcome.RECORDED, Outcome.WITHDRAWN]
    assert not await house.is_served()


async def test_a_password_that_came_back_can_be_revealed_by_an_agent(house: House) -> None:
    await house.sent()
    token = await _queue(house, MailKind.PASSWORD, DESK)
    await house.accept_all()
    assert (await house.status()).relay is RelayState.REVEALED

    assert await house.bounce(token, recipient=DESK) is Outcome.RECORDED
    assert (await house.status()).relay is RelayState.WAITING
    assert await house.is_served()


async def test_a_reminder_that_comes_back_is_recorded_only(house: House) -> None:
    await house.sent()
    token = await _queue(house, MailKind.REMINDER, ANNA)
    await house.accept_all()

    assert await house.bounce(token) is Outcome.RECORDED
    assert await house.is_served()
    (event,) = await house.events()
    assert event.kind is AuditKind.MAIL_BOUNCED


async def test_a_delay_is_shown_and_nothing_else(house: House) -> None:
    record = await house.sent()

    assert await house.bounce(record.bounce_token, action="delayed", status="4.4.1") is Outcome.RECORDED
    status = await house.status()
    assert status.last_failure == "delayed: 4.4.1 smtp; 550 4.4.1 said the other side"
    assert status.delivery is DeliveryState.ACCEPTED
    assert await house.events() == []


async def test_a_token_is_live_for_ten_days_after_the_mail_has_ended(house: House) -> None:
    record = await house.sent()
    house.clock.advance(LIVE_FOR)

    assert not await house.bounces.expects(f"keys+{record.bounce_token}@hospital.org")
    assert await house.bounce(record.bounce_token) is Outcome.UNKNOWN
    assert await house.is_served()


async def test_strangers_do_not_decide_how_long_the_audit_log_is(house: House) -> None:
    record = await house.sent()
    reply = read_report(an_automatic_reply())
    path = f"keys+{record.bounce_token}@hospital.org"
    for _ in range(5):
        assert await house.bounces.take([path], reply) is Outcome.IGNORED

    (event,) = await house.events()
    assert event.kind is AuditKind.BOUNCE_IGNORED
    assert event.detail == {"mail": "key", "reason": "automatic_reply"}
    house.clock.advance(timedelta(days=1))
    await house.bounces.take([path], reply)
    assert len(await house.events()) == 2


async def test_the_envelope_identifier_will_do_where_the_address_was_lost(house: House) -> None:
    record = await house.sent()
    report = read_report(a_notification(recipient=str(ANNA), envelope_id=record.bounce_token))

    assert await house.bounces.take([], report) is Outcome.WITHDRAWN


async def test_too_many_in_an_hour_pause_the_domain_for_the_organization(house: House) -> None:
    tokens = [
        (await house.sent(f"e-{n}", mailbox=_numbered(n))).bounce_token for n in range(MOST_HARD_BOUNCES)
    ]
    for number, token in enumerate(tokens[:-1]):
        await house.bounce(token, recipient=_numbered(number))
    assert not await _is_paused(house)

    await house.bounce(tokens[-1], recipient=_numbered(MOST_HARD_BOUNCES - 1))

    assert await _is_paused(house)
    event = next(event for event in await house.events() if event.kind is AuditKind.DOMAIN_PAUSED)
    assert (event.subject, event.organization_id) == ("example.org", "org-1")
    house.clock.advance(PAUSE)
    assert not await _is_paused(house)


async def test_one_person_does_not_get_his_domain_paused(house: House) -> None:
    for number in range(MOST_HARD_BOUNCES + 1):
        mailbox = Mailbox.parse(f"anna+{number}@example.org")
        record = await house.sent(f"e-{number}", mailbox=mailbox)
        await house.bounce(record.bounce_token, recipient=mailbox)

    assert not await _is_paused(house)


async def test_the_organization_is_told_of_the_pause(house: House) -> None:
    await house.tell_desk()
    for number in range(MOST_HARD_BOUNCES + 1):
        record = await house.sent(f"e-{number}", mailbox=_numbered(number))
        await house.bounce(record.bounce_token, recipient=_numbered(number))

    sent = await house.database.read(_kinds)
    assert sent.count(MailKind.NOTICE_PAUSED) == 1
    assert sent.count(MailKind.NOTICE_BOUNCED) == MOST_HARD_BOUNCES + 1


async def test_failures_for_want_of_time_pause_nothing(house: House) -> None:
    for number in range(MOST_HARD_BOUNCES):
        record = await house.sent(f"e-{number}", mailbox=_numbered(number))
        await house.bounce(record.bounce_token, recipient=_numbered(number), status="4.4.7")

    assert not await _is_paused(house)


async def test_what_came_back_over_more_than_an_hour_pauses_nothing(house: House) -> None:
    for number in range(MOST_HARD_BOUNCES):
        record = await house.sent(f"e-{number}", mailbox=_numbered(number))
        await house.bounce(record.bounce_token, recipient=_numbered(number))
        house.clock.advance(WITHIN / (MOST_HARD_BOUNCES - 1))

    assert not await _is_paused(house)


async def test_refusals_by_the_smart_host_count_as_well(house: House) -> None:
    for number in range(MOST_HARD_BOUNCES):
        await mint(house.database, a_reservation(f"e-{number}", mailbox=_numbered(number)))
        (mail,) = await house.claimed()
        await house.outbox.record_given_up(
            mail, at=NOW, failure="550", event=an_event(), because=GivenUp.REFUSED
        )

    assert await _is_paused(house)


def _kinds(connection: Connection) -> list[MailKind]:
    return [MailKind(kind) for kind in connection.execute(select(outgoing_mail.c.kind)).scalars()]


def _numbered(number: int) -> Mailbox:
    return Mailbox.parse(f"somebody{number}@example.org")


async def _is_paused(house: House) -> bool:
    context = await SqlDirectoryReader(house.database).mint_context("new@example.org", a_gateway())
    assert context is not None
    return context.is_paused(house.clock.now())


async def _queue(house: House, kind: MailKind, recipient: Mailbox) -> str:
    """Queue a mail of the first enrolment; return its bounce token."""
    now = house.clock.now()
    mail = NewMail(
        enrolment_id="enrolment-1",
        organization_id="org-1",
        kind=kind,
        recipient=recipient,
        sender_domain="hospital.org",
        at=now,
        due_at=now,
        give_up_at=now + FAR,
    )
    mail_id = await house.database.write(lambda connection: queue(connection, mail))
    query = select(outgoing_mail.c.bounce_token).where(outgoing_mail.c.id == mail_id)
    ((token,),) = await house.store.select(query)
    return str(token)
