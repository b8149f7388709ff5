"""The contract of `Database`: a transaction is durable or never was, however it ends."""

import asyncio
import itertools

import pytest
from sqlalchemy import Connection, insert, select

from ca.address import Mailbox
from directory.errors import StoreUnavailable
from directory.mint_ports import Reservation
from directory.store.database import Database
from directory.store.lookup import SqlDirectoryReader
from directory.store.tables import limit_buckets
from tests.contracts.cancelling import cancelled_at
from tests.contracts.world import ANNA, NOW, Store, a_reservation, mint
from tests.directory.builders import a_gateway

ROWS_OF_A_MINT = ("enrolments", "certificates", "held_keys", "relays", "deliveries", "outgoing_mail")


class BrokenOffError(Exception):
    pass


def put(connection: Connection) -> None:
    connection.execute(insert(limit_buckets), {"bucket": "b", "arrival": NOW})


def buckets(connection: Connection) -> list[str]:
    return list(connection.execute(select(limit_buckets.c.bucket)).scalars())


async def put_and_break_off(database: Database) -> None:
    async with database.writing() as transaction:
        await transaction.run(put)
        raise BrokenOffError


async def test_what_was_committed_others_see(store: Store) -> None:
    await store.database.write(put)

    async with store.opened_again() as other:
        assert await other.read(buckets) == ["b"]


async def test_what_is_not_committed_others_do_not_see(store: Store) -> None:
    async with store.database.writing() as transaction:
        await transaction.run(put)
        assert await transaction.run(buckets) == ["b"]
        assert await store.database.read(buckets) == []


async def test_an_exception_undoes_the_transaction(database: Database) -> None:
    with pytest.raises(BrokenOffError):
        await put_and_break_off(database)

    assert await database.read(buckets) == []


async def test_an_empty_transaction_is_nothing(database: Database) -> None:
    async with database.writing():
        pass

    await database.write(put)
    assert await database.read(buckets) == ["b"]


async def test_a_failed_statement_undoes_what_came_before_it(database: Database) -> None:
    with pytest.raises(StoreUnavailable):
        await put_twice(database)

    assert await database.read(buckets) == []
    await database.write(put)


async def put_twice(database: Database) -> None:
    async with database.writing() as transaction:
        await transaction.run(put)
        await transaction.run(put)


async def test_a_read_cannot_write_on_sqlite_nor_is_it_left_open(store: Store) -> None:
    if not store.is_postgresql:
        with pytest.raises(StoreUnavailable, match="readonly"):
            await store.database.read(put)

    await asyncio.gather(*(store.database.read(buckets) for _ in range(32)))


async def test_many_writers_at_once_all_get_their_turn(database: Database) -> None:
    async def put_one(number: int) -> None:
        await database.write(
            lambda connection: connection.execute(
                insert(limit_buckets), {"bucket": f"b{number}", "arrival": NOW}
            ).close()
        )

    await asyncio.gather(*(put_one(number) for number in range(32)))

    assert len(await database.read(buckets)) == 32


async def test_a_mint_cancelled_at_any_await_leaves_all_or_nothing(store: Store) -> None:
    for step in itertools.count(1):
        was_cancelled = await cancelled_at(step, mint(store.database, reservation_of(step)))

        assert len(await counts_of_a_mint(store)) == 1
        if not was_cancelled:
            break

    assert step > 1
    (minted,) = await counts_of_a_mint(store)
    assert minted > 0
    assert await store.rows("SELECT sequence FROM audit_heads WHERE node = 'node-1'") == [(minted,)]


async def test_a_first_mint_cancelled_at_any_await_leaves_all_or_nothing(store: Store) -> None:
    """As above, but every one of them has to connect first."""
    for step in itertools.count(1):
        async with store.opened_again() as other:
            if not await cancelled_at(step, mint(other, reservation_of(step))):
                break

    assert len(await counts_of_a_mint(store)) == 1


async def test_a_read_cancelled_at_any_await_leaves_the_pool_usable(store: Store) -> None:
    reader = SqlDirectoryReader(store.database)
    for step in itertools.count(1):
        asked = reader.best_certificate(ANNA.key, a_gateway(), NOW)
        if not await cancelled_at(step, asked):
            break

    await asyncio.gather(*(reader.best_certificate(ANNA.key, a_gateway(), NOW) for _ in range(16)))


async def test_a_cancelled_caller_does_not_keep_the_next_from_its_turn(store: Store) -> None:
    """A lookup that ran out of patience while another mint was committed."""
    async with store.database.writing() as transaction:
        await transaction.run(put)
        waiting = asyncio.create_task(mint(store.database))
        await asyncio.wait([waiting], timeout=0)
        waiting.cancel()
        await asyncio.wait([waiting])

    await mint(store.database, a_reservation("enrolment-2"))
    assert waiting.cancelled()


async def counts_of_a_mint(store: Store) -> set[int]:
    """Count the rows of every kind in one statement: a cancelled commit may be happening this moment."""
    counts = ", ".join(f"(SELECT count(*) FROM {table})" for table in ROWS_OF_A_MINT)  # noqa: S608
    (row,) = await store.rows(f"SELECT {counts}")
    return {int(str(count)) for count in row}


def reservation_of(step: int) -> Reservation:
    return a_reservation(f"enrolment-{step}", mailbox=Mailbox.parse(f"person-{step}@example.org"))
