"""Who may use which route: every route, every kind of caller. A route without a row fails."""

import json
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from fastapi import FastAPI
from fastapi.routing import iter_route_contexts

from ca.keys import PrivateKey
from directory.links import LinkPurpose
from tests.builders import Authority
from tests.directory.custody import RALF, RITA, a_recovery, approved
from tests.directory.http.hashes import name_hash
from tests.directory.http.house import (
    AGENT,
    ALICE,
    ENROLMENT,
    GATEWAY,
    OTHER_AGENT,
    OTHER_GATEWAY,
    PARTITION,
    RECOVERY_AGENT,
    SEALER,
    Certificates,
    House,
    a_house,
    bearer,
)
from tests.directory.recipients import a_recipient

RECOVERY = "ab" * 16

CALLERS = {
    "nobody": {},
    "bad token": bearer("ppgw_0011223344556677_00"),
    "gateway": bearer(GATEWAY.text),
    "agent": bearer(AGENT.text),
    "other gateway": bearer(OTHER_GATEWAY.text),
    "other agent": bearer(OTHER_AGENT.text),
    "recovery agent": bearer(RECOVERY_AGENT.text),
}

EVERYBODY = ("200",) * 7
WHOEVER_HAS_THE_LINK = EVERYBODY
SENT_BACK = ("303",) * 7
NOBODY = ("404",) * 7
ASKERS = (
    "200",
    "auth.invalid_token",
    "200",
    "auth.gateway_required",
    "200",
    "auth.gateway_required",
    "auth.invalid_token",
)
GATEWAYS = (
    "auth.required",
    "auth.invalid_token",
    "200",
    "auth.gateway_required",
    "200",
    "auth.gateway_required",
    "auth.invalid_token",
)
MEMBERS = (
    "auth.required",
    "auth.invalid_token",
    "200",
    "200",
    "record.unknown",
    "record.unknown",
    "auth.invalid_token",
)
AGENTS = (
    "auth.required",
    "auth.invalid_token",
    "auth.agent_required",
    "200",
    "auth.agent_required",
    "record.unknown",
    "auth.invalid_token",
)

LISTERS = (
    "auth.required",
    "auth.invalid_token",
    "auth.agent_required",
    "200",
    "auth.agent_required",
    "200",
    "auth.invalid_token",
)
KEEPERS = (
    "auth.required",
    "auth.invalid_token",
    "auth.recovery_agent_required",
    "auth.recovery_agent_required",
    "auth.recovery_agent_required",
    "auth.recovery_agent_required",
    "200",
)

MATRIX = {
    "GET /certificates": ASKERS,
    "GET /search.cgi": ASKERS,
    "POST /api/v1/lookup": GATEWAYS,
    "GET /api/v1/enrolments": LISTERS,
    "GET /api/v1/enrolments/{enrolment_id}": MEMBERS,
    "POST /api/v1/enrolments/{enrolment_id}/password/reveal": AGENTS,
    "POST /api/v1/enrolments/{enrolment_id}/relay": AGENTS,
    "POST /api/v1/enrolments/{enrolment_id}/resend": AGENTS,
    "GET /api/v1/mails": LISTERS,
    "POST /api/v1/enrolments/{enrolment_id}/recovery": AGENTS,
    "GET /api/v1/recoveries": (*LISTERS[:-1], "200"),
    "GET /api/v1/recoveries/{recovery_id}": (*AGENTS[:-1], "200"),
    "POST /api/v1/recoveries/{recovery_id}/approve": KEEPERS,
    "POST /api/v1/recoveries/{recovery_id}/fetch": AGENTS,
    "GET /ca/chain.pem": EVERYBODY,
    "GET /ca/{issuer_id}.cer": EVERYBODY,
    "GET /ca/{issuer_id}.pem": EVERYBODY,
    "GET /ca/{issuer_id}.p7c": EVERYBODY,
    "GET /crl/{issuer_id}.crl": EVERYBODY,
    "GET /crl/{issuer_id}/{partition}.crl": EVERYBODY,
    "GET /crls": EVERYBODY,
    "GET /healthz": EVERYBODY,
    "GET /readyz": EVERYBODY,
    "GET /metrics": EVERYBODY,
    "GET /docs": EVERYBODY,
    "GET /openapi.json": EVERYBODY,
    "GET /problems/{code}": EVERYBODY,
    "GET /install/{token}": WHOEVER_HAS_THE_LINK,
    "GET /install/{token}/key.p12": WHOEVER_HAS_THE_LINK,
    "GET /install/{token}/key.mobileconfig": WHOEVER_HAS_THE_LINK,
    "GET /install/{token}/authority.crt": WHOEVER_HAS_THE_LINK,
    "POST /install/{token}/send": SENT_BACK,
    "GET /install/prove/{token}": WHOEVER_HAS_THE_LINK,
    "POST /install/prove/{token}": WHOEVER_HAS_THE_LINK,
    "GET /install/stop/{token}": WHOEVER_HAS_THE_LINK,
    "POST /install/stop/{token}": WHOEVER_HAS_THE_LINK,
    "GET /install/{rest:path}": NOBODY,
}

