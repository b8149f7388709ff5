"""The asyncio shell over real sockets: answers, TLS, time-outs, pressure. On both event loops."""

import asyncio
import logging
from dataclasses import replace
from typing import cast

import pytest

from directory.errors import StoreUnavailable
from directory.ldap.codes import NOTICE_OF_DISCONNECTION, START_TLS, WHO_AM_I, ResponseTag, ResultCode
from directory.ldap.connection import Listener
from directory.ldap.settings import LdapSettings
from directory.lookup import Answer, Question
from tests.directory.ldap.fixtures import Run
from tests.directory.ldap.memory import BIND_NAME, TOKEN, Directory, der_of
from tests.directory.ldap.network import Client, Failing, Gated, Tls, client_of, serving
from tests.directory.ldap.wire import (
    CERTIFICATE,
    ReadEntry,
    ReadResult,
    abandon,
    bind,
    extended,
    mail,
    search,
    unbind,
)

SUCCESS = ResultCode.SUCCESS


def settings(**changes: float) -> LdapSettings:
    return replace(LdapSettings(), **changes)  # type: ignore[arg-type] # numbers by name


async def ask(client: Client, address: str = "alice@example.com", *, message_id: int = 1) -> bytes | None:
    """Search for an address; return its certificate."""
    await client.send(search(mail(address), message_id=message_id))
    response = await client.response()
    if isinstance(response, ReadEntry):
        assert (await client.result()).code is SUCCESS
        return response.attributes[CERTIFICATE][0]
    assert isinstance(response, ReadResult)
    assert response.code is SUCCESS
    return None


def test_answers_in_clear(run: Run) -> None:
    async def test() -> None:
        async with serving() as served, client_of(served) as client:
            assert await ask(client) == der_of("alice@example.com")
            assert await ask(client, "nobody@example.com") is None

    run(test())


def test_answers_under_tls_from_the_first_octet(run: Run, tls: Tls) -> None:
    async def test() -> None:
        async with serving(tls=tls, listener=Listener.TLS) as served, client_of(served, tls) as client:
            assert await ask(client) == der_of("alice@example.com")
            await client.send(extended(START_TLS))
            assert (await client.result()).code is ResultCode.OPERATIONS_ERROR

    run(test())


def test_goes_over_to_tls_and_forgets_who_asked(run: Run, tls: Tls) -> None:
    async def test() -> None:
        async with serving(tls=tls) as served, client_of(served) as client:
            await client.send(bind(BIND_NAME, TOKEN))
            assert (await client.result()).code is SUCCESS
            await client.send(extended(START_TLS, message_id=2))
            assert (await client.result()).response_name == START_TLS
            await client.start_tls(tls)

            assert await ask(client, message_id=3) == der_of("alice@example.com")
            await client.send(extended(WHO_AM_I, message_id=4))
            assert (await client.result()).value == b""
            await client.send(bind(BIND_NAME, TOKEN, message_id=5))
            assert (await client.result()).code is SUCCESS

    run(test())


def test_a_gateway_mints(run: Run) -> None:
    async def test() -> None:
        directory = Directory()
        async with serving(directory) as served, client_of(served) as client:
            await client.send(bind(BIND_NAME, TOKEN, message_id=1))
            assert await client.result() == ReadResult(message_id=1, kind=ResponseTag.BIND, code=SUCCESS)
            assert await ask(client, "new@example.com") == der_of("new@example.com")
        assert directory.mints == ["new@example.com"]

    run(test())


@pytest.mark.parametrize("in_pieces", [False, True])
def test_answers_a_thousand_pipelined_searches(run: Run, *, in_pieces: bool) -> None:
    async def test() -> None:
        stream = b"".join(search(message_id=number) for number in range(1, 1001))
        pieces = [stream[at : at + 7] for at in range(0, len(stream), 7)] if in_pieces else [stream]
        async with serving() as served, client_of(served) as client:
            sending = asyncio.create_task(_send_all(client, pieces))
            answered = {(await client.result()).message_id for _ in range(1000)}
            await sending
        assert answered == set(range(1, 1001))

    run(test())


async def _send_all(client: Client, pieces: list[bytes]) -> None:
    for piece in pieces:
        await client.send(piece)


