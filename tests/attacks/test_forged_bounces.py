"""Bounces that no mail server wrote: none takes a certificate away, or makes us write to anybody."""

import pytest

from ca.address import Mailbox
from directory.audit import AuditKind
from directory.bounces.bounces import LIVE_FOR, Outcome
from directory.bounces.parts import LARGEST_MESSAGE
from directory.bounces.reports import read_report
from tests.contracts.bouncing import House
from tests.contracts.world import ANNA, Store
from tests.directory.bounces.builders import a_notification, an_automatic_reply, sample

BOB = Mailbox.parse("bob@example.org")
TOKEN = "0123456789abcdef0123456789abcdef"


@pytest.fixture
def house(store: Store) -> House:
    return House(store)


async def take(house: House, message: bytes, *recipients: str) -> Outcome:
    return await house.bounces.take(recipients, read_report(message))


async def test_one_without_a_token_changes_nothing(house: House) -> None:
    await house.sent()

    assert await take(house, a_notification(recipient=str(ANNA)), "keys@hospital.org") is Outcome.UNKNOWN
    assert await take(house, a_notification(recipient=str(ANNA))) is Outcome.UNKNOWN
    assert await house.is_served()
    assert await house.events() == []


async def test_one_with_a_guessed_token_changes_nothing(house: House) -> None:
    record = await house.sent()
    nearly = record.bounce_token[:-1] + ("0" if record.bounce_token[-1] != "0" else "1")
    forged = a_notification(recipient=str(ANNA), envelope_id=nearly)
    for recipient in (f"keys+{nearly}@hospital.org", f"keys+{TOKEN}@hospital.org", "keys+%@hospital.org"):
        assert not await house.bounces.expects(recipient)
        assert await take(house, forged, recipient) is Outcome.UNKNOWN

    assert await house.is_served()


async def test_a_mail_of_ones_own_is_no_key_to_others(house: House) -> None:
    """Mallory has himself sent a key, and knows the token of that mail."""
    own = await house.sent("mallory", mailbox=BOB)
    await house.sent()
    forged = a_notification(recipient=str(ANNA), message_id="<enrolment-1.key@hospital.org>")

    assert await take(house, forged, f"keys+{own.bounce_token}@hospital.org") is Outcome.IGNORED
    assert await house.is_served()
    assert await house.is_served(BOB)


async def test_one_that_comes_too_late_changes_nothing(house: House) -> None:
    record = await house.sent()
    house.clock.advance(LIVE_FOR)

    assert await house.bounce(record.bounce_token) is Outcome.UNKNOWN
    assert await house.is_served()
    assert await house.events() == []


@pytest.mark.parametrize("kind", ["huge", "malformed", "nested", "not about us", "empty", "contradiction"])
async def test_one_that_does_not_say_so_changes_nothing(house: House, kind: str) -> None:
    record = await house.sent()
    genuine = a_notification(recipient=str(ANNA), message_id=record.message_id)
    forged = {
        "huge": genuine + b"x" * LARGEST_MESSAGE,
        "malformed": genuine.replace(b'boundary="b"', b"boundary"),
        "nested": b"Content-Type: message/rfc822\r\n\r\n" + genuine,
        "not about us": a_notification(recipient=str(BOB)),
        "empty": b"",
        "contradiction": a_notification(recipient=str(ANNA), status="2.0.0"),
    }[kind]

    assert await take(house, forged, f"keys+{record.bounce_token}@hospital.org") is Outcome.IGNORED
    assert await house.is_served()


async def test_a_thousand_automatic_replies_are_answered_by_none(house: House) -> None:
    await house.tell_desk()
    record = await house.sent()
    reply = read_report(an_automatic_reply())
    for _ in range(1000):
        await house.bounces.take([f"keys+{record.bounce_token}@hospital.org"], reply)

    assert await house.claimed() == []
    assert len(await house.events()) == 1
    assert await house.is_served()


async def test_a_hundred_complaints_are_one_event(house: House) -> None:
    """Whoever got a mail knows its return path and its Message-ID, and may complain as often as he likes."""
    record = await house.sent()
    returned = sample("complaint").partition(b"Message-ID: ")[2].partition(b"\r\n")[0]
    complaint = read_report(sample("complaint").replace(returned, record.message_id.encode()))
    for _ in range(100):
        taken = await house.bounces.take([f"keys+{record.bounce_token}@hospital.org"], complaint)
        assert taken is Outcome.RECORDED

    assert [event.kind for event in await house.events()] == [AuditKind.MAIL_COMPLAINED]
    assert await house.is_served()
