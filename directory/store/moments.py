"""What does the database know about the time? The latest moment on record, and its own clock."""

from collections.abc import Mapping
from datetime import UTC, datetime
from functools import partial

from sqlalchemy import Connection, String, bindparam, delete, func, or_, select, update

from directory.audit import AuditEvent
from directory.store import audit_log
from directory.store.database import Database
from directory.store.tables import audit_heads, limit_buckets
from directory.timekeeping import Moments

# Workers of a machine add a number to its name (`node-1/1`), and share its clock.
_MACHINE = bindparam("machine", type_=String)
_ON_RECORD = select(func.max(audit_heads.c.latest_at)).where(
    or_(
        audit_heads.c.node == _MACHINE,
        func.substr(audit_heads.c.node, 1, func.length(_MACHINE) + 1) == _MACHINE + "/",
    )
)
_BY_NODE = select(audit_heads.c.node, audit_heads.c.latest_at).where(audit_heads.c.latest_at.is_not(None))
_DATABASE_TIME = select(func.clock_timestamp())
_FORGET_MOMENTS = update(audit_heads).values(latest_at=bindparam("now"))
# A bucket that is full again in the future was charged by a clock that was ahead, or is partly used: whoever
# used it may use it again.
_REFILL = delete(limit_buckets).where(limit_buckets.c.arrival > bindparam("now"))


class SqlMoments:
    """The moments on record; a machine goes by its own alone, so that none is misled by another's clock."""

    def __init__(self, database: Database, *, node: str) -> None:
        self._database = database
        self._node = node

    async def moments(self) -> Moments:
        """Return what is known now."""
        return await self._database.read(partial(_moments, node=self._node))

    async def accept(self, event: AuditEvent) -> None:
        """Take the event's moment for the present on every node, and let limits go by it."""
        await self._database.write(partial(_accept, node=self._node, event=event))


async def moments_by_node(database: Database) -> Mapping[str, datetime]:
    """Return the latest moment that each node has put on record."""
    return await database.read(_by_node)


def _by_node(connection: Connection) -> Mapping[str, datetime]:
    return {row.node: row.latest_at for row in connection.execute(_BY_NODE)}


def _moments(connection: Connection, *, node: str) -> Moments:
    machine, _, _ = node.partition("/")
    on_record = connection.execute(_ON_RECORD, {"machine": machine}).scalar_one()
    return Moments(on_record=on_record, of_database=_database_time(connection))


def _database_time(connection: Connection) -> datetime | None:
    if connection.dialect.name != "postgresql":
        return None  # SQLite has the clock of this very process
    shown: datetime = connection.execute(_DATABASE_TIME).scalar_one()
    return shown.astimezone(UTC)


def _accept(connection: Connection, *, node: str, event: AuditEvent) -> None:
    connection.execute(_REFILL, {"now": event.at})
    audit_log.append(connection, node, event)
    connection.execute(_FORGET_MOMENTS, {"now": event.at})
