import pytest
from sqlalchemy.exc import DBAPIError, IntegrityError, OperationalError, StatementError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from directory.errors import SlotTaken, StoreUnavailable
from directory.store.failures import as_unavailable
from directory.store.sqlite_driver import DRIVER


class ServerError(Exception):
    """An error in the shape of asyncpg's: SQLSTATE, a message, and details that quote the row."""

    def __init__(self, sqlstate: str, message: str) -> None:
        super().__init__(f"{message}\nDETAIL:  Key (address_key)=(anna@example.org) already exists.")
        self.sqlstate = sqlstate
        self.message = message


def from_server(sqlstate: str, message: str) -> DBAPIError:
    adapted = Exception("as SQLAlchemy wraps it")
    adapted.__cause__ = ServerError(sqlstate, message)
    return DBAPIError("INSERT INTO relays", {"address": "anna@example.org"}, adapted)


def reason_of(error: Exception) -> str:
    with pytest.raises(StoreUnavailable) as refused, as_unavailable():
        raise error
    return refused.value.reason


@pytest.mark.parametrize(
    ("sqlstate", "message"),
    [
        ("57P01", "terminating connection due to administrator command"),
        ("53300", "sorry, too many clients already"),
        ("3D000", 'database "pushpki" does not exist'),
        ("28P01", 'password authentication failed for user "pushpki"'),
        ("55P03", "canceling statement due to lock timeout"),
    ],
)
def test_what_a_server_says_about_itself_is_repeated(sqlstate: str, message: str) -> None:
    assert reason_of(from_server(sqlstate, message)) == f"{message} (SQLSTATE {sqlstate})"


@pytest.mark.parametrize("sqlstate", ["22001", "23505", "23514", "42703", "P0001"])
def test_what_a_server_says_about_a_row_is_not_repeated(sqlstate: str) -> None:
    assert reason_of(from_server(sqlstate, "bad value: anna@example.org")) == (
        f"ServerError (SQLSTATE {sqlstate})"
    )


@pytest.mark.parametrize("text", ["database is locked", "database or disk is full", "disk I/O error"])
def test_what_sqlite_says_is_repeated(text: str) -> None:
    error = OperationalError("COMMIT", {}, DRIVER.OperationalError(text))

    assert reason_of(error) == text


def test_an_integrity_error_of_sqlite_names_columns_only() -> None:
    error = IntegrityError(
        "INSERT", {"slug": "hospital"}, DRIVER.IntegrityError("UNIQUE constraint failed: organizations.slug")
    )

    assert reason_of(error) == "UNIQUE constraint failed: organizations.slug"


@pytest.mark.parametrize("error", [TimeoutError(), PoolTimeoutError("QueuePool limit of size 4 reached")])
def test_silence_is_no_answer_in_time(error: Exception) -> None:
    assert reason_of(error) == "no answer in time"


def test_an_error_of_the_network_is_named() -> None:
    assert reason_of(ConnectionRefusedError(111, "Connection refused")) == "Connection refused"
    assert reason_of(ConnectionResetError()) == "ConnectionResetError"


def test_a_server_out_of_reach_on_reconnecting_is_named() -> None:
    error = StatementError("[Errno 2]", "SELECT 1", {}, FileNotFoundError(2, "No such file or directory"))

    assert reason_of(error) == "No such file or directory"


@pytest.mark.parametrize(
    "error",
    [
        SlotTaken(),
        ValueError("a naive datetime is not a moment"),
        StatementError("a mistake of ours", "SELECT 1", {}, ValueError("a naive datetime is not a moment")),
    ],
)
def test_what_no_driver_raised_passes(error: Exception) -> None:
    with pytest.raises(type(error)), as_unavailable():
        raise error


def test_the_drivers_own_error_is_in_no_traceback() -> None:
    with pytest.raises(StoreUnavailable) as refused, as_unavailable():
        raise from_server("23505", "duplicate key")

    assert refused.value.__cause__ is None
    assert refused.value.__suppress_context__
