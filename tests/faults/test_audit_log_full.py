"""No action without its event: where the event cannot be written, the action has not happened.

Dynamically for the actions that matter most, on both databases; and for all others by their source: an event
is written on the very connection, hence in the very transaction, that its action writes on.
"""

import ast
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import Connection, select

from ca.address import Mailbox
from directory.audit import AuditKind
from directory.errors import StoreUnavailable
from directory.evidence.keys import AuditKeys
from directory.evidence.tallies import Noted, Tally
from directory.relay import RelayOutcome, RelayState
from directory.revocation import Revocation, RevocationReason
from directory.store.audit_log import SqlAuditLog
from directory.store.callers import SqlCallerStore
from directory.store.crls import SqlCrlStore
from directory.store.database import Database
from directory.store.evidence import SqlAuditKeys
from directory.store.issuers import SqlIssuers
from directory.store.master_keys import SqlMasterKeys
from directory.store.organizations import SqlOrganizations
from directory.store.relays import SqlRelayStore
from directory.store.revocations import SqlRevocationStore
from directory.store.tables import metadata
from tests.contracts.test_crls import a_crl
from tests.contracts.world import (
    ANNA,
    SEALER,
    Store,
    a_reservation,
    add_agent,
    add_gateway,
    an_event,
    an_issuer,
    mint,
)
from tests.directory.builders import a_gateway, an_agent, an_organization
from tests.directory.clocks import StoppedClock

NODE = "node-1"
STORE = Path(__file__).parents[2] / "directory" / "store"

FULL = {
    "sqlite": (
        "CREATE TRIGGER audit_is_full BEFORE INSERT ON audit_events BEGIN SELECT RAISE(ABORT, 'full'); END",
    ),
    "postgresql": (
        """CREATE FUNCTION audit_is_full() RETURNS trigger LANGUAGE plpgsql
        AS $$ BEGIN RAISE EXCEPTION 'full'; END $$""",
        """CREATE TRIGGER audit_is_full BEFORE INSERT ON audit_events
        FOR EACH ROW EXECUTE FUNCTION audit_is_full()""",
    ),
}
EMPTIED = {
    "sqlite": ("DROP TRIGGER audit_is_full",),
    "postgresql": ("DROP TRIGGER audit_is_full ON audit_events", "DROP FUNCTION audit_is_full()"),
}


@asynccontextmanager
async def full_audit_log(store: Store) -> AsyncIterator[None]:
    """The database takes no event."""
    kind = "postgresql" if store.is_postgresql else "sqlite"
    await store.sql(*FULL[kind])
    try:
        yield
    finally:
        await store.sql(*EMPTIED[kind])


async def everything(database: Database) -> dict[str, list[tuple[object, ...]]]:
    def work(connection: Connection) -> dict[str, list[tuple[object, ...]]]:
        return {
            table.name: sorted((tuple(row) for row in connection.execute(select(table))), key=repr)
            for table in metadata.sorted_tables
        }

    return await database.read(work)


Action = Callable[[Database], Awaitable[object]]


async def add_organization(database: Database) -> None:
    firm = an_organization(organization_id="org-2", slug="firm", domains=frozenset({"firm.org"}))
    await SqlOrganizations(database, node=NODE).add(firm, an_event())


async def change_organization(database: Database) -> None:
    await SqlOrganizations(database, node=NODE).change(
        an_organization(domains=frozenset({"hospital.org", "clinic.org"})), an_event()
    )


async def disable_gateway(database: Database) -> None:
    gateway = a_gateway()
    await SqlCallerStore(database, node=NODE).disable_gateway(
        gateway.name, gateway.organization_id, an_event()
    )


async def disable_agent(database: Database) -> None:
    agent = an_agent()
    await SqlCallerStore(database, node=NODE).disable_agent(agent.email, agent.organization_id, an_event())


async def reveal(database: Database) -> None:
    relays = SqlRelayStore(database, node=NODE)
    await relays.mark_revealed(await relays.relay("enrolment-1", "org-1"), an_agent(), an_event())


async def record_relay(database: Database) -> None:
    relays = SqlRelayStore(database, node=NODE)
    await relays.record_outcome(
        await relays.relay("enrolment-1", "org-1"),
        state=RelayState.RELAYED,
        outcome=RelayOutcome.RELAYED,
        note="",
        event=an_event(),
    )


async def revoke(database: Database) -> None:
    store = SqlRevocationStore(database, node=NODE)
    revocation = Revocation(store=store, clock=StoppedClock())
    await revocation.revoke_address(ANNA, RevocationReason.KEY_COMPROMISE, "operator:olga")


async def make_audit_key(database: Database) -> None:
    await audit_keys(database).ensure()


