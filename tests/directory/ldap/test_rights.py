"""A login is worth nothing any more within seconds of its credential, on open connections too."""

import asyncio
import logging
from collections.abc import Collection, Mapping
from dataclasses import replace

import pytest

from directory.callers import Credential, Gateway, HeldCertificate, HeldToken
from directory.errors import StoreUnavailable
from directory.ldap.codes import WHO_AM_I, ResponseTag, ResultCode
from directory.ldap.rights import watch_rights
from directory.ldap.session import State
from directory.ldap.settings import LdapSettings
from tests.directory.builders import a_gateway
from tests.directory.ldap.dialogue import a_dialogue
from tests.directory.ldap.fixtures import Run
from tests.directory.ldap.memory import BIND_NAME, TOKEN, Directory, found
from tests.directory.ldap.network import client_of, serving
from tests.directory.ldap.wire import ReadResult, bind, compare, extended, mail, search

OFTEN = replace(LdapSettings(), rights=0.01)
MINE, ANOTHERS = HeldToken(token_id="mine"), HeldCertificate(sha256=bytes(32))


class LoggedIn:
    """A connection that takes notice."""

    def __init__(self, credential: Credential | None) -> None:
        self.credential = credential
        self.noticed: list[Gateway | None] = []

    def revise(self, gateway: Gateway | None) -> None:
        self.noticed.append(gateway)


class Register:
    """Says which credentials are good, for so many looks; then it is not asked any more."""

    def __init__(self, *answers: Mapping[Credential, Gateway] | Exception) -> None:
        self.asked: list[Collection[Credential]] = []
        self._answers = list(answers)

    async def still_good(self, credentials: Collection[Credential]) -> Mapping[Credential, Gateway]:
        self.asked.append(credentials)
        answer = self._answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        if not self._answers:
            raise asyncio.CancelledError
        return answer


async def watch(register: Register, *connections: LoggedIn) -> None:
    with pytest.raises(asyncio.CancelledError):
        await watch_rights(lambda: connections, register.still_good, every=0)


async def test_every_credential_is_asked_for_once_and_everybody_told() -> None:
    first, second, other, nobody = map(LoggedIn, (MINE, MINE, ANOTHERS, None))
    register = Register({MINE: a_gateway()}, {})

    await watch(register, first, second, other, nobody)

    assert set(register.asked[0]) == {MINE, ANOTHERS}
    assert first.noticed == second.noticed == [a_gateway()]
    assert other.noticed == [None]
    assert nobody.noticed == []


async def test_what_cannot_be_found_out_ends_nobodys_session(caplog: pytest.LogCaptureFixture) -> None:
    connection = LoggedIn(MINE)

    await watch(Register(StoreUnavailable(reason="away"), {}, {}), connection)

    assert connection.noticed == [None]
    assert [record.levelno for record in caplog.records] == [logging.WARNING]


async def test_who_logs_in_during_the_look_is_not_judged_by_it() -> None:
    connection = LoggedIn(MINE)

    class Slow(Register):
        async def still_good(self, credentials: Collection[Credential]) -> Mapping[Credential, Gateway]:
            connection.credential = ANOTHERS
            return await super().still_good(credentials)

    await watch(Slow({}, {}), connection)

    assert connection.noticed == []


# In the session.


def test_a_changed_gateway_asks_as_what_it_is_now() -> None:
    client = a_dialogue(Directory())
    client.log_in()
    now = a_gateway(scope="org-1", may_mint=False)

    assert client.session.revised(now) == []
    assert client.session.asker == now


def test_a_session_whose_credential_is_good_no_more_ends_with_a_notice() -> None:
    client = a_dialogue(Directory())
    client.log_in()

    seen = client.carry_out(client.session.revised(None))

    assert seen.notice.code is ResultCode.STRONGER_AUTH_REQUIRED
    assert client.session.state is State.CLOSED


