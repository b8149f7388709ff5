"""Mail that ends twice: a second one hidden behind an odd end of data (CVE-2023-51764, CVE-2024-27305)."""

import pytest

from directory.bounces.listener import ListenerProtocol
from tests.directory.bounces.builders import RETURN_PATH, an_automatic_reply
from tests.directory.bounces.mailserver import OTHER_RETURN_PATH, RecordingIntake, listening, peer

ODD_ENDS = [
    b"\n.\n",
    b"\n.\r\n",
    b"\r.\r",
    b"\r.\r\n",
    b"\r\n.\n",
    b"\r\n.\r",
    b"\n.\r",
    b"\r\n\x00.\r\n",
    b"\r\n .\r\n",
]
SMUGGLED = b"MAIL FROM:<>\r\nRCPT TO:<%s>\r\nDATA\r\nsmuggled" % OTHER_RETURN_PATH.encode()


@pytest.mark.parametrize("protocol", list(ListenerProtocol))
@pytest.mark.parametrize("end", ODD_ENDS, ids=repr)
async def test_only_cr_lf_dot_cr_lf_ends_a_mail(end: bytes, protocol: ListenerProtocol) -> None:
    intake = RecordingIntake()
    greeting = b"LHLO mx" if protocol is ListenerProtocol.LMTP else b"EHLO mx"
    async with listening(intake, protocol) as port, peer(port, greeting=greeting) as mta:
        hidden = an_automatic_reply().replace(b"\n", b"\r\n").rstrip() + end + SMUGGLED
        await mta.hand_in(hidden + b"\r\n.\r\n", RETURN_PATH)
        assert (await mta.reply())[:3] == b"250"
        assert (await mta.say(b"NOOP"))[:3] == b"250"

    assert [recipients for recipients, _ in intake.taken] == [[RETURN_PATH]]


async def test_commands_sent_ahead_of_their_time_are_no_part_of_the_mail() -> None:
    intake = RecordingIntake()
    async with listening(intake) as port, peer(port) as mta:
        await mta.send(
            b"MAIL FROM:<>\r\nRCPT TO:<%s>\r\nDATA\r\nSubject: x\r\n\r\n..\r\n.\r\nNOOP\r\n"
            % RETURN_PATH.encode()
        )
        assert [(await mta.reply())[:3] for _ in range(5)] == [b"250", b"250", b"354", b"250", b"250"]

    assert len(intake.taken) == 1
