"""What was announced since? Reads what the database's triggers wrote, and deletes it when it is old."""

from functools import partial
from typing import Final

from sqlalchemy import Connection, bindparam, delete, func, literal, select

from directory.changes import Changes
from directory.store.database import Database
from directory.store.tables import changes, directory_state

MOST_READ: Final = 1000
"""Announcements read at once; with more, forgetting everything is cheaper than reading them."""
KEPT: Final = 10_000
"""Announcements kept; whoever is further behind forgets everything."""

_GENERATION = select(func.coalesce(func.max(directory_state.c.generation), 0)).scalar_subquery()
# One statement, hence one moment: the number reached, and every announcement up to it.
_SINCE = (
    select(_GENERATION.label("reached"), changes.c.generation, changes.c.address_key)
    .select_from(select(literal(1).label("one")).subquery())
    .join(changes, changes.c.generation > bindparam("seen"), isouter=True)
    .order_by(changes.c.generation)
    .limit(MOST_READ)
)
_FORGET = delete(changes).where(changes.c.generation <= bindparam("reached"))


class SqlChangeLog:
    """The announcements."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def since(self, generation: int | None) -> Changes:
        """Return what was announced after the generation; of None, everything."""
        return await self._database.read(partial(_since, seen=generation))

    async def forget_old_changes(self) -> None:
        """Delete the announcements that nobody but a process asleep would still read."""
        await self._database.write(_forget)


def _since(connection: Connection, *, seen: int | None) -> Changes:
    rows = connection.execute(_SINCE, {"seen": -1 if seen is None else seen}).all()
    reached: int = rows[0].reached
    announced = [row for row in rows if row.generation is not None]
    # Something is missing if it was deleted, if it is more than is read at once, or if the database was put
    # back to an earlier day.
    is_known = seen is not None and seen <= reached and len(announced) == reached - seen
    if not is_known or any(row.address_key is None for row in announced):
        return Changes(generation=reached, address_keys=None)
    return Changes(generation=reached, address_keys=frozenset(row.address_key for row in announced))


def _forget(connection: Connection) -> None:
    reached = connection.execute(select(_GENERATION)).scalar_one()
    connection.execute(_FORGET, {"reached": reached - KEPT})
