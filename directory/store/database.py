"""What is a database to the repositories? A read, and a transaction that is durable or never was.

Repositories hand in plain functions of a SQLAlchemy `Connection`; where and how these run is the engine's
business: on PostgreSQL over an asynchronous driver, on SQLite in threads of their own. Only `wiring`, the
commands and the tests open one.
"""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Protocol, TypeAlias, TypeVar

from sqlalchemy import Connection

Result = TypeVar("Result")
Work: TypeAlias = Callable[[Connection], Result]
"""SQL to run; a synchronous function that keeps nothing but what it returns."""


class Transaction(Protocol):
    """One transaction under way."""

    async def run(self, work: Work[Result]) -> Result:
        """Run SQL in it.

        Raises:
            StoreUnavailable: the SQL failed; the transaction is lost.
        """
        ...


class Database(Protocol):
    """One database, opened."""

    @property
    def description(self) -> str:
        """What it is and how it keeps what it was given; for health reports, without secrets."""
        ...

    async def read(self, work: Work[Result]) -> Result:
        """Run SQL that only reads; each statement sees one moment, and two statements may see two.

        The work may be run a second time, when the server closed the connection under the first.

        Raises:
            StoreUnavailable: the database does not answer.
        """
        ...

    def writing(self) -> AbstractAsyncContextManager[Transaction]:
        """Open a transaction; leaving it without an exception commits durably, with one rolls back.

        Raises:
            StoreUnavailable: nothing was changed; or, if the connection broke in the very commit, everything.
        """
        ...

    async def write(self, work: Work[Result]) -> Result:
        """Run SQL in a transaction of its own.

        Raises:
            StoreUnavailable: as `writing`.
        """
        ...

    async def restructure(self, work: Work[Result]) -> Result:
        """Run changes of the schema in one transaction, one process at a time, without time limits.

        An SQLite file that does not exist yet is made.

        Raises:
            StoreUnavailable: nothing was changed.
        """
        ...

    def named(self, name: str) -> AbstractAsyncContextManager[None]:
        """Hold a name that no other process on this database holds; given up when the process ends.

        Raises:
            AlreadyExists: another process holds it.
            StoreUnavailable: the database does not answer.
        """
        ...

    async def erase_traces(self) -> None:
        """Empty the log beside an SQLite file, where what was overwritten or deleted may still be read.

        Raises:
            StoreUnavailable: it is in use; try again.
        """
        ...

    async def close(self) -> None:
        """Close every connection."""
        ...
