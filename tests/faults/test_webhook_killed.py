"""`kill -9` at every named step of a webhook call: the organization is told, and it is on record."""

import contextlib
import json
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from ldap3.core.exceptions import LDAPException

from directory.steps import Step
from tests.gateways import look_up
from tests.hook import Hook, hook
from tests.postbox import postbox
from tests.service import UNHURRIED, Installed, install, serving, succeed

QUICK = {
    **UNHURRIED,
    "PUSHPKI_CA__KEY_POOL_SIZE": "2",
    "PUSHPKI_DELIVERY__POLL_SECONDS": "1",
}
DIES_WITHIN_SECONDS = 30
PATIENCE_SECONDS = 30
KILLER = "tests.faults.crashing_service"
CALLS = {Step.WEBHOOK_BEFORE_CALL: 1, Step.WEBHOOK_AFTER_CALL: 2, Step.WEBHOOK_RECORDED: 1}


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Installed, Hook]]:
    with postbox() as mail, hook() as server:
        installed = install(tmp_path_factory.mktemp("killed") / "pushpki", smtp=mail.smtp)
        with installed.config.open("a", encoding="utf-8") as config:
            config.write("\n[webhook]\nallow_private = true\n")
        succeed("org", "webhook", "hospital", "--url", server.url, "--config", str(installed.config))
        yield installed, server


@pytest.mark.parametrize("step", CALLS)
def test_the_organization_is_told_when_the_process_dies(told: tuple[Installed, Hook], step: Step) -> None:
    installed, server = told
    address = f"p{uuid.uuid4().hex[:12]}@example.com"
    with serving(installed, variables=QUICK, command=("-m", KILLER, step.value)) as running:
        with contextlib.suppress(LDAPException):
            look_up(running, address)
        running.process.wait(timeout=DIES_WITHIN_SECONDS)

    with serving(installed, variables=QUICK):
        bodies = [server.calls.get(timeout=PATIENCE_SECONDS)[1] for _ in range(CALLS[step])]

    assert server.calls.empty()
    assert len(set(bodies)) == 1
    assert json.loads(bodies[0])["address"] == address
    assert delivered(installed.config, json.loads(bodies[0])["delivery_id"])
    assert succeed("verify", "--config", str(installed.config)) == {"violations": []}


def delivered(config: Path, delivery_id: str) -> bool:
    document = succeed("channel", "show", delivery_id, "--config", str(config))
    return bool(document["state"] == "delivered")
