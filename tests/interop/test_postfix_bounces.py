"""The notifications of a real Postfix, taken through the pipe and read for what they say."""

import queue
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.lmtp import LMTP

from directory.bounces.reports import Fate, ReportKind, read_report
from directory.delivery.returnpath import read_token
from tests.command import pushpki
from tests.interop.postfix import a_free_port, postfix_relaying
from tests.interop.test_postfix import (
    a_server_that_knows_nobody,
    installed_behind,
    look_up,
)
from tests.service import UNHURRIED, Installed, serving, succeed

NOBODY = "nobody@example.com"
ARRIVES_WITHIN_SECONDS = 60


@dataclass(slots=True, kw_only=True)
class Catcher:
    """Keeps what Postfix hands over."""

    arrived: "queue.Queue[tuple[str, bytes]]" = field(default_factory=queue.Queue)

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Any) -> str:  # noqa: N802 - the name aiosmtpd calls
        self.arrived.put((envelope.rcpt_tos[0], envelope.original_content))
        return "250 kept"


class _Lmtp(Controller):
    def factory(self) -> LMTP:
        return LMTP(self.handler, hostname="catcher")


@contextmanager
def catching() -> Iterator[tuple[int, Catcher]]:
    catcher = Catcher()
    controller = _Lmtp(catcher, hostname="127.0.0.1", port=a_free_port())
    controller.start()
    try:
        yield controller.port, catcher
    finally:
        controller.stop()


def piped(installed: Installed, message: bytes, *options: str) -> subprocess.CompletedProcess[bytes]:
    """Run the command as Postfix' pipe(8) does: the mail on standard input, with line feeds alone."""
    return subprocess.run(  # noqa: S603 - our own command
        [sys.executable, "-m", "directory", "bounce", "take", *options, "--config", str(installed.config)],
        input=message.replace(b"\r\n", b"\n"),
        capture_output=True,
        check=False,
        timeout=60,
    )


def test_a_real_notification_is_read_and_taken_through_the_pipe(
    program: Callable[[str], str], tmp_path: Path
) -> None:
    with (
        a_server_that_knows_nobody() as nobody,
        catching() as (port, catcher),
        postfix_relaying(program, onward=nobody, bounces=port) as postfix,
    ):
        installed = installed_behind(tmp_path, postfix)
        with serving(installed, variables=UNHURRIED) as running:
            enrolment = look_up(running, NOBODY).json()["enrolment_id"]
            recipient, notification = catcher.arrived.get(timeout=ARRIVES_WITHIN_SECONDS)
            report = read_report(notification)
            taken = piped(installed, notification, "--recipient", recipient, "--json")
            again = piped(installed, notification, "--recipient", recipient, "--json")

    assert report.kind is ReportKind.DELIVERY_STATUS
    assert [(set(one.recipients), one.fate, one.status) for one in report.statuses] == [
        ({NOBODY}, Fate.FAILED, "5.1.1")
    ]
    assert report.envelope_id == read_token(recipient), "ENVID came back as well"
    assert any(enrolment in message_id for message_id in report.returned_message_ids)
    assert b"application/x-pkcs12" not in notification, "RET=HDRS keeps the key package out of it"
    assert (taken.returncode, taken.stdout) == (0, b'{"outcome": "withdrawn"}\n'), taken.stderr
    assert (again.returncode, again.stdout) == (0, b'{"outcome": "ignored"}\n'), again.stderr
    assert pushpki("lookup", NOBODY, "--config", str(installed.config)).code != 0
    assert succeed("bounce", "clear", NOBODY, "--config", str(installed.config))["address"] == NOBODY
