"""What is SQLite's own: one file, one writer, locks of other processes, a full disk, traces in the file."""

import asyncio
import stat
from collections.abc import AsyncIterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import Connection

from ca.address import Mailbox
from directory.errors import StoreUnavailable
from directory.store import sqlite
from directory.store.lookup import SqlDirectoryReader
from directory.store.schema import migrate
from directory.store.sqlite import SqliteDatabase, journal_mode
from directory.store.sqlite_driver import DRIVER, VERSION
from directory.store.timelimits import TimeLimits
from tests.contracts.world import ANNA, NOW, a_reservation, mint, populate
from tests.databases import PATIENT
from tests.directory.builders import a_gateway


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "pushpki.sqlite3"


@pytest.fixture
async def database(path: Path) -> AsyncIterator[SqliteDatabase]:
    database = opened(path)
    await migrate(database)
    await populate(database)
    yield database
    await database.close()


def opened(path: Path, limits: TimeLimits = PATIENT) -> SqliteDatabase:
    return SqliteDatabase(path, readers=2, limits=limits)


def somebody(number: int) -> Mailbox:
    return Mailbox.parse(f"person-{number}@example.org")


async def pragma(database: SqliteDatabase, name: str) -> object:
    return await database.write(lambda connection: connection.exec_driver_sql(f"PRAGMA {name}").scalar())


async def count_certificates(database: SqliteDatabase) -> int:
    return await database.read(_count_certificates)


def _count_certificates(connection: Connection) -> int:
    return int(connection.exec_driver_sql("SELECT count(*) FROM certificates").scalar_one())


@pytest.mark.parametrize(
    ("version", "mode"),
    [
        ((3, 40, 1), "truncate"),
        ((3, 44, 5), "truncate"),
        ((3, 44, 6), "wal"),
        ((3, 45, 0), "truncate"),
        ((3, 46, 1), "truncate"),
        ((3, 50, 6), "truncate"),
        ((3, 50, 7), "wal"),
        ((3, 51, 0), "truncate"),
        ((3, 51, 2), "truncate"),
        ((3, 51, 3), "wal"),
        ((3, 52, 0), "wal"),
    ],
)
def test_write_ahead_logging_only_where_it_cannot_corrupt_the_file(
    version: tuple[int, int, int], mode: str
) -> None:
    assert journal_mode(version) == mode


async def test_commits_are_durable_and_deletions_thorough(database: SqliteDatabase) -> None:
    assert await pragma(database, "synchronous") == 2  # FULL
    assert await pragma(database, "foreign_keys") == 1
    assert await pragma(database, "secure_delete") == 1
    assert await pragma(database, "journal_mode") == journal_mode(VERSION)


