"""Attacks on the pages behind the links of mails: guessing, scanning, writing into them, hearing them."""

import asyncio
import logging
import re
from collections.abc import AsyncIterator
from dataclasses import replace
from html.parser import HTMLParser

import httpx
import pytest

from ca.keys import PrivateKey
from directory.http.pages.guesses import WRONG_GUESSES
from directory.http.pages.rendering import Sender
from directory.http.server import HttpServer
from directory.http.services import HttpSettings
from directory.links import LinkPurpose, issue_link
from directory.recipient import Recipient
from tests.builders import NOW, Authority
from tests.directory.http.house import SEALER, House, a_house, house_certificates
from tests.directory.recipients import a_recipient

PATHS = ("/install/{}", "/install/{}/key.p12", "/install/{}/key.mobileconfig", "/install/prove/{}")


@pytest.fixture
def recipient(authority: Authority, recipient_key: PrivateKey) -> Recipient:
    return a_recipient(authority, recipient_key, SEALER)


@pytest.fixture
def house(authority: Authority, recipient_key: PrivateKey, recipient: Recipient) -> House:
    house = a_house(authority, house_certificates(authority, recipient_key.public_key()))
    house.tokens.update({purpose: house.links.issue(recipient, purpose) for purpose in LinkPurpose})
    return house


@pytest.fixture
async def browser(house: House) -> AsyncIterator[httpx.AsyncClient]:
    async with house.client() as client:
        yield client


def tokens_that_lead_nowhere(house: House) -> dict[str, str]:
    install, proof = house.tokens[LinkPurpose.INSTALL], house.tokens[LinkPurpose.PROOF]
    unknown, _ = issue_link(LinkPurpose.INSTALL, NOW)
    return {
        "unknown": unknown,
        "of another purpose": proof,
        "a wrong secret": install[:16] + unknown[16:],
        "another's secret": install[:16] + proof[16:],
        "cut short": install[:-1],
        "too long": install + "a",
        "upper case": install.upper(),
        "an identifier alone": install[:16],
        "with a blank": install + "%20",
        "with a line end": install + "%0a",
        "with NUL": install + "%00",
        "not ASCII": install[:-1] + "%C3%A4",
        "a wildcard": "%25" * 48,
        "SQL": "'%20OR%201=1--",
        "a path": "..%2f..%2fetc%2fpasswd",
        "very long": "a" * 5000,
    }


async def test_whatever_is_wrong_with_a_link_the_answer_is_one(
    house: House, browser: httpx.AsyncClient
) -> None:
    answers = set()
    for token in tokens_that_lead_nowhere(house).values():
        response = await browser.get(f"/install/{token}")
        headers = sorted((name, value) for name, value in response.headers.items())
        answers.add((response.status_code, response.content, tuple(headers)))

    ((status, content, _),) = answers
    assert status == 404
    assert b"City Hospital" not in content
    assert b"alice" not in content


async def test_an_expired_link_is_answered_like_one_that_never_was(
    house: House, browser: httpx.AsyncClient, recipient: Recipient
) -> None:
    house.clock.advance(recipient.expires_at - house.clock.now())
    expired = await browser.get(f"/install/{house.tokens[LinkPurpose.INSTALL]}")
    never = await browser.get("/install/never")

    assert (expired.status_code, expired.content) == (404, never.content)


async def test_each_wrong_link_takes_the_same_work(house: House, browser: httpx.AsyncClient) -> None:
    for name, token in tokens_that_lead_nowhere(house).items():
        before = house.links.asked
        response = await browser.get(f"/install/{token}")
        looked_up = house.links.asked - before

        # A path that has more parts than a link never was one.
        assert looked_up == (0 if "%2f" in token else 1), name
        assert response.status_code == 404


async def test_whoever_guesses_is_soon_not_listened_to_and_others_are(house: House) -> None:
    good = house.tokens[LinkPurpose.INSTALL]
    async with house.client(peer="192.0.2.7", scheme="https") as guesser:
        statuses = [
            (await guesser.get(PATHS[i % 4].format(issue_link(LinkPurpose.INSTALL, NOW)[0]))).status_code
            for i in range(WRONG_GUESSES.burst + 5)
        ]
        late = await guesser.get(f"/install/{good}")
        asked = house.links.asked
        await guesser.get("/install/more")
    async with house.client(peer="192.0.2.8", scheme="https") as other:
        heard = await other.get(f"/install/{good}")

    assert statuses == [404] * WRONG_GUESSES.burst + [429] * 5
    assert late.status_code == 429
    assert house.links.asked == asked + 1  # the other's own
    assert heard.status_code == 200


