"""The agent's side of a password: seen once, recorded always, nobody else's."""

import asyncio
from dataclasses import replace

import pytest

from ca.errors import SealBroken
from ca.passwords import Password
from directory.audit import AuditKind
from directory.errors import RelayRefused, StoreUnavailable, Unknown
from directory.relay import LONGEST_NOTE, RelayDesk, RelayOutcome, RelayState, RevealedPassword
from directory.spelling import spell
from directory.store.audit_log import read_chain
from directory.store.relays import SqlRelayStore
from tests.contracts.test_mint import failing_inserts_into
from tests.contracts.world import SEALER, Store, a_reservation, add_agent, add_organization, mint
from tests.directory.builders import an_agent, an_organization
from tests.directory.clocks import StoppedClock

ENROLMENT = "enrolment-1"
AGENT = an_agent()


@pytest.fixture
async def desk(store: Store) -> RelayDesk:
    await mint(store.database, a_reservation(ENROLMENT))
    relays = SqlRelayStore(store.database, node="desk")
    return RelayDesk(store=relays, sealer=SEALER, clock=StoppedClock())


async def state(store: Store) -> RelayState:
    ((found,),) = await store.rows("SELECT state FROM relays")
    return RelayState(str(found))


async def kinds(store: Store) -> list[AuditKind]:
    return [chained.event.kind async for chained in read_chain(store.database, "desk", 100)]


async def refusal(desk: RelayDesk, outcome: RelayOutcome, note: str = "") -> str:
    with pytest.raises(RelayRefused) as refused:
        await desk.record(ENROLMENT, AGENT, outcome, note)
    return refused.value.code


async def test_shows_the_password_and_writes_down_to_whom(store: Store, desk: RelayDesk) -> None:
    revealed = await desk.reveal(ENROLMENT, AGENT)

    assert revealed.spelling == spell(revealed.password, "en")
    assert revealed.password == Password(f"password of {ENROLMENT}")
    assert await state(store) is RelayState.REVEALED
    (chained,) = [event async for event in read_chain(store.database, "desk", 10)]
    assert chained.event.kind is AuditKind.PASSWORD_REVEALED
    assert (chained.event.actor, chained.event.subject) == ("agent:agent@hospital.org", ENROLMENT)
    assert await store.rows("SELECT revealed_by FROM relays") == [(AGENT.agent_id,)]


async def test_shows_the_password_once(store: Store, desk: RelayDesk) -> None:
    await desk.reveal(ENROLMENT, AGENT)

    with pytest.raises(RelayRefused) as refused:
        await desk.reveal(ENROLMENT, AGENT)

    assert refused.value.code == "relay.already_revealed"
    assert await kinds(store) == [AuditKind.PASSWORD_REVEALED]


async def test_of_many_who_ask_at_once_one_is_shown_the_password(store: Store, desk: RelayDesk) -> None:
    colleague = replace(an_agent(agent_id="agent-2"), email="colleague@hospital.org")
    await add_agent(store.database, colleague)

    results = await asyncio.gather(
        *(desk.reveal(ENROLMENT, agent) for agent in [AGENT, colleague] * 8), return_exceptions=True
    )

    assert [type(result) for result in results if not isinstance(result, RelayRefused)] == [RevealedPassword]
    assert await kinds(store) == [AuditKind.PASSWORD_REVEALED]


async def test_another_organizations_agent_is_told_that_there_is_no_such_enrolment(
    store: Store, desk: RelayDesk
) -> None:
    firm = an_organization(organization_id="org-2", slug="firm", domains=frozenset())
    await add_organization(store.database, firm)
    stranger = an_agent(agent_id="agent-2", organization_id="org-2")
    await add_agent(store.database, stranger)

    for enrolment_id in (ENROLMENT, "f" * 32):
        with pytest.raises(Unknown) as unknown:
            await desk.reveal(enrolment_id, stranger)
        assert str(unknown.value) == f"no enrolment {enrolment_id!r}"
        with pytest.raises(Unknown):
            await desk.record(enrolment_id, stranger, RelayOutcome.FAILED, "")
    assert await state(store) is RelayState.WAITING


async def test_a_password_sealed_for_another_enrolment_is_not_shown(store: Store, desk: RelayDesk) -> None:
    await store.sql("UPDATE relays SET password_ciphertext = (SELECT key_ciphertext FROM held_keys)")

    with pytest.raises(SealBroken):
        await desk.reveal(ENROLMENT, AGENT)

    assert await state(store) is RelayState.WAITING


