"""What is PostgreSQL's own: a server that goes away and comes back, other processes' locks, settings."""

import asyncio
import socket
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
from sqlalchemy import Connection
from sqlalchemy.engine import make_url

from ca.address import Mailbox
from directory.errors import StoreUnavailable
from directory.store.opening import open_database
from directory.store.outbox import SqlOutbox
from directory.store.postgresql import PostgresqlDatabase
from directory.store.timelimits import TimeLimits
from tests.contracts.world import NOW, YEAR, a_reservation, mint, populate
from tests.databases import PATIENT, Databases


@pytest.fixture
async def url(databases: Databases) -> AsyncIterator[str]:
    url = await databases.fresh("postgresql")
    yield url
    databases.drop(url)


@pytest.fixture
async def database(url: str) -> AsyncIterator[PostgresqlDatabase]:
    database = open_database(url, limits=PATIENT)
    assert isinstance(database, PostgresqlDatabase)
    await populate(database)
    yield database
    await database.close()


def count_certificates(connection: Connection) -> int:
    return int(connection.exec_driver_sql("SELECT count(*) FROM certificates").scalar_one())


def settings(connection: Connection) -> dict[str, str]:
    rows = connection.exec_driver_sql("SELECT name, setting FROM pg_settings")
    return {row.name: row.setting for row in rows}


async def test_commits_are_synchronous_and_no_wait_is_endless(url: str) -> None:
    database = open_database(url)

    for found in (await database.read(settings), await database.write(settings)):
        assert found["synchronous_commit"] == "on"
        assert found["lock_timeout"] == "1500"
        assert found["statement_timeout"] == "1800"
        assert found["idle_in_transaction_session_timeout"] == "10000"
        assert found["application_name"] == "pushpki"
    await database.close()


async def test_changes_of_the_schema_may_take_as_long_as_they_need(database: PostgresqlDatabase) -> None:
    found = await database.restructure(settings)

    assert (found["lock_timeout"], found["statement_timeout"]) == ("0", "0")


async def test_connections_the_server_closed_meanwhile_cost_nobody_an_answer(
    database: PostgresqlDatabase, databases: Databases, url: str
) -> None:
    await mint(database)
    await database.read(count_certificates)

    close_connections(databases, url)

    assert await database.read(count_certificates) == 1
    await mint(database, a_reservation("enrolment-2", mailbox=Mailbox.parse("berta@example.org")))
    assert await database.read(count_certificates) == 2


def close_connections(databases: Databases, url: str) -> None:
    name = make_url(url).database
    databases.server.sql(
        f"SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = '{name}'"  # noqa: S608
    )


async def test_a_transaction_whose_connection_breaks_is_lost_and_says_so(
    database: PostgresqlDatabase, databases: Databases, url: str
) -> None:
    with pytest.raises(StoreUnavailable):
        await mint_over_a_broken_connection(database, databases, url)

    assert await database.read(count_certificates) == 0
    await mint(database)


async def mint_over_a_broken_connection(database: PostgresqlDatabase, databases: Databases, url: str) -> None:
    async with database.writing() as transaction:
        await transaction.run(count_certificates)
        close_connections(databases, url)
        await transaction.run(count_certificates)


async def test_a_broken_connection_is_noticed_at_the_commit(
    database: PostgresqlDatabase, databases: Databases, url: str
) -> None:
    with pytest.raises(StoreUnavailable):
        await break_before_commit(database, databases, url)

    assert await database.read(count_certificates) == 0


async def break_before_commit(database: PostgresqlDatabase, databases: Databases, url: str) -> None:
    async with database.writing() as transaction:
        await transaction.run(
            lambda connection: connection.exec_driver_sql("DELETE FROM limit_buckets").close()
        )
        close_connections(databases, url)


async def test_a_server_that_is_down_makes_everything_unavailable_until_it_is_back(
    database: PostgresqlDatabase, databases: Databases
) -> None:
    await mint(database)
    databases.server.stop()
    try:
        for attempt in (database.read, database.write):
            with pytest.raises(StoreUnavailable):
                await attempt(count_certificates)
        with pytest.raises(StoreUnavailable):
            await mint(database, a_reservation("enrolment-2"))
    finally:
        databases.server.start()

    assert await database.read(count_certificates) == 1
    assert await database.write(count_certificates) == 1


