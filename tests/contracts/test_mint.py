"""The contract of `MintStore`: everything one mint causes is durable together, once per address."""

from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from ca.address import Mailbox
from directory.audit import ChainHead
from directory.delivery.outbox import DueMail
from directory.errors import KeyBlocked, KeyRepeated, LimitReached, SlotTaken, StoreUnavailable
from directory.limits import Limit, Rate
from directory.mint_ports import MailClaim, MintTransaction, Reservation
from directory.organization import SHARED_SCOPE
from directory.relay import RelayOutcome, RelayState
from directory.store.audit_log import read_chain
from directory.store.blocked_keys import SqlBlockedKeys
from directory.store.database import Database
from directory.store.lookup import SqlDirectoryReader
from directory.store.mint import SqlMintStore
from directory.store.outbox import SqlOutbox
from tests.chains import broken_links
from tests.contracts.world import (
    ANNA,
    NOW,
    YEAR,
    Store,
    a_reservation,
    add_organization,
    an_enrolment,
    an_event,
    mint,
    record,
)
from tests.directory.builders import a_gateway, an_organization

ROWS_OF_A_MINT = ("enrolments", "certificates", "held_keys", "relays", "deliveries", "outgoing_mail")
DAY = timedelta(days=1)
BERT = Mailbox.parse("bert@example.org")


def a_limit(bucket: str = "gateway_day:gateway-1", *, burst: int = 3) -> Limit:
    return Limit(name=bucket.partition(":")[0], bucket=bucket, rate=Rate(burst=burst, period=DAY))


async def rows_of_mints(store: Store) -> set[int]:
    return {await store.count(table) for table in ROWS_OF_A_MINT}


async def test_a_mint_leaves_one_row_in_every_place_and_its_event(store: Store) -> None:
    enrolment = await mint(store.database)

    assert await rows_of_mints(store) == {1}
    (event,) = [event async for event in read_chain(store.database, "node-1", 10)]
    assert event.event == enrolment.event
    assert await store.rows("SELECT node, sequence FROM audit_heads WHERE node = 'node-1'") == [("node-1", 1)]


async def test_the_certificate_is_served_as_it_was_recorded(database: Database) -> None:
    enrolment = await mint(database)

    served = await SqlMintStore(database, node="node-1").best_certificate(ANNA.key, a_gateway(), NOW)

    assert served == enrolment.certificate


async def test_leaving_with_an_exception_leaves_nothing(store: Store) -> None:
    with pytest.raises(SignerGoneError):
        await fail_after_recording(store.database, a_reservation(limits=(a_limit(),)))

    assert await rows_of_mints(store) == {0}
    assert await store.count("limit_buckets") == 0
    assert await store.rows("SELECT 1 FROM audit_events WHERE node = 'node-1'") == []


async def test_a_key_mail_born_claimed_is_nobody_elses_until_the_claim_runs_out(store: Store) -> None:
    until = NOW + timedelta(minutes=30)
    await mint(store.database, claim=MailClaim(worker="node-1", until=until))
    outbox = SqlOutbox(store.database, node="node-2")

    def claim(now: datetime) -> Awaitable[list[DueMail]]:
        return outbox.claim_due(worker="node-2", now=now, lease_until=now + timedelta(hours=1), most=1)

    assert await claim(until - timedelta(seconds=1)) == []
    assert await outbox.next_due() == until
    (mail,) = await claim(until)
    assert mail.attempts == 1


async def test_a_worker_that_died_gives_up_what_was_born_claimed_by_it(store: Store) -> None:
    await mint(store.database, claim=MailClaim(worker="node-1", until=NOW + timedelta(minutes=30)))
    outbox = SqlOutbox(store.database, node="node-1")

    await outbox.release_claims(worker="node-1")

    assert await outbox.next_due() == NOW


async def test_a_reserved_address_without_a_record_is_free_again(store: Store) -> None:
    with pytest.raises(SignerGoneError):
        await fail_after_reserving(store.database, a_reservation())

    await mint(store.database)

    assert await rows_of_mints(store) == {1}


async def test_a_live_enrolment_holds_its_address(store: Store) -> None:
    await mint(store.database)

    with pytest.raises(SlotTaken):
        await mint(store.database, a_reservation("enrolment-2"))

    assert await rows_of_mints(store) == {1}


