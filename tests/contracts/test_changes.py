"""The contract of `ChangeLog`: whatever makes a remembered answer untrue is announced, whoever does it."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from sqlalchemy import Column, select
from sqlalchemy.sql import visitors

from ca.address import Mailbox
from directory.changes import Changes
from directory.errors import StoreUnavailable
from directory.relay import RelayOutcome, RelayState
from directory.revocation import RevocationReason
from directory.store import changes as stored
from directory.store import lookup
from directory.store.callers import SqlCallerStore
from directory.store.changes import SqlChangeLog
from directory.store.database import Database
from directory.store.issuer_revocations import SqlIssuerRevocations
from directory.store.migrations.triggers_v1 import STATEMENTS
from directory.store.organizations import SqlOrganizations
from directory.store.outbox import SqlOutbox
from directory.store.relays import SqlRelayStore
from directory.store.revocations import SqlRevocationStore
from directory.store.tables import changes
from tests.contracts.world import (
    ANNA,
    NOW,
    YEAR,
    Store,
    a_reservation,
    add_gateway,
    an_event,
    an_issuer,
    import_certificate,
    mint,
)
from tests.directory.builders import a_gateway, an_organization

ONLY_ANNA = frozenset({ANNA.key})
EVERYTHING = None


async def revoke(database: Database) -> None:
    revocations = SqlRevocationStore(database, node="node-1")
    for certificate in await revocations.by_address(ANNA, NOW):
        await revocations.revoke(
            certificate, reason=RevocationReason.KEY_COMPROMISE, at=NOW, event=an_event()
        )


async def give_up(database: Database) -> None:
    outbox = SqlOutbox(database, node="node-1")
    (mail,) = await outbox.claim_due(worker="worker-1", now=NOW, lease_until=NOW + YEAR, most=1)
    await outbox.record_given_up(mail, at=NOW, failure="550 no such user", event=an_event())


async def fail_relay(database: Database) -> None:
    relays = SqlRelayStore(database, node="node-1")
    relay = await relays.relay("enrolment-1", "org-1")
    await relays.record_outcome(
        relay, state=RelayState.FAILED, outcome=RelayOutcome.FAILED, note="", event=an_event()
    )


async def disable_gateway(database: Database) -> None:
    await SqlCallerStore(database, node="node-1").disable_gateway("gw", "org-1", an_event())


TAKING_AWAY: list[tuple[Callable[[Database], Awaitable[None]], frozenset[str] | None]] = [
    (revoke, ONLY_ANNA),
    (give_up, ONLY_ANNA),
    (fail_relay, ONLY_ANNA),
    (import_certificate, ONLY_ANNA),
    (disable_gateway, EVERYTHING),
]

BY_HAND = [
    ("UPDATE certificates SET not_after = '2026-11-22 10:00:00'", ONLY_ANNA),
    ("UPDATE certificates SET address_key = 'berta@example.org'", EVERYTHING),
    ("UPDATE gateways SET token_id = 'another'", EVERYTHING),
    ("UPDATE gateways SET may_mint = (1 = 0)", EVERYTHING),
    ("UPDATE organizations SET isolated = (1 = 1)", EVERYTHING),
    ("UPDATE organizations SET disabled_at = '2026-11-22 10:00:00'", EVERYTHING),
]


async def reached(store: Store) -> int:
    return (await SqlChangeLog(store.database).since(None)).generation


@pytest.mark.parametrize(("take_away", "concerned"), TAKING_AWAY)
async def test_every_use_case_that_takes_something_away_announces_it(
    store: Store, take_away: Callable[[Database], Awaitable[None]], concerned: frozenset[str] | None
) -> None:
    await mint(store.database)
    before = await reached(store)

    await take_away(store.database)

    assert await SqlChangeLog(store.database).since(before) == Changes(
        generation=before + 1, address_keys=concerned
    )


@pytest.mark.parametrize(("statement", "concerned"), BY_HAND)
async def test_what_is_changed_by_hand_is_announced_as_well(
    store: Store, statement: str, concerned: frozenset[str] | None
) -> None:
    await mint(store.database)
    before = await reached(store)

    await store.sql(statement)

    assert await SqlChangeLog(store.database).since(before) == Changes(
        generation=before + 1, address_keys=concerned
    )


async def test_a_deleted_certificate_is_announced(store: Store) -> None:
    await import_certificate(store.database)
    before = await reached(store)

    await store.sql("DELETE FROM certificates")

    assert (await SqlChangeLog(store.database).since(before)).address_keys == ONLY_ANNA


async def test_what_only_adds_announces_nothing(store: Store) -> None:
    before = await reached(store)

    await mint(store.database)
    await add_gateway(store.database, a_gateway(gateway_id="gw-2", name="gw-2"))
    await SqlOrganizations(store.database, node="node-1").add(
        an_organization(organization_id="org-2", slug="firm", domains=frozenset()), an_event()
    )
    # Its own certificate is put among those that its parent has revoked; nobody could look it up.
    revocations = SqlIssuerRevocations(store.database, node="node-1")
    await revocations.end(an_issuer(), RevocationReason.SUPERSEDED, NOW, an_event())

    assert await SqlChangeLog(store.database).since(before) == Changes(
        generation=before, address_keys=frozenset()
    )


async def test_what_is_rolled_back_was_never_announced(store: Store) -> None:
    await mint(store.database)
    before = await reached(store)

    with pytest.raises(StoreUnavailable):
        await store.sql("UPDATE certificates SET revoked_at = '2026-11-22 10:00:00'", "no SQL")

    assert await reached(store) == before


async def test_another_process_reads_the_announcement(store: Store) -> None:
    await mint(store.database)
    async with store.opened_again() as elsewhere:
        before = (await SqlChangeLog(elsewhere).since(None)).generation

        await revoke(store.database)

        assert (await SqlChangeLog(elsewhere).since(before)).address_keys == ONLY_ANNA


async def test_revocations_at_once_are_all_announced(store: Store) -> None:
    for number in range(8):
        await mint(store.database, a_reservation(f"enrolment-{number}", mailbox=_mailbox(number)))
    before = await reached(store)
    revocations = SqlRevocationStore(store.database, node="node-1")

    async def revoke_one(number: int) -> None:
        (certificate,) = await revocations.by_address(_mailbox(number), NOW)
        await revocations.revoke(certificate, reason=RevocationReason.SUPERSEDED, at=NOW, event=an_event())

    await asyncio.gather(*map(revoke_one, range(8)))

    assert await SqlChangeLog(store.database).since(before) == Changes(
        generation=before + 8, address_keys=frozenset(_mailbox(number).key for number in range(8))
    )


async def test_who_is_behind_the_oldest_announcement_forgets_everything(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stored, "KEPT", 2)
    log = SqlChangeLog(store.database)
    await mint(store.database)
    start = await reached(store)
    for _ in range(4):
        await store.sql("UPDATE certificates SET not_after = '2027-11-22 09:00:00'")

    await log.forget_old_changes()

    assert (await log.since(start)).address_keys is EVERYTHING
    assert (await log.since(start + 1)).address_keys is EVERYTHING
    assert (await log.since(start + 2)).address_keys == ONLY_ANNA
    assert len(await store.select(select(changes.c.generation))) == 2


async def test_more_than_is_read_at_once_makes_everything_forgotten(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stored, "_SINCE", stored._SINCE.limit(3))
    await mint(store.database)
    before = await reached(store)
    for _ in range(4):
        await store.sql("UPDATE certificates SET not_after = '2027-11-22 09:00:00'")

    log = SqlChangeLog(store.database)

    assert await log.since(before) == Changes(generation=before + 4, address_keys=EVERYTHING)
    assert (await log.since(before + 1)).address_keys == ONLY_ANNA


async def test_a_database_put_back_to_an_earlier_day_makes_everything_forgotten(store: Store) -> None:
    before = await reached(store)

    assert await SqlChangeLog(store.database).since(before + 7) == Changes(
        generation=before, address_keys=EVERYTHING
    )


def test_every_column_that_decides_an_answer_is_watched() -> None:
    """A lookup that comes to depend on another column must have its trigger extended."""
    watched = " ".join(" ".join(statement.split()) for statement in STATEMENTS["sqlite"])
    of_certificates = watched.partition("UPDATE OF ")[2].partition(" ON certificates")[0].split(", ")
    decisive = {
        (element.table.name, element.name)
        for statement in (lookup._FOR_GATEWAY, lookup._FOR_ANYBODY)
        for element in visitors.iterate(statement)
        if isinstance(element, Column) and element.table is not None
    }

    assert {name for table, name in decisive if table == "certificates"} <= {*of_certificates, *UNCHANGING}
    assert {name for table, name in decisive if table == "organizations"} <= {"id", "isolated", "disabled_at"}
    assert {table for table, _ in decisive} == {"certificates", "gateways", "organizations"}


UNCHANGING = {"id", "serial", "address"}
"""Of a certificate: nothing updates them; `address` is `address_key` in another spelling."""


def _mailbox(number: int) -> Mailbox:
    return Mailbox.parse(f"recipient{number}@example.org")
