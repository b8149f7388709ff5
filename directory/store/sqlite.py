"""How is an SQLite file read and written without losing a commit? One writer, a few readers, threads.

SQLite has no server to wait for: a statement is a function call that takes microseconds or, at a commit, a
few fsyncs. So each connection lives in a thread of its own and runs whole functions there; an asynchronous
driver would hop between threads for every cursor, at five times the CPU of the read itself.

Durability. `synchronous=FULL` alone is not enough. In rollback mode `journal_mode=DELETE` commits by
unlinking the journal without syncing its folder: after a power cut the journal is back, and takes the
committed transaction out again. TRUNCATE syncs the emptied journal. PERSIST would too, but leaves the pages
as they were before in the file, and with them the wrapped key of a secret that has just been destroyed.
Write-ahead logging is faster, but below 3.51.3 it can corrupt a file that several connections write and
checkpoint, so it is used only where that is repaired (https://sqlite.org/wal.html#walresetbug).
"""

import asyncio
import os
import time
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import AbstractContextManager, asynccontextmanager, nullcontext
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

from sqlalchemy import Connection, Engine, QueuePool, create_engine, event

from directory.errors import StoreUnavailable
from directory.store.commit_gate import CommitGate
from directory.store.database import Transaction, Work
from directory.store.failures import as_unavailable
from directory.store.group_commit import Ended, GroupCommit, run_together
from directory.store.presence import locked_file
from directory.store.sqlite_driver import DRIVER, VERSION, DriverConnection
from directory.store.timelimits import TimeLimits

Result = TypeVar("Result")
_Manner: TypeAlias = Callable[[], AbstractContextManager[None]]

_RESTRUCTURING_SECONDS = 600.0
"""How long a change of the schema waits for it, which may be another change: nobody hurries it."""

_MODE_PAUSE_SECONDS = 0.01
"""Before the mode is asked for again."""

_REPAIRED = ((3, 44, 6), (3, 45)), ((3, 50, 7), (3, 51)), ((3, 51, 3), (4,))
"""Versions, from and up to but without, in which write-ahead logging cannot corrupt the file."""


def journal_mode(version: tuple[int, ...]) -> str:
    """Return the journal mode to use with this version of SQLite."""
    return "wal" if any(first <= version < end for first, end in _REPAIRED) else "truncate"


