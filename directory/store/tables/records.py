"""What happened, and what was taken away? Audit log, limits, and the changes that triggers announce."""

from sqlalchemy import (
    DDL,
    BigInteger,
    Column,
    Integer,
    LargeBinary,
    String,
    Table,
    Text,
    event,
)

from directory.store.migrations import triggers_v1
from directory.store.tables.columns import UtcDateTime, metadata, secret

limit_buckets = Table(
    "limit_buckets",
    metadata,
    Column("bucket", String(320), primary_key=True),
    Column("arrival", UtcDateTime, nullable=False),
)

audit_events = Table(
    "audit_events",
    metadata,
    Column("node", String(64), primary_key=True),
    Column("sequence", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=False),
    Column("at", UtcDateTime, nullable=False),
    Column("kind", String(64), nullable=False),
    Column("actor", String(320), nullable=False),
    Column("subject", String(320), nullable=False, index=True),
    # No foreign key: the log outlives what it tells of.
    Column("organization_id", String(32)),
    Column("detail", Text, nullable=False),
    Column("previous_hash", LargeBinary, nullable=False),
    Column("hash", LargeBinary, nullable=False),
)

audit_heads = Table(
    "audit_heads",
    metadata,
    Column("node", String(64), primary_key=True),
    Column("sequence", BigInteger().with_variant(Integer, "sqlite"), nullable=False),
    Column("hash", LargeBinary, nullable=False),
    # The latest moment that an event of the chain names, unless an operator has said what time it is since.
    Column("latest_at", UtcDateTime),
)

# What signs the heads of the chains: one succeeds the other, and only the last can still sign.
audit_keys = Table(
    "audit_keys",
    metadata,
    Column("number", Integer, primary_key=True, autoincrement=False),
    # The SHA-256 of the public key, in hex.
    Column("id", String(64), nullable=False, unique=True),
    Column("public_key", LargeBinary, nullable=False),
    *secret("key"),
    Column("created_at", UtcDateTime, nullable=False),
    Column("own_signature", LargeBinary, nullable=False),
    Column("predecessors_signature", LargeBinary),
)

audit_signed_heads = Table(
    "audit_signed_heads",
    metadata,
    Column("node", String(64), primary_key=True),
    Column("sequence", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=False),
    # No foreign key: what cannot be right must still be found, not refused.
    Column("key_id", String(64), primary_key=True),
    Column("hash", LargeBinary, nullable=False),
    Column("at", UtcDateTime, nullable=False),
    Column("signature", LargeBinary, nullable=False),
)

# Written by triggers alone: how often something was taken away, and from whom. `store/changes.py` reads it.
directory_state = Table(
    "directory_state",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("generation", BigInteger().with_variant(Integer, "sqlite"), nullable=False),
)

changes = Table(
    "changes",
    metadata,
    Column("generation", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=False),
    Column("address_key", String(254)),  # NULL: of everybody
)


for _dialect, _statements in triggers_v1.STATEMENTS.items():
    for _statement in _statements:
        _ddl = DDL(_statement)  # type: ignore[no-untyped-call]
        event.listen(metadata, "after_create", _ddl.execute_if(dialect=_dialect))
