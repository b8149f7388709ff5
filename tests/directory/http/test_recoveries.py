import httpx
import pytest

from directory.tokens import IssuedToken
from tests.directory.custody import ENVELOPE, RALF, RITA, ROSA, a_recovery, approved
from tests.directory.http.house import AGENT, ALICE, ENROLMENT, RECOVERY_AGENT, House, bearer

RECOVERIES = "/api/v1/recoveries"


async def ask(client: httpx.AsyncClient, reason: str = "laptop lost") -> httpx.Response:
    place = f"/api/v1/enrolments/{ENROLMENT}/recovery"
    return await client.post(place, headers=bearer(AGENT.text), json={"reason": reason})


async def test_a_request_is_shown_to_both_sides_until_it_is_fetched(
    house: House, client: httpx.AsyncClient
) -> None:
    asked = (await ask(client)).json()
    assert asked == {
        "recovery_id": asked["recovery_id"],
        "enrolment_id": ENROLMENT,
        "address": "alice@example.com",
        "state": "pending",
        "requested_by": "agent:agent@hospital.org",
        "reason": "laptop lost",
        "requested_at": "2026-11-22T09:30:00Z",
        "expires_at": "2026-11-23T09:30:00Z",
        "approvals_needed": 2,
        "approved_by": [],
        "fetched_at": None,
    }
    place = f"{RECOVERIES}/{asked['recovery_id']}"
    for token in (AGENT, RECOVERY_AGENT):
        assert (await client.get(RECOVERIES, headers=bearer(token.text))).json() == {"recoveries": [asked]}

    first = await client.post(f"{place}/approve", headers=bearer(RECOVERY_AGENT.text))
    assert (first.json()["state"], first.json()["approved_by"]) == ("pending", ["rosa"])
    house.custody.put(approved(house.custody.recoveries_by_id[asked["recovery_id"]], RALF, house.clock.now()))
    fetched = await client.post(f"{place}/fetch", headers=bearer(AGENT.text))

    assert fetched.content == ENVELOPE
    assert fetched.headers["Content-Type"].startswith("application/pkcs7-mime")
    assert fetched.headers["Cache-Control"] == "no-store"
    assert fetched.headers["Recipient-Told"] == "yes"
    shown = await client.get(place, headers=bearer(RECOVERY_AGENT.text))
    assert (shown.json()["state"], shown.json()["fetched_at"]) == ("fetched", "2026-11-22T09:30:00Z")


async def test_who_fetches_is_told_that_the_recipient_is_not(house: House, client: httpx.AsyncClient) -> None:
    house.custody.is_suppressed = True
    recovery = a_recovery(ENROLMENT, ALICE, house.clock.now())
    for agent in (ROSA, RITA):
        recovery = approved(recovery, agent, house.clock.now())
    house.custody.put(recovery)

    fetched = await client.post(f"{RECOVERIES}/{recovery.recovery_id}/fetch", headers=bearer(AGENT.text))

    assert fetched.headers["Recipient-Told"] == "no"


@pytest.mark.parametrize(
    ("step", "token", "code"),
    [
        ("fetch", AGENT, "recovery.not_approved"),
        ("fetch", RECOVERY_AGENT, "auth.invalid_token"),
        ("approve", AGENT, "auth.recovery_agent_required"),
    ],
)
async def test_a_step_that_is_not_due_is_refused_with_its_code(
    house: House, client: httpx.AsyncClient, step: str, token: IssuedToken, code: str
) -> None:
    recovery = house.custody.put(a_recovery(ENROLMENT, ALICE, house.clock.now()))

    response = await client.post(f"{RECOVERIES}/{recovery.recovery_id}/{step}", headers=bearer(token.text))

    assert response.json()["code"] == code
    assert house.custody.events == []


async def test_approving_twice_is_refused(house: House, client: httpx.AsyncClient) -> None:
    recovery = house.custody.put(a_recovery(ENROLMENT, ALICE, house.clock.now()))
    place = f"{RECOVERIES}/{recovery.recovery_id}/approve"

    codes = [
        (await client.post(place, headers=bearer(RECOVERY_AGENT.text))).json().get("code") for _ in range(2)
    ]

    assert codes == [None, "recovery.already_approved"]


@pytest.mark.parametrize("reason", ["", "x" * 501])
async def test_a_reason_is_needed(client: httpx.AsyncClient, reason: str) -> None:
    response = await ask(client, reason)
    assert response.status_code == 422
    assert response.json()["code"].startswith("recovery.reason_")


@pytest.mark.parametrize("identifier", ["x", "..%2f", "AB" * 16, "ab" * 17])
async def test_what_has_not_the_form_of_an_identifier_is_not_looked_for(
    client: httpx.AsyncClient, identifier: str
) -> None:
    response = await client.get(f"{RECOVERIES}/{identifier}", headers=bearer(AGENT.text))
    assert response.status_code == 404
