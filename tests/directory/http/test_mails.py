from datetime import timedelta

import httpx
import pytest

from directory.delivery.outbox import MailKind
from tests.directory.http.house import AGENT, ENROLMENT, OTHER_AGENT, House, a_mail, bearer

MAILS = "/api/v1/mails"


async def test_an_agent_sees_where_his_organizations_mails_stand(
    house: House, client: httpx.AsyncClient
) -> None:
    mine = await client.get(MAILS, headers=bearer(AGENT.text))
    others = await client.get(MAILS, headers=bearer(OTHER_AGENT.text))

    ((_, record),) = house.outbox.records
    assert mine.json() == {
        "mails": [
            {
                "mail_id": record.mail_id,
                "enrolment_id": ENROLMENT,
                "kind": "key",
                "recipient": "alice@example.com",
                "message_id": "<1.key@hospital.org>",
                "state": "queued",
                "attempts": 2,
                "last_failure": "RCPT: 450 4.2.0 greylisted",
                "created_at": record.created_at.strftime("%Y-%m-%dT%H:%M:%SZ"),
                "next_attempt_at": record.due_at.strftime("%Y-%m-%dT%H:%M:%SZ"),
                "give_up_at": record.give_up_at.strftime("%Y-%m-%dT%H:%M:%SZ"),
                "ended_at": None,
            }
        ],
        "next": None,
    }
    assert others.json() == {"mails": [], "next": None}


async def test_an_enrolment_shows_every_mail_about_it_and_the_format_that_was_sent(
    house: House, client: httpx.AsyncClient
) -> None:
    later = house.clock.now() + timedelta(minutes=1)
    house.outbox.records.append(("org-1", a_mail(later, mail_id="b" * 32, kind=MailKind.PROOF)))
    house.outbox.records.append(("org-2", a_mail(later, mail_id="c" * 32)))

    response = await client.get(f"/api/v1/enrolments/{ENROLMENT}", headers=bearer(AGENT.text))

    assert [mail["kind"] for mail in response.json()["mails"]] == ["proof", "key"]
    assert response.json()["package_format"] == "compatible"


async def test_a_long_list_goes_on_where_it_ended(house: House, client: httpx.AsyncClient) -> None:
    later = house.clock.now() + timedelta(minutes=1)
    house.outbox.records.append(("org-1", a_mail(later, mail_id="b" * 32)))

    first = (await client.get(f"{MAILS}?limit=1", headers=bearer(AGENT.text))).json()
    query = {"limit": 1, "after": first["next"]}
    second = (await client.get(MAILS, params=query, headers=bearer(AGENT.text))).json()
    query = {"limit": 1, "after": second["next"]}
    third = (await client.get(MAILS, params=query, headers=bearer(AGENT.text))).json()

    assert [mail["mail_id"][0] for mail in first["mails"] + second["mails"]] == ["b", "a"]
    assert third == {"mails": [], "next": None}


async def test_so_does_the_list_of_people_to_call(client: httpx.AsyncClient) -> None:
    first = (await client.get("/api/v1/enrolments?limit=1", headers=bearer(AGENT.text))).json()
    query = {"after": first["next"]}
    second = (await client.get("/api/v1/enrolments", params=query, headers=bearer(AGENT.text))).json()

    assert [one["enrolment_id"] for one in first["enrolments"]] == [ENROLMENT]
    assert second == {"enrolments": [], "next": None}


@pytest.mark.parametrize(("query", "count"), [("state=accepted", 0), ("state=queued&kind=key", 1)])
async def test_only_what_is_named_is_listed(client: httpx.AsyncClient, query: str, count: int) -> None:
    response = await client.get(f"{MAILS}?{query}", headers=bearer(AGENT.text))

    assert len(response.json()["mails"]) == count


@pytest.mark.parametrize("path", [MAILS, "/api/v1/enrolments"])
@pytest.mark.parametrize(
    ("query", "pointer"),
    [
        ("after=yesterday", "/after"),
        ("after=0.1.a%0A", "/after"),
        ("after=", "/after"),
        ("limit=0", "/limit"),
        ("limit=501", "/limit"),
        ("limit=many", "/limit"),
    ],
)
async def test_what_is_no_place_and_no_number_is_refused(
    client: httpx.AsyncClient, path: str, query: str, pointer: str
) -> None:
    response = await client.get(f"{path}?{query}", headers=bearer(AGENT.text))

    assert (response.status_code, response.json()["code"]) == (422, "http.invalid_fields")
    assert [error["pointer"] for error in response.json()["errors"]] == [pointer]


@pytest.mark.parametrize("query", ["state=lost", "kind=letter"])
async def test_what_is_no_state_and_no_kind_is_refused(client: httpx.AsyncClient, query: str) -> None:
    response = await client.get(f"{MAILS}?{query}", headers=bearer(AGENT.text))

    assert (response.status_code, response.json()["code"]) == (422, "http.invalid_fields")
