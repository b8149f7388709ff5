import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from directory.audit import AuditKind
from directory.relay import RelayState
from tests.directory.http.house import (
    AGENT,
    ALICE,
    ENROLMENT,
    GATEWAY,
    NOBODY_YET,
    OTHER_AGENT,
    OTHER_GATEWAY,
    PASSWORD,
    READER,
    House,
    bearer,
)

REVEAL = f"/api/v1/enrolments/{ENROLMENT}/password/reveal"
RELAY = f"/api/v1/enrolments/{ENROLMENT}/relay"


async def look_up(client: httpx.AsyncClient, email: str, token: str = GATEWAY.text) -> httpx.Response:
    return await client.post("/api/v1/lookup", json={"email": email}, headers=bearer(token))


async def test_a_found_certificate_is_answered_without_an_enrolment(
    house: House, client: httpx.AsyncClient
) -> None:
    response = await look_up(client, "alice@example.com")

    certificate = house.shelf.certificates[ALICE.key]
    pem = x509.load_der_x509_certificate(certificate.der).public_bytes(Encoding.PEM).decode()
    assert response.status_code == 200
    assert response.json() == {
        "address": "alice@example.com",
        "certificate": pem,
        "serial": f"{certificate.serial:x}",
        "not_after": certificate.not_after.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "origin": "found",
        "enrolment_id": None,
    }
    assert response.headers["Cache-Control"] == "no-store"


async def test_a_minted_certificate_is_answered_with_its_enrolment(
    house: House, client: httpx.AsyncClient
) -> None:
    response = await look_up(client, "bob@example.net")

    assert response.json()["origin"] == "minted"
    assert response.json()["enrolment_id"] == ENROLMENT
    assert house.shelf.minted == [NOBODY_YET]


async def test_a_gateway_without_the_right_mints_nothing(house: House, client: httpx.AsyncClient) -> None:
    response = await look_up(client, "bob@example.net", READER.text)

    assert (response.status_code, response.json()["code"]) == (404, "lookup.not_found")
    assert house.shelf.minted == []


async def test_what_is_no_address_is_refused_by_its_rule(client: httpx.AsyncClient) -> None:
    response = await look_up(client, "bob@[192.0.2.1]")

    assert (response.status_code, response.json()["code"]) == (400, "address.domain_literal")


@pytest.mark.parametrize(
    ("body", "pointers"),
    [
        (b"{}", ["/email"]),
        (b"", [""]),
        (b"[]", [""]),
        (b'"alice@example.com"', [""]),
        (b'{"email": 7}', ["/email"]),
        (b'{"email": null}', ["/email"]),
        (b'{"email": ["alice@example.com"]}', ["/email"]),
        (b'{"email": "alice@example.com", "mint": false}', [""]),
    ],
)
async def test_a_body_with_other_fields_than_expected_is_refused(
    client: httpx.AsyncClient, body: bytes, pointers: list[str]
) -> None:
    headers = {"Content-Type": "application/json", **bearer(GATEWAY.text)}

    response = await client.post("/api/v1/lookup", content=body, headers=headers)

    assert (response.status_code, response.json()["code"]) == (422, "http.invalid_fields")
    assert [error["pointer"] for error in response.json()["errors"]] == pointers


async def test_a_body_that_is_no_strict_json_is_refused(client: httpx.AsyncClient) -> None:
    headers = {"Content-Type": "application/json", **bearer(GATEWAY.text)}

    response = await client.post(
        "/api/v1/lookup",
        content=b'{"email": "alice@example.com", "email": "bob@example.net"}',
        headers=headers,
    )

    assert (response.status_code, response.json()["code"]) == (400, "http.malformed_json")


@pytest.mark.parametrize(
    "content_type",
    [
        None,
        "",
        "text/plain",
        "application/x-www-form-urlencoded",
        "application/problem+json",
        "application/jsonx",
    ],
)
async def test_a_body_that_does_not_say_it_is_json_is_refused(
    client: httpx.AsyncClient, content_type: str | None
) -> None:
    headers = bearer(GATEWAY.text) | ({} if content_type is None else {"Content-Type": content_type})

    response = await client.post("/api/v1/lookup", content=b'{"email": "alice@example.com"}', headers=headers)

    assert (response.status_code, response.json()["code"]) == (415, "http.unsupported_media_type")


@pytest.mark.parametrize("content_type", ["application/json", "Application/JSON; charset=utf-8"])
async def test_a_body_that_says_it_is_json_is_read(client: httpx.AsyncClient, content_type: str) -> None:
    headers = bearer(GATEWAY.text) | {"Content-Type": content_type}

    response = await client.post("/api/v1/lookup", content=b'{"email": "alice@example.com"}', headers=headers)

    assert response.status_code == 200


@pytest.mark.parametrize("token", [GATEWAY.text, AGENT.text], ids=["gateway", "agent"])
async def test_an_enrolment_is_shown_to_its_organization(client: httpx.AsyncClient, token: str) -> None:
    response = await client.get(f"/api/v1/enrolments/{ENROLMENT}", headers=bearer(token))

    shown = response.json()
    assert response.status_code == 200
    assert shown["address"] == "bob@example.net"
    assert (shown["key"], shown["delivery"], shown["relay"]) == ("held", "accepted", "waiting")
    assert shown["accepted_at"] == "2026-11-22T09:30:02Z"
    assert shown["revealed_at"] is None


@pytest.mark.parametrize("token", [OTHER_GATEWAY.text, OTHER_AGENT.text], ids=["gateway", "agent"])
async def test_another_organizations_enrolment_does_not_exist(client: httpx.AsyncClient, token: str) -> None:
    foreign = await client.get(f"/api/v1/enrolments/{ENROLMENT}", headers=bearer(token))
    missing = await client.get(f"/api/v1/enrolments/{'f' * 32}", headers=bearer(token))

    assert (foreign.status_code, foreign.json()["code"]) == (404, "record.unknown")
    assert foreign.content == missing.content


