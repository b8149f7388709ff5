"""Which keys are in wrong hands, or may be? Named by the SHA-256 of their SubjectPublicKeyInfo."""

from collections.abc import Sequence
from datetime import datetime
from functools import partial

from sqlalchemy import Connection, bindparam, delete, exists, literal, select

from ca.revocation import RevocationReason
from directory.audit import AuditEvent
from directory.errors import KeyBlocked, KeyRepeated, Unknown
from directory.lookup import Origin
from directory.store import audit_log
from directory.store.database import Database
from directory.store.statements import Upsert
from directory.store.tables import blocked_keys, certificates

_FIND = select(blocked_keys.c.blocked_at).where(blocked_keys.c.key_sha256 == bindparam("sought"))
# The literal is written out: SQLite uses a partial index only where it sees its condition.
_KNOWN = select(
    exists().where(blocked_keys.c.key_sha256 == bindparam("sought")).label("blocked"),
    exists()
    .where(
        certificates.c.key_sha256 == bindparam("sought"),
        certificates.c.origin == literal(Origin.MINTED.value, literal_execute=True),
    )
    .label("certified"),
)
_ADD = Upsert(blocked_keys, lambda insert: insert.on_conflict_do_nothing())
_ADD_REVOKED = Upsert(
    blocked_keys,
    lambda insert: insert.from_select(
        ["key_sha256", "blocked_at"],
        select(certificates.c.key_sha256, certificates.c.revoked_at).where(
            certificates.c.id == bindparam("of_certificate"),
            certificates.c.revocation_reason == RevocationReason.KEY_COMPROMISE.value,
        ),
    ).on_conflict_do_nothing(),
)
_LIFT = delete(blocked_keys).where(blocked_keys.c.key_sha256 == bindparam("sought"))


class SqlBlockedKeys:
    """Keeps the keys that an operator blocks; those of compromised certificates come by their revocation."""

    def __init__(self, database: Database, *, node: str) -> None:
        self._database = database
        self._node = node

    async def block(self, keys: Sequence[bytes], at: datetime, event: AuditEvent) -> None:
        """Block all of them; those that are blocked already stay so."""
        await self._database.write(partial(_block, node=self._node, keys=keys, at=at, event=event))

    async def lift(self, key_sha256: bytes, event: AuditEvent) -> None:
        """Let a key in again.

        Raises:
            Unknown: it is not blocked.
        """
        await self._database.write(partial(_lift, node=self._node, key_sha256=key_sha256, event=event))


def refuse(connection: Connection, key_sha256: bytes) -> None:
    """Return if the key is not blocked.

    Raises:
        KeyBlocked: it is.
    """
    if connection.execute(_FIND, {"sought": key_sha256}).first() is not None:
        raise KeyBlocked(key_sha256=key_sha256.hex())


def refuse_unless_fresh(connection: Connection, key_sha256: bytes) -> None:
    """Return if the key is neither blocked nor that of a minted certificate.

    Raises:
        KeyBlocked, KeyRepeated: it is.
    """
    known = connection.execute(_KNOWN, {"sought": key_sha256}).one()
    if known.blocked:
        raise KeyBlocked(key_sha256=key_sha256.hex())
    if known.certified:
        raise KeyRepeated(key_sha256=key_sha256.hex())


def block_if_compromised(connection: Connection, certificate_id: str) -> None:
    """Block the key of a certificate that was revoked in this transaction, if that is why."""
    connection.execute(_ADD_REVOKED.on(connection), {"of_certificate": certificate_id})


def _block(
    connection: Connection, *, node: str, keys: Sequence[bytes], at: datetime, event: AuditEvent
) -> None:
    connection.execute(_ADD.on(connection), [{"key_sha256": key, "blocked_at": at} for key in keys])
    audit_log.append(connection, node, event)


def _lift(connection: Connection, *, node: str, key_sha256: bytes, event: AuditEvent) -> None:
    if connection.execute(_LIFT, {"sought": key_sha256}).rowcount == 0:
        raise Unknown(kind="blocked key", name=key_sha256.hex())
    audit_log.append(connection, node, event)
