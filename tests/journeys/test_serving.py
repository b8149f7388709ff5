"""The service as a process of its own, over real sockets: what an operator and a gateway live through."""

import signal
import threading
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import ldap3
import pytest
from ldap3.core.exceptions import LDAPException

from tests.databases import Databases
from tests.gateways import call, certificates_of, ldap_connection, look_up
from tests.postbox import Postbox, postbox
from tests.service import GATEWAY, SUFFIX, UNHURRIED, Installed, Running, install, serving, succeed

QUICK_KEYS = {**UNHURRIED, "PUSHPKI_CA__KEY_POOL_SIZE": "8"}
PROMISED_SECONDS = 5
SECOND_NODE = {"PUSHPKI_SERVICE__NODE": "node-2"}


@pytest.fixture(scope="module")
def mail() -> Iterator[Postbox]:
    with postbox() as box:
        yield box


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory, mail: Postbox) -> Installed:
    return install(tmp_path_factory.mktemp("journeys") / "pushpki", smtp=mail.smtp)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory, mail: Postbox) -> Iterator[Running]:
    """A service of its own for the tests that neither start nor stop one."""
    installed = install(tmp_path_factory.mktemp("running") / "pushpki", smtp=mail.smtp)
    with serving(installed, variables=QUICK_KEYS) as running:
        yield running


@pytest.fixture(scope="module")
def on_postgresql(tmp_path_factory: pytest.TempPathFactory, mail: Postbox, databases: Databases) -> Installed:
    folder = tmp_path_factory.mktemp("journeys") / "pushpki"
    return install(folder, smtp=mail.smtp, database=databases.empty("postgresql"))


def an_address() -> str:
    return f"p{uuid.uuid4().hex[:12]}@example.com"


def post_lookup(running: Running, address: str) -> tuple[int, dict[str, object]]:
    token = running.installed.gateway_token
    return call(running, "POST", "/api/v1/lookup", token=token, body={"email": address})


def test_what_ldap_minted_http_finds_and_a_restart_keeps(installed: Installed, mail: Postbox) -> None:
    address = an_address()
    with serving(installed, variables=QUICK_KEYS) as running:
        (minted,) = look_up(running, address)
        status, found = post_lookup(running, address)
        assert (status, found["origin"], found["enrolment_id"]) == (200, "minted", None)
        assert mail.message_to(address)["To"] == address

    with serving(installed, variables=QUICK_KEYS) as running:
        assert look_up(running, address) == [minted]
        assert call(running, "GET", "/readyz")[0] == 200
    assert succeed("verify", "--config", str(installed.config)) == {"violations": []}


def test_a_mint_over_http_says_which_enrolment_it_caused(running: Running) -> None:
    status, minted = post_lookup(running, an_address())
    path = f"/api/v1/enrolments/{minted['enrolment_id']}"
    status_of_status, enrolment = call(running, "GET", path, token=running.installed.gateway_token)

    assert (status, status_of_status) == (200, 200)
    assert (enrolment["live"], enrolment["key"], enrolment["relay"]) == (True, "held", "waiting")


def test_a_gateway_disabled_on_an_open_connection_gets_nothing_any_more(running: Running) -> None:
    where = ("leaver", "--org", "hospital", "--config", str(running.installed.config))
    token = succeed("gateway", "add", *where)["token"]
    known = an_address()
    look_up(running, known)
    with ldap_connection(running, bound=False) as connection:
        assert connection.rebind(f"cn=leaver,ou=gateways,{SUFFIX}", token)
        assert len(certificates_of(connection, known)) == 1

        succeed("gateway", "disable", *where, "--yes")

        with suppress(LDAPException):  # the session is ended; if it had been before, nothing was answered
            assert certificates_of(connection, an_address()) == []
        assert_unanswered_in_time(connection, known)
    with ldap_connection(running, bound=False) as connection:
        assert not connection.rebind(f"cn=leaver,ou=gateways,{SUFFIX}", token)


def test_what_is_revoked_by_a_command_is_soon_answered_no_more(running: Running) -> None:
    known = an_address()
    with ldap_connection(running) as connection:
        for _ in range(3):
            assert len(certificates_of(connection, known)) == 1

        config = str(running.installed.config)
        succeed("revoke", known, "--reason", "keyCompromise", "--yes", "--config", config)

        assert_unanswered_in_time(connection, known)


def assert_unanswered_in_time(connection: ldap3.Connection, address: str) -> None:
    """Ask until there is no certificate any more, or no session; wait for that no longer than promised."""
    began = time.monotonic()
    with suppress(LDAPException):
        while certificates_of(connection, address):
            assert time.monotonic() - began < PROMISED_SECONDS


def test_the_name_of_the_gateway_must_fit_its_token(running: Running) -> None:
    token = running.installed.gateway_token
    with ldap_connection(running, bound=False) as connection:
        assert not connection.rebind(f"cn=somebody,ou=gateways,{SUFFIX}", token)
        assert connection.rebind(f"cn={GATEWAY},ou=gateways,{SUFFIX}", token)


def test_an_orderly_stop_under_way_loses_nothing(installed: Installed) -> None:
    addresses = [an_address() for _ in range(24)]
    begun = threading.Barrier(9)

    with (
        serving(installed, variables=QUICK_KEYS) as running,
        ThreadPoolExecutor(max_workers=8) as gateways,
    ):

        def ask(chunk: list[str]) -> dict[str, list[bytes]]:
            answers: dict[str, list[bytes]] = {}
            begun.wait()
            for address in chunk:
                try:
                    answers[address] = look_up(running, address)
                except (LDAPException, AssertionError):
                    break  # the service has stopped meanwhile, and said so
            return answers

        asked = [gateways.submit(ask, addresses[at::8]) for at in range(8)]
        begun.wait()
        running.process.send_signal(signal.SIGTERM)
        answered = {address: found for task in asked for address, found in task.result().items() if found}

    assert succeed("verify", "--config", str(installed.config)) == {"violations": []}
    with serving(installed, variables=QUICK_KEYS) as running:
        for address, found in answered.items():
            assert look_up(running, address) == found


def test_two_processes_on_one_database_mint_once(on_postgresql: Installed, mail: Postbox) -> None:
    address = an_address()
    with (
        serving(on_postgresql, variables=QUICK_KEYS) as one,
        serving(on_postgresql, variables=QUICK_KEYS | SECOND_NODE) as other,
        ThreadPoolExecutor(max_workers=16) as gateways,
    ):
        over_ldap = [gateways.submit(look_up, running, address) for running in (one, other) for _ in range(4)]
        over_http = [
            gateways.submit(post_lookup, running, address) for running in (one, other) for _ in range(4)
        ]
        certificates = {value for task in over_ldap for value in task.result()}
        documents = [task.result()[1] for task in over_http]
        assert mail.message_to(address)["To"] == address
        mailed = [raw for raw in mail.raw if address.encode() in raw]

    assert len(certificates) == 1
    assert len({str(document["serial"]) for document in documents}) == 1
    assert len([document for document in documents if document["enrolment_id"]]) <= 1
    assert len(mailed) == 1
    assert succeed("verify", "--config", str(on_postgresql.config)) == {"violations": []}