async def test_without_a_durable_event_no_password_leaves(store: Store, desk: RelayDesk) -> None:
    async with failing_inserts_into(store, "audit_events"):
        with pytest.raises(StoreUnavailable):
            await desk.reveal(ENROLMENT, AGENT)

    assert await state(store) is RelayState.WAITING
    assert (await desk.reveal(ENROLMENT, AGENT)).password == Password(f"password of {ENROLMENT}")


async def test_a_password_that_was_destroyed_is_not_shown(store: Store, desk: RelayDesk) -> None:
    await store.sql(
        "UPDATE relays SET state = 'relayed', password_master_key_id = NULL, password_wrapped_key = NULL,"
        " password_ciphertext = NULL"
    )

    with pytest.raises(RelayRefused) as refused:
        await desk.reveal(ENROLMENT, AGENT)

    assert refused.value.code == "relay.closed"


async def test_a_relayed_password_closes_the_relay(store: Store, desk: RelayDesk) -> None:
    await desk.reveal(ENROLMENT, AGENT)

    after = await desk.record(ENROLMENT, AGENT, RelayOutcome.RELAYED, "called back\n\ton the known number")

    assert after is await state(store) is RelayState.RELAYED
    assert await kinds(store) == [AuditKind.PASSWORD_REVEALED, AuditKind.RELAY_RECORDED]
    closed = "SELECT note FROM relays WHERE closed_at IS NOT NULL"
    assert await store.rows(closed) == [("called back\n\ton the known number",)]


async def test_nobody_there_leaves_the_relay_as_it_was(store: Store, desk: RelayDesk) -> None:
    assert await desk.record(ENROLMENT, AGENT, RelayOutcome.NO_ANSWER, "") is RelayState.WAITING

    await desk.reveal(ENROLMENT, AGENT)

    assert await desk.record(ENROLMENT, AGENT, RelayOutcome.NO_ANSWER, "") is RelayState.REVEALED
    assert await state(store) is RelayState.REVEALED


async def test_a_relay_can_fail_before_the_reveal(desk: RelayDesk) -> None:
    assert await desk.record(ENROLMENT, AGENT, RelayOutcome.FAILED, "") is RelayState.FAILED


async def test_a_relay_can_fail_after_the_reveal(desk: RelayDesk) -> None:
    await desk.reveal(ENROLMENT, AGENT)

    assert await desk.record(ENROLMENT, AGENT, RelayOutcome.FAILED, "") is RelayState.FAILED


async def test_a_password_nobody_has_seen_was_not_relayed(desk: RelayDesk) -> None:
    assert await refusal(desk, RelayOutcome.RELAYED) == "relay.not_revealed"


@pytest.mark.parametrize("closing", [RelayOutcome.RELAYED, RelayOutcome.FAILED])
async def test_a_closed_relay_stays_as_it_is(store: Store, desk: RelayDesk, closing: RelayOutcome) -> None:
    await desk.reveal(ENROLMENT, AGENT)
    closed = await desk.record(ENROLMENT, AGENT, closing, "")

    for outcome in RelayOutcome:
        assert await refusal(desk, outcome) == "relay.closed"
    with pytest.raises(RelayRefused):
        await desk.reveal(ENROLMENT, AGENT)

    assert await state(store) is closed


async def test_of_two_records_at_once_one_counts(store: Store, desk: RelayDesk) -> None:
    await desk.reveal(ENROLMENT, AGENT)

    results = await asyncio.gather(
        desk.record(ENROLMENT, AGENT, RelayOutcome.RELAYED, ""),
        desk.record(ENROLMENT, AGENT, RelayOutcome.FAILED, ""),
        return_exceptions=True,
    )

    (counted,) = [result for result in results if isinstance(result, RelayState)]
    assert await state(store) is counted
    assert (await kinds(store)).count(AuditKind.RELAY_RECORDED) == 1


async def test_a_note_is_as_long_as_a_note_may_be(desk: RelayDesk) -> None:
    await desk.record(ENROLMENT, AGENT, RelayOutcome.NO_ANSWER, "ü" * LONGEST_NOTE)

    assert await refusal(desk, RelayOutcome.NO_ANSWER, "x" * (LONGEST_NOTE + 1)) == "relay.note_too_long"


@pytest.mark.parametrize("character", ["\0", "\x1b", "\r", "\x7f", "\x85", "\ud800"])
async def test_a_note_is_text(store: Store, desk: RelayDesk, character: str) -> None:
    assert await refusal(desk, RelayOutcome.NO_ANSWER, f"a{character}b") == "relay.note_not_text"
    assert await kinds(store) == []
