"""The contract of `Database.named`: one process per name, which is free again however its holder ends."""

import asyncio
import signal
import subprocess
import sys

import pytest
from sqlalchemy import Connection

from directory.errors import AlreadyExists
from directory.store import presence
from directory.store.opening import open_database
from tests.contracts.world import Store
from tests.databases import PATIENT, Databases

HOLDER = """
import asyncio, sys
from directory.store.opening import open_database
from tests.databases import PATIENT

async def main():
    database = open_database(sys.argv[1], limits=PATIENT)
    async with database.named("node-1/1"):
        print("held", flush=True)
        await asyncio.Event().wait()

asyncio.run(main())
"""


async def test_two_names_are_held_side_by_side(store: Store) -> None:
    async with store.opened_again() as other, store.database.named("node-1/1"), other.named("node-1/2"):
        assert store.database is not other


async def test_a_name_is_held_once(store: Store) -> None:
    async with store.opened_again() as other, store.database.named("node-1"):
        with pytest.raises(AlreadyExists) as refused:
            async with other.named("node-1"):
                pass

    assert str(refused.value) == "service 'node-1' already exists"


async def test_a_name_that_was_given_up_is_free(store: Store) -> None:
    async with store.database.named("node-1"):
        pass

    async with store.opened_again() as other, other.named("node-1"):
        assert other is not store.database


async def test_the_name_of_a_killed_process_is_free(store: Store) -> None:
    process = subprocess.Popen(  # noqa: ASYNC220, S603 - our own code; the test has nothing else to do
        [sys.executable, "-c", HOLDER, store.url], stdout=subprocess.PIPE, text=True
    )
    with process:
        assert process.stdout is not None
        assert await asyncio.to_thread(process.stdout.readline) == "held\n"
        with pytest.raises(AlreadyExists):
            async with store.database.named("node-1/1"):
                pass
        process.send_signal(signal.SIGKILL)

    async with store.database.named("node-1/1"):
        assert process.returncode == -signal.SIGKILL


def holders(connection: Connection) -> list[int]:
    locks = "SELECT pid FROM pg_locks JOIN pg_database d ON d.oid = database AND datname = current_database()"
    return list(connection.exec_driver_sql(f"{locks} WHERE locktype = 'advisory' AND granted").scalars())


async def test_a_session_that_the_server_ended_is_replaced(
    databases: Databases, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(presence, "_LOOK_SECONDS", 0.01)
    database = open_database(databases.empty("postgresql"), limits=PATIENT)
    async with database.named("node-1"):
        (ended,) = await database.read(holders)
        await database.read(
            lambda connection: connection.exec_driver_sql(f"SELECT pg_terminate_backend({ended})")
        )
        async with asyncio.timeout(30):
            while await database.read(holders) in ([], [ended]):
                pass
    assert await database.read(holders) == []
    await database.close()
