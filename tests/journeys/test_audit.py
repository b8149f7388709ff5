"""What an auditor is shown of a service that was attacked, killed, and configured otherwise: all of it."""

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.command import pushpki
from tests.databases import Databases
from tests.gateways import call, ldap_connection, look_up
from tests.postbox import postbox
from tests.service import GATEWAY, SUFFIX, UNHURRIED, Installed, install, serving

QUICK = {**UNHURRIED, "PUSHPKI_CA__KEY_POOL_SIZE": "2"}


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def installed(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, databases: Databases
) -> Iterator[Installed]:
    database = databases.empty("postgresql") if request.param == "postgresql" else None
    with postbox() as mail:
        yield install(tmp_path_factory.mktemp("audit") / "pushpki", smtp=mail.smtp, database=database)


def test_all_of_it_is_in_the_log_and_the_log_can_be_checked_elsewhere(
    installed: Installed, tmp_path: Path
) -> None:
    heads = tmp_path / "heads.jsonl"
    variables = {**QUICK, "PUSHPKI_AUDIT__HEADS_FILE": str(heads)}
    config = ("--config", str(installed.config))
    public_key = written(tmp_path / "audit.pem", pushpki("audit", "key", *config).out)

    with serving(installed, variables=variables) as running:
        assert len(look_up(running, "anna@example.com")) == 1
        assert call(running, "GET", "/api/v1/enrolments", token="ppra_0000000000000000_wrong")[0] == 401
        dn = f"cn={GATEWAY},ou=gateways,{SUFFIX}"
        with ldap_connection(running, bound=False) as connection:
            for _ in range(3):
                assert not connection.rebind(dn, "wrong")
        refused = {"email": "postmaster@example.com"}
        status, _ = call(running, "POST", "/api/v1/lookup", token=installed.gateway_token, body=refused)
        assert status == 404
    with serving(installed, variables=variables) as running:
        running.process.kill()
    with serving(installed, variables={**variables, "PUSHPKI_CA__CRL_HOURS": "12"}):
        pass

    export = written(tmp_path / "audit.jsonl", pushpki("audit", "export", *config).out)
    check = ("audit", "verify", "--file", str(export), "--public-key", str(public_key))
    assert pushpki(*check, "--heads", str(heads), "--json").document["found"] == 0
    events = [
        line["event"] for line in map(json.loads, export.read_text("ascii").splitlines()) if "event" in line
    ]
    kinds = Counter(event["kind"] for event in events)
    assert kinds["service.started"] == 3
    assert kinds["service.stopped"] == 2
    assert kinds["service.crashed"] == 1
    assert kinds["master_key.loaded"] == 3
    (changed,) = [event for event in events if event["kind"] == "settings.changed"]
    assert changed["detail"] == {"sections": "ca"}
    failed = {
        (event["subject"], event["actor"], event["detail"]["times"])
        for event in events
        if event["kind"] == "authentication.failed"
    }
    assert failed == {
        ("front_end:http", "peer:127.0.0.1", "1"),
        ("front_end:ldap", "peer:127.0.0.1", "3"),
    }
    (refusal,) = [event for event in events if event["kind"] == "mint.refused"]
    assert (refusal["actor"], refusal["subject"]) == (
        f"gateway:{GATEWAY}",
        "refusal:policy.reserved_local_part",
    )
    assert f"gateway:{GATEWAY}" in {e["actor"] for e in events if e["kind"] == "caller.authenticated"}
    text = export.read_text("ascii")
    for secret in (installed.gateway_token, installed.agent_token, "postmaster@"):
        assert secret not in text


def written(path: Path, text: str) -> Path:
    path.write_text(text, encoding="ascii")
    return path
