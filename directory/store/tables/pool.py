"""Which keys were made in advance? Nobody's yet; whoever takes one deletes its row first."""

from sqlalchemy import Column, Index, LargeBinary, String, Table

from directory.store.tables.columns import UtcDateTime, metadata, secret

pooled_keys = Table(
    "pooled_keys",
    metadata,
    # The ledger that counts it and its number there, 16 hexadecimal digits each: one in order of the other.
    Column("id", String(32), primary_key=True),
    Column("algorithm", String(16), nullable=False),
    *secret("key"),
    # SHA-256 of its SubjectPublicKeyInfo.
    Column("key_sha256", LargeBinary, nullable=False, unique=True),
    Column("made_at", UtcDateTime, nullable=False),
    Index("ix_pooled_keys_made_at", "made_at"),
    Index("ix_pooled_keys_algorithm_id", "algorithm", "id"),
)
