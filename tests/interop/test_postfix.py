"""The sample configuration in a real Postfix: it is accepted, carries mail untouched, and returns bounces."""

import asyncio
import smtplib
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import dkim
import httpx
from aiosmtpd.controller import Controller

from tests.command import pushpki
from tests.interop.postfix import (
    BOUNCES,
    SAMPLES,
    Postfix,
    a_free_port,
    mta_sts_daemon,
    postconf,
    postfix_relaying,
    write_configuration,
)
from tests.postbox import Postbox
from tests.service import UNHURRIED, Installed, Running, install, serving, succeed


class Refusing:
    """A recipients' server that knows nobody."""

    def __init__(self) -> None:
        self.refused = threading.Event()

    async def handle_RCPT(  # noqa: N802 - the name aiosmtpd calls
        self, _server: Any, _session: Any, _envelope: Any, _address: str, _options: Any
    ) -> str:
        self.refused.set()
        return "550 5.1.1 no such user here"


@contextmanager
def a_server_that_knows_nobody() -> Iterator[int]:
    controller = Controller(Refusing(), hostname="127.0.0.1", port=a_free_port())
    controller.start()
    try:
        yield controller.port
    finally:
        controller.stop()


def installed_behind(folder: Path, postfix: Postfix) -> Installed:
    installed = install(folder / "pushpki", smtp=postfix.smtp)
    succeed(
        *("org", "set", "hospital", "--bounce-address", f"b@{BOUNCES}", "--config", str(installed.config))
    )
    return installed


def look_up(running: Running, address: str) -> httpx.Response:
    return httpx.post(
        f"{running.http}/api/v1/lookup",
        json={"email": address},
        headers={"Authorization": f"Bearer {running.installed.gateway_token}"},
        timeout=30,
    )


def test_the_sample_is_accepted_without_a_warning(program: Callable[[str], str], tmp_path: Path) -> None:
    write_configuration(tmp_path, moved={}, submission=2525, public=25)
    for options in (("-n",), ("-M",), ("-P",)):
        read = postconf(program, tmp_path, *options)
        assert read.returncode == 0
        assert read.stderr == b""
    # Each setting of the sample is one that Postfix knows: it lists what it does not.
    listed = postconf(program, tmp_path, "-n").stdout.decode()
    written = [
        line.partition("=")[0].strip()
        for line in (SAMPLES / "main.cf").read_text().splitlines()
        if line[:1].isalpha()
    ]
    assert all(f"{name} =" in listed for name in written)


def test_a_key_mail_comes_through_with_its_signature_whole(
    program: Callable[[str], str], tmp_path: Path, mail: Postbox
) -> None:
    with (
        mta_sts_daemon(program, tmp_path) as policies,
        postfix_relaying(program, onward=mail.port, bounces=a_free_port(), policies=policies) as postfix,
    ):
        installed = installed_behind(tmp_path, postfix)
        key = succeed(
            *("org", "dkim", "hospital", "--selector", "keys2026", "--config", str(installed.config))
        )
        with serving(installed, variables=UNHURRIED) as running:
            assert look_up(running, "anna@example.com").status_code == 200
            message = mail.message_to("anna@example.com")
    raw = mail.raw[-1]
    assert "by mail.hospital.org (Postfix)" in str(message["Received"])

    def record(name: bytes | str, timeout: int = 5) -> bytes:
        del timeout
        asked = name.decode() if isinstance(name, bytes) else name
        assert asked.removesuffix(".") == key["name"]
        return str(key["record"]).encode()

    assert dkim.verify(raw, dnsfunc=record)


def test_a_refused_recipient_comes_back_and_withdraws_the_certificate(
    program: Callable[[str], str], tmp_path: Path
) -> None:
    listener = a_free_port()
    with (
        a_server_that_knows_nobody() as nobody,
        postfix_relaying(program, onward=nobody, bounces=listener) as postfix,
    ):
        installed = installed_behind(tmp_path, postfix)
        variables = UNHURRIED | {"PUSHPKI_BOUNCES__LISTEN": f"127.0.0.1:{listener}"}
        with serving(installed, variables=variables) as running:
            minted = look_up(running, "nobody@example.com")
            assert minted.status_code == 200
            enrolment = minted.json()["enrolment_id"]
            state = asyncio.run(bounced(running, enrolment))
        assert state == "bounced", postfix.log
        assert "status=bounced" in postfix.log
        assert "250" in postfix.log.rpartition("lmtp")[2], "the notification was taken"
    assert pushpki("verify", "--config", str(installed.config)).code == 0


async def bounced(running: Running, enrolment: str) -> str:
    """Return the state of the delivery once it is no longer under way."""
    async with httpx.AsyncClient(
        headers={"Authorization": f"Bearer {running.installed.agent_token}"}, timeout=30
    ) as client:
        state = "queued"
        async with asyncio.timeout(60):
            while state in {"queued", "accepted"}:
                answer = await client.get(f"{running.http}/api/v1/enrolments/{enrolment}")
                state = answer.json()["delivery"]
    return state


def test_bounces_from_outside_are_asked_for_while_the_sender_waits(
    program: Callable[[str], str], tmp_path: Path, mail: Postbox
) -> None:
    listener = a_free_port()
    with postfix_relaying(program, onward=mail.port, bounces=listener) as postfix:
        installed = installed_behind(tmp_path, postfix)
        with serving(installed, variables=UNHURRIED | {"PUSHPKI_BOUNCES__LISTEN": f"127.0.0.1:{listener}"}):
            assert said_to(postfix.public, f"b+{'0' * 32}@{BOUNCES}").startswith("550")
            assert said_to(postfix.public, "anna@example.com").startswith("554"), "it relays nothing"


def said_to(port: int, recipient: str) -> str:
    """Return what is said to a null sender who names a recipient."""
    with smtplib.SMTP("127.0.0.1", port, timeout=60) as client:
        client.ehlo("elsewhere.example")
        client.mail("")
        code, text = client.rcpt(recipient)
    return f"{code} {text.decode()}"
