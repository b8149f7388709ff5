import asyncio
import logging
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

import httpx
import pytest

from directory.http.services import HttpSettings, NamedCheck
from tests.directory.http.house import House


async def test_a_process_that_answers_is_alive_whatever_else_is_lost(
    house: House, client: httpx.AsyncClient
) -> None:
    house.probe.found = [NamedCheck(name="database", failure="gone")]

    response = await client.get("/healthz")

    assert (response.status_code, response.json()) == (200, {"status": "alive"})


async def test_a_process_whose_checks_pass_is_ready(client: httpx.AsyncClient) -> None:
    response = await client.get("/readyz")

    assert response.status_code == 200
    assert response.json() == {"status": "ready", "checks": {"database": "passed", "key_pool": "passed"}}


async def test_a_failing_check_is_named_and_its_reason_only_logged(
    house: House, client: httpx.AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    house.probe.found = [NamedCheck(name="database", failure="disk full"), NamedCheck(name="key_pool")]

    with caplog.at_level(logging.WARNING):
        response = await client.get("/readyz")

    assert response.status_code == 503
    assert response.json() == {"status": "not_ready", "checks": {"database": "failed", "key_pool": "passed"}}
    assert "disk full" in caplog.text


async def test_a_failure_that_keeps_nobody_from_asking_is_named_but_the_process_is_ready(
    house: House, client: httpx.AsyncClient
) -> None:
    house.probe.found = [NamedCheck(name="token", failure="is not there", needed=False)]

    response = await client.get("/readyz")

    assert (response.status_code, response.json()) == (
        200,
        {"status": "ready", "checks": {"token": "failed"}},
    )


async def test_a_check_that_hangs_has_failed(house: House) -> None:
    class Hanging:
        async def checks(self) -> Sequence[NamedCheck]:
            await asyncio.Event().wait()
            return []

    impatient = HttpSettings(probe_patience=timedelta(milliseconds=1))
    house.services = replace(house.services, readiness=Hanging())
    async with house.client(impatient) as client:
        response = await client.get("/readyz")

    assert (response.status_code, response.json()["checks"]) == (503, {"probe": "failed"})
