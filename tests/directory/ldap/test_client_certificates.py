"""A gateway's TLS certificate as its login: SASL EXTERNAL over real handshakes."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.x509 import load_pem_x509_certificate

from directory.callers import Gateway
from directory.ldap.codes import START_TLS, WHO_AM_I, ResultCode
from directory.ldap.connection import Listener
from tests.directory.ldap.fixtures import Run
from tests.directory.ldap.memory import BIND_NAME, Directory
from tests.directory.ldap.network import (
    Client,
    Serving,
    Tls,
    a_certificate_for_this_machine,
    client_of,
    serving,
)
from tests.directory.ldap.wire import ReadEntry, ReadResult, bind_with_sasl, extended, present, search

ROOT_DSE = search(present("objectClass"), base="", scope=0, attributes=("supportedSASLMechanisms",))


class Certified(Directory):
    """Knows the gateway by one certificate."""

    def __init__(self, file: Path) -> None:
        super().__init__()
        self._sha256 = load_pem_x509_certificate(file.read_bytes()).fingerprint(SHA256())

    def certified(self, sha256: bytes) -> Gateway | None:
        return self._gateway if sha256 == self._sha256 else None


@pytest.fixture(scope="module")
def mine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return a_certificate_for_this_machine(tmp_path_factory.mktemp("mine")).certificate


@pytest.fixture(scope="module")
def anothers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return a_certificate_for_this_machine(tmp_path_factory.mktemp("anothers")).certificate


@asynccontextmanager
async def connected(tls: Tls, directory: Directory, listener: Listener) -> AsyncIterator[Client]:
    """A client under TLS, from the first octet or since StartTLS."""
    at_once = tls if listener is Listener.TLS else None
    async with (
        serving(directory, tls=tls, listener=listener) as served,
        client_of(served, at_once) as client,
    ):
        if at_once is None:
            await client.send(extended(START_TLS))
            assert (await client.result()).code is ResultCode.SUCCESS
            await client.start_tls(tls)
        yield client


async def mechanisms(client: Client) -> list[bytes]:
    await client.send(ROOT_DSE)
    entry = await client.response()
    assert isinstance(entry, ReadEntry)
    await client.result()
    return entry.attributes.get("supportedSASLMechanisms", [])


async def bound(client: Client, authorized: bytes | None = None) -> ResultCode:
    await client.send(bind_with_sasl("EXTERNAL", authorized))
    return (await client.result()).code


async def identity(client: Client) -> bytes | None:
    await client.send(extended(WHO_AM_I))
    return (await client.result()).value


async def is_served(served: Serving, tls: Tls) -> bool:
    try:
        async with client_of(served, tls) as client:
            await client.send(extended(WHO_AM_I))
            return await client.response() is not None
    except OSError:  # an alert during the handshake of TLS 1.2, or behind that of 1.3
        return False


@pytest.mark.parametrize("listener", Listener)
def test_a_gateway_logs_in_by_its_certificate(run: Run, tls: Tls, mine: Path, listener: Listener) -> None:
    async def test() -> None:
        mutual = Tls(certificate=tls.certificate, trusted=mine, shown=mine)
        async with connected(mutual, Certified(mine), listener) as client:
            assert await mechanisms(client) == [b"EXTERNAL", b"PLAIN"]
            assert await identity(client) == b""
            for authorized in (
                None,
                b"",
                b"u:gw",
                b"dn:" + BIND_NAME.encode(),
                b"dn:CN=GW, OU=gateways,o=directory",
            ):
                assert await bound(client, authorized) is ResultCode.SUCCESS
                assert await identity(client) == f"dn:{BIND_NAME}".encode()
            assert await bound(client, b"u:another") is ResultCode.INVALID_CREDENTIALS
            assert await identity(client) == b""

    run(test())


@pytest.mark.parametrize("listener", Listener)
def test_a_client_without_a_certificate_is_served_as_before(
    run: Run, tls: Tls, mine: Path, listener: Listener
) -> None:
    async def test() -> None:
        mutual = Tls(certificate=tls.certificate, trusted=mine)
        async with connected(mutual, Certified(mine), listener) as client:
            assert await mechanisms(client) == [b"PLAIN"]
            assert await bound(client) is ResultCode.INAPPROPRIATE_AUTHENTICATION
            assert await identity(client) == b""

    run(test())


def test_a_certificate_of_no_gateway_is_as_wrong_as_a_token(
    run: Run, tls: Tls, mine: Path, anothers: Path
) -> None:
    async def test() -> None:
        mutual = Tls(certificate=tls.certificate, trusted=anothers, shown=anothers)
        async with connected(mutual, Certified(mine), Listener.TLS) as client:
            assert [await bound(client) for _ in range(5)] == [ResultCode.INVALID_CREDENTIALS] * 5
            (notice,) = await client.rest()
            assert isinstance(notice, ReadResult)
            assert notice.code is ResultCode.UNWILLING_TO_PERFORM

    run(test())


def test_a_certificate_that_cannot_be_judged_gets_no_session(
    run: Run, tls: Tls, mine: Path, anothers: Path
) -> None:
    async def test() -> None:
        mutual = Tls(certificate=tls.certificate, trusted=mine, shown=anothers)
        async with serving(Certified(mine), tls=mutual, listener=Listener.TLS) as served:
            assert not await is_served(served, mutual)
            assert await is_served(served, tls)

    run(test())


def test_a_certificate_is_not_asked_for_unless_it_could_be_judged(run: Run, tls: Tls, mine: Path) -> None:
    async def test() -> None:
        mutual = Tls(certificate=tls.certificate, shown=mine)
        async with connected(mutual, Certified(mine), Listener.TLS) as client:
            assert await bound(client) is ResultCode.INAPPROPRIATE_AUTHENTICATION

    run(test())
