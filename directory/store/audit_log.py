"""Where does the audit chain live, and who writes its next event? Rows locked so that no two are the next.

An event is written in the transaction of the action it tells of. The lock on the node's head is the last one
any transaction takes, so it is held briefly and nobody waits for anything else behind it.
"""

import json
from collections.abc import AsyncIterator, Mapping, Sequence
from functools import partial
from typing import Any

from sqlalchemy import Connection, Select, bindparam, case, select, update

from directory.audit import GENESIS_HASH, AuditEvent, AuditKind, ChainedEvent, ChainHead, chain
from directory.evidence.lives import FormerLife, service_subject
from directory.store.database import Database
from directory.store.rows import AnyRow
from directory.store.statements import Together, Upsert, insert_row, parameter
from directory.store.tables import audit_events, audit_heads
from directory.store.tables.columns import UtcDateTime

_PAGE = 1000
_STANDS_FOR_UNREADABLE = AuditKind.SERVICE_INITIALIZED

_READ_HEAD = (
    select(audit_heads.c.sequence, audit_heads.c.hash)
    .where(audit_heads.c.node == bindparam("node"))
    .with_for_update()
)
_START_CHAIN = Upsert(audit_heads, lambda insert: insert.on_conflict_do_nothing())
_PAGE_OF_EVENTS = (
    select(audit_events)
    .where(
        audit_events.c.node == bindparam("node"),
        audit_events.c.sequence > bindparam("after"),
        audit_events.c.sequence <= bindparam("last"),
    )
    .order_by(audit_events.c.sequence)
    .limit(bindparam("page"))
)


def _last(kind: AuditKind) -> Select[*tuple[Any, ...]]:
    # The subject is indexed.
    return (
        select(audit_events.c.sequence, audit_events.c.kind, audit_events.c.at, audit_events.c.detail)
        .where(
            audit_events.c.subject == bindparam("subject"),
            audit_events.c.node == bindparam("node"),
            audit_events.c.kind == kind.value,
        )
        .order_by(audit_events.c.sequence.desc())
        .limit(1)
    )


_LAST_START = _last(AuditKind.SERVICE_STARTED)
_LAST_STOP = _last(AuditKind.SERVICE_STOPPED)

INSERT_EVENT = insert_row(audit_events, *audit_events.c.keys())
"""Parameters: `event_parameters`."""
_AT = bindparam(parameter(audit_heads, "latest_at"), type_=UtcDateTime())
MOVE_HEAD = (
    update(audit_heads)
    .where(audit_heads.c.node == bindparam(parameter(audit_heads, "node")))
    .values(
        sequence=bindparam(parameter(audit_heads, "sequence")),
        hash=bindparam(parameter(audit_heads, "hash")),
        latest_at=case((audit_heads.c.latest_at > _AT, audit_heads.c.latest_at), else_=_AT),
    )
)
"""Parameters: `event_parameters`."""

_APPEND = Together(INSERT_EVENT, MOVE_HEAD)


def append(connection: Connection, node: str, event: AuditEvent) -> None:
    """Write the event behind the node's head, in the transaction under way."""
    _APPEND.execute(connection, event_parameters(chain(locked_head(connection, node), event)))


def append_all(connection: Connection, node: str, events: Sequence[AuditEvent]) -> None:
    """Write several events behind the node's head, in the transaction under way."""
    if not events:
        return
    head, chained = locked_head(connection, node), []
    for event in events:
        chained.append(chain(head, event))
        head = ChainHead(node=node, sequence=chained[-1].sequence, hash=chained[-1].hash)
    parameters = [event_parameters(one) for one in chained]
    of_head = {name for name in parameters[-1] if name.startswith(parameter(audit_heads, ""))}
    connection.execute(
        INSERT_EVENT,
        [{name: value for name, value in one.items() if name not in of_head} for one in parameters],
    )
    connection.execute(MOVE_HEAD, {name: parameters[-1][name] for name in of_head})