async def test_an_address_is_held_in_every_spelling_of_its_key(database: Database) -> None:
    await mint(database, a_reservation(mailbox=Mailbox.parse("Anna@Example.org")))

    with pytest.raises(SlotTaken):
        await mint(database, a_reservation("enrolment-2", mailbox=Mailbox.parse("aNNA@example.org")))


async def test_an_isolated_organization_has_a_slot_of_its_own(store: Store) -> None:
    isolated = an_organization(organization_id="org-2", slug="firm", domains=frozenset(), isolated=True)
    gateway = await add_organization(store.database, isolated)
    await mint(store.database)

    await mint(store.database, a_reservation("enrolment-2", gateway=gateway))

    assert await store.rows("SELECT scope FROM certificates ORDER BY scope") == [("org-2",), (SHARED_SCOPE,)]


async def test_an_expired_enrolment_gives_its_address_up(store: Store) -> None:
    await mint(store.database)
    later = NOW + YEAR

    await mint(store.database, a_reservation("enrolment-2", minted_at=later))

    assert await store.rows("SELECT id, ended_because FROM enrolments ORDER BY id") == [
        ("enrolment-1", "expired"),
        ("enrolment-2", None),
    ]


async def test_an_enrolment_holds_its_address_until_the_very_moment_it_expires(database: Database) -> None:
    await mint(database)
    just_before = NOW + YEAR - timedelta(microseconds=1)

    with pytest.raises(SlotTaken):
        await mint(database, a_reservation("enrolment-2", minted_at=just_before))


async def test_a_lost_race_charges_nothing(store: Store) -> None:
    await mint(store.database)

    with pytest.raises(SlotTaken):
        await mint(store.database, a_reservation("enrolment-2", limits=(a_limit(),)))

    assert await store.count("limit_buckets") == 0


async def test_a_limit_allows_its_burst_and_not_one_more(store: Store) -> None:
    limits = (a_limit(burst=3),)
    for number in range(3):
        await mint(store.database, numbered(number, limits))

    with pytest.raises(LimitReached) as refused:
        await mint(store.database, numbered(3, limits))

    assert refused.value.limit == "gateway_day"
    assert refused.value.retry_after == DAY // 3
    assert await rows_of_mints(store) == {3}


async def test_a_limit_that_is_used_up_leaves_the_others_uncharged(store: Store) -> None:
    await mint(store.database, numbered(0, (a_limit("domain_day:example.org", burst=1),)))
    both = (a_limit("domain_day:example.org", burst=1), a_limit("gateway_day:gateway-1"))

    with pytest.raises(LimitReached):
        await mint(store.database, numbered(1, both))

    assert await store.rows("SELECT bucket FROM limit_buckets") == [("domain_day:example.org",)]


async def test_a_limit_fills_up_again_with_time(database: Database) -> None:
    limits = (a_limit(burst=1),)
    await mint(database, numbered(0, limits))

    await mint(database, a_reservation("later", mailbox=address(1), minted_at=NOW + DAY, limits=limits))

    with pytest.raises(LimitReached):
        await mint(database, a_reservation("at once", mailbox=address(2), minted_at=NOW + DAY, limits=limits))


async def test_buckets_that_have_filled_up_can_be_forgotten(store: Store) -> None:
    mints = SqlMintStore(store.database, node="node-1")
    await mint(store.database, numbered(0, (a_limit("a:1", burst=1), a_limit("b:1", burst=2))))

    assert await mints.forget_full_buckets(NOW + DAY * 3 / 4) == 1
    assert await mints.forget_full_buckets(NOW + DAY * 3 / 4) == 0
    assert await store.rows("SELECT bucket FROM limit_buckets") == [("a:1",)]


@pytest.mark.parametrize("table", [*ROWS_OF_A_MINT, "audit_events"])
async def test_one_failing_insert_undoes_the_whole_mint(store: Store, table: str) -> None:
    async with failing_inserts_into(store, table):
        with pytest.raises(StoreUnavailable):
            await mint(store.database, a_reservation(limits=(a_limit(),)))

    assert await rows_of_mints(store) == {0}
    assert await store.count("limit_buckets") == 0
    assert await SqlDirectoryReader(store.database).best_certificate(ANNA.key, a_gateway(), NOW) is None
    await mint(store.database, a_reservation("enrolment-2"))
    assert await rows_of_mints(store) == {1}


