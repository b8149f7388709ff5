"""Which database does this URL name? Reads the URL, refuses what it must not hold, opens what it names."""

from pathlib import Path

from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

from directory.errors import ConfigurationRefused
from directory.store.database import Database
from directory.store.postgresql import PostgresqlDatabase
from directory.store.sqlite import SqliteDatabase
from directory.store.timelimits import A_GATEWAYS_PATIENCE, TimeLimits

_KEY = "database.url"
_POSTGRESQL_OPTIONS = frozenset({"host", "sslmode"})


def open_database(
    url: str,
    *,
    password: str | None = None,
    readers: int = 4,
    writers: int = 4,
    limits: TimeLimits = A_GATEWAYS_PATIENCE,
) -> Database:
    """Open `sqlite:///PATH` or `postgresql://USER@HOST:PORT/NAME`; connections are made when needed.

    PostgreSQL takes the options `?host=FOLDER` (of a Unix socket) and `?sslmode=verify-full`. Readers and
    writers are numbers of connections; SQLite has one writer always.

    Raises:
        ConfigurationRefused: the URL is malformed, of another database, or holds a password.
    """
    try:
        parts = make_url(url)
    except (ArgumentError, ValueError):
        # `from None`: the text may hold a password that only its malformed surroundings hide.
        raise _refused("is not a URL") from None
    if parts.password is not None or "password" in parts.query:
        raise _refused("holds a password", "put it into a file and name that in database.password_file")
    match parts.drivername:
        case "sqlite":
            return SqliteDatabase(_path(parts), readers=readers, limits=limits)
        case "postgresql":
            return PostgresqlDatabase(
                _postgresql(parts), password=password, readers=readers, writers=writers, limits=limits
            )
        case _:
            raise _refused("is neither sqlite:///PATH nor postgresql://…")


def _path(url: URL) -> Path:
    if not url.database or url.database == ":memory:" or url.host or url.query:
        raise _refused("names no file", "write sqlite:///PATH, with four slashes for an absolute path")
    return Path(url.database)


def _postgresql(url: URL) -> URL:
    if not url.database:
        raise _refused("names no database", "write postgresql://USER@HOST/NAME")
    if unknown := url.query.keys() - _POSTGRESQL_OPTIONS:
        raise _refused(f"has the unknown option {min(unknown)!r}", "known are host and sslmode")
    # asyncpg calls `ssl` what libpq calls `sslmode`.
    return url.set(query={"ssl" if name == "sslmode" else name: value for name, value in url.query.items()})


def _refused(reason: str, remedy: str = "") -> ConfigurationRefused:
    return ConfigurationRefused(key=_KEY, reason=reason, remedy=remedy)
