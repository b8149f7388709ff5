"""Accepting connections: both address families, and running out of file descriptors."""

import asyncio
import logging
import os
import resource
import socket

import pytest

from directory.ldap import listening
from directory.ldap.codes import WHO_AM_I, ResultCode
from directory.ldap.connection import Listener
from directory.ldap.listening import ListeningSocket
from directory.ldap.service import Service
from directory.ldap.settings import LdapSettings
from directory.sockets import take
from tests.directory.ldap.fixtures import Run
from tests.directory.ldap.memory import Directory
from tests.directory.ldap.network import HOST, Client
from tests.directory.ldap.wire import extended


def a_service() -> Service:
    directory = Directory()
    return Service(
        answer=directory.answer,
        named_gateway=directory.named_gateway,
        certified_gateway=directory.certified_gateway,
        still_good=directory.still_good,
        settings=LdapSettings(),
        tls=None,
    )


async def leave(service: Service) -> None:
    for client in service.clients:
        client.abort()
    await service.until_nobody_is_left()


async def is_answered(client: Client) -> bool:
    await client.send(extended(WHO_AM_I))
    return (await client.result()).code is ResultCode.SUCCESS


async def next_warning() -> str:
    """Wait for the module to log."""
    logged: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    class Watching(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if not logged.done():
                logged.set_result(record.getMessage())

    handler = Watching()
    logging.getLogger(listening.__name__).addHandler(handler)
    try:
        return await logged
    finally:
        logging.getLogger(listening.__name__).removeHandler(handler)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1"])
def test_listens_on_either_family(run: Run, host: str) -> None:
    async def test() -> None:
        service = a_service()
        subject = ListeningSocket(service, Listener.CLEAR, take(host, 0))
        client = Client(*await asyncio.open_connection(host, subject.port))
        assert await is_answered(client)
        subject.close()
        await client.close()
        await leave(service)

    run(test())


def test_without_file_descriptors_it_waits_and_goes_on(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listening, "_PAUSE_WITHOUT_DESCRIPTORS", 0.05)

    async def test() -> None:
        service = a_service()
        subject = ListeningSocket(service, Listener.CLEAR, take(HOST, 0))
        waiting = socket.create_connection((HOST, subject.port))
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        first_free = os.dup(0)
        os.close(first_free)
        resource.setrlimit(resource.RLIMIT_NOFILE, (first_free, hard))
        try:
            warning = await next_warning()
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        assert "no connection can be accepted" in warning
        client = Client(*await asyncio.open_connection(sock=waiting))
        assert await is_answered(client)
        subject.close()
        await client.close()
        await leave(service)

    run(test())
