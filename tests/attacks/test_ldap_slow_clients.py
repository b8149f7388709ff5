"""Clients that take their time, or never read, must not hold up the others, nor stay for ever."""

import asyncio
import socket
from dataclasses import replace

import pytest

from directory.ldap.codes import WHO_AM_I, ResultCode
from directory.ldap.connection import Listener
from directory.ldap.settings import LdapSettings
from directory.lookup import Answer, Found, Question
from tests.directory.ldap.fixtures import Run
from tests.directory.ldap.memory import BIND_NAME, TOKEN, Directory, a_published_certificate
from tests.directory.ldap.network import HOST, Serving, Tls, client_of, serving
from tests.directory.ldap.wire import bind, extended, search

SHORT = replace(LdapSettings(), handshake=0.3, idle=0.1, write=0.1)


class Generous(Directory):
    """Answers with something much too long."""

    async def answer(self, question: Question) -> Answer:
        self.questions.append(question)
        certificate = a_published_certificate(str(question.mailbox))
        return Found(certificate=replace(certificate, der=bytes(64 * 1024)))


def silent_connections(serving: Serving, count: int) -> list[socket.socket]:
    return [socket.create_connection((HOST, serving.port)) for _ in range(count)]


async def until_dropped(connection: socket.socket) -> int:
    """Return how many octets came before the end."""
    loop = asyncio.get_running_loop()
    connection.settimeout(0)
    received = 0
    while True:
        try:
            octets = await loop.sock_recv(connection, 1 << 20)
        except ConnectionResetError:
            octets = b""
        if not octets:
            connection.close()
            return received
        received += len(octets)


async def is_served(serving: Serving, tls: Tls | None = None) -> bool:
    async with client_of(serving, tls) as client:
        await client.send(extended(WHO_AM_I))
        return (await client.result()).code is ResultCode.SUCCESS


def test_a_handshake_that_does_not_go_on_is_broken_off(run: Run, tls: Tls) -> None:
    async def test() -> None:
        async with serving(settings=SHORT, tls=tls, listener=Listener.TLS) as served:
            connections = silent_connections(served, 20)
            assert await is_served(served, tls)
            assert await asyncio.gather(*map(until_dropped, connections)) == [0] * 20

    run(test())


def test_handshakes_count_as_connections(run: Run, tls: Tls) -> None:
    async def test() -> None:
        few = replace(SHORT, connections=3)
        async with serving(settings=few, tls=tls, listener=Listener.TLS) as served:
            connections = silent_connections(served, 3)
            (one_more,) = silent_connections(served, 1)
            assert await until_dropped(one_more) == 0
            await asyncio.gather(*map(until_dropped, connections))
            assert await is_served(served, tls)

    run(test())


def test_a_message_that_comes_octet_by_octet_does_not_keep_the_connection_alive(run: Run) -> None:
    async def test() -> None:
        async with serving(settings=SHORT) as served, client_of(served) as client:
            began = asyncio.get_running_loop().time()
            ending = asyncio.create_task(client.rest())
            for octet in search():
                await client.send(bytes((octet,)))
                done, _ = await asyncio.wait((ending,), timeout=0.02)
                if done:
                    break
            assert await ending == []
            assert asyncio.get_running_loop().time() - began < 1

    run(test())


def test_the_rest_of_a_message_is_not_waited_for_for_ever_by_a_gateway_either(run: Run) -> None:
    async def test() -> None:
        patient = replace(LdapSettings(), idle=60, idle_gateway=60, message=0.1)
        async with serving(Directory(), settings=patient) as served, client_of(served) as client:
            await client.send(bind(BIND_NAME, TOKEN))
            assert (await client.result()).code is ResultCode.SUCCESS
            await client.send(search()[:-1])
            assert await client.rest() == []

    run(test())


def test_messages_that_are_completed_keep_the_connection_alive(run: Run) -> None:
    async def test() -> None:
        brief = replace(LdapSettings(), message=0.1)
        async with serving(Directory(), settings=brief) as served, client_of(served) as client:
            # Each segment holds the end of one message and the beginning of the next.
            clock = asyncio.get_running_loop()
            end, number, rest = clock.time() + 0.3, 0, b""
            while clock.time() < end:
                number = number % 100 + 1
                pdu = extended(WHO_AM_I, message_id=number)
                await client.send(rest + pdu[:10])
                if rest:
                    assert (await client.result()).code is ResultCode.SUCCESS
                rest = pdu[10:]
            await client.send(rest)
            assert (await client.result()).message_id == number

    run(test())


def test_gateways_keep_their_connections_longer_than_strangers(run: Run) -> None:
    async def test() -> None:
        settings = replace(LdapSettings(), idle=0.05, idle_gateway=60)
        async with (
            serving(Directory(), settings=settings) as served,
            client_of(served) as gateway,
            client_of(served) as stranger,
        ):
            await gateway.send(bind(BIND_NAME, TOKEN))
            assert (await gateway.result()).code is ResultCode.SUCCESS
            assert await stranger.rest() == []
            await gateway.send(extended(WHO_AM_I, message_id=2))
            assert (await gateway.result()).value == f"dn:{BIND_NAME}".encode()

    run(test())


@pytest.mark.parametrize("listener", Listener)
def test_a_client_that_never_reads_is_dropped_and_costs_little(
    run: Run, tls: Tls, listener: Listener
) -> None:
    async def test() -> None:
        directory = Generous()
        secure = tls if listener is Listener.TLS else None
        impatient = replace(LdapSettings(), write=0.1)
        async with serving(directory, settings=impatient, tls=tls, listener=listener) as served:
            async with client_of(served, secure) as greedy:
                stream = b"".join(search(message_id=number) for number in range(1, 2001))
                sending = asyncio.create_task(greedy.send(stream))
                assert await is_served(served, secure)
                await served.server._service.until_nobody_is_left()
                sending.cancel()
                await asyncio.wait((sending,))
            assert len(directory.questions) < 2000

    run(test())
