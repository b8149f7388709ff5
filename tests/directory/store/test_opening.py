import pytest

from directory.errors import ConfigurationRefused
from directory.store.opening import open_database
from directory.store.postgresql import PostgresqlDatabase
from directory.store.sqlite import SqliteDatabase


async def test_opens_an_sqlite_file_by_its_path() -> None:
    database = open_database("sqlite:////var/lib/pushpki/pushpki.sqlite3")

    assert isinstance(database, SqliteDatabase)
    assert database.description.startswith("SQLite 3.")
    await database.close()


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://pushpki@db.example.org:5433/pushpki",
        "postgresql://pushpki@db.example.org/pushpki?sslmode=verify-full",
        "postgresql://pushpki@/pushpki?host=/run/postgresql",
        "postgresql:///pushpki",
    ],
)
async def test_opens_a_postgresql_database_without_connecting(url: str) -> None:
    database = open_database(url, password="secret of the database")

    assert isinstance(database, PostgresqlDatabase)
    assert database.description == "PostgreSQL 'pushpki', synchronous commit"
    await database.close()


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://pushpki:hunter2@db.example.org/pushpki",
        "postgresql://pushpki:@db.example.org/pushpki",
        "postgresql://pushpki@db.example.org/pushpki?password=hunter2",
    ],
)
def test_refuses_a_password_in_the_url_and_does_not_repeat_it(url: str) -> None:
    with pytest.raises(ConfigurationRefused) as refused:
        open_database(url)

    assert refused.value.key == "database.url"
    assert "password_file" in refused.value.remedy
    assert "hunter2" not in str(refused.value)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "pushpki.sqlite3",
        "sqlite://",
        "sqlite:///",
        "sqlite:///:memory:",
        "sqlite://host/path",
        "sqlite:///file.sqlite3?mode=memory",
        "sqlite+aiosqlite:///pushpki.sqlite3",
        "mysql://pushpki@db.example.org/pushpki",
        "postgres://pushpki@db.example.org/pushpki",
        "postgresql+psycopg2://pushpki@db.example.org/pushpki",
        "postgresql://pushpki@db.example.org",
        "postgresql://pushpki@db.example.org:port/pushpki",
        "postgresql://pushpki@db.example.org/pushpki?options=-csynchronous_commit%3Doff",
        "postgresql://pushpki@db.example.org/pushpki?server_settings=x",
    ],
)
def test_refuses_what_names_no_database_of_ours(url: str) -> None:
    with pytest.raises(ConfigurationRefused) as refused:
        open_database(url)

    assert refused.value.key == "database.url"


def test_does_not_repeat_a_url_it_cannot_read() -> None:
    with pytest.raises(ConfigurationRefused) as refused:
        open_database("postgresql//pushpki:hunter2@db.example.org/pushpki")

    assert "hunter2" not in str(refused.value)
    assert refused.value.__suppress_context__
