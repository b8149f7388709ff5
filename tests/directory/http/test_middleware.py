import asyncio
import logging
from dataclasses import replace
from datetime import timedelta

import httpx
import pytest
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from directory.http.middleware import ACCESS_LOGGER, AnswerHeaders, Barrier, BodyLimit
from directory.http.services import HttpSettings
from directory.lookup import Answer, Question
from tests.directory.http.house import AGENT, ENROLMENT, GATEWAY, House, bearer

SECRET = "anna@clinic.example"


def logged(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.name == ACCESS_LOGGER]


async def test_the_access_log_names_route_result_and_caller(
    client: httpx.AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, ACCESS_LOGGER):
        await client.get("/certificates?email=alice%40example.com", headers=bearer(GATEWAY.text))
        await client.get(f"/api/v1/enrolments/{ENROLMENT}", headers=bearer(AGENT.text))
        await client.post("/api/v1/lookup", json={"email": "alice@example.com"}, headers=bearer(AGENT.text))
        await client.get("/healthz")

    first, second, refused, third = logged(caplog)
    assert refused.startswith("POST /api/v1/lookup 403 ")
    assert refused.endswith(" ms agent:agent-1")
    assert first.startswith("GET /certificates 200 ")
    assert first.endswith(" ms gateway:gw")
    assert second.startswith("GET /api/v1/enrolments/{enrolment_id} 200 ")
    assert second.endswith(" ms agent:agent-1")
    assert third.endswith(" ms anonymous")


@pytest.mark.parametrize(
    ("method", "url"),
    [
        ("GET", f"/certificates?email={SECRET}"),
        ("GET", f"/{SECRET}"),
        ("GET", f"/problems/{SECRET}"),
        ("GET", f"/api/v1/enrolments/{SECRET}"),
        ("GET", f"/install/{SECRET}"),
        ("GET", f"/install/{SECRET}/key.p12?format={SECRET}"),
        ("POST", f"/install/prove/{SECRET}"),
        (SECRET.replace("@", "-"), "/healthz"),
    ],
)
async def test_nothing_the_caller_wrote_is_logged(
    client: httpx.AsyncClient, caplog: pytest.LogCaptureFixture, method: str, url: str
) -> None:
    with caplog.at_level(logging.DEBUG):
        await client.request(method, url, headers={"User-Agent": SECRET, "Referer": SECRET})

    assert len(logged(caplog)) == 1
    ours = [record.getMessage() for record in caplog.records if record.name.startswith("directory")]
    assert not any("clinic" in message for message in ours)


@pytest.mark.parametrize("url", ["/healthz", "/nowhere", "/certificates", "/docs", "/openapi.json"])
async def test_every_answer_carries_the_headers(client: httpx.AsyncClient, url: str) -> None:
    headers = (await client.get(url)).headers

    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "no-referrer"
    assert headers["Cross-Origin-Resource-Policy"] == "same-origin"
    assert headers["Content-Security-Policy"].startswith("default-src 'none'")
    assert "Cache-Control" in headers
    assert "Server" not in headers


async def test_a_refused_host_carries_the_headers_too(client: httpx.AsyncClient) -> None:
    response = await client.get("/healthz", headers={"Host": "evil.example"})

    assert response.headers["X-Content-Type-Options"] == "nosniff"


async def test_a_page_may_say_what_it_needs() -> None:
    async def page(_scope: Scope, _receive: Receive, send: Send) -> None:
        headers = [(b"content-security-policy", b"default-src 'self'"), (b"x-content-type-options", b"other")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})

    (start,) = await run(AnswerHeaders(page))

    assert (b"content-security-policy", b"default-src 'self'") in start["headers"]
    assert (b"x-content-type-options", b"nosniff") in start["headers"]


async def test_what_nobody_foresaw_is_answered_and_logged_without_its_text(
    house: House, caplog: pytest.LogCaptureFixture
) -> None:
    def address_is_bad(address: str) -> None:
        raise ValueError(address)

    async def fails(question: Question) -> Answer:
        try:
            address_is_bad(str(question.mailbox))
        except ValueError as error:
            raise RuntimeError(f"{SECRET} is the trouble") from error
        raise AssertionError

    house.services = replace(house.services, answer=fails)
    async with house.client() as client:
        response = await client.get("/certificates?email=alice%40example.com")

    assert (response.status_code, response.json()["code"]) == (500, "http.internal")
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    (record,) = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert "address_is_bad" in record.getMessage()
    assert "builtins.ValueError\nwhich led to" in record.getMessage()
    assert "builtins.RuntimeError" in record.getMessage()
    assert "clinic" not in caplog.text
    assert "alice" not in caplog.text