async def test_a_right_link_is_never_counted_as_a_guess(house: House) -> None:
    good = house.tokens[LinkPurpose.INSTALL]
    app = house.app()
    transport = httpx.ASGITransport(app=app, client=("192.0.2.7", 1))
    async with httpx.AsyncClient(transport=transport, base_url="https://localhost") as client:
        statuses = {(await client.get(f"/install/{good}")).status_code for _ in range(60)}

    assert statuses == {200}


@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_a_scanner_that_follows_every_link_changes_nothing(
    house: House, browser: httpx.AsyncClient, method: str
) -> None:
    for name, purpose in (
        ("prove/", LinkPurpose.PROOF),
        ("stop/", LinkPurpose.STOP),
        ("", LinkPurpose.INSTALL),
    ):
        page = await browser.request(method, f"/install/{name}{house.tokens[purpose]}")
        for action in re.findall(r'<form[^>]* action="([^"]*)"', page.text):
            followed = await browser.request(method, f"/install/{name}{action}")
            assert followed.status_code in {200, 404}

    assert (house.confirmations.proven, house.confirmations.stopped) == ([], [])
    assert house.resends.queued == []


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "QUERY"])
async def test_no_other_method_confirms_anything(
    house: House, browser: httpx.AsyncClient, method: str
) -> None:
    for name, purpose in (("prove", LinkPurpose.PROOF), ("stop", LinkPurpose.STOP)):
        token = house.tokens[purpose]
        response = await browser.request(method, f"/install/{name}/{token}", data={"token": token})
        override = await browser.get(
            f"/install/{name}/{token}?_method=POST&token={token}",
            headers={"X-HTTP-Method-Override": "POST"},
        )

        assert (response.status_code, override.status_code) == (405, 200)
    assert (house.confirmations.proven, house.confirmations.stopped) == ([], [])


async def test_another_site_cannot_press_the_button(house: House, browser: httpx.AsyncClient) -> None:
    token = house.tokens[LinkPurpose.STOP]
    other = issue_link(LinkPurpose.STOP, NOW)[0]
    for data in ({}, {"token": other}):
        await browser.post(f"/install/stop/{token}", data=data, headers={"Origin": "https://evil.example"})

    assert house.confirmations.stopped == []


async def test_every_page_is_fenced_in(house: House, browser: httpx.AsyncClient) -> None:
    pages = [
        await browser.get(f"/install/{house.tokens[LinkPurpose.INSTALL]}"),
        await browser.get(f"/install/prove/{house.tokens[LinkPurpose.PROOF]}"),
        await browser.get(f"/install/stop/{house.tokens[LinkPurpose.STOP]}"),
        await browser.get("/install/nothing"),
    ]
    for page in pages:
        policy = page.headers["Content-Security-Policy"]
        assert policy.startswith("default-src 'none'; style-src 'sha256-")
        assert {"frame-ancestors 'none'", "base-uri 'none'", "form-action 'self'"} <= set(policy.split("; "))
        assert "unsafe" not in policy
        assert "script" not in policy
        assert page.headers["Referrer-Policy"] == "no-referrer"
        assert page.headers["Cache-Control"] == "no-store"
        assert page.headers["X-Content-Type-Options"] == "nosniff"
        assert "noindex" in page.headers["X-Robots-Tag"]
        assert "Set-Cookie" not in page.headers


class _Elements(HTMLParser):
    """Elements and what may be active among their attributes; a `style` counts as either."""

    def __init__(self) -> None:
        super().__init__()
        self.elements: list[str] = []
        self.references: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append(tag)
        self.elements += [name for name, _ in attrs if name.startswith("on") or name == "style"]
        self.references += [value or "" for name, value in attrs if name in {"href", "src", "action"}]


def elements_of(page: httpx.Response) -> _Elements:
    parsed = _Elements()
    parsed.feed(page.text)
    return parsed


async def test_a_page_runs_nothing_and_fetches_nothing(house: House, browser: httpx.AsyncClient) -> None:
    page = elements_of(await browser.get(f"/install/{house.tokens[LinkPurpose.INSTALL]}?device=iphone"))

    assert not {"script", "iframe", "object", "embed", "link", "base"} & set(page.elements)
    assert not [name for name in page.elements if name.startswith("on")]
    assert page.elements.count("style") == 1
    assert not [one for one in page.references if "//" in one or one.startswith("/")]


HOSTILE = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "' onmouseover='x",
    "{{ 7 * 7 }}{% raw %}{address}{0.__class__}",
    "</title></style><svg onload=x>",
    "\u202egro.latipsoh\u202c",
    "&lt;b&gt;",
]


