"""One call against a real TLS server: what is sent, and what counts as an answer."""

import asyncio
import socket
from collections.abc import AsyncIterator, Sequence
from datetime import timedelta
from ipaddress import ip_address
from pathlib import Path

import pytest

from directory.channels.client import Resolver, WebhookClient, WebhookRules
from directory.channels.jobs import CallFailure
from directory.channels.targets import Address, WebhookTarget, parse_target
from directory.errors import ConfigurationRefused
from tests.directory.channels.receiver import (
    Answer,
    Receiver,
    hang_up,
    receiving,
    say_nothing,
    send_headers_without_end,
    send_without_end,
    status,
)
from tests.directory.delivery.tls import server_context, write_ca_file

HEADERS = {"Pushpki-Delivery": "d1"}


@pytest.fixture(scope="module")
def ca_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_ca_file(tmp_path_factory.mktemp("ca"))


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with receiving() as listening:
        yield listening


def a_client(
    ca_file: Path | None, *, timeout: timedelta = timedelta(seconds=10), resolve: Resolver | None = None
) -> WebhookClient:
    return WebhookClient(WebhookRules(timeout=timeout, allow_private=True, ca_file=ca_file), resolve=resolve)


def a_target(receiver: Receiver, host: str = "127.0.0.1") -> WebhookTarget:
    return parse_target(f"https://{host}:{receiver.port}/hook?team=ra", allow_private=True)


def leading_to(*addresses: str) -> Resolver:
    async def resolve(_host: str, _port: int) -> Sequence[Address]:
        return [ip_address(one) for one in addresses]

    return resolve


async def test_posts_the_document(receiver: Receiver, ca_file: Path) -> None:
    client = a_client(ca_file)
    result = await client.call(a_target(receiver), b'{"a":1}', HEADERS)

    assert (result.status, result.failure) == (204, None)
    (received,) = receiver.received
    assert received.target == "POST /hook?team=ra HTTP/1.1"
    assert received.body == b'{"a":1}'
    assert received.headers["content-type"] == "application/json"
    assert received.headers["pushpki-delivery"] == "d1"
    assert received.headers["host"] == f"127.0.0.1:{receiver.port}"


async def test_a_name_is_what_the_certificate_must_say(ca_file: Path) -> None:
    async with receiving(tls=server_context("hooks.example")) as receiver:
        resolve = leading_to("127.0.0.1")
        client = a_client(ca_file, resolve=resolve)
        right = await client.call(a_target(receiver, "hooks.example"), b"{}", HEADERS)
        wrong = await client.call(a_target(receiver, "other.example"), b"{}", HEADERS)

    assert (right.status, right.failure) == (204, None)
    assert (wrong.status, wrong.failure) == (None, CallFailure.TLS_FAILED)
    assert receiver.received[0].headers["host"] == f"hooks.example:{receiver.port}"
    assert len(receiver.received) == 1


async def test_a_certificate_of_nobody_known_is_refused(receiver: Receiver) -> None:
    client = a_client(None)
    result = await client.call(a_target(receiver), b"{}", HEADERS)

    assert (result.failure, receiver.received) == (CallFailure.TLS_FAILED, [])


async def test_a_server_that_never_agrees_on_tls_gets_nothing(ca_file: Path) -> None:
    patience = timedelta(seconds=0.5)
    async with receiving(clear=True) as receiver:
        client = a_client(ca_file, timeout=patience)
        result = await client.call(a_target(receiver), b"{}", HEADERS)

    assert result.failure is CallFailure.TIMED_OUT
    assert receiver.received == []


async def test_this_machine_may_be_called_without_tls_where_allowed(ca_file: Path) -> None:
    async with receiving(clear=True) as receiver:
        client = a_client(ca_file)
        url = f"http://127.0.0.1:{receiver.port}/hook"
        result = await client.call(parse_target(url, allow_private=True), b"{}", HEADERS)

    assert result.status == 204


