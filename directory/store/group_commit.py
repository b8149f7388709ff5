"""How do the writers of an SQLite file share a commit? Whoever waits while others commit goes with the next.

A commit is an fsync, however much is in it. So the writes that have come together by the time it is their
turn run in one transaction, one after the other, each in a savepoint: what one of them raises undoes that one
alone. None is told of success before all of it is durable; if the commit fails, all of them have failed.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from sqlalchemy import Connection

from directory.store.database import Work

Result = TypeVar("Result")

MOST_TOGETHER = 32
"""Writes per commit: the first of them waits for the last, half a millisecond each."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """How one write has ended: what its work returned, or raised."""

    returned: Any = None
    raised: Exception | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Waiting(Generic[Result]):
    """A write whose turn has not come, and what its caller waits for."""

    work: Work[Result]
    end: "asyncio.Future[Result]"
    patience: asyncio.TimerHandle

    def tell(self, ended: Ended) -> None:
        """Wake the caller, unless he was cancelled."""
        if self.end.done():
            return
        if ended.raised is None:
            self.end.set_result(ended.returned)
        else:
            self.end.set_exception(ended.raised)


class GroupCommit:
    """Collects writes until it is their turn.

    `turn` is held while `commit` runs some of them in one transaction; it raises if that failed as a whole.
    Nobody waits for it longer than `patience` seconds, however many are before him.
    """

    def __init__(
        self,
        *,
        turn: Callable[[], AbstractAsyncContextManager[None]],
        commit: Callable[[Sequence[Work[Any]]], Awaitable[Sequence[Ended]]],
        patience: float,
    ) -> None:
        self._turn = turn
        self._commit = commit
        self._patience = patience
        self._waiting: list[_Waiting[Any]] = []
        self._committing: asyncio.Task[None] | None = None

    async def write(self, work: Work[Result]) -> Result:
        """Return what the work returns, once that is durable.

        A caller that is cancelled before its turn has written nothing; later, its work ends by itself,
        committed or not.

        Raises:
            Whatever the work raises, or the transaction: nothing was written.
            TimeoutError: its turn did not come in time, likewise.
        """
        loop = asyncio.get_running_loop()
        end: asyncio.Future[Result] = loop.create_future()
        patience = loop.call_later(self._patience, _give_up, end)
        waiting = _Waiting(work=work, end=end, patience=patience)
        self._waiting.append(waiting)
        if self._committing is None:
            self._committing = asyncio.create_task(self._commit_all(), name="group-commit")
        return await waiting.end

    async def _commit_all(self) -> None:
        try:
            while self._waiting:
                await self._commit_some()
        finally:
            self._committing = None

    async def _commit_some(self) -> None:
        together: list[_Waiting[Any]] = []
        try:
            async with self._turn():
                together = self._take()
                ends = await self._commit([one.work for one in together])
            for one, ended in zip(together, ends, strict=True):
                one.tell(ended)
        except Exception as error:  # noqa: BLE001 - it is theirs who wait
            # Where the turn did not come in time, it did not come for anybody.
            for one in together or self._take():
                one.tell(Ended(raised=error))
        finally:
            # Nobody is left waiting for ever, should this task be cancelled with the whole loop.
            for one in together:
                one.end.cancel()

    def _take(self) -> list[_Waiting[Any]]:
        """Take the first of those that still wait."""
        waiting = [one for one in self._waiting if not one.end.done()]
        together, self._waiting = waiting[:MOST_TOGETHER], waiting[MOST_TOGETHER:]
        for one in together:
            one.patience.cancel()
        return together


def _give_up(end: "asyncio.Future[Any]") -> None:
    if not end.done():
        end.set_exception(TimeoutError())


def run_together(connection: Connection, works: Sequence[Work[Any]]) -> Sequence[Ended]:
    """Run the works in the transaction under way; what one of several raises undoes its own writes alone.

    Raises:
        What the database says when the transaction as a whole is lost; or a work that is alone in it.
    """
    if len(works) == 1:
        return [Ended(returned=work(connection)) for work in works]
    return [_in_savepoint(connection, work) for work in works]


def _in_savepoint(connection: Connection, work: Work[Any]) -> Ended:
    # Not `Connection.begin_nested`, whose statements would take as long as one of the work's.
    connection.exec_driver_sql("SAVEPOINT one_of_several")
    try:
        ended = Ended(returned=work(connection))
    except Exception as error:  # it is for whoever waits for this one
        if not _is_under_way(connection):
            raise
        connection.exec_driver_sql("ROLLBACK TO one_of_several")
        ended = Ended(raised=error)
    connection.exec_driver_sql("RELEASE one_of_several")
    return ended


def _is_under_way(connection: Connection) -> bool:
    """Tell whether SQLite has kept the transaction; it gives up all of it on a full disk, among others."""
    driver_connection: Any = connection.connection.driver_connection
    return bool(driver_connection.in_transaction)
