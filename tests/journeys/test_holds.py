"""A key whose hold is over: the service destroys it by itself, and its recipient has his own."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest

from tests.gateways import call, look_up
from tests.postbox import postbox
from tests.service import UNHURRIED, Installed, Running, install, serving, succeed

ADDRESS = "anna@example.com"
QUICK = {
    **UNHURRIED,
    "PUSHPKI_CA__KEY_POOL_SIZE": "2",
    "PUSHPKI_DELIVERY__POLL_SECONDS": "0.2",
}


@pytest.fixture
def installed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installed]:
    with postbox() as mail:
        folder = tmp_path_factory.mktemp("holds") / "pushpki"
        yield install(folder, smtp=f"smtp://127.0.0.1:{mail.port}")


def watched(running: Running) -> Iterator[dict[str, Any]]:
    """Yield the only enrolment again and again."""
    while True:
        status, listed = call(running, "GET", "/api/v1/enrolments", token=running.installed.agent_token)
        assert status == 200
        (enrolment,) = listed["enrolments"]
        yield enrolment


def test_a_service_destroys_at_its_start_what_was_held_too_long(installed: Installed) -> None:
    with serving(installed, variables=QUICK) as running:
        look_up(running, ADDRESS)
        delivered = next(one for one in watched(running) if one["delivery"] == "accepted")
    assert delivered["key"] == "held"
    with closing(sqlite3.connect(installed.folder / "pushpki.sqlite3")) as database, database:
        database.execute("UPDATE held_keys SET hold_until = '2020-01-01 00:00:00.000000'")

    with serving(installed, variables=QUICK) as running:
        enrolment = next(one for one in watched(running) if one["key"] == "destroyed")

    assert enrolment["live"]
    assert succeed("verify", "--config", str(installed.config)) == {"violations": []}


def test_a_service_that_holds_no_keys_has_none_once_the_mail_is_accepted(installed: Installed) -> None:
    with serving(installed, variables={**QUICK, "PUSHPKI_DELIVERY__HOLD_DAYS": "0"}) as running:
        look_up(running, ADDRESS)
        enrolment = next(one for one in watched(running) if one["delivery"] == "accepted")

    assert (enrolment["key"], enrolment["live"]) == ("destroyed", True)
    assert succeed("verify", "--config", str(installed.config)) == {"violations": []}