BODIES = {
    "POST /api/v1/enrolments/{enrolment_id}/recovery": {"reason": "laptop lost"},
    "POST /api/v1/lookup": {"email": "alice@example.com"},
    "POST /api/v1/enrolments/{enrolment_id}/relay": {"outcome": "no_answer"},
    "POST /api/v1/enrolments/{enrolment_id}/resend": {"format": "modern"},
}
QUERIES = {"/certificates": "?email=alice%40example.com", "/search.cgi": "?email=alice%40example.com"}


def routes_of(app: FastAPI) -> set[str]:
    return {
        f"{method} {context.path}"
        for context in iter_route_contexts(app.routes)
        for method in context.methods or ()
    }


def test_every_route_has_a_row(house: House) -> None:
    assert {route for route in routes_of(house.app()) if not route.startswith("HEAD ")} == set(MATRIX)


def test_whatever_can_be_read_answers_head_as_well(house: House) -> None:
    routes = routes_of(house.app())

    assert {r.removeprefix("GET") for r in routes if r.startswith("GET ")} == {
        r.removeprefix("HEAD") for r in routes if r.startswith("HEAD ")
    }


def url_of(path: str, house: House) -> str:
    issuer_id, certificate = next(iter(house.catalogue.certificates.items()))
    path = path.replace("{rest:path}", "nothing/of/the/kind")
    filled = path.format(
        enrolment_id=ENROLMENT,
        recovery_id=RECOVERY,
        issuer_id=issuer_id,
        partition=PARTITION,
        code="http.internal",
        token=token_for(path, house),
    )
    if path == "/crls":
        return f"{filled}?iHash={quote(name_hash(certificate))}"
    return filled + QUERIES.get(path, "")


def token_for(path: str, house: House) -> str:
    """Return the token of the recipient's link for the pages at this path."""
    purposes = {"prove": LinkPurpose.PROOF, "stop": LinkPurpose.STOP}
    return house.tokens[purposes.get(path.split("/")[2], LinkPurpose.INSTALL)] if "/install/" in path else ""


@pytest.fixture
def house(authority: Authority, certificates: Certificates, recipient_key: PrivateKey) -> House:
    """The house, with a recipient who has a link of every kind."""
    house = a_house(authority, certificates)
    # Of another enrolment, so that this one's key may be asked for; approved by all who have to.
    asked = a_recovery("f" * 32, ALICE, house.clock.now(), recovery_id=RECOVERY)
    for keeper in (RALF, RITA):
        asked = approved(asked, keeper, house.clock.now())
    house.custody.put(asked)
    recipient = a_recipient(authority, recipient_key, SEALER)
    house.tokens.update({purpose: house.links.issue(recipient, purpose) for purpose in LinkPurpose})
    return house


@pytest.fixture(scope="module")
def described(authority: Authority, certificates: Certificates) -> dict[str, Any]:
    """What the OpenAPI document says about paths."""
    paths: dict[str, Any] = a_house(authority, certificates).app().openapi()["paths"]
    return paths


async def ask(client: httpx.AsyncClient, route: str, house: House, headers: dict[str, str]) -> httpx.Response:
    method, _, path = route.partition(" ")
    if method == "POST" and path.startswith("/install/"):
        return await client.post(url_of(path, house), data={"token": token_for(path, house)}, headers=headers)
    body = BODIES.get(route)
    return await client.request(
        method,
        url_of(path, house),
        headers=headers | ({"Content-Type": "application/json"} if body else {}),
        content=json.dumps(body).encode() if body else None,
    )


@pytest.mark.parametrize("route", MATRIX)
async def test_every_caller_gets_what_the_matrix_says(
    house: House, client: httpx.AsyncClient, described: dict[str, Any], route: str
) -> None:
    for (caller, headers), expected in zip(CALLERS.items(), MATRIX[route], strict=True):
        response = await ask(client, route, house, headers)

        if expected.isdigit():
            assert response.status_code == int(expected), caller
        else:
            method, _, path = route.partition(" ")
            documented = described[path][method.lower()]["responses"][str(response.status_code)]
            assert response.json()["code"] == expected, caller
            assert expected in documented["content"]["application/problem+json"]["examples"]


@pytest.mark.parametrize("route", [route for route in MATRIX if route.startswith("GET ")])
async def test_head_is_for_nobody_that_get_is_not_for(
    house: House, client: httpx.AsyncClient, route: str
) -> None:
    for headers in CALLERS.values():
        got = await ask(client, route, house, headers)
        probed = await ask(client, route.replace("GET", "HEAD"), house, headers)

        assert got.status_code == probed.status_code


@pytest.mark.parametrize(
    "route", [route for route in MATRIX if "/install/" not in route and MATRIX[route] is not EVERYBODY]
)
async def test_no_token_is_taken_in_clear_from_afar(house: House, route: str) -> None:
    async with house.client(peer="192.0.2.7") as client:
        response = await ask(client, route, house, CALLERS["gateway"])

    assert (response.status_code, response.json()["code"]) == (403, "http.tls_required")


@pytest.mark.parametrize("route", MATRIX)
async def test_no_other_method_does_anything(house: House, client: httpx.AsyncClient, route: str) -> None:
    _, _, path = route.partition(" ")
    allowed = {method for method, _, other in (row.partition(" ") for row in MATRIX) if other == path}
    for method in ("PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT", "FOO"):
        response = await client.request(method, url_of(path, house), headers=CALLERS["agent"])

        assert response.status_code == 405
        assert response.headers["Allow"] == ", ".join(
            sorted(allowed | ({"HEAD"} if "GET" in allowed else set()))
        )
