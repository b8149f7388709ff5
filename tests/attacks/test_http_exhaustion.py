"""Requests that are made to cost much: refused early, and the next one is answered."""

import asyncio
import time

import httpx
import pytest

from ca.keys import PrivateKey
from directory.http.server import HttpServer
from tests.builders import Authority
from tests.directory.http.house import GATEWAY, House, a_house, bearer, house_certificates

SOON = 10.0
"""Seconds of processor time: far less than an attack needs, more than other threads take meanwhile."""

JSON = {"Content-Type": "application/json", **bearer(GATEWAY.text)}


@pytest.fixture
def house(authority: Authority, recipient_key: PrivateKey) -> House:
    return a_house(authority, house_certificates(authority, recipient_key.public_key()))


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"[" * 65_000, 400),
        (b'{"a":' * 13_000, 400),
        (b'{"email":' + b"1" * 60_000 + b"}", 400),
        (b'{"email":"' + b"a" * 65_000 + b'"}', 400),
        (b'{"email":"' + b"a" * 66_000 + b'"}', 413),
        (b"{" + b",".join(b'"%d":1' % n for n in range(7_000)) + b"}", 422),
    ],
)
async def test_a_body_made_to_cost_much_is_refused(house: House, body: bytes, status: int) -> None:
    async with house.client() as client:
        began = time.process_time()
        response = await client.post("/api/v1/lookup", content=body, headers=JSON)
        spent = time.process_time() - began

    assert response.status_code == status
    assert spent < SOON
    assert len(response.content) < 1_000


async def test_a_large_body_is_refused_before_it_is_read(house: House) -> None:
    server = HttpServer(house.app(), host="127.0.0.1", port=0)
    await server.start()
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(b"POST /api/v1/lookup HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10000000000\r\n\r\n")
    answer = await reader.read()
    writer.close()
    await server.stop()

    assert answer.startswith(b"HTTP/1.1 413 ")
    assert b"http.body_too_large" in answer


async def test_an_endless_body_is_cut_off_at_the_limit(house: House) -> None:
    server = HttpServer(house.app(), host="127.0.0.1", port=0)
    await server.start()
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(b"POST /api/v1/lookup HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n")
    chunk = b"4000\r\n" + b"x" * 0x4000 + b"\r\n"
    for _ in range(5):
        writer.write(chunk)
    answer = await reader.readuntil(b"\r\n")
    writer.close()
    await server.stop()

    assert answer.startswith(b"HTTP/1.1 413 ")


async def test_a_thousand_parameters_and_headers_are_refused_cheaply(house: House) -> None:
    async with house.client() as client:
        began = time.process_time()
        many = await client.get("/certificates?" + "&".join(f"x{n}=1" for n in range(1000)))
        long = await client.get("/certificates?email=" + "a" * 60_000)
        spent = time.process_time() - began

    assert (many.status_code, long.status_code) == (400, 400)
    assert spent < SOON


async def test_a_token_of_half_a_megabyte_is_nobodys(house: House) -> None:
    async with house.client() as client:
        response = await client.get(
            "/certificates?email=alice%40example.com", headers=bearer("ppgw_" + "a" * 500_000)
        )

    assert response.status_code == 401


async def test_a_head_without_end_is_cut_off(house: House) -> None:
    server = HttpServer(house.app(), host="127.0.0.1", port=0)
    await server.start()
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nX-Long: " + b"a" * 200_000)
    answer = await reader.readuntil(b"\r\n")
    writer.close()
    async with httpx.AsyncClient() as client:
        next_one = await client.get(f"http://127.0.0.1:{server.port}/healthz")
    await server.stop()

    assert answer.startswith(b"HTTP/1.1 4")
    assert next_one.status_code == 200
