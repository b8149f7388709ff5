"""A bad message costs only its own connection."""

import asyncio
from contextlib import suppress

import pytest

from directory.ldap.codes import ResultCode
from tests.directory.ldap.fixtures import Run
from tests.directory.ldap.memory import Directory
from tests.directory.ldap.network import Client, Serving, client_of, serving
from tests.directory.ldap.wire import ReadResult, nested, search, unbind

BAD = [
    b"\xff" * 100,
    b"\x30\x84\xff\xff\xff\xff",
    b"GET / HTTP/1.1\r\n\r\n",
    b"\x16\x03\x01\x00\x05hello",
    search()[:-3] + unbind(),
    search(nested(100_000))[: 100 * 1024],
    b"",
]


async def disturb(serving: Serving) -> None:
    for octets in BAD:
        await disturb_once(serving, octets)


async def disturb_once(serving: Serving, octets: bytes) -> None:
    async with client_of(serving) as attacker:
        with suppress(ConnectionError):
            await attacker.send(octets)
            attacker.send_no_more()
            assert len(await attacker.rest()) <= 1


async def use(client: Client, rounds: int) -> int:
    answered = 0
    for number in range(1, rounds + 1):
        await client.send(search(message_id=number))
        result = await client.result()
        assert isinstance(result, ReadResult)
        answered += (result.message_id, result.code) == (number, ResultCode.SUCCESS)
    return answered


def test_good_connections_lose_nothing(run: Run) -> None:
    async def test() -> None:
        async with serving(Directory()) as served:
            clients = [await Client.connect(served.port) for _ in range(20)]
            disturbing = [asyncio.create_task(disturb(served)) for _ in range(5)]
            answered = await asyncio.gather(*(use(client, 50) for client in clients))
            await asyncio.gather(*disturbing)
            for client in clients:
                await client.close()
        assert answered == [50] * 20

    run(test())


def test_five_hundred_good_connections_lose_nothing_to_a_bad_one_time_and_again(
    request: pytest.FixtureRequest,
) -> None:
    rounds = 1000 if request.config.getoption("--long") else 3
    good = 500 if request.config.getoption("--long") else 50

    async def test() -> None:
        async with serving(Directory()) as served:
            clients = [await Client.connect(served.port) for _ in range(good)]
            answered = 0
            for number in range(rounds):
                disturbing = asyncio.create_task(disturb_once(served, BAD[number % len(BAD)]))
                answered += sum(await asyncio.gather(*(use(client, 1) for client in clients)))
                await disturbing
            for client in clients:
                await client.close()
        assert answered == good * rounds

    asyncio.run(test())
