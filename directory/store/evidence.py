"""Where are the audit key, the signed heads and what they cover? Read in order, a page at a time."""

from collections.abc import AsyncIterator, Mapping, Sequence
from functools import partial

from sqlalchemy import Connection, bindparam, func, null, select, true, tuple_, update

from directory.audit import GENESIS_HASH, AuditEvent, ChainedEvent, ChainHead
from directory.evidence.exporting import ChainStanding
from directory.evidence.keys import AuditKey
from directory.evidence.statements import KeyStatement, SignedHead, key_id_of
from directory.store import audit_log
from directory.store.database import Database
from directory.store.rows import AnyRow, sealed, sealed_columns
from directory.store.statements import Upsert
from directory.store.tables import audit_events, audit_heads, audit_keys, audit_signed_heads

_PAGE = 1000

_KEYS = select(audit_keys).order_by(audit_keys.c.number)
_ADD_KEY = Upsert(audit_keys, lambda insert: insert.on_conflict_do_nothing().returning(audit_keys.c.number))
_ERASE_FORMER = (
    update(audit_keys)
    .where(audit_keys.c.number < bindparam("successor"))
    .values(key_master_key_id=null(), key_wrapped_key=null(), key_ciphertext=null())
)
_KEEP = Upsert(audit_signed_heads, lambda insert: insert.on_conflict_do_nothing())
_PLACE = (audit_signed_heads.c.sequence, audit_signed_heads.c.key_id)
_PAGE_OF_HEADS = (
    select(audit_signed_heads)
    .where(
        audit_signed_heads.c.node == bindparam("node"),
        tuple_(*_PLACE) > tuple_(bindparam("after"), bindparam("after_key")),
        audit_signed_heads.c.sequence <= bindparam("last"),
    )
    .order_by(*_PLACE)
    .limit(bindparam("page"))
)
_AFTER_EVERY_KEY = "~"

_NODES_WITH_HEAD = select(audit_heads.c.node)
_NEXT_NODE = {
    table: select(func.min(table.c.node)).where(table.c.node > bindparam("after"))
    for table in (audit_events, audit_signed_heads)
}
_THIS_HEAD = audit_heads.c.node == bindparam("node")
_newest = (
    select(audit_signed_heads)
    .where(audit_signed_heads.c.node == bindparam("node"))
    .order_by(audit_signed_heads.c.sequence.desc(), audit_signed_heads.c.at.desc())
    .limit(1)
    .subquery()
)
# One statement, so that head, last event and signed head are of one moment.
_STANDING = select(
    select(audit_heads.c.sequence).where(_THIS_HEAD).scalar_subquery().label("head_sequence"),
    select(audit_heads.c.hash).where(_THIS_HEAD).scalar_subquery().label("head_hash"),
    select(func.max(audit_events.c.sequence))
    .where(audit_events.c.node == bindparam("node"))
    .scalar_subquery()
    .label("last"),
    _newest,
).select_from(select(null().label("placeholder")).subquery().outerjoin(_newest, true()))


class SqlAuditKeys:
    """The audit keys; one succeeds the other."""

    def __init__(self, database: Database, *, node: str) -> None:
        self._database = database
        self._node = node

    async def keys(self) -> Sequence[AuditKey]:
        """Return every key, in order."""
        return await self._database.read(read_keys)

    async def add(self, key: AuditKey, event: AuditEvent) -> bool:
        """Add a key, and erase the one before; tell whether it was not there under its number already."""
        return await self._database.write(partial(add_key, node=self._node, key=key, event=event))


