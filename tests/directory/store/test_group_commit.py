"""Writes that wait for their turn share a commit, and nothing else: each has its own end."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, insert, select

from ca.address import Mailbox
from directory.errors import StoreUnavailable
from directory.store.database import Work
from directory.store.group_commit import MOST_TOGETHER, Ended, GroupCommit
from directory.store.schema import migrate
from directory.store.sqlite import SqliteDatabase
from directory.store.tables import limit_buckets
from tests.contracts.world import NOW, a_reservation, mint, populate
from tests.databases import PATIENT


class BrokenOffError(Exception):
    pass


class CommitFailedError(Exception):
    pass


class Turns:
    """Turns that come when the test says so, and a record of what was committed together."""

    def __init__(self, failure: Exception | None = None, *, patience: float = 60.0) -> None:
        self.come = asyncio.Event()
        self.groups: list[int] = []
        self.group = GroupCommit(turn=self._turn, commit=self._commit, patience=patience)
        self._failure = failure

    @asynccontextmanager
    async def _turn(self) -> AsyncIterator[None]:
        await self.come.wait()
        yield

    async def _commit(self, works: Sequence[Work[Any]]) -> Sequence[Ended]:
        self.groups.append(len(works))
        if self._failure is not None:
            raise self._failure
        return [Ended(returned=number) for number, _ in enumerate(works)]

    def write(self) -> "asyncio.Task[int]":
        return asyncio.create_task(self.group.write(_nothing))


def _nothing(_connection: Connection) -> int:
    return 0


async def all_waiting(*tasks: "asyncio.Task[int]") -> None:
    await asyncio.wait(tasks, timeout=0)


async def test_whoever_waits_when_the_turn_comes_goes_together() -> None:
    turns = Turns()
    writes = [turns.write() for _ in range(3)]
    await all_waiting(*writes)

    turns.come.set()

    assert await asyncio.gather(*writes) == [0, 1, 2]
    assert turns.groups == [3]


async def test_whoever_comes_later_goes_with_the_next() -> None:
    turns = Turns()
    turns.come.set()

    await turns.write()
    await turns.write()

    assert turns.groups == [1, 1]


async def test_a_commit_has_only_so_many() -> None:
    turns = Turns()
    writes = [turns.write() for _ in range(MOST_TOGETHER + 1)]
    await all_waiting(*writes)

    turns.come.set()

    await asyncio.gather(*writes)
    assert turns.groups == [MOST_TOGETHER, 1]


async def test_whoever_was_cancelled_before_the_turn_came_has_no_part() -> None:
    turns = Turns()
    first, second = turns.write(), turns.write()
    await all_waiting(first, second)
    first.cancel()

    turns.come.set()

    assert await second == 0
    assert turns.groups == [1]
    assert first.cancelled()


async def test_nobody_waits_longer_than_he_may_however_many_are_before_him() -> None:
    turns = Turns(patience=0.01)
    writes = [turns.write() for _ in range(2 * MOST_TOGETHER)]

    ends = await asyncio.wait_for(asyncio.gather(*writes, return_exceptions=True), 60)

    assert [type(end) for end in ends] == [TimeoutError] * len(writes)
    turns.come.set()
    assert turns.group._committing is not None
    await turns.group._committing
    assert turns.groups == [0], "what was given up is not written later"


async def test_whose_turn_has_come_waits_for_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    turns = Turns(patience=0)
    commit = turns.group._commit

    async def commit_late(works: Sequence[Work[Any]]) -> Sequence[Ended]:
        await asyncio.sleep(0)
        return await commit(works)

    monkeypatch.setattr(turns.group, "_commit", commit_late)
    turns.come.set()

    assert await turns.write() == 0


async def test_a_failed_commit_is_everybodys() -> None:
    turns = Turns(failure=CommitFailedError())
    writes = [turns.write() for _ in range(3)]
    await all_waiting(*writes)

    turns.come.set()

    ends = await asyncio.gather(*writes, return_exceptions=True)
    assert [type(end) for end in ends] == [CommitFailedError] * 3


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[SqliteDatabase]:
    database = SqliteDatabase(tmp_path / "pushpki.sqlite3", readers=2, limits=PATIENT)
    await migrate(database)
    await populate(database)
    yield database
    await database.close()


def put(bucket: str) -> Work[str]:
    def work(connection: Connection) -> str:
        connection.execute(insert(limit_buckets), {"bucket": bucket, "arrival": NOW})
        return bucket

    return work


def put_and_break_off(connection: Connection) -> None:
    put("broken off")(connection)
    raise BrokenOffError


def buckets(connection: Connection) -> list[str]:
    return list(connection.execute(select(limit_buckets.c.bucket)).scalars())


async def ends_of(database: SqliteDatabase, *works: Work[Any]) -> list[Any]:
    """Return how the works have ended, which had to wait, and so go together."""
    async with database.writing():
        writes = [asyncio.create_task(database.write(work)) for work in works]
        await all_waiting(*writes)
    return await asyncio.gather(*writes, return_exceptions=True)


async def test_what_one_raises_undoes_that_one_alone(database: SqliteDatabase) -> None:
    first, broken, last = await ends_of(database, put("a"), put_and_break_off, put("b"))

    assert (first, last) == ("a", "b")
    assert isinstance(broken, BrokenOffError)
    assert await database.read(buckets) == ["a", "b"]


async def test_a_statement_that_fails_undoes_its_write_alone(database: SqliteDatabase) -> None:
    first, second, last = await ends_of(database, put("a"), put("a"), put("b"))

    assert (first, last) == ("a", "b")
    assert isinstance(second, StoreUnavailable)
    assert await database.read(buckets) == ["a", "b"]


async def test_they_share_a_transaction(database: SqliteDatabase) -> None:
    seen = await ends_of(database, put("a"), buckets, lambda _: None)

    assert seen[1] == ["a"]


async def test_on_a_full_disk_nobody_is_told_of_a_success_that_is_none(database: SqliteDatabase) -> None:
    await database.write(lambda connection: connection.exec_driver_sql("PRAGMA max_page_count = 1").close())

    ends = await asyncio.gather(
        *(mint(database, a_reservation(f"enrolment-{n}", mailbox=somebody(n))) for n in range(MOST_TOGETHER)),
        return_exceptions=True,
    )

    refused = [end for end in ends if isinstance(end, StoreUnavailable)]
    assert {end.reason for end in refused} == {"database or disk is full"}
    assert await database.read(_count_certificates) == len(ends) - len(refused)


def somebody(number: int) -> Mailbox:
    return Mailbox.parse(f"person-{number}@example.org")


def _count_certificates(connection: Connection) -> int:
    return int(connection.exec_driver_sql("SELECT count(*) FROM certificates").scalar_one())
