"""Octets in clear behind StartTLS must not be read as if they had come under TLS (CVE-2026-86345 and kin)."""

import asyncio

import pytest

from directory.ldap.ber import element
from directory.ldap.codes import START_TLS, WHO_AM_I, RequestTag, ResultCode
from directory.ldap.settings import ClearCredentials
from tests.directory.ldap.dialogue import a_dialogue
from tests.directory.ldap.memory import BIND_NAME, TOKEN, Directory
from tests.directory.ldap.network import Tls, client_of, serving
from tests.directory.ldap.wire import bind, extended, message, search, unbind

INJECTED = [
    search(message_id=2),
    bind(message_id=2),
    bind(BIND_NAME, TOKEN, message_id=2),
    extended(WHO_AM_I, message_id=2),
    extended(START_TLS, message_id=2),
    message(element(RequestTag.DELETE, b"o=directory"), message_id=2),
    unbind(message_id=2),
    b"\x30",  # the beginning of something
    b"\x16\x03\x01",  # TLS before it was agreed
]


@pytest.mark.parametrize("injected", INJECTED)
def test_octets_in_the_same_segment_end_the_session_before_tls_begins(injected: bytes) -> None:
    directory = Directory()
    client = a_dialogue(directory)

    seen = client.send(extended(START_TLS) + injected)

    assert seen.notice.code is ResultCode.PROTOCOL_ERROR
    assert len(seen.responses) == 1
    assert client.tls_begun == 0
    assert directory.questions == []


@pytest.mark.parametrize("injected", INJECTED)
def test_octets_that_come_before_the_handshake_end_the_session(injected: bytes) -> None:
    directory = Directory()
    client = a_dialogue(directory)
    client.send(extended(START_TLS))

    assert client.send(injected).notice.code is ResultCode.PROTOCOL_ERROR
    assert directory.questions == []


def test_what_is_sent_in_clear_over_the_wire_is_never_carried_out(tls: Tls) -> None:
    async def attack(injected: bytes, *, at_once: bool) -> Directory:
        directory = Directory()
        async with serving(directory, tls=tls) as served, client_of(served) as attacker:
            if at_once:
                await attacker.send(extended(START_TLS) + injected)
            else:
                await attacker.send(extended(START_TLS))
                await attacker.result()
                await attacker.send(injected)
            await attacker.until_the_end()
        return directory

    async def attacks() -> None:
        for injected in (search(message_id=2), bind(BIND_NAME, TOKEN, message_id=2)):
            for at_once in (True, False):
                directory = await attack(injected, at_once=at_once)
                assert directory.questions == []

    asyncio.run(attacks())


def test_a_login_in_clear_is_forgotten_under_tls() -> None:
    client = a_dialogue(Directory())
    client.log_in()
    client.send(extended(START_TLS))
    client.carry_out(client.session.tls_established())

    assert client.send(extended(WHO_AM_I)).result.value == b""


def test_a_bind_after_a_refused_start_tls_is_still_in_clear() -> None:
    client = a_dialogue(Directory(), clear_credentials=ClearCredentials.NOBODY)
    client.send(message(element(RequestTag.EXTENDED, element(0x80, b"1.2.3"))))

    assert client.send(bind(BIND_NAME, TOKEN)).result.code is ResultCode.CONFIDENTIALITY_REQUIRED


def test_an_outstanding_operation_refuses_start_tls() -> None:
    client = a_dialogue()
    client.send(search(message_id=1))

    assert client.send(extended(START_TLS, message_id=2)).result.code is ResultCode.OPERATIONS_ERROR
    assert client.tls_begun == 0
