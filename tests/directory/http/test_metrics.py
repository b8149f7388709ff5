"""Who may read the metrics, and what is counted for them on the way."""

import pytest

from directory.access import MetricsAccess
from directory.http.services import HttpSettings
from tests.directory.http.house import ALICE, GATEWAY, House, bearer

AFAR = "192.0.2.7"
HERE = "127.0.0.1"


@pytest.mark.parametrize(
    ("access", "peer", "status"),
    [
        (MetricsAccess.LOOPBACK, HERE, 200),
        (MetricsAccess.LOOPBACK, "::1", 200),
        (MetricsAccess.LOOPBACK, AFAR, 404),
        (MetricsAccess.ANYONE, HERE, 200),
        (MetricsAccess.ANYONE, AFAR, 200),
        (MetricsAccess.OFF, HERE, 404),
        (MetricsAccess.OFF, AFAR, 404),
    ],
)
async def test_metrics_are_shown_to_whom_the_operator_says(
    house: House, access: MetricsAccess, peer: str, status: int
) -> None:
    async with house.client(HttpSettings(metrics=access), peer=peer) as client:
        response = await client.get("/metrics")

    assert response.status_code == status
    assert (response.content == b"# nothing\n") is (status == 200)


async def test_a_proxy_that_nobody_declared_does_not_make_the_world_local(house: House) -> None:
    async with house.client(peer=HERE) as client:
        response = await client.get("/metrics", headers={"X-Forwarded-For": AFAR})

    assert response.json()["code"] == "http.not_found"


async def test_metrics_are_not_kept_by_caches(house: House) -> None:
    async with house.client() as client:
        response = await client.get("/metrics")

    assert response.headers["Cache-Control"] == "no-store"
    assert response.headers["Content-Type"] == "text/plain; version=1.0.0; charset=utf-8"


async def test_requests_are_counted_by_route_and_status_and_by_nothing_a_caller_sends(house: House) -> None:
    async with house.client() as client:
        await client.get("/certificates", params={"email": str(ALICE)}, headers=bearer(GATEWAY.text))
        await client.get(f"/api/v1/enrolments/{'0' * 32}")
        await client.get("/somebody@example.com")
        await client.request("BREW", "/healthz")

    assert house.services.requests == {
        ("GET", "/certificates", "200"): 1,
        ("GET", "/api/v1/enrolments/{enrolment_id}", "401"): 1,
        ("GET", "unmatched", "404"): 1,
        ("unknown", "/healthz", "405"): 1,
    }