def test_what_is_waited_for_ends_before_the_session_does() -> None:
    client = a_dialogue()
    client.send(bind(BIND_NAME, TOKEN, message_id=1))
    client.carry_out(client.session.authenticated(a_gateway()))
    client.send(search(message_id=2))
    client.send(compare("mail=alice@example.com,ou=people,o=directory", message_id=3))

    searched, compared, notice = client.carry_out(client.session.revised(None)).responses

    for response, kind in ((searched, ResponseTag.SEARCH_DONE), (compared, ResponseTag.COMPARE)):
        assert isinstance(response, ReadResult)
        assert (response.kind, response.code) == (kind, ResultCode.STRONGER_AUTH_REQUIRED)
    assert notice.message_id == 0
    assert client.answer(client.operations[0], found()).responses == []


def test_nobody_has_no_rights_to_lose() -> None:
    client = a_dialogue(Directory())

    assert client.session.revised(None) == []
    assert client.session.revised(a_gateway()) == []
    assert client.session.state is State.OPEN
    assert not isinstance(client.session.asker, Gateway)


def test_the_credential_goes_with_the_login() -> None:
    client = a_dialogue(Directory())
    client.log_in()
    held = client.session.credential
    client.send(bind())

    assert held == HeldToken(token_id=TOKEN.split("_")[1])
    assert client.session.credential is None


def test_gateways_may_be_quiet_for_longer() -> None:
    client = a_dialogue(Directory())
    assert client.session.longest_quiet == LdapSettings().idle
    client.log_in()
    assert client.session.longest_quiet == LdapSettings().idle_gateway
    client.send(bind())
    assert client.session.longest_quiet == LdapSettings().idle


# On open connections.


class Changing(Directory):
    """Says of every credential what its gateway is now."""

    def __init__(self) -> None:
        super().__init__()
        self.now: Gateway | None = self._gateway
        self.looks = 0
        self.looked = asyncio.Event()

    async def still_good(self, credentials: Collection[Credential]) -> dict[Credential, Gateway]:
        self.looks += 1
        self.looked.set()
        return dict.fromkeys(credentials, self.now) if self.now else {}

    async def look(self) -> None:
        """Wait for a look that begins after this."""
        for _ in range(2):
            self.looked.clear()
            await self.looked.wait()


def test_a_disabled_gateways_connection_ends(run: Run) -> None:
    async def test() -> None:
        directory = Changing()
        async with serving(directory, settings=OFTEN) as served, client_of(served) as client:
            await client.send(bind(BIND_NAME, TOKEN))
            assert (await client.result()).code is ResultCode.SUCCESS
            directory.now = None
            (notice,) = await client.rest()
            assert isinstance(notice, ReadResult)
            assert notice.code is ResultCode.STRONGER_AUTH_REQUIRED

    run(test())


def test_a_gateway_that_may_mint_no_more_does_not(run: Run) -> None:
    async def test() -> None:
        directory = Changing()
        async with serving(directory, settings=OFTEN) as served, client_of(served) as client:
            await client.send(bind(BIND_NAME, TOKEN))
            await client.result()
            directory.now = a_gateway(may_mint=False)
            await directory.look()
            await client.send(search(mail("new@example.com")))
            assert (await client.result()).code is ResultCode.SUCCESS
            await client.send(extended(WHO_AM_I))
            assert (await client.result()).value == f"dn:{BIND_NAME}".encode()
        assert [question.asker for question in directory.questions] == [a_gateway(may_mint=False)]

    run(test())


def test_nobody_is_looked_after_who_is_not_logged_in(run: Run) -> None:
    async def test() -> None:
        directory = Changing()
        async with serving(directory, settings=OFTEN) as served, client_of(served) as client:
            for number in range(1, 50):
                await client.send(extended(WHO_AM_I, message_id=number))
                await client.result()
        assert directory.looks == 0

    run(test())


def test_a_session_that_has_ended_says_nothing_more() -> None:
    client = a_dialogue(Directory())
    client.log_in()
    client.carry_out(client.session.expire())

    assert client.session.revised(None) == []
