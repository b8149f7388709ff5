"""An organization's URL must not make the service speak to the machines around it.

Every attempt here is a real call towards a real listener on loopback that must never be reached.
"""

from collections.abc import AsyncIterator, Sequence
from datetime import timedelta
from ipaddress import ip_address

import pytest

from directory.channels.client import WebhookClient, WebhookRules
from directory.channels.jobs import CallFailure
from directory.channels.targets import Address, parse_target
from directory.errors import ConfigurationRefused
from tests.directory.channels.receiver import Receiver, receiving, status


@pytest.fixture
async def inside() -> AsyncIterator[Receiver]:
    """A machine of the service's own network, which notices every connection."""
    async with receiving(clear=True) as listening:
        yield listening


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "127.1",
        "2130706433",
        "0177.0.0.1",
        "0x7f.0.0.1",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "[64:ff9b::7f00:1]",
        "0.0.0.0",  # noqa: S104 - what is refused
        "[::]",
        "169.254.169.254",
        "user@127.0.0.1",
        "hooks.example.org@127.0.0.1",
        "hooks.example.org\\@127.0.0.1",
        "127.0.0.1%00.example.org",
        "127.0.0.1#.example.org",
    ],
)
async def test_no_spelling_of_an_inner_address_is_called(inside: Receiver, host: str) -> None:
    client = WebhookClient(WebhookRules())
    failure = None
    try:
        target = parse_target(f"https://{host}:{inside.port}/", allow_private=False)
    except ConfigurationRefused:
        target = None
    if target is not None:
        failure = (await client.call(target, b"{}", {})).failure

    assert target is None or failure in {CallFailure.ADDRESS_REFUSED, CallFailure.NAME_NOT_RESOLVED}
    assert inside.connections == 0


async def test_a_name_that_leads_inside_is_not_called(inside: Receiver) -> None:
    async def resolve(_host: str, _port: int) -> Sequence[Address]:
        return [ip_address("127.0.0.1")]

    client = WebhookClient(WebhookRules(), resolve=resolve)
    target = parse_target(f"https://hooks.example.org:{inside.port}/", allow_private=False)
    result = await client.call(target, b"{}", {})

    assert (result.failure, inside.connections) == (CallFailure.ADDRESS_REFUSED, 0)


async def test_one_good_address_does_not_let_a_bad_one_in(inside: Receiver) -> None:
    async def resolve(_host: str, _port: int) -> Sequence[Address]:
        return [ip_address("1.1.1.1"), ip_address("127.0.0.1")]

    client = WebhookClient(WebhookRules(), resolve=resolve)
    target = parse_target(f"https://hooks.example.org:{inside.port}/", allow_private=False)
    result = await client.call(target, b"{}", {})

    assert (result.failure, inside.connections) == (CallFailure.ADDRESS_REFUSED, 0)


async def test_a_name_is_asked_for_once_and_its_second_answer_changes_nothing(inside: Receiver) -> None:
    answers = [["127.0.0.1"], ["169.254.169.254"]]
    asked: list[str] = []

    async def rebinding(host: str, _port: int) -> Sequence[Address]:
        asked.append(host)
        return [ip_address(one) for one in answers.pop(0)]

    rules = WebhookRules(allow_private=True, timeout=timedelta(seconds=0.5))
    client = WebhookClient(rules, resolve=rebinding)
    target = parse_target(f"https://hooks.example.org:{inside.port}/", allow_private=True)
    result = await client.call(target, b"{}", {})

    # It went to the address that was judged, where nobody agrees on TLS.
    assert (result.failure, asked, inside.connections) == (
        CallFailure.TIMED_OUT,
        ["hooks.example.org"],
        1,
    )


async def test_a_redirect_inwards_is_not_followed(inside: Receiver) -> None:
    async with receiving(clear=True) as outside:
        outside.answers = [status(307, f"Location: https://127.0.0.1:{inside.port}/")]
        client = WebhookClient(WebhookRules(allow_private=True))
        target = parse_target(f"http://127.0.0.1:{outside.port}/", allow_private=True)
        result = await client.call(target, b"{}", {})

    assert (result.status, inside.connections) == (307, 0)


async def test_no_proxy_of_the_environment_is_used(inside: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{inside.port}")
    async with receiving(clear=True) as outside:
        client = WebhookClient(WebhookRules(allow_private=True))
        target = parse_target(f"http://127.0.0.1:{outside.port}/", allow_private=True)
        result = await client.call(target, b"{}", {})

    assert (result.status, inside.connections, len(outside.received)) == (204, 0, 1)
