"""Credentials: no login by an empty password, none read in clear, none carried to another connection."""

import asyncio
import logging

import pytest

from directory.callers import Anonymous
from directory.ldap.codes import WHO_AM_I, ResultCode
from directory.ldap.settings import ClearCredentials
from tests.directory.ldap.dialogue import REMOTE, a_dialogue
from tests.directory.ldap.memory import BIND_NAME, TOKEN, Directory
from tests.directory.ldap.network import client_of, serving
from tests.directory.ldap.wire import bind, extended, mail, search


@pytest.mark.parametrize("name", [BIND_NAME, "cn=other,ou=gateways,o=directory", "nonsense", " "])
def test_a_name_without_a_password_is_not_a_login(name: str) -> None:
    client = a_dialogue(Directory())

    assert client.send(bind(name, "")).result.code is ResultCode.UNWILLING_TO_PERFORM
    assert isinstance(client.session.asker, Anonymous)


@pytest.mark.parametrize("password", [TOKEN, "wrong", "\0"])
def test_credentials_in_clear_from_elsewhere_are_never_looked_at(password: str) -> None:
    client = a_dialogue(peer_address=REMOTE)

    assert client.send(bind(BIND_NAME, password)).result.code is ResultCode.CONFIDENTIALITY_REQUIRED
    assert client.authentications == []


def test_the_switch_refuses_them_from_this_machine_too() -> None:
    client = a_dialogue(clear_credentials=ClearCredentials.NOBODY)

    assert client.send(bind(BIND_NAME, TOKEN)).result.code is ResultCode.CONFIDENTIALITY_REQUIRED
    assert client.authentications == []


def test_right_and_wrong_credentials_in_clear_get_the_same_octets() -> None:
    answers = set()
    for password in (TOKEN, "wrong"):
        actions = a_dialogue(peer_address=REMOTE).session.receive(bind(BIND_NAME, password))
        answers.add(tuple(actions))

    assert len(answers) == 1


def test_an_unknown_gateway_and_a_wrong_token_get_the_same_octets() -> None:
    client = a_dialogue(Directory())
    wrong_token = client.send(bind(BIND_NAME, "wrong")).result
    unknown = client.send(bind("cn=other,ou=gateways,o=directory", TOKEN)).result
    elsewhere = client.send(bind("cn=gw,ou=people,o=directory", TOKEN)).result

    assert wrong_token == unknown == elsewhere


def test_another_connection_is_another_stranger() -> None:
    async def test() -> None:
        directory = Directory()
        async with serving(directory) as served, client_of(served) as gateway:
            await gateway.send(bind(BIND_NAME, TOKEN))
            assert (await gateway.result()).code is ResultCode.SUCCESS
            async with client_of(served) as stranger:
                await stranger.send(extended(WHO_AM_I))
                assert (await stranger.result()).value == b""
                await stranger.send(search(mail("new@example.com")))
                assert (await stranger.result()).code is ResultCode.SUCCESS
        assert directory.mints == []

    asyncio.run(test())


def test_a_token_is_in_no_log_and_no_representation(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    client = a_dialogue()
    client.send(bind(BIND_NAME, TOKEN))

    assert TOKEN not in repr(client.authentications)
    assert TOKEN not in caplog.text