class SqliteDatabase:
    """An SQLite file: one writer at a time, and readers beside it."""

    def __init__(self, path: Path, *, readers: int, limits: TimeLimits) -> None:
        self._path = path
        self._limits = limits
        self._writer_thread = ThreadPoolExecutor(1, thread_name_prefix="sqlite-writer")
        self._reader_threads = ThreadPoolExecutor(readers, thread_name_prefix="sqlite-reader")
        self._writer = self._writing_engine(limits.lock)
        self._readers = _engine(partial(_connect_reader, path, limits.lock), connections=readers)
        self._reading, self._committing = _manners(CommitGate(patience=limits.lock))
        self._turn = asyncio.Lock()
        self._group = GroupCommit(turn=self._my_turn, commit=self._write_together, patience=limits.work)
        self._mode_is_set = False
        self._idle_readers: list[Connection] = []

    @property
    def description(self) -> str:
        """Which SQLite, and how it keeps its journal."""
        mode = journal_mode(VERSION)
        return f"SQLite {'.'.join(map(str, VERSION))}, journal mode {mode}, synchronous full"

    async def read(self, work: Work[Result]) -> Result:
        """Run SQL that only reads, on whichever reader is free."""
        with as_unavailable():
            async with asyncio.timeout(self._limits.work):
                if not self._mode_is_set:
                    # Only the writer may change the mode, and only before others have the file open.
                    await _in(self._writer_thread, self._set_mode)
                return await _in(self._reader_threads, partial(self._read, work))

    @asynccontextmanager
    async def writing(self) -> AsyncIterator[Transaction]:
        """Open a transaction when it is its turn."""
        async with self._my_turn():
            transaction = _SqliteTransaction(self._writer, self._writer_thread, self._committing)
            try:
                yield transaction
            except BaseException:
                await transaction.end(Connection.rollback)
                raise
            await transaction.end(Connection.commit)

    async def write(self, work: Work[Result]) -> Result:
        """Run SQL in a transaction, with others that wait, from BEGIN to COMMIT without leaving the thread.

        A caller that is cancelled leaves it to end by itself, committed or not.
        """
        with as_unavailable():
            return await self._group.write(work)

    async def _write_together(self, works: Sequence[Work[Any]]) -> Sequence[Ended]:
        if not works:
            return ()  # all of them were cancelled
        work = partial(run_together, works=works)
        return await _in(self._writer_thread, partial(_write, self._writer, work, self._committing))

    @asynccontextmanager
    async def _my_turn(self) -> AsyncIterator[None]:
        with as_unavailable():
            async with asyncio.timeout(self._limits.work):
                await self._turn.acquire()
        try:
            yield
        finally:
            self._turn.release()

    async def restructure(self, work: Work[Result]) -> Result:
        """Run changes of the schema; make the file, readable by nobody else, if there is none."""
        with as_unavailable():
            os.close(os.open(self._path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600))
        async with self._my_turn():
            with as_unavailable():
                return await _in(self._writer_thread, partial(self._restructure, work))

    def _restructure(self, work: Work[Result]) -> Result:
        patient = self._writing_engine(_RESTRUCTURING_SECONDS)
        try:
            return _write(patient, work, self._committing)
        finally:
            patient.dispose()

    @asynccontextmanager
    async def named(self, name: str) -> AsyncIterator[None]:
        """Hold a name by the lock of a file beside the database."""
        with as_unavailable():
            held = locked_file(self._path, name)
        try:
            yield
        finally:
            os.close(held)

    async def erase_traces(self) -> None:
        """Move the log into the file and empty it: it holds pages as they were before."""
        async with self._my_turn():
            with as_unavailable():
                emptied = await _in(self._writer_thread, self._empty_log)
        if not emptied:
            raise StoreUnavailable(reason="the log is in use")

    def _empty_log(self) -> bool:
        connection = self._writer.raw_connection()
        try:
            # In rollback mode there is no log, and that is answered in the same form.
            (busy, _, _) = connection.cursor().execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        finally:
            connection.close()
        return not busy

    async def close(self) -> None:
        """Let what is running end, then close every connection."""
        await _in(self._writer_thread, self._writer.dispose)
        await _in(self._reader_threads, self._close_readers)
        self._writer_thread.shutdown()
        self._reader_threads.shutdown()

    def _read(self, work: Work[Result]) -> Result:
        # Readers are kept rather than given back to the pool each time, which would cost a third of a read.
        # Nothing lingers in them: without BEGIN, every statement is a transaction of its own.
        try:
            connection = self._idle_readers.pop()
        except IndexError:
            connection = self._readers.connect()
        try:
            with self._reading():
                result = work(connection)
        except BaseException:
            connection.close()
            raise
        self._idle_readers.append(connection)
        return result

    def _close_readers(self) -> None:
        for connection in self._idle_readers:
            connection.close()
        self._readers.dispose()

    def _set_mode(self) -> None:
        # On the writer's thread. If a transaction is under way there, its connection has set the mode.
        if not self._mode_is_set:
            self._writer.connect().close()

    def _writing_engine(self, busy_seconds: float) -> Engine:
        engine = _engine(partial(self._connect_writer, busy_seconds), connections=1)
        event.listen(engine, "begin", _begin_immediate)
        return engine

    def _connect_writer(self, busy_seconds: float) -> DriverConnection:
        connection = _connect(self._path, busy_seconds)
        mode = journal_mode(VERSION)
        try:
            found = _set_journal_mode(connection, mode, busy_seconds)
        except BaseException:
            connection.close()
            raise
        if found != mode:
            connection.close()
            raise DRIVER.OperationalError(f"the journal mode is {found}, it must be {mode}")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute("PRAGMA secure_delete = ON")  # what is deleted is overwritten
        self._mode_is_set = True
        return connection