def test_connections_do_not_wait_for_each_other(run: Run) -> None:
    async def test() -> None:
        directory = Gated()
        async with serving(directory) as served, client_of(served) as slow, client_of(served) as quick:
            await slow.send(search())
            await directory.asked.wait()
            await quick.send(extended(WHO_AM_I))
            assert (await quick.result()).code is SUCCESS
            directory.gate.set()
            assert (await slow.result()).code is SUCCESS

    run(test())


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (StoreUnavailable(reason="locked"), ResultCode.UNAVAILABLE),
        (RuntimeError("alice@example.com"), ResultCode.OTHER),
        (TimeoutError(), ResultCode.BUSY),
    ],
)
def test_every_failure_is_a_result(run: Run, error: Exception, code: ResultCode) -> None:
    async def test() -> None:
        async with serving(Failing(error)) as served, client_of(served) as client:
            await client.send(search())
            assert (await client.result()).code is code
            await client.send(bind(BIND_NAME, TOKEN))
            assert (await client.result()).code is code
            await client.send(extended(WHO_AM_I))
            assert (await client.result()).code is SUCCESS

    run(test())


class Nonsense(Directory):
    """Answers with what is no answer."""

    async def answer(self, question: Question) -> Answer:
        self.questions.append(question)
        return cast("Answer", None)


def test_even_a_mistake_of_ours_is_announced(run: Run) -> None:
    async def test() -> None:
        async with serving(Nonsense()) as served, client_of(served) as client:
            await client.send(search())
            (notice,) = await client.rest()
        assert isinstance(notice, ReadResult)
        assert (notice.code, notice.response_name) == (ResultCode.OTHER, NOTICE_OF_DISCONNECTION)

    run(test())


def test_a_lookup_that_takes_too_long_is_answered_with_busy(run: Run) -> None:
    async def test() -> None:
        async with (
            serving(Gated(), settings=settings(answer_within=0.05)) as served,
            client_of(served) as client,
        ):
            await client.send(search())
            assert (await client.result()).code is ResultCode.BUSY

    run(test())


def test_a_lookup_that_never_ends_gives_its_place_back(run: Run) -> None:
    async def test() -> None:
        impatient = settings(answer_within=0.02, lookup_ceiling=0.02, operations_per_connection=1)
        directory = Gated()
        async with serving(directory, settings=impatient) as served, client_of(served) as client:
            await client.send(search(message_id=1) + search(message_id=2))
            assert (await client.result()).message_id == 1
            assert (await client.result()).message_id == 2

    run(test())


def test_a_client_that_left_does_not_cancel_its_lookup(run: Run) -> None:
    async def test() -> None:
        directory = Gated()
        async with serving(directory, grace=5) as served:
            async with client_of(served) as client:
                await client.send(search() + abandon(1))
                await directory.asked.wait()
            directory.gate.set()
            async with client_of(served) as client:
                assert await ask(client) == der_of("alice@example.com")
        assert len(directory.questions) == 2

    run(test())


def test_a_lookup_that_never_ends_is_cancelled_though_its_client_left(run: Run) -> None:
    class Endless(Directory):
        def __init__(self) -> None:
            super().__init__()
            self.asked = asyncio.Event()
            self.cancelled = asyncio.Event()

        async def answer(self, question: Question) -> Answer:
            self.asked.set()
            try:
                return await asyncio.Future()
            finally:
                self.cancelled.set()
                self.questions.append(question)

    async def test() -> None:
        directory = Endless()
        impatient = settings(answer_within=0.02, lookup_ceiling=0.02)
        async with serving(directory, settings=impatient) as served, client_of(served) as client:
            await client.send(search())
            await directory.asked.wait()
            await client.close()
            await directory.cancelled.wait()
            assert len(directory.questions) == 1

    run(test())


def test_a_client_that_asks_for_much_at_once_gets_all_of_it_in_turns(run: Run) -> None:
    async def test() -> None:
        in_turns = settings(octets_at_once=2000)
        pipelined = b"".join(search(base="", scope=0, message_id=number) for number in range(1, 301))
        async with serving(settings=in_turns) as served, client_of(served) as client:
            await client.send(pipelined)
            client.send_no_more()
            answered = [item for item in await client.rest() if isinstance(item, ReadResult)]

        assert [result.message_id for result in answered] == list(range(1, 301))

    run(test())


