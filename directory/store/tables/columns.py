"""What are the columns made of? The metadata that all tables belong to, moments, places for secrets.

Every secret is three columns: the identifier of the master key, the data key wrapped by it, the ciphertext.
The first refers to `master_keys`, so a retired master key cannot be dropped while a secret still needs it,
nor can a process that has not heard of a rotation seal anything with it afterwards.
"""

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    CheckConstraint,
    Column,
    DateTime,
    Dialect,
    ForeignKey,
    LargeBinary,
    MetaData,
    String,
    Table,
    TypeDecorator,
)

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "pk": "pk_%(table_name)s",
    }
)


class UtcDateTime(TypeDecorator[datetime]):
    """A moment, always aware and in UTC on the way in and out; SQLite keeps no time zone itself."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Refuse a naive moment; store UTC."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a naive datetime is not a moment")
        moment = value.astimezone(UTC)
        return moment if dialect.name == "postgresql" else moment.replace(tzinfo=None)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Return an aware UTC moment."""
        del dialect
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


def secret(prefix: str) -> tuple[Column[Any], Column[Any], Column[Any], CheckConstraint]:
    """Return the columns of a secret, and the check that it is there whole or not at all."""
    # To destroy a secret is to set all three to NULL; a secret half there is a mistake.
    names = f"{prefix}_master_key_id", f"{prefix}_wrapped_key", f"{prefix}_ciphertext"
    return (
        Column(names[0], String(32), ForeignKey("master_keys.id")),
        Column(names[1], LargeBinary),
        Column(names[2], LargeBinary),
        CheckConstraint(
            "({0} IS NULL) = ({1} IS NULL) AND ({1} IS NULL) = ({2} IS NULL)".format(*names),
            name=f"{prefix}_whole",
        ),
    )


def in_token() -> tuple[Column[Any], Column[Any]]:
    """Return the columns that say where in a PKCS#11 token a key is: the token's label, the CKA_ID in hex."""
    return Column("token", String(32)), Column("token_key", String(128))


master_keys = Table(
    "master_keys",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("created_at", UtcDateTime, nullable=False),
)
