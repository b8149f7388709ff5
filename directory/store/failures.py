"""What has the database just refused, and how much of that may be said? Driver errors become ours here.

Whatever a driver throws ends in this room. Its text may quote the row it choked on (PostgreSQL's DETAIL shows
addresses and sealed secrets), so only what cannot hold a value is repeated, and the original is not chained.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from sqlalchemy import Index
from sqlalchemy.exc import DBAPIError, IntegrityError, StatementError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from directory.errors import StoreUnavailable
from directory.store.sqlite_driver import DriverError

# SQLSTATE classes that speak of the server or the session, never of a value: connection, transaction state,
# authorization, catalog name, transaction rollback, resources, object state, operator intervention, system.
_CLASSES_WITHOUT_VALUES = frozenset({"08", "25", "28", "3D", "40", "53", "55", "57", "58"})


_occurred: Counter[tuple[str, ...]] = Counter({(): 0})
"""How often, since this process began."""


def failures_so_far() -> Mapping[tuple[str, ...], int]:
    """Return how often the database has failed since this process began."""
    return _occurred


@contextmanager
def as_unavailable() -> Iterator[None]:
    """Turn whatever a driver raises into `StoreUnavailable`; wrap nothing but driver calls in it.

    Raises:
        StoreUnavailable: the statement failed, no connection could be had, or nobody answered in time.
    """
    try:
        yield
    except StatementError as error:
        # What failed outside the driver is a mistake of ours, unless it was on the way to the server.
        if not isinstance(error, DBAPIError) and not isinstance(error.orig, OSError):
            raise
        _occurred[()] += 1
        # `from None`: a traceback would print the driver's text.
        raise StoreUnavailable(reason=_reason(error.orig)) from None
    except (OSError, PoolTimeoutError) as error:
        _occurred[()] += 1
        raise StoreUnavailable(reason=_reason(error)) from None


def violates(error: IntegrityError, unique: Index) -> bool:
    """Whether it was this unique index that refused a row."""
    origin = getattr(error.orig, "__cause__", None) or error.orig
    if isinstance(origin, DriverError):
        # SQLite names the columns.
        columns = ", ".join(f"{column.table.name}.{column.name}" for column in unique.columns)
        return str(origin) == f"UNIQUE constraint failed: {columns}"
    return getattr(origin, "constraint_name", None) == unique.name


def _reason(error: BaseException | None) -> str:
    if isinstance(error, TimeoutError | PoolTimeoutError):
        return "no answer in time"
    if isinstance(error, OSError):
        return error.strerror or type(error).__name__
    if isinstance(error, DriverError):
        return str(error)  # SQLite names tables and columns, and never quotes what was bound
    # SQLAlchemy wraps asyncpg's errors once more, in the shape of the DB-API.
    origin = getattr(error, "__cause__", None) or error
    name = type(origin).__name__
    state = getattr(origin, "sqlstate", None)
    if state is None:
        return name
    message = getattr(origin, "message", "") if state[:2] in _CLASSES_WITHOUT_VALUES else ""
    return f"{message or name} (SQLSTATE {state})"