def locked_head(connection: Connection, node: str) -> ChainHead:
    """Return the node's head, which nobody else can move until the transaction ends."""
    row = connection.execute(_READ_HEAD, {"node": node}).one_or_none()
    if row is None:
        connection.execute(_START_CHAIN.on(connection), {"node": node, "sequence": 0, "hash": GENESIS_HASH})
        row = connection.execute(_READ_HEAD, {"node": node}).one()
    return ChainHead(node=node, sequence=row.sequence, hash=row.hash)


def event_parameters(chained: ChainedEvent) -> dict[str, object]:
    """Return what `INSERT_EVENT` and `MOVE_HEAD` take."""
    event = chained.event
    columns = {
        "node": chained.node,
        "sequence": chained.sequence,
        "at": event.at,
        "kind": event.kind.value,
        "actor": event.actor,
        "subject": event.subject,
        "organization_id": event.organization_id,
        "detail": json.dumps(dict(event.detail), sort_keys=True),
        "previous_hash": chained.previous_hash,
        "hash": chained.hash,
    }
    return {
        **{parameter(audit_events, name): value for name, value in columns.items()},
        **{parameter(audit_heads, name): columns[name] for name in ("node", "sequence", "hash")},
        parameter(audit_heads, "latest_at"): event.at,
    }


async def read_chain(
    database: Database, node: str, last: int, *, after: int = 0
) -> AsyncIterator[ChainedEvent]:
    """Yield a node's events up to the last wanted, in order, a page at a time."""
    while True:
        rows = await database.read(partial(_page, node=node, after=after, last=last))
        for row in rows:
            yield _chained(row)
        if len(rows) < _PAGE:
            return
        after = rows[-1].sequence


def _page(connection: Connection, *, node: str, after: int, last: int) -> list[AnyRow]:
    wanted = {"node": node, "after": after, "last": last, "page": _PAGE}
    return list(connection.execute(_PAGE_OF_EVENTS, wanted))


def _chained(row: AnyRow) -> ChainedEvent:
    kind, detail = _content(row)
    event = AuditEvent(
        kind=kind,
        at=row.at,
        actor=row.actor,
        subject=row.subject,
        organization_id=row.organization_id,
        detail=detail,
    )
    return ChainedEvent(
        node=row.node, sequence=row.sequence, event=event, previous_hash=row.previous_hash, hash=row.hash
    )


def _content(row: AnyRow) -> tuple[AuditKind, Mapping[str, str]]:
    try:
        detail = json.loads(row.detail)
        if isinstance(detail, dict):
            return AuditKind(row.kind), detail
    except ValueError:
        pass
    # Nobody writes such an event, so somebody has changed one. Whatever is put in its place here, the hash
    # does not fit, and the chain breaks at that event instead of ending the check.
    return _STANDS_FOR_UNREADABLE, {}


class SqlAuditLog:
    """The audit log of one node, for what happens outside any other transaction."""

    def __init__(self, database: Database, *, node: str) -> None:
        self._database = database
        self._node = node

    async def append(self, *events: AuditEvent) -> None:
        """Write events, all of them or none.

        Raises:
            StoreUnavailable: they were not written.
        """
        await self._database.write(partial(_append_all, node=self._node, events=events))

    async def former_life(self) -> FormerLife | None:
        """Return how the service of this node's name has lived before; None if it never has."""
        return await self._database.read(partial(_former_life, node=self._node))


def _append_all(connection: Connection, *, node: str, events: Sequence[AuditEvent]) -> None:
    for event in events:
        append(connection, node, event)


def _former_life(connection: Connection, *, node: str) -> FormerLife | None:
    of_this_node = {"node": node, "subject": service_subject(node)}
    row = connection.execute(_LAST_START, of_this_node).one_or_none()
    if row is None:
        return None
    stop = connection.execute(_LAST_STOP, of_this_node).one_or_none()
    _, detail = _content(row)
    return FormerLife(
        started_at=row.at, stopped_in_order=stop is not None and stop.sequence > row.sequence, detail=detail
    )