@pytest.mark.parametrize("code", [200, 301, 307, 400, 404, 410, 429, 500, 503])
async def test_the_status_is_the_answer(receiver: Receiver, ca_file: Path, code: int) -> None:
    receiver.answers = [status(code, "Location: https://127.0.0.1:1/elsewhere")]
    client = a_client(ca_file)
    result = await client.call(a_target(receiver), b"{}", HEADERS)

    assert (result.status, result.failure) == (code, None)
    assert receiver.connections == 1


@pytest.mark.parametrize(
    ("answer", "failure"),
    [
        (hang_up, CallFailure.CONNECTION_LOST),
        (b"SSH-2.0-OpenSSH_9.2\r\n", CallFailure.CONNECTION_LOST),
        (b"HTTP/1.1 two hundred\r\n\r\n", CallFailure.CONNECTION_LOST),
        (send_headers_without_end, CallFailure.CONNECTION_LOST),
        (say_nothing, CallFailure.TIMED_OUT),
        (b"HTTP/1.1 100 Continue\r\n\r\n", CallFailure.CONNECTION_LOST),
    ],
)
async def test_what_is_no_answer_is_a_failure(
    receiver: Receiver, ca_file: Path, answer: Answer, failure: CallFailure
) -> None:
    receiver.answers = [answer]
    patience = timedelta(seconds=0.3) if answer is say_nothing else timedelta(seconds=10)
    client = a_client(ca_file, timeout=patience)
    result = await client.call(a_target(receiver), b"{}", HEADERS)

    assert (result.status, result.failure) == (None, failure)


async def test_an_answer_without_end_costs_nothing(receiver: Receiver, ca_file: Path) -> None:
    receiver.answers = [send_without_end]
    client = a_client(ca_file)
    result = await client.call(a_target(receiver), b"{}", HEADERS)

    assert (result.status, result.failure) == (200, None)
    assert result.milliseconds < 5000


async def test_a_port_where_nobody_listens_is_unreachable(ca_file: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        target = parse_target(f"https://127.0.0.1:{taken.getsockname()[1]}/", allow_private=True)
        client = a_client(ca_file)
        result = await client.call(target, b"{}", HEADERS)

    assert result.failure is CallFailure.UNREACHABLE


async def test_the_next_address_of_a_name_is_tried(ca_file: Path) -> None:
    resolve = leading_to("127.0.0.2", "127.0.0.1")
    tls = server_context("hooks.example")
    async with receiving(tls=tls) as receiver:
        client = a_client(ca_file, resolve=resolve)
        result = await client.call(a_target(receiver, "hooks.example"), b"{}", HEADERS)

    assert result.status == 204


async def test_a_name_that_does_not_resolve_is_a_failure(receiver: Receiver, ca_file: Path) -> None:
    async def nowhere(_host: str, _port: int) -> Sequence[Address]:
        raise socket.gaierror(socket.EAI_NONAME, "unknown")

    target = a_target(receiver, "hooks.example")
    client = a_client(ca_file, resolve=nowhere)
    unknown = await client.call(target, b"{}", HEADERS)
    client = a_client(ca_file, resolve=leading_to())
    empty = await client.call(target, b"{}", HEADERS)

    assert {unknown.failure, empty.failure} == {CallFailure.NAME_NOT_RESOLVED}


async def test_a_name_server_that_hangs_is_not_waited_for(receiver: Receiver, ca_file: Path) -> None:
    async def never(_host: str, _port: int) -> Sequence[Address]:
        await asyncio.Event().wait()
        return []

    client = a_client(ca_file, timeout=timedelta(seconds=0.1), resolve=never)
    result = await client.call(a_target(receiver, "hooks.example"), b"{}", HEADERS)

    assert result.failure is CallFailure.TIMED_OUT


async def test_the_system_resolves_names(ca_file: Path) -> None:
    async with receiving(tls=server_context("localhost")) as receiver:
        client = a_client(ca_file)
        result = await client.call(a_target(receiver, "localhost"), b"{}", HEADERS)

    assert result.status == 204


def test_a_file_without_certificates_is_refused(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("nothing", encoding="ascii")

    for name in ("ca.pem", "missing.pem"):
        with pytest.raises(ConfigurationRefused) as refused:
            a_client(tmp_path / name)
        assert refused.value.key == "webhook.ca_file"
