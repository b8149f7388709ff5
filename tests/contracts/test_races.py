"""Many at once, on one event loop and through several connections as if they were several processes."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from datetime import timedelta
from enum import Enum, auto

import pytest

from ca.address import Mailbox
from directory.audit import AuditKind
from directory.errors import LimitReached, SlotTaken, StoreUnavailable
from directory.limits import Limit, MintRates, Rate
from directory.links import LinkPurpose
from directory.mint_ports import Reservation
from directory.revocation import RevocationReason
from directory.status import Place
from directory.store.database import Database
from directory.store.inspection import SqlStoreInspector
from directory.store.lookup import SqlDirectoryReader
from directory.store.revocations import SqlRevocationStore
from directory.store.suppressions import SqlSuppressions
from directory.suppression import OptOut
from tests.chains import broken_links
from tests.contracts.following import a_link, events
from tests.contracts.renewing import (
    ENDS,
    LEADS,
    NEW,
    OLD,
    RENEWS,
    a_renewal,
    places,
    prove,
    record_switches,
    renewed,
)
from tests.contracts.world import ANNA, NOW, YEAR, Store, a_reservation, an_event, mint
from tests.directory.builders import a_gateway
from tests.directory.clocks import StoppedClock

AT_ONCE = 64
PROCESSES = 8
DAY = timedelta(days=1)


class Outcome(Enum):
    MINTED = auto()
    SLOT_TAKEN = auto()
    LIMIT_REACHED = auto()


@pytest.fixture
async def processes(store: Store) -> AsyncIterator[list[Database]]:
    """The databases that the participants of a race use: on SQLite there is one process."""
    async with AsyncExitStack() as stack:
        if store.is_postgresql:
            yield [await stack.enter_async_context(store.opened_again()) for _ in range(PROCESSES)]
        else:
            yield [store.database]


async def outcome_of(database: Database, reservation: Reservation) -> Outcome:
    while True:
        try:
            await mint(database, reservation)
        except SlotTaken:
            return Outcome.SLOT_TAKEN
        except LimitReached:
            return Outcome.LIMIT_REACHED
        except StoreUnavailable:
            continue  # on a machine this busy somebody waited too long; he asks again, as a gateway would
        return Outcome.MINTED


async def race(processes: list[Database], reservation: Callable[[int], Reservation]) -> list[Outcome]:
    return await asyncio.gather(
        *(outcome_of(processes[n % len(processes)], reservation(n)) for n in range(AT_ONCE))
    )


def of_somebody(number: int, limits: tuple[Limit, ...] = ()) -> Reservation:
    mailbox = Mailbox.parse(f"person-{number}@example.org")
    return a_reservation(f"enrolment-{number}", mailbox=mailbox, limits=limits)


async def test_64_mints_of_one_address_make_one_enrolment(store: Store, processes: list[Database]) -> None:
    outcomes = await race(processes, lambda number: a_reservation(f"enrolment-{number}"))

    assert outcomes.count(Outcome.MINTED) == 1
    assert outcomes.count(Outcome.SLOT_TAKEN) == AT_ONCE - 1
    for table in ("enrolments", "certificates", "held_keys", "relays", "deliveries", "outgoing_mail"):
        assert await store.count(table) == 1


async def test_whoever_loses_the_race_is_served_the_winners_certificate(
    store: Store, processes: list[Database]
) -> None:
    await race(processes, lambda number: a_reservation(f"enrolment-{number}"))

    served = [
        await SqlDirectoryReader(database).best_certificate(ANNA.key, a_gateway(), NOW)
        for database in processes
    ]

    ((der,),) = await store.rows("SELECT der FROM certificates")
    assert {certificate.der for certificate in served if certificate} == {der}


async def test_64_mints_over_an_expired_enrolment_make_one(store: Store, processes: list[Database]) -> None:
    await mint(store.database, a_reservation("expired"))

    outcomes = await race(
        processes, lambda number: a_reservation(f"enrolment-{number}", minted_at=NOW + YEAR)
    )

    assert outcomes.count(Outcome.MINTED) == 1
    assert await store.rows("SELECT count(*) FROM enrolments WHERE live") == [(1,)]


async def test_64_renewals_and_lookups_at_once_make_one_successor(
    store: Store, processes: list[Database]
) -> None:
    await mint(store.database, a_reservation(OLD))
    readers = [SqlDirectoryReader(database) for database in processes]

    async def look_up(number: int) -> list[bytes]:
        found = await readers[number % len(readers)].live_certificates(ANNA.key, a_gateway(), RENEWS)
        return [certificate.der for certificate in found]

    outcomes, answers = await asyncio.gather(
        race(processes, lambda number: a_renewal(f"renewal-{number}")),
        asyncio.gather(*(look_up(number) for number in range(AT_ONCE))),
    )

    assert outcomes.count(Outcome.MINTED) == 1
    assert outcomes.count(Outcome.SLOT_TAKEN) == AT_ONCE - 1
    assert answers == [[b"certificate of enrolment-1"]] * AT_ONCE
    assert sorted(str(place) for place in (await places(store)).values()) == ["leading", "waiting"]


@pytest.mark.parametrize("rival", ["revocation", "opt-out", "proof", "renewal"])
async def test_a_switch_races_with_whatever_else_becomes_of_the_two(
    store: Store, processes: list[Database], rival: str
) -> None:
    await renewed(store.database)
    link = await a_link(store.database, LinkPurpose.STOP, expires_at=ENDS)
    rivals: dict[str, Callable[[Database], Awaitable[object]]] = {
        "revocation": revoke_the_old,
        "opt-out": lambda database: OptOut(
            store=SqlSuppressions(database, node="node-1"), clock=StoppedClock(LEADS)
        ).stop(link),
        "proof": lambda database: prove(database, at=LEADS),
        "renewal": lambda database: outcome_of(
            database, a_renewal("third", of=NEW, at=LEADS, leads_until=LEADS + YEAR)
        ),
    }

    await asyncio.gather(
        *(
            work(processes[number % len(processes)])
            for number in range(8)
            for work in (lambda database: record_switches(database, LEADS), rivals[rival])
        )
    )
    await record_switches(store.database, LEADS)

    standing = await places(store)
    ended = {
        "revocation": {OLD: None, NEW: Place.LEADING},
        "opt-out": {OLD: None, NEW: None},
        "proof": {OLD: Place.OVERTAKEN, NEW: Place.LEADING},
        "renewal": {OLD: Place.OVERTAKEN, NEW: Place.LEADING},
    }
    standing.pop("third", None)
    assert standing == ended[rival]
    # Whoever stops all mail may come before the switch; nobody makes it twice.
    recorded = len(await events(store, AuditKind.CERTIFICATE_LEADS))
    assert recorded == 1 or (recorded == 0 and rival == "opt-out")


async def revoke_the_old(database: Database) -> None:
    revocations = SqlRevocationStore(database, node="node-1")
    for found in await revocations.by_address(ANNA, RENEWS):
        if found.enrolment_id == OLD:
            reason = RevocationReason.SUPERSEDED
            await revocations.revoke(found, reason=reason, at=LEADS, event=an_event())


async def test_a_limit_is_never_overshot(store: Store, processes: list[Database]) -> None:
    burst = 10
    limits = (Limit(name="gateway_day", bucket="gateway_day:gateway-1", rate=Rate(burst=burst, period=DAY)),)

    outcomes = await race(processes, lambda number: of_somebody(number, limits))

    assert outcomes.count(Outcome.MINTED) == burst
    assert outcomes.count(Outcome.LIMIT_REACHED) == AT_ONCE - burst
    assert await store.count("certificates") == burst


async def test_mints_that_share_some_limits_never_lock_each_other_out(
    store: Store, processes: list[Database]
) -> None:
    rate = Rate(burst=1000, period=DAY)
    rates = MintRates(
        gateway_hour=rate, gateway_day=rate, organization_day=rate, recipient_day=rate, domain_day=rate
    )

    def reservation(number: int) -> Reservation:
        mailbox = Mailbox.parse(f"person+{number}@example-{number % 3}.org")
        limits = rates.limits_for(
            gateway_id=f"gateway-{number % 2}", organization_id="org-1", mailbox=mailbox
        )
        return a_reservation(f"enrolment-{number}", mailbox=mailbox, limits=limits)

    outcomes = await asyncio.gather(
        *(mint(processes[n % len(processes)], reservation(n)) for n in range(AT_ONCE // 2))
    )

    assert len(outcomes) == AT_ONCE // 2
    assert await store.count("limit_buckets") == 2 + 2 + 1 + 3 + 3


async def test_the_audit_chain_of_a_node_has_no_gap(store: Store, processes: list[Database]) -> None:
    await race(processes, of_somebody)

    inspector = SqlStoreInspector(store.database)
    (head,) = [head for head in await inspector.audit_heads() if head.node == "node-1"]
    events = [event async for event in inspector.audit_chain("node-1")]
    assert head.sequence == len(events) == AT_ONCE
    assert broken_links(events, head) == []


async def test_a_chain_is_sound_for_whoever_reads_it_while_it_grows(store: Store) -> None:
    inspector = SqlStoreInspector(store.database)
    await mint(store.database, of_somebody(0))
    (head,) = [head for head in await inspector.audit_heads() if head.node == "node-1"]

    await mint(store.database, of_somebody(1))

    assert broken_links([event async for event in inspector.audit_chain("node-1")], head) == []


async def test_readers_and_writers_get_along(store: Store) -> None:
    reader = SqlDirectoryReader(store.database)
    done = asyncio.Event()

    async def read() -> int:
        count = 0
        while not done.is_set():
            await reader.best_certificate(ANNA.key, a_gateway(), NOW)
            count += 1
        return count

    readers = [asyncio.create_task(read()) for _ in range(8)]
    for number in range(16):
        await mint(store.database, of_somebody(number))
    done.set()

    assert all(count > 0 for count in await asyncio.gather(*readers))