@pytest.mark.parametrize(
    "enrolment_id", ["x", "%00", ENROLMENT.upper(), f"{ENROLMENT}0", "..%2f", f"{ENROLMENT}%0A"]
)
async def test_what_is_no_identifier_is_unknown_and_does_not_reach_the_store(
    client: httpx.AsyncClient, enrolment_id: str
) -> None:
    response = await client.get(f"/api/v1/enrolments/{enrolment_id}", headers=bearer(AGENT.text))

    assert response.status_code == 404


async def test_an_agent_sees_a_password_once(house: House, client: httpx.AsyncClient) -> None:
    first = await client.post(REVEAL, headers=bearer(AGENT.text))
    second = await client.post(REVEAL, headers=bearer(AGENT.text))

    shown = first.json()
    assert (first.status_code, shown["password"], shown["letters"]) == (200, PASSWORD, "capitals")
    assert "".join(one["symbol"] for group in shown["spelling"] for one in group) == PASSWORD
    assert first.headers["Cache-Control"] == "no-store"
    assert (second.status_code, second.json()["code"]) == (409, "relay.already_revealed")
    assert [event.kind for event in house.drawer.events] == [AuditKind.PASSWORD_REVEALED]


@pytest.mark.parametrize("token", [GATEWAY.text, OTHER_GATEWAY.text], ids=["own", "other"])
async def test_no_gateway_ever_sees_a_password(house: House, client: httpx.AsyncClient, token: str) -> None:
    response = await client.post(REVEAL, headers=bearer(token))

    assert (response.status_code, response.json()["code"]) == (403, "auth.agent_required")
    assert house.drawer.relays[ENROLMENT].state is RelayState.WAITING


async def test_another_organizations_agent_sees_no_password(house: House, client: httpx.AsyncClient) -> None:
    response = await client.post(REVEAL, headers=bearer(OTHER_AGENT.text))

    assert (response.status_code, response.json()["code"]) == (404, "record.unknown")
    assert house.drawer.relays[ENROLMENT].state is RelayState.WAITING


async def test_what_came_of_the_call_is_recorded(house: House, client: httpx.AsyncClient) -> None:
    await client.post(REVEAL, headers=bearer(AGENT.text))

    response = await client.post(
        RELAY, json={"outcome": "relayed", "note": "called back"}, headers=bearer(AGENT.text)
    )

    assert (response.status_code, response.json()) == (200, {"enrolment_id": ENROLMENT, "relay": "relayed"})
    assert house.drawer.relays[ENROLMENT].note == "called back"


async def test_a_note_may_be_left_out(client: httpx.AsyncClient) -> None:
    response = await client.post(RELAY, json={"outcome": "no_answer"}, headers=bearer(AGENT.text))

    assert response.json()["relay"] == "waiting"


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"outcome": "relayed"}, 409, "relay.not_revealed"),
        ({"outcome": "failed", "note": "x" * 1001}, 422, "relay.note_too_long"),
        ({"outcome": "failed", "note": "\x00"}, 422, "relay.note_not_text"),
        ({"outcome": "RELAYED"}, 422, "http.invalid_fields"),
        ({"outcome": None}, 422, "http.invalid_fields"),
        ({"note": "x"}, 422, "http.invalid_fields"),
        ({"outcome": "failed", "note": 7}, 422, "http.invalid_fields"),
    ],
)
async def test_what_cannot_be_recorded_is_refused(
    client: httpx.AsyncClient, body: dict[str, object], status: int, code: str
) -> None:
    response = await client.post(RELAY, json=body, headers=bearer(AGENT.text))

    assert (response.status_code, response.json()["code"]) == (status, code)


async def test_a_closed_relay_takes_nothing_more(client: httpx.AsyncClient) -> None:
    await client.post(RELAY, json={"outcome": "failed"}, headers=bearer(AGENT.text))

    again = await client.post(RELAY, json={"outcome": "failed"}, headers=bearer(AGENT.text))
    reveal = await client.post(REVEAL, headers=bearer(AGENT.text))

    assert (again.status_code, again.json()["code"]) == (409, "relay.closed")
    assert (reveal.status_code, reveal.json()["code"]) == (409, "relay.closed")


async def test_an_agent_sees_whom_his_organization_has_to_call(
    client: httpx.AsyncClient,
) -> None:
    mine = await client.get("/api/v1/enrolments", headers=bearer(AGENT.text))
    others = await client.get("/api/v1/enrolments", headers=bearer(OTHER_AGENT.text))

    assert [one["enrolment_id"] for one in mine.json()["enrolments"]] == [ENROLMENT]
    assert mine.json()["enrolments"][0]["relay"] == "waiting"
    assert others.json() == {"enrolments": [], "next": None}


async def test_an_agent_has_the_key_mail_sent_again_while_none_waits(
    client: httpx.AsyncClient,
) -> None:
    path = f"/api/v1/enrolments/{ENROLMENT}/resend"
    first = await client.post(path, json={"format": "modern"}, headers=bearer(AGENT.text))
    second = await client.post(path, json={}, headers=bearer(AGENT.text))

    assert (first.status_code, first.json()) == (200, {"enrolment_id": ENROLMENT, "delivery": "queued"})
    assert (second.status_code, second.json()["code"]) == (409, "resend.under_way")


async def test_a_format_nobody_knows_is_refused(client: httpx.AsyncClient) -> None:
    response = await client.post(
        f"/api/v1/enrolments/{ENROLMENT}/resend", json={"format": "rc2"}, headers=bearer(AGENT.text)
    )

    assert response.status_code == 422
