"""A running service whose master key is taken away: it says so, and keeps what it can do."""

import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.gateways import call, look_up
from tests.postbox import postbox
from tests.service import UNHURRIED, Running, install, serving, succeed

QUICK = {**UNHURRIED, "PUSHPKI_CA__KEY_POOL_SIZE": "2"}


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Running]:
    with (
        postbox() as mail,
        serving(install(tmp_path / "pushpki", smtp=mail.smtp), variables=QUICK) as running,
    ):
        yield running


def an_address() -> str:
    return f"p{uuid.uuid4().hex[:12]}@example.com"


def readiness(running: Running) -> tuple[int, dict[str, str]]:
    status, document = call(running, "GET", "/readyz")
    return status, document["checks"]


def test_a_master_key_that_is_away_or_spoilt_is_reported_and_costs_no_secret(running: Running) -> None:
    key = running.installed.folder / "master.key"
    known = an_address()
    (certificate,) = look_up(running, known)
    good = key.read_bytes()
    assert readiness(running) == (
        200,
        {"database": "passed", "master_key": "passed", "crls": "passed", "clock": "passed"},
    )

    # Away: the keys last read stay in force.
    key.rename(key.with_suffix(".away"))
    assert readiness(running) == (
        503,
        {"database": "passed", "master_key": "failed", "crls": "passed", "clock": "passed"},
    )
    assert len(look_up(running, an_address())) == 1

    # Spoilt: what is known is still served.
    key.touch(mode=0o600)
    key.write_bytes(b"spoilt")
    assert readiness(running) == (
        503,
        {"database": "passed", "master_key": "failed", "crls": "passed", "clock": "passed"},
    )
    assert look_up(running, known) == [certificate]

    # Back.
    key.write_bytes(good)
    assert readiness(running) == (
        200,
        {"database": "passed", "master_key": "passed", "crls": "passed", "clock": "passed"},
    )
    assert len(look_up(running, an_address())) == 1
    assert succeed("verify", "--config", str(running.installed.config)) == {"violations": []}


def test_a_master_key_is_replaced_under_a_running_service(running: Running) -> None:
    config = ("--config", str(running.installed.config))
    before = an_address()
    look_up(running, before)

    rotated = succeed("master-key", "rotate", "--yes", *config)

    # The keys of root, issuing CA, OCSP responder and audit log, the recipient's, and his password; and the
    # key mail, if it is still on its way.
    assert rotated["rewrapped"] in {6, 7}
    assert len(look_up(running, an_address())) == 1
    assert readiness(running)[0] == 200
    assert succeed("verify", *config) == {"violations": []}
    assert succeed("master-key", "show", *config)["known"] == [rotated["active"]]
