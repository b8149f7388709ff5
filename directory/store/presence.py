"""Is another process working under the same name? A lock that ends with the process, however it ends.

What a worker has claimed is released by its name when it starts again, so two of one name would take each
other's claims for their own former ones. On PostgreSQL the lock is a session's advisory lock, on SQLite that
of a file beside the database: both go with the process that holds them, be it killed.
"""

import asyncio
import fcntl
import hashlib
import logging
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from directory.errors import AlreadyExists, StoreUnavailable
from directory.store.failures import as_unavailable

logger = logging.getLogger(__name__)

_LOOK_SECONDS = 5.0
"""How often the session that holds the lock is looked after."""
_LOCK_NOT_AVAILABLE = "55P03"

_ANSWER_SECONDS = 4.0

# A former life of this service may have been killed the moment before. And the server shall notice within a
# minute that a machine is gone.
_MANNERS = text(
    "SELECT set_config('lock_timeout', '1500ms', false), set_config('tcp_keepalives_idle', '20', false), "
    "set_config('tcp_keepalives_interval', '10', false), set_config('tcp_keepalives_count', '3', false)"
)
_LOCK = text("SELECT pg_advisory_lock(:key)")
_NOTHING = text("SELECT 1")


@asynccontextmanager
async def named_session(engine: AsyncEngine, name: str) -> AsyncIterator[None]:
    """Hold a name on PostgreSQL; `engine` has no pool, and commits by itself.

    A session that is lost, with a restart of the server, is replaced within seconds.

    Raises:
        AlreadyExists: somebody holds it.
        StoreUnavailable: the database does not answer.
    """
    session = _NamedSession(engine, name)
    try:
        await session.hold()
        keeper = asyncio.create_task(session.keep(), name="presence")
        try:
            yield
        finally:
            keeper.cancel()
            with suppress(asyncio.CancelledError):
                await keeper
    finally:
        await session.close()


class _NamedSession:
    """A connection that holds a name, and is made again when it was lost."""

    def __init__(self, engine: AsyncEngine, name: str) -> None:
        self._engine = engine
        self._name = name
        self._connection: AsyncConnection | None = None

    async def hold(self) -> None:
        """Take the name, on a new connection.

        Raises:
            AlreadyExists: somebody holds it.
            StoreUnavailable: the database does not answer.
        """
        with as_unavailable():
            async with asyncio.timeout(_ANSWER_SECONDS):
                await self._lock(await self._engine.connect())

    async def _lock(self, connection: AsyncConnection) -> None:
        self._connection = connection
        await connection.execute(_MANNERS)
        try:
            await connection.execute(_LOCK, {"key": _key(self._name)})
        except DBAPIError as error:
            if getattr(error.orig, "sqlstate", None) == _LOCK_NOT_AVAILABLE:
                # `from None`: the error tells how the lock is kept, which explains nothing.
                raise AlreadyExists(kind="service", name=self._name) from None
            raise

    async def keep(self) -> None:
        """Look after the connection until cancelled."""
        while True:
            await asyncio.sleep(_LOOK_SECONDS)
            try:
                await self._look()
            except StoreUnavailable as error:
                logger.warning("the name of this service is not held just now: %s", error.reason)
                await self.close()
            except AlreadyExists:
                logger.error(  # noqa: TRY400 - a second service is no fault of the code; a traceback tells nothing
                    "another service has taken the name %s while the database was away: stop one of them",
                    self._name,
                )
                await self.close()

    async def _look(self) -> None:
        if self._connection is None:
            await self.hold()
            return
        with as_unavailable():
            async with asyncio.timeout(_ANSWER_SECONDS):
                await self._connection.execute(_NOTHING)

    async def close(self) -> None:
        """Give the name up."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(StoreUnavailable), as_unavailable():
                await connection.close()


def _key(name: str) -> int:
    digest = hashlib.sha256(f"pushpki service {name}".encode()).digest()
    return int.from_bytes(digest[:8], "big", signed=True)


def locked_file(database: Path, name: str) -> int:
    """Hold a name on SQLite, by a file beside the database; return its descriptor, open as long as held.

    The file stays behind, unlocked: whoever deleted it might delete one that another has just locked.

    Raises:
        AlreadyExists: somebody holds it.
        OSError: the file cannot be made.
    """
    path = database.with_name(f"{database.name}.{name.replace('/', '-')}.lock")
    descriptor = os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(descriptor)
        if isinstance(error, BlockingIOError):
            raise AlreadyExists(kind="service", name=name) from None
        raise
    return descriptor