async def test_works_in_write_ahead_mode_as_well(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """This SQLite may be too old for it in service, not for a test with one process and no power cut."""
    monkeypatch.setattr(sqlite, "journal_mode", lambda _version: "wal")
    database = opened(path)
    await migrate(database)
    await populate(database)

    await mint(database)

    assert await count_certificates(database) == 1
    assert await pragma(database, "journal_mode") == "wal"
    await database.close()


async def test_a_file_in_write_ahead_mode_is_brought_back_on_an_old_version(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with closing(DRIVER.connect(path)) as other:
        other.execute("PRAGMA journal_mode = wal")
    monkeypatch.setattr(sqlite, "journal_mode", lambda _version: "truncate")
    database = opened(path)

    await migrate(database)

    assert await pragma(database, "journal_mode") == "truncate"
    await database.close()


async def test_a_missing_file_is_not_made_by_mistake(path: Path) -> None:
    """An empty directory in place of the one whose disk was not mounted would mint everybody anew."""
    database = opened(path)

    for attempt in (database.read, database.write):
        with pytest.raises(StoreUnavailable, match="unable to open database file"):
            await attempt(_count_certificates)

    assert not exists(path)
    await database.close()


def exists(path: Path) -> bool:
    return path.exists()


async def test_the_file_and_its_journal_are_their_owners_alone(database: SqliteDatabase, path: Path) -> None:
    await mint(database)

    assert permissions(path.parent) == {0o600}


def permissions(folder: Path) -> set[int]:
    return {stat.S_IMODE(file.stat().st_mode) for file in folder.iterdir()}


async def test_a_first_read_beside_an_open_transaction_does_not_wait_for_its_end(path: Path) -> None:
    maker = opened(path)
    await migrate(maker)
    await maker.close()
    database = opened(path)

    async with database.writing() as transaction:
        await transaction.run(_count_certificates)
        assert await count_certificates(database) == 0

    await database.close()


async def test_another_process_that_holds_the_lock_too_long_makes_a_write_unavailable(
    path: Path, database: SqliteDatabase
) -> None:
    assert await count_certificates(database) == 0
    impatient = opened(path, replace(PATIENT, lock=0.01))
    with closing(DRIVER.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")

        with pytest.raises(StoreUnavailable, match="database is locked"):
            await mint(impatient)
        assert await count_certificates(impatient) == 0

    await mint(impatient)
    assert await count_certificates(impatient) == 1
    await impatient.close()


async def test_a_writer_whose_turn_does_not_come_in_time_is_told_so(
    path: Path, database: SqliteDatabase
) -> None:
    impatient = opened(path, replace(PATIENT, work=0.01))

    async with impatient.writing():
        with pytest.raises(StoreUnavailable, match="no answer in time"):
            await mint(impatient)
    await impatient.close()

    await mint(database)


async def test_a_full_disk_refuses_mints_and_goes_on_serving(database: SqliteDatabase) -> None:
    await mint(database)
    pages = await pragma(database, "page_count")
    await pragma(database, f"max_page_count = {pages}")

    refusals = [await refusal_of_mint(database, number) for number in range(30)]

    assert refusals[-1] == "database or disk is full"
    minted = refusals.count(None)
    assert await count_certificates(database) == minted + 1
    found = await SqlDirectoryReader(database).best_certificate(ANNA.key, a_gateway(), NOW)
    assert found is not None

    await pragma(database, "max_page_count = 1000000")
    assert await refusal_of_mint(database, 30) is None


async def refusal_of_mint(database: SqliteDatabase, number: int) -> str | None:
    try:
        await mint(database, a_reservation(f"enrolment-{number + 2}", mailbox=somebody(number)))
    except StoreUnavailable as refused:
        return refused.reason
    return None


async def test_a_destroyed_secret_is_nowhere_in_the_file_or_its_journal(
    database: SqliteDatabase, path: Path
) -> None:
    secret = (await mint(database)).sealed_key
    assert anywhere_in(path.parent, secret.wrapped_key)

    await database.write(
        lambda connection: connection.exec_driver_sql(
            "UPDATE held_keys SET key_master_key_id = NULL, key_wrapped_key = NULL, key_ciphertext = NULL"
        ).close()
    )
    await database.erase_traces()

    assert not anywhere_in(path.parent, secret.wrapped_key)
    assert not anywhere_in(path.parent, secret.ciphertext)


def anywhere_in(folder: Path, octets: bytes) -> bool:
    return any(octets in file.read_bytes() for file in folder.iterdir())


async def test_what_is_no_database_is_refused(path: Path) -> None:
    write(path, b"this is a text, and a long one at that; " * 100)
    database = opened(path)

    with pytest.raises(StoreUnavailable, match="not a database"):
        await database.read(_count_certificates)

    await database.close()


def write(path: Path, content: bytes) -> None:
    path.write_bytes(content)


async def test_reads_and_commits_under_load_neither_fail_nor_starve(database: SqliteDatabase) -> None:
    reader = SqlDirectoryReader(database)
    reads = 0
    is_over = False

    async def read() -> None:
        nonlocal reads
        while not is_over:
            await reader.best_certificate(ANNA.key, a_gateway(), NOW)
            reads += 1

    readers = asyncio.gather(*(read() for _ in range(16)))
    mints = (mint(database, a_reservation(f"enrolment-{n}", mailbox=somebody(n))) for n in range(20))
    await asyncio.gather(*mints)
    is_over = True
    await readers

    assert await count_certificates(database) == 20
    assert reads > 20


async def test_a_change_of_the_schema_waits_for_another_as_long_as_it_takes(database: SqliteDatabase) -> None:
    def patience(connection: Connection) -> int:
        return int(connection.exec_driver_sql("PRAGMA busy_timeout").scalar_one())

    assert await database.restructure(patience) == 600_000
    assert await database.write(patience) == PATIENT.lock * 1000


async def test_many_may_open_a_new_file_at_once(tmp_path: Path) -> None:
    # Two of them, that both had read the file, would once in twenty times be told that it is locked.
    for attempt in range(40):
        file = tmp_path / f"{attempt}.sqlite3"
        file.touch(mode=0o600)
        several = [SqliteDatabase(file, readers=1, limits=PATIENT) for _ in range(6)]

        await asyncio.gather(*(one.read(lambda _connection: None) for one in several))

        for one in several:
            await one.close()
