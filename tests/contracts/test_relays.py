"""The contract of `RelayStore`: every step is one agent's, however many try."""

import asyncio
from dataclasses import replace

import pytest

from directory.audit import AuditEvent, AuditKind
from directory.errors import RelayRefused, Unknown
from directory.relay import Relay, RelayOutcome, RelayState
from directory.store.database import Database
from directory.store.lookup import SqlDirectoryReader
from directory.store.relays import SqlRelayStore
from tests.contracts.world import (
    ANNA,
    NOW,
    Store,
    a_reservation,
    add_agent,
    add_organization,
    an_event,
    mint,
)
from tests.directory.builders import a_gateway, an_agent, an_organization

RELAY_EVENTS = "SELECT kind FROM audit_events WHERE node = 'node-1' AND kind <> 'certificate.minted'"


@pytest.fixture
async def relays(database: Database) -> SqlRelayStore:
    await mint(database)
    return SqlRelayStore(database, node="node-1")


async def the_relay(relays: SqlRelayStore) -> Relay:
    return await relays.relay("enrolment-1", "org-1")


async def reveal(relays: SqlRelayStore, relay: Relay, agent_id: str = "agent-1") -> None:
    await relays.mark_revealed(relay, an_agent(agent_id=agent_id), revealed())


def revealed() -> AuditEvent:
    return an_event(AuditKind.PASSWORD_REVEALED, subject="enrolment-1")


async def record(
    relays: SqlRelayStore,
    relay: Relay,
    *,
    state: RelayState = RelayState.RELAYED,
    outcome: RelayOutcome = RelayOutcome.RELAYED,
) -> None:
    event = an_event(AuditKind.RELAY_RECORDED, subject="enrolment-1")
    await relays.record_outcome(relay, state=state, outcome=outcome, note="spoke to her", event=event)


async def test_a_fresh_relay_waits_with_its_sealed_password(relays: SqlRelayStore) -> None:
    relay = await the_relay(relays)

    assert relay.state is RelayState.WAITING
    assert relay.sealed_password is not None
    assert (relay.revealed_at, relay.revealed_by, relay.outcome, relay.note) == (None, None, None, "")


async def test_a_relay_is_its_organizations_alone(database: Database, relays: SqlRelayStore) -> None:
    await add_organization(
        database, an_organization(organization_id="org-2", slug="firm", domains=frozenset())
    )

    with pytest.raises(Unknown) as anothers:
        await relays.relay("enrolment-1", "org-2")
    with pytest.raises(Unknown) as nobodys:
        await relays.relay("enrolment-9", "org-1")

    assert anothers.value.kind == nobodys.value.kind == "enrolment"


async def test_a_reveal_says_who_and_when(store: Store, relays: SqlRelayStore) -> None:
    await reveal(relays, await the_relay(relays))

    relay = await the_relay(relays)
    assert (relay.state, relay.revealed_at, relay.revealed_by) == (RelayState.REVEALED, NOW, "agent-1")
    assert await store.rows(RELAY_EVENTS) == [("password.revealed",)]


async def test_a_password_is_revealed_once(store: Store, relays: SqlRelayStore) -> None:
    relay = await the_relay(relays)
    await reveal(relays, relay)

    with pytest.raises(RelayRefused) as refused:
        await reveal(relays, relay)

    assert refused.value.code == "relay.already_revealed"
    assert await store.rows(RELAY_EVENTS) == [("password.revealed",)]


async def test_of_many_agents_at_once_one_reveals(store: Store, relays: SqlRelayStore) -> None:
    relay = await the_relay(relays)
    agents = [f"agent-{number}" for number in range(2, 10)]
    for agent_id in agents:
        agent = replace(an_agent(agent_id=agent_id), email=f"{agent_id}@hospital.org")
        await add_agent(store.database, agent)

    tries = await asyncio.gather(
        *(reveal(relays, relay, agent_id) for agent_id in agents), return_exceptions=True
    )

    assert tries.count(None) == 1
    assert all(isinstance(refused, RelayRefused) for refused in tries if refused is not None)
    winner = agents[tries.index(None)]
    assert (await the_relay(relays)).revealed_by == winner
    assert await store.rows(RELAY_EVENTS) == [("password.revealed",)]