def test_too_many_lookups_at_once_are_answered_with_busy(run: Run) -> None:
    async def test() -> None:
        directory = Gated()
        async with serving(directory, settings=settings(lookups=1)) as served, client_of(served) as client:
            await client.send(search(message_id=1) + search(message_id=2))
            busy = await client.result()
            assert (busy.message_id, busy.code) == (2, ResultCode.BUSY)
            directory.gate.set()
            assert (await client.result()).code is SUCCESS
            assert await ask(client, message_id=3) == der_of("alice@example.com")

    run(test())


def test_an_authentication_that_takes_too_long_is_answered_with_busy(run: Run) -> None:
    class Hanging(Directory):
        async def named_gateway(self, name: str, token: str) -> None:
            del name, token
            await asyncio.Event().wait()

    async def test() -> None:
        async with (
            serving(Hanging(), settings=settings(answer_within=0.05)) as served,
            client_of(served) as client,
        ):
            await client.send(bind(BIND_NAME, TOKEN))
            assert (await client.result()).code is ResultCode.BUSY

    run(test())


def test_an_idle_connection_is_closed(run: Run) -> None:
    async def test() -> None:
        async with serving(settings=settings(idle=0.05)) as served, client_of(served) as client:
            assert await ask(client) == der_of("alice@example.com")
            assert await client.rest() == []

    run(test())


def test_a_connection_that_waits_for_an_answer_is_not_idle(run: Run) -> None:
    async def test() -> None:
        directory = Gated()
        async with (
            serving(directory, settings=settings(idle=0.02, answer_within=0.2)) as served,
            client_of(served) as client,
        ):
            await client.send(search())
            assert (await client.result()).code is ResultCode.BUSY
            assert await client.rest() == []

    run(test())


def test_a_client_that_sends_no_more_gets_its_answers_and_then_the_end(run: Run) -> None:
    async def test() -> None:
        directory = Gated()
        async with serving(directory) as served, client_of(served) as client:
            await client.send(search())
            client.send_no_more()
            await directory.asked.wait()
            directory.gate.set()
            assert len(await client.rest()) == 2

    run(test())


def test_unbind_closes_the_connection(run: Run, tls: Tls) -> None:
    async def test() -> None:
        async with serving() as served, client_of(served) as client:
            await client.send(unbind())
            assert await client.rest() == []
        async with serving(tls=tls, listener=Listener.TLS) as served, client_of(served, tls) as client:
            await client.send(unbind())
            assert await client.rest() == []

    run(test())


def test_one_connection_too_many_is_told_so(run: Run) -> None:
    async def test() -> None:
        async with serving(settings=settings(connections=1)) as served, client_of(served) as first:
            assert await ask(first) == der_of("alice@example.com")
            async with client_of(served) as second:
                (notice,) = await second.rest()
            assert isinstance(notice, ReadResult)
            assert (notice.code, notice.response_name) == (ResultCode.BUSY, NOTICE_OF_DISCONNECTION)
            assert await ask(first, message_id=2) == der_of("alice@example.com")

    run(test())


def test_nothing_secret_and_no_address_is_logged(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    async def test() -> None:
        caplog.set_level(logging.DEBUG)
        async with (
            serving(Failing(StoreUnavailable(reason="alice@example.com"))) as served,
            client_of(served) as client,
        ):
            await client.send(bind(BIND_NAME, TOKEN))
            await client.result()
            await client.send(search())
            await client.result()
            await client.send(b"\xff alice@example.com")
            await client.rest()

        async with serving() as served, client_of(served) as client:
            await client.send(bind("cn=alice,ou=gateways,o=directory", TOKEN))
            assert (await client.result()).code is ResultCode.INVALID_CREDENTIALS

    run(test())
    assert "StoreUnavailable" in caplog.text
    assert "wrong credentials from 127.0.0.1" in caplog.text
    assert TOKEN not in caplog.text
    assert "alice" not in caplog.text
