"""What is on the wire, from a real server on loopback: framing is the server's half of RFC 4387."""

import asyncio
import logging
from collections.abc import AsyncIterator

import pytest

from directory.http.server import HttpServer
from tests.directory.http.house import ALICE, GATEWAY, House

QUESTION = "/certificates?email=alice%40example.com"


@pytest.fixture
async def port(house: House) -> AsyncIterator[int]:
    server = HttpServer(house.app(), host="127.0.0.1", port=0)
    await server.start()
    yield server.port
    await server.stop()


async def exchange(port: int, request: bytes) -> bytes:
    """Send octets, and return all that comes back."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request)
    answer = await reader.read()
    writer.close()
    await writer.wait_closed()
    return answer


async def ask(
    port: int, target: str, *headers: str, method: str = "GET", host: str = "localhost"
) -> tuple[int, dict[str, str], bytes]:
    lines = [f"{method} {target} HTTP/1.1", f"Host: {host}", "Connection: close", *headers]
    answer = await exchange(port, "\r\n".join(lines).encode() + b"\r\n\r\n")
    head, _, body = answer.partition(b"\r\n\r\n")
    status, *fields = head.decode("latin-1").split("\r\n")
    return (
        int(status.split()[1]),
        {name.lower(): value.strip() for name, _, value in (field.partition(":") for field in fields)},
        body,
    )


async def test_a_certificate_comes_verbatim_with_its_length_and_unchunked(house: House, port: int) -> None:
    status, headers, body = await ask(port, QUESTION)

    der = house.shelf.certificates[ALICE.key].der
    assert (status, body) == (200, der)
    assert headers["content-length"] == str(len(der))
    assert headers["content-type"] == "application/pkix-cert"
    assert "transfer-encoding" not in headers


async def test_h09_head_has_the_length_and_no_body(house: House, port: int) -> None:
    status, headers, body = await ask(port, QUESTION, method="HEAD")

    assert (status, body) == (200, b"")
    assert headers["content-length"] == str(len(house.shelf.certificates[ALICE.key].der))


@pytest.mark.parametrize("accepted", ["gzip", "gzip, deflate, br", "*", "identity;q=0, gzip;q=1.0"])
async def test_h10_no_content_coding_is_ever_used(house: House, port: int, accepted: str) -> None:
    _, headers, body = await ask(port, QUESTION, f"Accept-Encoding: {accepted}")

    assert "content-encoding" not in headers
    assert body == house.shelf.certificates[ALICE.key].der


async def test_ten_thousand_ranges_get_the_whole(house: House, port: int) -> None:
    ranges = ",".join(f"{start}-" for start in range(10_000))

    status, _, body = await ask(port, QUESTION, f"Range: bytes={ranges}")

    assert (status, body) == (200, house.shelf.certificates[ALICE.key].der)


async def test_problems_have_a_length_too(port: int) -> None:
    status, headers, body = await ask(port, "/certificates?email=nobody%40example.com")

    assert status == 404
    assert headers["content-length"] == str(len(body))


async def test_one_connection_answers_one_question_after_the_other(port: int) -> None:
    one = f"GET {QUESTION} HTTP/1.1\r\nHost: localhost\r\n".encode()

    answer = await exchange(port, one + b"\r\n" + one + b"Connection: close\r\n\r\n")

    assert answer.count(b"HTTP/1.1 200 ") == 2


@pytest.mark.parametrize(
    "request_line",
    [
        b"GET /\x00 HTTP/1.1",
        b"GET / HTTP/9.9",
        b"\x16\x03\x01\x02\x00",
        b"GET  /healthz HTTP/1.1",
        b"healthz",
    ],
)
async def test_what_is_no_http_is_refused_and_the_next_one_answered(port: int, request_line: bytes) -> None:
    answer = await exchange(port, request_line + b"\r\nHost: localhost\r\nConnection: close\r\n\r\n")
    status, _, _ = await ask(port, "/healthz")

    assert answer.startswith((b"HTTP/1.1 400 ", b"HTTP/1.1 404 "))
    assert status == 200


async def test_no_two_readings_of_the_bodys_length(port: int) -> None:
    smuggled = (
        b"POST /api/v1/lookup HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4\r\n"
        b"Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n0\r\n\r\nGET /healthz HTTP/1.1\r\n\r\n"
    )

    answer = await exchange(port, smuggled)

    assert answer.count(b"HTTP/1.1 ") == 1
    assert b"alive" not in answer


async def test_neither_server_nor_application_logs_a_question(
    port: int, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        await ask(port, QUESTION, f"Authorization: Bearer {GATEWAY.text}")

    assert "GET /certificates 200" in caplog.text
    assert "alice" not in caplog.text
    assert GATEWAY.text not in caplog.text
