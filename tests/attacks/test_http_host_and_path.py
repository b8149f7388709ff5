"""Names and paths that make two readers see two requests: none of them reaches a route it should not."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from ca.keys import PrivateKey
from directory.http.server import HttpServer
from tests.builders import Authority
from tests.directory.http.house import (
    AGENT,
    ENROLMENT,
    PASSWORD,
    House,
    a_house,
    bearer,
    house_certificates,
)


@pytest.fixture
def house(authority: Authority, recipient_key: PrivateKey) -> House:
    return a_house(authority, house_certificates(authority, recipient_key.public_key()))


@pytest.fixture
async def port(house: House) -> AsyncIterator[int]:
    server = HttpServer(house.app(), host="127.0.0.1", port=0)
    await server.start()
    yield server.port
    await server.stop()


async def exchange(port: int, head: str) -> str:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(f"{head}\r\nConnection: close\r\n\r\n".encode())
    answer = await reader.read()
    writer.close()
    await writer.wait_closed()
    return answer.decode("latin-1")


NO_HOSTS = [
    "a/?x=",
    "localhost/?x=",
    "localhost/healthz",
    "localhost#",
    "localhost?",
    "localhost@evil.example",
    "localhost:80@evil.example",
    "localhost:80:80",
    "localhost:",
    "localhost:-1",
    "localhost:123456",
    "local host",
    "localhost, evil.example",
    "localhost\tevil",
    "[::1",
    "::1",
    "[::1]evil",
    "[v1.x]",
    "",
    "*",
    "%6cocalhost",
]


async def test_a_host_that_is_no_host_is_refused(house: House) -> None:
    async with house.client() as client:
        for host in NO_HOSTS:
            response = await client.get("/healthz", headers={"Host": host})

            assert (response.status_code, response.json()["code"]) == (400, "http.host_malformed"), host


OTHER_HOSTS = [
    "evil.example",
    "localhost.evil.example",
    "localhost.",
    "127.0.0.2",
    "2130706433",
    "0x7f000001",
    "[::2]",
]


async def test_another_hosts_name_is_refused(house: House) -> None:
    async with house.client() as client:
        for host in OTHER_HOSTS:
            response = await client.get("/healthz", headers={"Host": host})

            assert (response.status_code, response.json()["code"]) == (421, "http.host_unknown"), host
            assert "evil" not in response.text


async def test_a_forwarded_host_counts_for_nothing(house: House) -> None:
    async with house.client() as client:
        refused = await client.get(
            "/healthz", headers={"Host": "evil.example", "X-Forwarded-Host": "localhost"}
        )
        served = await client.get("/docs", headers={"X-Forwarded-Host": "evil.example"})

    assert refused.status_code == 421
    assert "evil" not in served.text


@pytest.mark.parametrize(
    "head",
    [
        "GET /healthz HTTP/1.1",
        "GET /healthz HTTP/1.1\r\nHost: localhost\r\nHost: evil.example",
        "GET /healthz HTTP/1.1\r\nHost: localhost\r\n folded",
        "GET /healthz HTTP/1.0",
    ],
)
async def test_none_or_two_hosts_are_refused(port: int, head: str) -> None:
    assert (await exchange(port, head)).startswith("HTTP/1.1 400 ")


STRANGE_TARGETS = [
    "http://localhost/healthz",
    "http://evil.example/healthz",
    "//evil.example/healthz",
    "/healthz/",
    "//healthz",
    "/./healthz",
    "/x/../healthz",
    "/healthz%2f",
    "/%2e/healthz",
    "/healthz%00",
    "/healthz;x=1",
    "/HEALTHZ",
    "@evil.example/healthz",
    "healthz",
    "*",
]


async def test_a_path_is_taken_as_it_is_and_nothing_redirected(port: int) -> None:
    for target in STRANGE_TARGETS:
        answer = await exchange(port, f"GET {target} HTTP/1.1\r\nHost: localhost")

        assert answer.startswith(("HTTP/1.1 404 ", "HTTP/1.1 400 ")), target
        assert "location" not in answer.lower(), target


@pytest.mark.parametrize(
    "path",
    [
        f"/api/v1/enrolments/{ENROLMENT}/password/reveal/",
        f"/api/v1/enrolments/{ENROLMENT}/password%2freveal/x",
        f"/healthz/../api/v1/enrolments/{ENROLMENT}/password/reveal",
        f"//api/v1/enrolments/{ENROLMENT}/password/reveal",
        f"/api/v1/enrolments/{ENROLMENT}//password/reveal",
    ],
)
async def test_no_other_spelling_of_a_path_reaches_the_password(port: int, path: str) -> None:
    answer = await exchange(
        port,
        f"POST {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {AGENT.text}\r\nContent-Length: 0",
    )

    assert answer.startswith(("HTTP/1.1 404 ", "HTTP/1.1 405 "))
    assert PASSWORD not in answer


async def test_a_percent_encoded_spelling_is_the_same_route_under_the_same_guard(port: int) -> None:
    encoded = "/api/v1/enrolments/" + "".join(f"%{ord(c):02x}" for c in ENROLMENT) + "/password/reveal"

    answer = await exchange(port, f"POST {encoded} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0")

    assert answer.startswith("HTTP/1.1 401 ")


@pytest.mark.parametrize(
    "header", ["X-HTTP-Method-Override", "X-Original-URL", "X-Rewrite-URL", "X-Forwarded-Prefix"]
)
async def test_no_header_overrides_method_or_path(house: House, header: str) -> None:
    override = {header: f"/api/v1/enrolments/{ENROLMENT}/password/reveal", **bearer(AGENT.text)}
    async with house.client() as client:
        response = await client.get("/healthz", headers=override)

    assert response.json() == {"status": "alive"}
    assert house.drawer.events == []


async def test_a_browser_of_another_site_is_not_helped(house: House) -> None:
    async with house.client() as client:
        preflight = await client.options("/api/v1/lookup", headers={"Origin": "https://evil.example"})
        callback = await client.get("/certificates?email=alice%40example.com&callback=steal")
        simple = await client.get("/healthz", headers={"Origin": "https://evil.example"})

    assert preflight.status_code == 405
    assert not [name for name in simple.headers if name.lower().startswith("access-control")]
    assert b"steal" not in callback.content