async def test_a_relayed_password_closes_the_relay(store: Store, relays: SqlRelayStore) -> None:
    await reveal(relays, await the_relay(relays))
    await record(relays, await the_relay(relays))

    relay = await the_relay(relays)
    assert (relay.state, relay.outcome) == (RelayState.RELAYED, RelayOutcome.RELAYED)
    assert (relay.closed_at, relay.note) == (NOW, "spoke to her")
    assert await store.rows(RELAY_EVENTS) == [("password.revealed",), ("relay.recorded",)]


async def test_nobody_there_leaves_the_relay_open(relays: SqlRelayStore) -> None:
    await reveal(relays, await the_relay(relays))
    await record(relays, await the_relay(relays), state=RelayState.REVEALED, outcome=RelayOutcome.NO_ANSWER)

    relay = await the_relay(relays)
    assert (relay.state, relay.outcome, relay.closed_at) == (
        RelayState.REVEALED,
        RelayOutcome.NO_ANSWER,
        None,
    )


async def test_a_closed_relay_stays_closed(store: Store, relays: SqlRelayStore) -> None:
    await reveal(relays, await the_relay(relays))
    seen = await the_relay(relays)
    await record(relays, seen)

    with pytest.raises(RelayRefused) as refused:
        await record(relays, seen, state=RelayState.FAILED, outcome=RelayOutcome.FAILED)

    assert refused.value.code == "relay.closed"
    assert (await the_relay(relays)).state is RelayState.RELAYED
    assert await store.rows(RELAY_EVENTS) == [("password.revealed",), ("relay.recorded",)]


async def test_a_closed_relay_reveals_nothing(relays: SqlRelayStore) -> None:
    seen = await the_relay(relays)
    await record(relays, seen, state=RelayState.FAILED, outcome=RelayOutcome.FAILED)

    with pytest.raises(RelayRefused) as refused:
        await reveal(relays, seen)

    assert refused.value.code == "relay.closed"


async def test_an_attempt_without_reveal_does_not_undo_a_reveal_made_meanwhile(
    relays: SqlRelayStore,
) -> None:
    seen_waiting = await the_relay(relays)
    await reveal(relays, seen_waiting)

    with pytest.raises(RelayRefused):
        await record(relays, seen_waiting, state=RelayState.WAITING, outcome=RelayOutcome.NO_ANSWER)

    assert (await the_relay(relays)).state is RelayState.REVEALED


async def test_the_relay_of_another_enrolment_is_untouched(database: Database, relays: SqlRelayStore) -> None:
    await mint(database, a_reservation("enrolment-2", mailbox=an_organization().mail_from))
    await reveal(relays, await the_relay(relays))

    assert (await relays.relay("enrolment-2", "org-1")).state is RelayState.WAITING


async def test_a_failed_relay_takes_the_certificate_out_of_the_directory(
    database: Database, relays: SqlRelayStore
) -> None:
    reader = SqlDirectoryReader(database)
    assert await reader.best_certificate(ANNA.key, a_gateway(), NOW) is not None

    await record(relays, await the_relay(relays), state=RelayState.FAILED, outcome=RelayOutcome.FAILED)

    assert await reader.best_certificate(ANNA.key, a_gateway(), NOW) is None
    context = await reader.mint_context(ANNA.key, a_gateway())
    assert context is not None
    assert context.bounced


async def test_nothing_more_is_sent_for_a_relay_that_failed(store: Store, relays: SqlRelayStore) -> None:
    assert await store.rows("SELECT kind FROM outgoing_mail WHERE state = 'queued'") == [("key",)]

    await record(relays, await the_relay(relays), state=RelayState.FAILED, outcome=RelayOutcome.FAILED)

    assert await store.rows("SELECT kind, state FROM outgoing_mail") == [("key", "cancelled")]


async def test_a_call_that_nobody_took_leaves_the_certificate(
    database: Database, relays: SqlRelayStore
) -> None:
    await record(relays, await the_relay(relays), state=RelayState.WAITING, outcome=RelayOutcome.NO_ANSWER)

    assert await SqlDirectoryReader(database).best_certificate(ANNA.key, a_gateway(), NOW) is not None