def audit_keys(database: Database) -> AuditKeys:
    return AuditKeys(
        store=SqlAuditKeys(database, node=NODE), sealer=SEALER, clock=StoppedClock(), actor="operator:olga"
    )


ACTIONS: dict[AuditKind, Action] = {
    AuditKind.SERVICE_STARTED: lambda database: SqlAuditLog(database, node=NODE).append(an_event()),
    AuditKind.ORGANIZATION_ADDED: add_organization,
    AuditKind.ORGANIZATION_CHANGED: change_organization,
    AuditKind.GATEWAY_ADDED: lambda database: add_gateway(
        database, a_gateway(gateway_id="gw-2", name="gw-2")
    ),
    AuditKind.GATEWAY_DISABLED: disable_gateway,
    AuditKind.AGENT_ADDED: lambda database: add_agent(
        database, replace(an_agent(agent_id="agent-2"), email="b@hospital.org")
    ),
    AuditKind.AGENT_DISABLED: disable_agent,
    AuditKind.ISSUER_CREATED: lambda database: SqlIssuers(database, node=NODE).add(
        an_issuer("issuing-2"), an_event()
    ),
    AuditKind.CRL_ISSUED: lambda database: SqlCrlStore(database, node=NODE).publish(
        a_crl(), replaces=None, event=an_event()
    ),
    AuditKind.CERTIFICATE_MINTED: lambda database: mint(
        database, a_reservation("enrolment-2", mailbox=Mailbox.parse("bert@example.org"))
    ),
    AuditKind.CERTIFICATE_REVOKED: revoke,
    AuditKind.PASSWORD_REVEALED: reveal,
    AuditKind.RELAY_RECORDED: record_relay,
    AuditKind.MASTER_KEY_ROTATED: lambda database: SqlMasterKeys(database, node=NODE).register(
        "master-2", an_event()
    ),
    AuditKind.AUDIT_KEY_CREATED: make_audit_key,
}


@pytest.mark.parametrize("kind", ACTIONS)
async def test_what_cannot_be_put_on_record_does_not_happen(store: Store, kind: AuditKind) -> None:
    await mint(store.database)
    before = await everything(store.database)

    async with full_audit_log(store):
        with pytest.raises(StoreUnavailable):
            await ACTIONS[kind](store.database)

    assert await everything(store.database) == before
    await ACTIONS[kind](store.database)
    assert await everything(store.database) != before, "the action is one"


async def test_an_audit_key_is_not_replaced_without_its_event(store: Store) -> None:
    keys = audit_keys(store.database)
    await keys.ensure()
    before = await everything(store.database)

    async with full_audit_log(store):
        with pytest.raises(StoreUnavailable):
            await keys.rotate()

    assert await everything(store.database) == before
    assert (await keys.signer()).key_id


async def test_refusals_wait_until_they_can_be_put_on_record(store: Store) -> None:
    clock = StoppedClock()
    log = SqlAuditLog(store.database, node=NODE)
    tally = Tally(log=log, clock=clock, period=timedelta(minutes=1), most=8)
    tally.note(Noted(kind=AuditKind.MINT_REFUSED, actor="gateway:gw", subject="refusal:limit.reached"))
    async with full_audit_log(store):
        await tally.write()
    await tally.write()

    assert await store.rows("SELECT kind FROM audit_events WHERE node = 'node-1'") == [("mint.refused",)]


def appends() -> Iterator[tuple[str, str, str]]:
    """Where the store writes events: file, enclosing function, the connection it writes on."""
    for path in sorted(STORE.glob("*.py")):
        if path.name == "audit_log.py":
            continue
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for function in ast.walk(tree):
            if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
                for node in ast.walk(function):
                    if isinstance(node, ast.Call) and ast.unparse(node.func) == "audit_log.append":
                        yield path.name, function.name, ast.unparse(node.args[0])


def test_every_event_is_written_on_the_connection_of_its_action() -> None:
    found = list(appends())

    assert len({file for file, _, _ in found}) >= 10
    assert {connection for _, _, connection in found} == {"connection"}


def test_only_the_service_itself_writes_events_of_no_action() -> None:
    """`SqlAuditLog` has a transaction of its own: for starts, stops, tallies, refusals, and test mails."""
    directory = STORE.parent
    users = {
        path.relative_to(directory).as_posix()
        for path in directory.rglob("*.py")
        if ".audit_log" in path.read_text(encoding="utf-8")
    }

    within = {user for user in users if user.startswith(("wiring/", "cli/", "http/", "ldap/", "delivery/"))}
    assert within <= {
        "cli/refusals.py",
        "wiring/evidence.py",
        "wiring/installation.py",
        "wiring/timekeeping.py",
        "wiring/trying.py",
    }
