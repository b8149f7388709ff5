"""How is a PostgreSQL server reached, and how long may it take? Two pools, time limits, durable commits.

Readers and writers have pools of their own: lookups go on while mints wait for each other's locks.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, TypeVar

from sqlalchemy import Connection, NullPool, text
from sqlalchemy.engine import URL
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from directory.store.database import Transaction, Work
from directory.store.failures import as_unavailable
from directory.store.presence import named_session
from directory.store.timelimits import TimeLimits

Result = TypeVar("Result")

_SCHEMA_LOCK = 0x70757368706B69
"""The advisory lock of whoever changes the schema: the octets of `pushpki`."""


class PostgresqlDatabase:
    """A PostgreSQL database."""

    def __init__(
        self, url: URL, *, password: str | None, readers: int, writers: int, limits: TimeLimits
    ) -> None:
        self._url = url.set(drivername="postgresql+asyncpg")
        self._password = password
        self._limits = limits
        # Single statements need no BEGIN and COMMIT around them.
        self._readers = self._engine(
            pool_size=readers, isolation_level="AUTOCOMMIT", skip_autocommit_rollback=True
        )
        self._writers = self._engine(pool_size=writers)
        # A connection that comes back to the pool goes to whoever asks next, not to whoever has waited
        # longest: under load some would wait for ever. So they queue before it.
        self._turns = asyncio.Semaphore(readers)

    @property
    def description(self) -> str:
        """Which database, and how commits are made."""
        return f"PostgreSQL {self._url.database!r}, synchronous commit"

    async def read(self, work: Work[Result]) -> Result:
        """Run SQL that only reads; once more on another connection if the server has closed the first."""
        with as_unavailable():
            async with self._turn_to_read():
                try:
                    return await _read(self._readers, work)
                except DBAPIError as error:
                    if not error.connection_invalidated:
                        raise
                return await _read(self._readers, work)

    @asynccontextmanager
    async def writing(self) -> AsyncIterator[Transaction]:
        """Open a transaction."""
        async with AsyncExitStack() as stack:
            with as_unavailable():
                connection = await stack.enter_async_context(self._writers.connect())
            yield _PostgresqlTransaction(connection)
            with as_unavailable():
                await connection.commit()

    async def write(self, work: Work[Result]) -> Result:
        """Run SQL in a transaction of its own."""
        async with self.writing() as transaction:
            return await transaction.run(work)

    async def restructure(self, work: Work[Result]) -> Result:
        """Run changes of the schema on a connection of its own, whoever else wants to after the other."""

        def locked(connection: Connection) -> Result:
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _SCHEMA_LOCK})
            return work(connection)

        engine = self._engine(limited=False, poolclass=NullPool)
        try:
            with as_unavailable():
                async with engine.begin() as connection:
                    return await connection.run_sync(locked)
        finally:
            await engine.dispose()

    @asynccontextmanager
    async def named(self, name: str) -> AsyncIterator[None]:
        """Hold a name by a session's advisory lock."""
        engine = self._engine(limited=False, poolclass=NullPool, isolation_level="AUTOCOMMIT")
        try:
            async with named_session(engine, name):
                yield
        finally:
            await engine.dispose()

    async def erase_traces(self) -> None:
        """Leave that to the server, which vacuums by itself, and to whoever keeps its log."""

    async def close(self) -> None:
        """Close every connection."""
        await asyncio.gather(self._readers.dispose(), self._writers.dispose())

    @asynccontextmanager
    async def _turn_to_read(self) -> AsyncIterator[None]:
        async with asyncio.timeout(self._limits.turn):
            await self._turns.acquire()
        try:
            yield
        finally:
            self._turns.release()

    def _engine(self, *, limited: bool = True, **options: Any) -> AsyncEngine:
        settings = {"application_name": "pushpki", "synchronous_commit": "on", "timezone": "UTC"}
        if limited:
            settings |= {
                "lock_timeout": _milliseconds(self._limits.lock),
                "statement_timeout": _milliseconds(self._limits.work),
                "idle_in_transaction_session_timeout": _milliseconds(self._limits.idle),
            }
            options |= {"max_overflow": 0, "pool_timeout": self._limits.turn}
        return create_async_engine(
            self._url,
            connect_args={
                "password": self._password,
                "timeout": self._limits.connect,
                "command_timeout": self._limits.silence if limited else None,
                "server_settings": settings,
            },
            hide_parameters=True,
            **options,
        )


class _PostgresqlTransaction:
    """A transaction on one connection. It begins with its first work.

    The pool does not ask a connection whether it still lives before it lends it: that would cost three round
    trips per mint. Instead the first work is done again, on a new connection, if the old one turns out dead;
    whatever it did there was never committed.
    """

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection
        self._begun = False

    async def run(self, work: Work[Result]) -> Result:
        """Run SQL in it."""
        with as_unavailable():
            try:
                result = await self._connection.run_sync(work)
            except DBAPIError as error:
                if self._begun or not error.connection_invalidated:
                    raise
                await self._connection.rollback()
                result = await self._connection.run_sync(work)
        self._begun = True
        return result


async def _read(engine: AsyncEngine, work: Work[Result]) -> Result:
    async with engine.connect() as connection:
        return await connection.run_sync(work)


def _milliseconds(seconds: float) -> str:
    return f"{seconds * 1000:.0f}ms"
