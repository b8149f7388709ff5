"""What do the two databases spell differently? Upserts, and several writes sent as one."""

from collections.abc import Callable, Mapping
from typing import TypeAlias

from sqlalchemy import Connection, Insert, Table, Update, bindparam, insert
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.sql.dml import ReturningInsert

AnyInsert: TypeAlias = postgresql.Insert | sqlite.Insert
_Upsert: TypeAlias = AnyInsert | ReturningInsert[*tuple[object, ...]]


class Upsert:
    """An `INSERT … ON CONFLICT`, for which SQLAlchemy has one construct per database."""

    def __init__(self, table: Table, complete: Callable[[AnyInsert], _Upsert]) -> None:
        self._by_dialect = {
            "postgresql": complete(postgresql.insert(table)),
            "sqlite": complete(sqlite.insert(table)),
        }

    def on(self, connection: Connection) -> _Upsert:
        """Return the statement for this database."""
        return self._by_dialect[connection.dialect.name]


def parameter(table: Table, column: str) -> str:
    """Return what the parameter for a column is called where one statement writes to several tables."""
    return f"{table.name}__{column}"


def insert_row(table: Table, *columns: str) -> Insert:
    """Return an insert of the named columns, with parameters named by `parameter`."""
    return insert(table).values({column: bindparam(parameter(table, column)) for column in columns})


class Together:
    """Writes to several tables: one statement on PostgreSQL, hence one round trip; one each on SQLite."""

    def __init__(self, first: Insert | Update, *others: Insert | Update) -> None:
        self._as_one = first.add_cte(
            *(write.cte(f"write_{number}") for number, write in enumerate(others, start=2))
        )
        self._each = tuple((write, frozenset(write.compile().params)) for write in (first, *others))

    def execute(self, connection: Connection, parameters: Mapping[str, object]) -> None:
        """Write all of it."""
        if connection.dialect.name == "postgresql":
            connection.execute(self._as_one, parameters)
            return
        for write, names in self._each:
            connection.execute(write, {name: parameters[name] for name in names})
