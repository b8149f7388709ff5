import asyncio
import signal
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from ca.hierarchy import create_tls_server
from ca.linting import Linter
from directory.errors import ConfigurationRefused
from directory.http.server import ConnectionLimits, HttpServer, TlsFiles
from tests.directory.http.house import GATEWAY, House, bearer


@asynccontextmanager
async def serving(
    house: House, *, tls: TlsFiles | None = None, limits: ConnectionLimits | None = None
) -> AsyncIterator[HttpServer]:
    server = HttpServer(house.app(), host="127.0.0.1", port=0, tls=tls, limits=limits)
    await server.start()
    try:
        yield server
    finally:
        await server.stop()


@pytest.fixture(scope="session")
def tls_files(linter: Linter, tmp_path_factory: pytest.TempPathFactory) -> TlsFiles:
    folder = tmp_path_factory.mktemp("tls")
    certificate, key = create_tls_server(["localhost", "127.0.0.1"], datetime.now(UTC), linter)
    files = TlsFiles(certificate=folder / "tls.pem", key=folder / "tls.key")
    files.certificate.write_bytes(certificate.public_bytes(Encoding.PEM))
    files.key.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return files


async def test_port_0_finds_a_port_and_says_which(house: House) -> None:
    async with serving(house) as server, httpx.AsyncClient() as client:
        response = await client.get(f"http://127.0.0.1:{server.port}/healthz")

    assert server.port != 0
    assert response.json() == {"status": "alive"}


async def test_after_the_stop_nobody_listens(house: House) -> None:
    async with serving(house) as server:
        port = server.port

    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", port)


async def test_stopping_twice_or_before_the_start_is_harmless(house: House) -> None:
    never = HttpServer(house.app(), host="127.0.0.1", port=0)
    await never.stop()
    async with serving(house) as server:
        await server.stop()

    assert never.port == 0


async def test_a_taken_port_is_a_setting_to_change(house: House) -> None:
    async with serving(house) as first:
        second = HttpServer(house.app(), host="127.0.0.1", port=first.port)
        with pytest.raises(ConfigurationRefused) as refused:
            await second.start()

    assert refused.value.key == "http.listen"
    assert str(first.port) in refused.value.reason


async def test_another_machines_address_is_a_setting_to_change(house: House) -> None:
    with pytest.raises(ConfigurationRefused) as refused:
        await HttpServer(house.app(), host="192.0.2.1", port=0).start()

    assert refused.value.key == "http.listen"


async def test_ipv6_is_listened_on(house: House) -> None:
    server = HttpServer(house.app(), host="::1", port=0)
    await server.start()
    async with httpx.AsyncClient() as client:
        response = await client.get(f"http://[::1]:{server.port}/healthz")
    await server.stop()

    assert response.status_code == 200


async def test_the_signals_stay_the_processs_own(house: House) -> None:
    before = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)

    async with serving(house):
        during = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)

    assert during == before


async def test_tls_is_served_and_a_token_over_it_taken(house: House, tls_files: TlsFiles) -> None:
    trust = ssl.create_default_context(cafile=str(tls_files.certificate))
    async with serving(house, tls=tls_files) as server, httpx.AsyncClient(verify=trust) as client:
        response = await client.get(
            f"https://localhost:{server.port}/certificates?email=alice%40example.com",
            headers=bearer(GATEWAY.text),
        )

    assert response.status_code == 200


async def test_tls_older_than_1_2_is_not_spoken(house: House, tls_files: TlsFiles) -> None:
    old = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    old.check_hostname = False
    old.verify_mode = ssl.CERT_NONE
    old.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.warns(DeprecationWarning, match="TLSv1 is deprecated"):
        old.minimum_version = ssl.TLSVersion.TLSv1
    with pytest.warns(DeprecationWarning, match="TLSv1_1 is deprecated"):
        old.maximum_version = ssl.TLSVersion.TLSv1_1
    async with serving(house, tls=tls_files) as server:
        with pytest.raises((ssl.SSLError, ConnectionResetError)):
            await asyncio.open_connection("127.0.0.1", server.port, ssl=old)


async def test_tls_files_that_do_not_serve_are_a_setting_to_change(
    house: House, tls_files: TlsFiles, tmp_path: Path
) -> None:
    swapped = TlsFiles(certificate=tls_files.key, key=tls_files.certificate)
    missing = TlsFiles(certificate=tmp_path / "none.pem", key=tls_files.key)
    for files in (swapped, missing):
        with pytest.raises(ConfigurationRefused) as refused:
            await HttpServer(house.app(), host="127.0.0.1", port=0, tls=files).start()
        assert refused.value.key == "tls.certificate"


@pytest.mark.parametrize("said", [b"", b"GET /healthz HT", b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n"])
async def test_a_head_that_does_not_come_to_an_end_is_not_waited_for(house: House, said: bytes) -> None:
    impatient = ConnectionLimits(head_patience=timedelta(milliseconds=20))
    async with serving(house, limits=impatient) as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(said)
        answer = await reader.read()
        writer.close()

    assert answer == b""


async def test_a_trickle_does_not_move_the_deadline(house: House) -> None:
    impatient = ConnectionLimits(head_patience=timedelta(milliseconds=50))
    async with serving(house, limits=impatient) as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        ended = asyncio.create_task(reader.read())
        sent = 0
        while not ended.done():
            writer.write(b"GET /" if sent == 0 else b"x")
            sent += 1
            await asyncio.wait({ended}, timeout=0.005)
        writer.close()

    # What arrives just as the server hangs up is answered with a reset.
    assert isinstance(ended.exception(), ConnectionResetError) or ended.result() == b""
    assert 1 < sent < 1000


async def test_a_slow_answer_is_not_cut_off_by_the_patience_for_heads(house: House) -> None:
    impatient = ConnectionLimits(head_patience=timedelta(milliseconds=20))
    async with serving(house, limits=impatient) as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        # The body keeps the request open for longer than a head may take.
        head = b"POST /api/v1/lookup HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        writer.write(head + b"Connection: close\r\nContent-Length: 2\r\n\r\n{")
        first = asyncio.create_task(reader.read(1))
        await asyncio.wait({first}, timeout=0.1)
        writer.write(b"}")
        answer = await first + await reader.read()
        writer.close()

    assert answer.startswith(b"HTTP/1.1 4")


async def test_more_connections_than_allowed_are_told_so(house: House) -> None:
    async with serving(house, limits=ConnectionLimits(most_connections=2)) as server:
        with socket.create_connection(("127.0.0.1", server.port)):
            async with httpx.AsyncClient() as client:
                response = await client.get(f"http://127.0.0.1:{server.port}/healthz")

    assert response.status_code == 503