class SqlEvidence:
    """The chains and their signed heads."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def standings(self) -> Sequence[ChainStanding]:
        """Return how every chain stands; of one whose head was deleted, as if it had not begun."""
        return await self._database.read(_standings)

    async def key_statements(self) -> Sequence[KeyStatement]:
        """Return what is public about every audit key, in order."""
        return [key.statement for key in await self._database.read(read_keys)]

    async def events(self, node: str, *, after: int, last: int) -> AsyncIterator[ChainedEvent]:
        """Yield a node's events in that range, in order."""
        async for event in audit_log.read_chain(self._database, node, last, after=after):
            yield event

    async def chain(self, node: str, *, after: int, last: int) -> AsyncIterator[ChainedEvent | SignedHead]:
        """Yield a node's events in that range in order, and each signed head behind the event it is of."""
        heads = self._heads(node, after=after, last=last)
        head = await anext(heads, None)
        async for event in self.events(node, after=after, last=last):
            while head is not None and head.sequence < event.sequence:
                yield head
                head = await anext(heads, None)
            yield event
        while head is not None:
            yield head
            head = await anext(heads, None)

    async def keep(self, head: SignedHead) -> None:
        """Keep a signed head, unless it is kept already."""
        await self._database.write(partial(_keep, head=head))

    async def _heads(self, node: str, *, after: int, last: int) -> AsyncIterator[SignedHead]:
        place: Mapping[str, object] = {"after": after, "after_key": _AFTER_EVERY_KEY}
        while True:
            rows = await self._database.read(
                partial(_page_of_heads, wanted={"node": node, "last": last, "page": _PAGE, **place})
            )
            for row in rows:
                yield _signed_head(row)
            if len(rows) < _PAGE:
                return
            place = {"after": rows[-1].sequence, "after_key": rows[-1].key_id}


def read_keys(connection: Connection) -> list[AuditKey]:
    """Return every audit key, in order."""
    keys: list[AuditKey] = []
    for row in connection.execute(_KEYS):
        predecessor = keys[-1].statement.key_id if keys else None
        statement = KeyStatement(
            number=row.number,
            public_key=row.public_key,
            at=row.created_at,
            predecessor_id=predecessor,
            own_signature=row.own_signature,
            predecessors_signature=row.predecessors_signature,
        )
        secret = sealed(row.key_master_key_id, row.key_wrapped_key, row.key_ciphertext)
        keys.append(AuditKey(statement=statement, sealed=secret))
    return keys


def add_key(connection: Connection, *, node: str, key: AuditKey, event: AuditEvent) -> bool:
    """Add a key, and erase the one before, in the transaction under way."""
    statement = key.statement
    added = connection.execute(
        _ADD_KEY.on(connection),
        {
            "number": statement.number,
            "id": key_id_of(statement.public_key),
            "public_key": statement.public_key,
            **sealed_columns("key", key.sealed),
            "created_at": statement.at,
            "own_signature": statement.own_signature,
            "predecessors_signature": statement.predecessors_signature,
        },
    )
    if added.one_or_none() is None:
        return False
    connection.execute(_ERASE_FORMER, {"successor": statement.number})
    audit_log.append(connection, node, event)
    return True


def _standings(connection: Connection) -> list[ChainStanding]:
    nodes = set(connection.execute(_NODES_WITH_HEAD).scalars())
    for next_node in _NEXT_NODE.values():
        # From one to the next along the index: there are few nodes, and many rows of each.
        node = connection.execute(next_node, {"after": ""}).scalar_one()
        while node is not None:
            nodes.add(node)
            node = connection.execute(next_node, {"after": node}).scalar_one()
    return [_standing(connection, node) for node in sorted(nodes)]


def _standing(connection: Connection, node: str) -> ChainStanding:
    row = connection.execute(_STANDING, {"node": node}).one()
    return ChainStanding(
        head=ChainHead(node=node, sequence=row.head_sequence or 0, hash=row.head_hash or GENESIS_HASH),
        last=row.last or 0,
        signed=None if row.signature is None else _signed_head(row),
    )


def _keep(connection: Connection, *, head: SignedHead) -> None:
    connection.execute(
        _KEEP.on(connection),
        {
            "node": head.node,
            "sequence": head.sequence,
            "key_id": head.key_id,
            "hash": head.hash,
            "at": head.at,
            "signature": head.signature,
        },
    ).close()


def _page_of_heads(connection: Connection, *, wanted: Mapping[str, object]) -> list[AnyRow]:
    return list(connection.execute(_PAGE_OF_HEADS, wanted))


def _signed_head(row: AnyRow) -> SignedHead:
    return SignedHead(
        node=row.node,
        sequence=row.sequence,
        hash=row.hash,
        at=row.at,
        key_id=row.key_id,
        signature=row.signature,
    )