async def test_nobody_listening_is_unavailable() -> None:
    with socket.socket() as unheard:
        unheard.bind(("127.0.0.1", 0))
        database = open_database(f"postgresql://postgres@127.0.0.1:{unheard.getsockname()[1]}/pushpki")

        with pytest.raises(StoreUnavailable):
            await database.read(count_certificates)
        with pytest.raises(StoreUnavailable):
            await database.write(count_certificates)

        await database.close()


async def test_a_server_that_never_answers_is_unavailable() -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        database = open_database(
            f"postgresql://postgres@127.0.0.1:{silent.getsockname()[1]}/pushpki",
            limits=TimeLimits(connect=0.05),
        )

        with pytest.raises(StoreUnavailable, match="no answer in time"):
            await database.read(count_certificates)

        await database.close()


async def test_a_database_that_does_not_exist_is_named(databases: Databases) -> None:
    database = open_database(databases.server.url("nowhere"))

    with pytest.raises(StoreUnavailable, match='database "nowhere" does not exist'):
        await database.read(count_certificates)

    await database.close()


async def test_a_lock_held_too_long_makes_a_mint_unavailable(url: str, database: PostgresqlDatabase) -> None:
    impatient = open_database(url, limits=replace(PATIENT, lock=0.02))
    async with database.writing() as transaction:
        await transaction.run(
            lambda connection: connection.exec_driver_sql("LOCK TABLE enrolments IN EXCLUSIVE MODE").close()
        )
        with pytest.raises(StoreUnavailable, match="lock timeout"):
            await mint(impatient)

    await mint(impatient)
    await impatient.close()


async def test_mints_that_wait_for_each_other_do_not_keep_lookups_waiting(url: str) -> None:
    database = open_database(url, writers=1, readers=1, limits=PATIENT)
    await populate(database)

    async with database.writing():
        waiting = asyncio.create_task(mint(database))
        assert await database.read(count_certificates) == 0
        assert not waiting.done()

    await waiting
    assert await database.read(count_certificates) == 1
    await database.close()


async def test_a_pool_used_up_is_unavailable(url: str) -> None:
    database = open_database(url, writers=1, limits=replace(PATIENT, turn=0.01))

    async with database.writing() as transaction:
        await transaction.run(count_certificates)
        with pytest.raises(StoreUnavailable, match="no answer in time"):
            await database.write(count_certificates)

    assert await database.write(count_certificates) == 0
    await database.close()


async def test_a_claim_skips_what_another_process_is_claiming_this_moment(
    url: str, database: PostgresqlDatabase
) -> None:
    for number in range(4):
        mailbox = Mailbox.parse(f"person-{number}@example.org")
        await mint(database, a_reservation(f"enrolment-{number}", mailbox=mailbox))
    other = open_database(url, limits=PATIENT)

    async with other.writing() as transaction:
        await transaction.run(
            lambda connection: connection.exec_driver_sql(
                "SELECT id FROM outgoing_mail ORDER BY id LIMIT 2 FOR UPDATE"
            ).close()
        )
        claimed = await SqlOutbox(database, node="node-1").claim_due(
            worker="worker-1", now=NOW, lease_until=NOW + YEAR, most=4
        )

    await other.close()
    assert len(claimed) == 2


async def test_whoever_has_waited_longest_reads_next(url: str) -> None:
    database = open_database(url, readers=1, limits=PATIENT)
    await database.read(settings)
    finished = []

    async def read(name: str) -> None:
        await database.read(settings)
        finished.append(name)

    readers = [asyncio.create_task(read("reading")), asyncio.create_task(read("waiting"))]
    # One more asks in every turn of the loop, also in the very one in which the connection comes back.
    while len(finished) < 2:
        readers.append(asyncio.create_task(read("coming later")))
        await asyncio.sleep(0)
    for reader in readers:
        reader.cancel()
    await asyncio.gather(*readers, return_exceptions=True)
    await database.close()

    assert finished[:2] == ["reading", "waiting"]
