"""Which keys were made in advance? Each leaves by one statement that deletes it for one taker.

On PostgreSQL takers pass over what another is just deleting; SQLite has one writer, and overwrites what it
deletes (`secure_delete`). The locks come before that of the audit head, as everybody's do.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime

from sqlalchemy import Connection, bindparam, delete, func, select

from ca.keys import KeyAlgorithm
from ca.sealing import SealedSecret
from directory.audit import AuditEvent
from directory.keyledger import Span
from directory.keystock import PooledKey, StockLevel
from directory.store import audit_log
from directory.store.database import Database
from directory.store.rows import AnyRow, sealed_columns
from directory.store.statements import Upsert
from directory.store.tables import pooled_keys

_IN_SPAN = (
    pooled_keys.c.algorithm == bindparam("of_algorithm"),
    pooled_keys.c.id > bindparam("after"),
    pooled_keys.c.id <= bindparam("last"),
)
_LEVELS = select(
    pooled_keys.c.algorithm,
    func.count().label("keys"),
    func.min(pooled_keys.c.made_at).label("oldest"),
).group_by(pooled_keys.c.algorithm)
_COUNT = select(func.count()).select_from(pooled_keys).where(*_IN_SPAN)
_ADD = Upsert(pooled_keys, lambda insert: insert.on_conflict_do_nothing())
_FIRST = (
    select(pooled_keys.c.id)
    .where(*_IN_SPAN)
    .order_by(pooled_keys.c.id)
    .limit(bindparam("most"))
    .with_for_update(skip_locked=True)
    .cte("first_keys")
)
_TAKE = delete(pooled_keys).where(pooled_keys.c.id.in_(select(_FIRST.c.id))).returning(*pooled_keys.c)
_DISCARD = delete(pooled_keys).where(pooled_keys.c.made_at <= bindparam("moment"))


class SqlPooledKeys:
    """The keys that are nobody's yet."""

    def __init__(self, database: Database, *, node: str) -> None:
        self._database = database
        self._node = node

    async def levels(self) -> Mapping[KeyAlgorithm, StockLevel]:
        """Return what is stored, of all machines."""
        rows = await self._database.read(lambda connection: connection.execute(_LEVELS).all())
        return {KeyAlgorithm(row.algorithm): StockLevel(keys=row.keys, oldest=row.oldest) for row in rows}

    async def usable(self, algorithm: KeyAlgorithm, span: Span) -> int:
        """Count the keys within a span."""
        within = _parameters(algorithm, span)
        return await self._database.read(lambda connection: connection.execute(_COUNT, within).scalar_one())

    async def add(self, keys: Sequence[PooledKey], event: AuditEvent) -> None:
        """Store keys; one that is stored already is left out."""
        rows = [_columns(key) for key in keys]

        def work(connection: Connection) -> None:
            connection.execute(_ADD.on(connection), rows)
            audit_log.append(connection, self._node, event)

        await self._database.write(work)

    async def take(
        self, algorithm: KeyAlgorithm, span: Span, *, most: int, event_of: Callable[[int], AuditEvent]
    ) -> Sequence[PooledKey]:
        """Delete the first keys within the span that nobody else is just deleting, and return them."""
        parameters = {**_parameters(algorithm, span), "most": most}

        def work(connection: Connection) -> Sequence[PooledKey]:
            taken = [pooled_key(row) for row in connection.execute(_TAKE, parameters)]
            if taken:
                audit_log.append(connection, self._node, event_of(len(taken)))
            return taken

        return await self._database.write(work)

    async def discard(self, *, made_before: datetime, event_of: Callable[[int], AuditEvent]) -> int:
        """Delete the keys that were made before a moment, or at it; return how many."""

        def work(connection: Connection) -> int:
            discarded = connection.execute(_DISCARD, {"moment": made_before}).rowcount
            if discarded:
                audit_log.append(connection, self._node, event_of(discarded))
            return discarded

        return await self._database.write(work)


def _parameters(algorithm: KeyAlgorithm, span: Span) -> dict[str, object]:
    return {"of_algorithm": algorithm.value, "after": span.after, "last": span.last}


def _columns(key: PooledKey) -> dict[str, object]:
    return {
        "id": key.key_id,
        "algorithm": key.algorithm.value,
        **sealed_columns("key", key.sealed),
        "key_sha256": key.key_sha256,
        "made_at": key.made_at,
    }


def pooled_key(row: AnyRow) -> PooledKey:
    """Make the key of a row."""
    return PooledKey(
        key_id=row.id,
        algorithm=KeyAlgorithm(row.algorithm),
        sealed=SealedSecret(
            master_key_id=row.key_master_key_id,
            wrapped_key=row.key_wrapped_key,
            ciphertext=row.key_ciphertext,
        ),
        key_sha256=row.key_sha256,
        made_at=row.made_at,
    )
