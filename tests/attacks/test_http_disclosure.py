"""What leaves over HTTP: never a secret but by the one route that reveals it, never what was asked."""

import json
from dataclasses import replace

import httpx
import pytest

from ca.errors import SealBroken
from ca.keys import PrivateKey
from directory.errors import StoreUnavailable
from directory.http.problem_kinds import PROBLEMS
from tests.builders import Authority
from tests.directory.http.house import (
    AGENT,
    ENROLMENT,
    GATEWAY,
    OTHER_AGENT,
    OTHER_GATEWAY,
    PASSWORD,
    READER,
    House,
    a_house,
    bearer,
    house_certificates,
)

TOKENS = {
    "gateway": GATEWAY.text,
    "reader": READER.text,
    "agent": AGENT.text,
    "other gateway": OTHER_GATEWAY.text,
    "other agent": OTHER_AGENT.text,
}
REVEAL = f"/api/v1/enrolments/{ENROLMENT}/password/reveal"


@pytest.fixture
def house(authority: Authority, recipient_key: PrivateKey) -> House:
    return a_house(authority, house_certificates(authority, recipient_key.public_key()))


def told(response: httpx.Response) -> str:
    return response.text + str(response.headers)


async def test_only_the_reveal_shows_a_password_and_only_to_its_agent(house: House) -> None:
    requests = [
        ("GET", f"/api/v1/enrolments/{ENROLMENT}", None),
        ("GET", "/certificates?email=alice%40example.com", None),
        ("GET", "/ca/chain.pem", None),
        ("GET", "/readyz", None),
        ("GET", "/openapi.json", None),
        ("GET", "/docs", None),
        ("POST", "/api/v1/lookup", {"email": "bob@example.net"}),
        ("POST", f"/api/v1/enrolments/{ENROLMENT}/relay", {"outcome": "no_answer", "note": PASSWORD}),
    ]
    async with house.client() as client:
        for token in TOKENS.values():
            for method, url, body in requests:
                response = await client.request(method, url, json=body, headers=bearer(token))
                assert PASSWORD not in told(response), url
                assert token.split("_")[2] not in told(response), url
        shown = {
            who: PASSWORD in told(await client.post(REVEAL, headers=bearer(token)))
            for who, token in TOKENS.items()
        }

    assert shown == {who: who == "agent" for who in TOKENS}


async def test_a_password_that_was_shown_is_kept_by_nobody_on_the_way(house: House) -> None:
    async with house.client() as client:
        response = await client.post(REVEAL, headers=bearer(AGENT.text))

    assert response.headers["Cache-Control"] == "no-store"
    assert response.headers["Cross-Origin-Resource-Policy"] == "same-origin"
    assert "ETag" not in response.headers


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "OPTIONS"])
async def test_a_password_is_never_shown_to_a_reading_method(house: House, method: str) -> None:
    async with house.client() as client:
        response = await client.request(method, REVEAL, headers=bearer(AGENT.text))

    assert response.status_code == 405
    assert house.drawer.events == []


async def test_a_seal_that_does_not_open_tells_the_agent_nothing_about_it(
    house: House, caplog: pytest.LogCaptureFixture
) -> None:
    relay = house.drawer.relays[ENROLMENT]
    assert relay.sealed_password is not None
    broken = replace(relay.sealed_password, ciphertext=b"\x01" + bytes(60))
    house.drawer.relays[ENROLMENT] = replace(relay, sealed_password=broken)
    async with house.client() as client:
        response = await client.post(REVEAL, headers=bearer(AGENT.text))

    assert (response.status_code, response.json()["code"]) == (500, "http.internal")
    assert ENROLMENT not in response.text
    assert SealBroken.__name__ in caplog.text
    assert ENROLMENT not in caplog.text


async def test_a_password_whose_reveal_could_not_be_recorded_does_not_leave(house: House) -> None:
    house.drawer.failure = StoreUnavailable(reason="disk full")
    async with house.client() as client:
        response = await client.post(REVEAL, headers=bearer(AGENT.text))

    assert (response.status_code, response.json()["code"]) == (503, "store.unavailable")
    assert PASSWORD not in told(response)


async def test_unknown_hidden_and_reserved_are_one_answer_to_who_may_not_mint(house: House) -> None:
    addresses = ["nobody@example.com", "nurse@hospital.org", "postmaster@example.com", "x@example.test"]
    answers = set()
    async with house.client() as client:
        for headers in ({}, bearer(READER.text)):
            for address in addresses:
                response = await client.get("/certificates", params={"email": address}, headers=headers)
                answers.add((response.status_code, response.content, str(sorted(response.headers.items()))))

    assert len(answers) == 1


async def test_no_error_repeats_the_question_or_the_token(house: House) -> None:
    address = "zoe.unmistakable@nowhere.example"
    async with house.client() as client:
        for token in [*TOKENS.values(), "ppgw_unmistakable_unmistakable"]:
            answers = [
                await client.get("/certificates", params={"email": address}, headers=bearer(token)),
                await client.get("/certificates", params={"email": address, "access_token": token}),
                await client.post("/api/v1/lookup", json={"email": address}, headers=bearer(token)),
                await client.post("/api/v1/lookup", json={address: address}, headers=bearer(token)),
                await client.post("/api/v1/lookup", json=[address], headers=bearer(token)),
                await client.post("/api/v1/lookup", content=address, headers=bearer(token)),
                await client.get(f"/api/v1/enrolments/{address}", headers=bearer(token)),
                await client.get(f"/{address}", headers=bearer(token)),
                await client.get(f"/problems/{address}"),
                await client.get(f"/ca/{address}.cer"),
            ]
            for response in answers:
                assert response.is_error
                assert json.loads(response.content)["code"] in PROBLEMS
                assert "unmistakable" not in told(response)
                assert token not in told(response)