class _SqliteTransaction:
    """A transaction on the writer's thread. It begins with its first work, which saves a change of threads.

    A cancelled caller leaves its work running in the thread. That is harmless: the thread does one thing
    after the other, so the rollback comes after the work, and the next transaction after the rollback.
    """

    def __init__(self, engine: Engine, thread: Executor, committing: _Manner) -> None:
        self._engine = engine
        self._thread = thread
        self._committing = committing
        self._connection: Connection | None = None

    async def run(self, work: Work[Result]) -> Result:
        """Run SQL in it."""
        with as_unavailable():
            return await _in(self._thread, partial(self._run, work))

    async def end(self, how: Callable[[Connection], None]) -> None:
        """Commit or roll back; once asked for, no cancellation keeps the thread from doing it."""
        with as_unavailable():
            await asyncio.shield(_in(self._thread, partial(self._end, how)))

    def _run(self, work: Work[Result]) -> Result:
        if self._connection is None:
            self._connection = self._engine.connect()
            self._connection.begin()
        return work(self._connection)

    def _end(self, how: Callable[[Connection], None]) -> None:
        if self._connection is not None:
            # Closing rolls back what a failed commit left open.
            with self._connection as connection, self._committing():
                how(connection)


def _write(engine: Engine, work: Work[Result], committing: _Manner) -> Result:
    with engine.connect() as connection:
        connection.begin()
        result = work(connection)
        with committing():
            connection.commit()
    return result


def _manners(gate: CommitGate) -> tuple[_Manner, _Manner]:
    """Return how to read and how to commit: in write-ahead mode neither hinders the other."""
    if journal_mode(VERSION) == "wal":
        return nullcontext, nullcontext
    return gate.reading, gate.committing


def _in(threads: Executor, work: Callable[[], Result]) -> asyncio.Future[Result]:
    return asyncio.get_running_loop().run_in_executor(threads, work)


def _engine(connect: Callable[[], DriverConnection], *, connections: int) -> Engine:
    return create_engine(
        "sqlite://",
        module=DRIVER,
        creator=connect,
        poolclass=QueuePool,
        pool_size=connections,
        max_overflow=0,
        hide_parameters=True,
    )


def _connect_reader(path: Path, busy_seconds: float) -> DriverConnection:
    connection = _connect(path, busy_seconds)
    connection.execute("PRAGMA query_only = ON")
    return connection


def _connect(path: Path, busy_seconds: float) -> DriverConnection:
    # `busy_seconds`: how long SQLite waits for a lock that another process holds.
    # `mode=rw` does not make a missing file: a directory that serves an empty database by mistake would mint
    # every address anew. `isolation_level=None`: the driver itself begins nothing; reads stay without BEGIN.
    connection: DriverConnection = DRIVER.connect(
        f"{path.absolute().as_uri()}?mode=rw",
        uri=True,
        timeout=busy_seconds,
        isolation_level=None,
        check_same_thread=False,
    )
    connection.execute("PRAGMA temp_store = MEMORY")
    return connection


def _set_journal_mode(connection: DriverConnection, mode: str, busy_seconds: float) -> str:
    """Set the mode, and return the one that the file has then.

    Two connections that change it at once have read what the other wants to write: SQLite waits for neither,
    and tells one of them that the database is locked. A moment later the other is through.
    """
    give_up_at = time.monotonic() + busy_seconds
    while True:
        try:
            (found,) = connection.execute(f"PRAGMA journal_mode = {mode}").fetchone()
        except DRIVER.OperationalError as error:
            if error.sqlite_errorcode != DRIVER.SQLITE_BUSY or time.monotonic() >= give_up_at:
                raise
            time.sleep(_MODE_PAUSE_SECONDS)
        else:
            return str(found)


def _begin_immediate(connection: Connection) -> None:
    # The write lock comes first: a transaction that begins by reading may find at its first write that
    # another process has written meanwhile, and can then only fail.
    connection.exec_driver_sql("BEGIN IMMEDIATE")