@pytest.mark.parametrize("text", HOSTILE)
async def test_what_an_organization_calls_itself_stays_text(house: House, text: str) -> None:
    pages = replace(house.services.pages, sender_of=lambda _: Sender(name=text, contact=text))
    house.services = replace(house.services, pages=pages)
    async with house.client() as client:
        for path in (
            f"/install/{house.tokens[LinkPurpose.INSTALL]}",
            f"/install/prove/{house.tokens[LinkPurpose.PROOF]}",
            f"/install/stop/{house.tokens[LinkPurpose.STOP]}",
        ):
            page = elements_of(await client.get(path))

            assert not {"script", "img"} & set(page.elements)
            assert not [name for name in page.elements if name.startswith("on")]
            assert page.elements.count("style") == 1
            assert page.elements.count("title") == 1


@pytest.mark.parametrize("text", HOSTILE)
async def test_what_stands_in_a_query_stays_out_of_the_page(
    house: House, browser: httpx.AsyncClient, text: str
) -> None:
    token = house.tokens[LinkPurpose.INSTALL]
    page = await browser.get(
        f"/install/{token}", params={"device": text, "lang": text, "notice": text, "format": text}
    )
    sent = await browser.post(
        f"/install/{token}/send", params={"device": f"{text}\r\nX: y", "lang": text}, data={"token": token}
    )

    parsed = elements_of(page)
    assert not {"script", "img"} & set(parsed.elements)
    assert not [name for name in parsed.elements if name.startswith("on")]
    assert "\n" not in sent.headers["Location"]
    assert "<" not in sent.headers["Location"]
    assert "X" not in sent.headers


async def test_a_redirect_repeats_no_host(house: House) -> None:
    token = house.tokens[LinkPurpose.INSTALL]
    settings = HttpSettings(allowed_hosts=frozenset({"keys.clinic.example"}))
    async with house.client(settings, scheme="https") as client:
        refused = await client.post(
            f"/install/{token}/send", data={"token": token}, headers={"Host": "evil.example"}
        )
        sent = await client.post(
            f"/install/{token}/send",
            data={"token": token},
            headers={"Host": "keys.clinic.example", "X-Forwarded-Host": "evil.example"},
        )

    assert refused.status_code == 421
    assert sent.headers["Location"].startswith(f"../{token}?")
    assert "evil" not in str(sent.headers)


async def test_a_link_is_not_used_in_clear_from_afar(house: House) -> None:
    token = house.tokens[LinkPurpose.INSTALL]
    async with house.client(peer="192.0.2.7") as client:
        for path in PATHS:
            response = await client.get(path.format(token))
            assert response.status_code == 403
            assert "begins with https" in response.text
    assert house.links.asked == 0


async def exchange(port: int, head: str) -> str:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(f"{head}\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
    answer = await reader.read()
    writer.close()
    await writer.wait_closed()
    return answer.decode("latin-1")


async def test_no_other_spelling_of_a_path_reaches_a_key(house: House) -> None:
    token = house.tokens[LinkPurpose.INSTALL]
    server = HttpServer(house.app(), host="127.0.0.1", port=0)
    await server.start()
    try:
        for target in (
            f"/install/{token}/key.p12/",
            f"/install/{token}//key.p12",
            f"/install//{token}/key.p12",
            f"/install/{token}/../{token}/key.p12",
            f"/install/{token}/./key.p12",
            f"/install/{token}%2fkey.p12x",
            f"/install/{token}/key.p12;x=1",
            f"/install/x/../{token}",
            f"/INSTALL/{token}",
            f"//install/{token}/key.p12",
        ):
            answer = await exchange(server.port, f"GET {target} HTTP/1.1")
            assert answer.startswith("HTTP/1.1 404 "), target
            assert "location" not in answer.lower().split("\r\n\r\n")[0], target
    finally:
        await server.stop()
    assert house.links.events == []


async def test_nothing_that_is_logged_holds_a_link(
    house: House, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    tokens = [*house.tokens.values(), issue_link(LinkPurpose.INSTALL, NOW)[0]]
    server = HttpServer(house.app(), host="127.0.0.1", port=0)
    with caplog.at_level(logging.DEBUG):
        await server.start()
        try:
            for token in tokens:
                for path in (*PATHS, "/install/stop/{}", "/install/{}/send", "/install/{}/x/y"):
                    for method in ("GET", "HEAD", "POST", "PUT"):
                        await exchange(server.port, f"{method} {path.format(token)} HTTP/1.1")
        finally:
            await server.stop()

    output = capfd.readouterr()
    logged = "".join(
        record.getMessage() for record in caplog.records if record.name.startswith(("directory", "uvicorn"))
    )
    assert "/install/{token}" in logged
    for token in tokens:
        assert token[16:] not in logged + output.out + output.err
        assert all(token[16:] not in " ".join(labels) for labels in house.services.requests)