async def test_the_refusal_of_a_failed_insert_quotes_nothing_of_the_row(store: Store) -> None:
    await mint(store.database)
    other = a_reservation("enrolment-2", mailbox=address(2))

    with pytest.raises(StoreUnavailable) as refused:
        await mint(store.database, other, message_id="<enrolment-1.key@hospital.org>")

    assert "enrolment-1" not in str(refused.value)
    assert refused.value.__cause__ is None
    assert refused.value.__suppress_context__


async def test_every_node_has_a_chain_of_its_own(database: Database) -> None:
    await mint(database, numbered(1), node="node-1")
    await mint(database, numbered(2), node="node-2")
    await mint(database, numbered(3), node="node-1")

    for node, length in (("node-1", 2), ("node-2", 1)):
        events = [event async for event in read_chain(database, node, 10)]
        head = ChainHead(node=node, sequence=length, hash=events[-1].hash)
        assert broken_links(events, head) == []


async def test_the_new_relay_waits_and_its_key_is_held(store: Store) -> None:
    await mint(store.database)

    assert await store.rows("SELECT state, outcome FROM relays") == [(RelayState.WAITING, None)]
    assert await store.rows("SELECT state, hold_until FROM held_keys") == [("held", None)]
    assert RelayOutcome.RELAYED not in {state for (state,) in await store.rows("SELECT state FROM relays")}


def address(number: int) -> Mailbox:
    return Mailbox.parse(f"person-{number}@example.org")


def numbered(number: int, limits: tuple[Limit, ...] = ()) -> Reservation:
    return a_reservation(f"enrolment-{number}", mailbox=address(number), limits=limits)


class SignerGoneError(Exception):
    pass


async def fail_after_reserving(database: Database, reservation: Reservation) -> None:
    def work(transaction: MintTransaction) -> None:
        transaction.reserve(reservation)
        raise SignerGoneError

    await SqlMintStore(database, node="node-1").mint(work)


async def fail_after_recording(database: Database, reservation: Reservation) -> None:
    def work(transaction: MintTransaction) -> None:
        transaction.reserve(reservation)
        transaction.record(an_enrolment(reservation))
        raise SignerGoneError

    await SqlMintStore(database, node="node-1").mint(work)


@asynccontextmanager
async def failing_inserts_into(store: Store, table: str) -> AsyncIterator[None]:
    """Let the database itself refuse one insert, as a full disk or a broken page would."""
    if store.is_postgresql:
        await store.sql(
            "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS"
            " $$ BEGIN RAISE EXCEPTION 'refused'; END $$",
            f"CREATE TRIGGER refuse BEFORE INSERT ON {table} FOR EACH ROW EXECUTE FUNCTION refuse()",
        )
        undo = "DROP FUNCTION refuse CASCADE"
    else:
        await store.sql(
            f"CREATE TRIGGER refuse BEFORE INSERT ON {table} BEGIN SELECT RAISE(ABORT, 'refused'); END"
        )
        undo = "DROP TRIGGER refuse"
    try:
        yield
    finally:
        await store.sql(undo)


async def admit(database: Database, key_sha256: bytes) -> None:
    await SqlMintStore(database, node="node-1").mint(lambda transaction: transaction.admit(key_sha256))


async def test_a_key_is_certified_once(store: Store) -> None:
    first = await mint(store.database)
    again = replace(an_enrolment(a_reservation("enrolment-2", mailbox=BERT)), key_sha256=first.key_sha256)

    with pytest.raises(KeyRepeated) as repeated:
        await record(store.database, again)

    assert repeated.value.key_sha256 == first.key_sha256.hex()
    assert await rows_of_mints(store) == {1}


async def test_a_key_that_was_certified_is_not_admitted(store: Store) -> None:
    first = await mint(store.database)

    with pytest.raises(KeyRepeated):
        await admit(store.database, first.key_sha256)
    await admit(store.database, b"another")


async def test_a_recipients_own_key_is_no_minted_one(store: Store) -> None:
    first = await mint(store.database)
    await store.sql("UPDATE certificates SET origin = 'imported'")

    await admit(store.database, first.key_sha256)


async def test_a_blocked_key_is_not_admitted(store: Store) -> None:
    enrolment = an_enrolment(a_reservation())
    await SqlBlockedKeys(store.database, node="desk").block([enrolment.key_sha256], NOW, an_event())

    with pytest.raises(KeyBlocked):
        await admit(store.database, enrolment.key_sha256)
