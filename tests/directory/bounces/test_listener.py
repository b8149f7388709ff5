import asyncio
import smtplib

import pytest

from directory.bounces.listener import MOST_CONNECTIONS, MOST_RECIPIENTS, ListenerProtocol
from directory.bounces.parts import LARGEST_MESSAGE
from directory.bounces.reports import ReportKind
from tests.directory.bounces.builders import RETURN_PATH, TOKEN, a_notification, an_automatic_reply
from tests.directory.bounces.mailserver import OTHER_RETURN_PATH, RecordingIntake, listening, peer

END = b"\r\n.\r\n"


@pytest.fixture
def intake() -> RecordingIntake:
    return RecordingIntake()


async def test_takes_a_bounce_over_lmtp(intake: RecordingIntake) -> None:
    async with listening(intake) as port, peer(port) as mta:
        replies = await mta.hand_in(a_notification(envelope_id=TOKEN) + END, RETURN_PATH)
        assert [reply[:3] for reply in [*replies, await mta.reply()]] == [b"250", b"250", b"354", b"250"]

    ((recipients, report),) = intake.taken
    assert recipients == [RETURN_PATH]
    assert (report.kind, report.envelope_id) == (ReportKind.DELIVERY_STATUS, TOKEN)


async def test_takes_a_bounce_over_smtp_from_a_client_nobody_here_wrote(intake: RecordingIntake) -> None:
    def send(port: int) -> None:
        with smtplib.SMTP("127.0.0.1", port, timeout=10) as client:
            client.sendmail("", [RETURN_PATH], a_notification())

    async with listening(intake, ListenerProtocol.SMTP) as port:
        await asyncio.to_thread(send, port)

    assert [recipients for recipients, _ in intake.taken] == [[RETURN_PATH]]


async def test_lmtp_answers_for_each_recipient(intake: RecordingIntake) -> None:
    async with listening(intake) as port, peer(port) as mta:
        await mta.hand_in(a_notification() + END, RETURN_PATH, OTHER_RETURN_PATH)
        assert [(await mta.reply())[:3] for _ in range(2)] == [b"250", b"250"]
        assert (await mta.say(b"NOOP"))[:3] == b"250"

    assert [recipients for recipients, _ in intake.taken] == [[RETURN_PATH], [OTHER_RETURN_PATH]]


@pytest.mark.parametrize(
    "recipient",
    [
        "keys@hospital.example.org",
        RETURN_PATH.replace("5f1c", "0000"),
        "anybody@elsewhere.example.com",
        "postmaster",
    ],
)
async def test_anybody_else_is_refused_with_the_same_words(intake: RecordingIntake, recipient: str) -> None:
    async with listening(intake) as port, peer(port) as mta:
        await mta.say(b"MAIL FROM:<>")
        reply = await mta.say(b"RCPT TO:<%s>" % recipient.encode())

        assert reply == b"550 5.1.1 No such recipient here"
        assert (await mta.say(b"DATA"))[:3] == b"503"


async def test_people_may_write_too_and_are_not_answered(intake: RecordingIntake) -> None:
    async with listening(intake) as port, peer(port) as mta:
        await mta.say(b"MAIL FROM:<anna@praxis.example.net>")
        await mta.say(b"RCPT TO:<%s>" % RETURN_PATH.encode())
        await mta.say(b"DATA")
        await mta.send(an_automatic_reply().replace(b"\n", b"\r\n") + END)
        assert (await mta.reply())[:3] == b"250"

    assert [report.kind for _, report in intake.taken] == [ReportKind.AUTOMATIC_REPLY]


async def test_while_the_store_is_away_mail_is_to_come_again(intake: RecordingIntake) -> None:
    async with listening(intake) as port, peer(port) as mta:
        await mta.hand_in(b"", RETURN_PATH)
        intake.away = True
        await mta.send(a_notification() + END)
        assert (await mta.reply())[:3] == b"451"
        await mta.say(b"MAIL FROM:<>")
        assert (await mta.say(b"RCPT TO:<%s>" % RETURN_PATH.encode()))[:3] == b"451"


async def test_a_fault_of_ours_is_kept_to_ourselves(intake: RecordingIntake) -> None:
    intake.fault = RuntimeError("what nobody should read")
    async with listening(intake) as port, peer(port) as mta:
        await mta.hand_in(a_notification() + END, RETURN_PATH)
        assert await mta.reply() == b"451 4.3.0 Try again later"


async def test_a_mail_has_at_most_ten_recipients(intake: RecordingIntake) -> None:
    intake.live = frozenset(f"{number}{RETURN_PATH}" for number in range(MOST_RECIPIENTS + 1))
    async with listening(intake) as port, peer(port) as mta:
        await mta.say(b"MAIL FROM:<>")
        replies = [await mta.say(b"RCPT TO:<%s>" % one.encode()) for one in sorted(intake.live)]

    assert [reply[:3] for reply in replies] == [b"250"] * MOST_RECIPIENTS + [b"452"]


async def test_what_is_too_large_is_refused_before_and_after(intake: RecordingIntake) -> None:
    async with listening(intake) as port, peer(port) as mta:
        assert (await mta.say(b"MAIL FROM:<> SIZE=%d" % (LARGEST_MESSAGE + 1)))[:3] == b"552"
        line = b"x" * 998 + b"\r\n"
        await mta.hand_in(
            line * (LARGEST_MESSAGE // len(line) + 1) + b".\r\n", RETURN_PATH, OTHER_RETURN_PATH
        )
        assert [(await mta.reply())[:3] for _ in range(2)] == [b"552", b"552"]
        assert (await mta.say(b"NOOP"))[:3] == b"250"

    assert intake.taken == []


async def test_connections_are_limited(intake: RecordingIntake) -> None:
    async with listening(intake) as port:
        connected = [await asyncio.open_connection("127.0.0.1", port) for _ in range(MOST_CONNECTIONS)]
        for reader, _ in connected:
            assert (await reader.readline()).startswith(b"220")
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        assert b"421" in await reader.read()
        for one in [*(writer for _, writer in connected), writer]:
            one.close()


async def test_the_silent_are_hung_up_on(intake: RecordingIntake) -> None:
    async with listening(intake, silence_seconds=0.05) as port, peer(port) as mta:
        assert await mta.is_hung_up_on()


async def test_stopping_hangs_up(intake: RecordingIntake) -> None:
    async with listening(intake) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        await reader.readline()
    assert await reader.read() == b""
    writer.close()


async def test_nobody_is_confirmed_and_nothing_relayed(intake: RecordingIntake) -> None:
    async with listening(intake, ListenerProtocol.SMTP) as port, peer(port, greeting=b"EHLO x.org") as mta:
        assert (await mta.say(b"VRFY %s" % RETURN_PATH.encode()))[:3] == b"252"
        assert (await mta.say(b"VRFY nobody@elsewhere.example.com"))[:3] == b"252"
        assert (await mta.say(b"AUTH PLAIN AGEAYg=="))[:1] == b"5"
        await mta.say(b"MAIL FROM:<a@example.org>")
        assert (await mta.say(b"RCPT TO:<victim@elsewhere.example.com>"))[:3] == b"550"