async def test_a_failure_after_the_answer_began_is_logged_and_sends_nothing_more(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def breaks(_scope: Scope, _receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        raise RuntimeError(SECRET)

    sent = await run(Barrier(breaks))

    assert [message["type"] for message in sent] == ["http.response.start"]
    assert "RuntimeError" in caplog.text
    assert SECRET not in caplog.text


@pytest.mark.parametrize(
    "host", ["localhost", "LOCALHOST", "localhost:8080", "127.0.0.1:1", "[::1]:8080", "[::1]"]
)
async def test_a_host_of_ours_is_answered_whatever_its_port(client: httpx.AsyncClient, host: str) -> None:
    assert (await client.get("/healthz", headers={"Host": host})).status_code == 200


@pytest.mark.parametrize("allowed", ["pki.example.com", "PKI.example.com"])
async def test_the_operator_says_what_we_are_called(house: House, allowed: str) -> None:
    async with house.client(HttpSettings(allowed_hosts=frozenset({allowed}))) as client:
        ours = await client.get("/healthz", headers={"Host": "pki.example.com"})
        other = await client.get("/healthz")

    assert (ours.status_code, other.status_code) == (200, 421)


async def test_a_body_at_the_limit_is_read_and_one_beyond_is_not(house: House) -> None:
    headers = {"Content-Type": "application/json", **bearer(GATEWAY.text)}
    body = b'{"email": "alice@example.com"}'
    async with house.client(HttpSettings(largest_body=len(body))) as client:
        fits = await client.post("/api/v1/lookup", content=body, headers=headers)
        beyond = await client.post("/api/v1/lookup", content=body + b" ", headers=headers)

    assert fits.status_code == 200
    assert (beyond.status_code, beyond.json()["code"]) == (413, "http.body_too_large")


async def test_a_body_without_a_length_is_counted() -> None:
    messages = [{"type": "http.request", "body": b"x" * 40, "more_body": True} for _ in range(3)]

    sent = await run(BodyLimit(reads_body, HttpSettings(largest_body=100)), *messages)

    assert sent[0]["status"] == 413


@pytest.mark.parametrize("length", [b"-1", b"1e3", b"\xb2", b" 5", b""])
async def test_a_length_that_is_no_number_is_refused(length: bytes) -> None:
    sent = await run(
        BodyLimit(reads_body, HttpSettings()),
        {"type": "http.request", "body": b"", "more_body": False},
        headers=[(b"content-length", length)],
    )

    assert sent[0]["status"] == 413


async def test_a_body_that_does_not_come_is_not_waited_for() -> None:
    impatient = HttpSettings(body_patience=timedelta(milliseconds=1))

    sent = await run(BodyLimit(reads_body, impatient))

    assert sent[0]["status"] == 408
    assert (b"connection", b"close") in sent[0]["headers"]


async def test_a_body_in_pieces_arrives_whole() -> None:
    pieces: list[Message] = [
        {"type": "http.request", "body": b"ab", "more_body": True},
        {"type": "http.request", "body": b"cd", "more_body": False},
    ]

    sent = await run(BodyLimit(reads_body, HttpSettings()), *pieces)

    assert sent[1]["body"] == b"abcd"


async def reads_body(_scope: Scope, receive: Receive, send: Send) -> None:
    message = await receive()
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": message["body"]})


async def run(
    app: ASGIApp, *messages: Message, headers: list[tuple[bytes, bytes]] | None = None
) -> list[Message]:
    """Send messages to an application, and nothing after them; return what it sends back."""
    scope: Scope = {
        "type": "http",
        "method": "POST",
        "path": "/",
        "query_string": b"",
        "scheme": "http",
        "headers": headers or [],
    }
    incoming = list(messages)
    sent: list[Message] = []

    async def receive() -> Message:
        if not incoming:
            await asyncio.Event().wait()
        return incoming.pop(0)

    async def send(message: Message) -> None:
        sent.append(message)

    await app(scope, receive, send)
    return sent
