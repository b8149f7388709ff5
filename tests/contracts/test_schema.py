"""The schema: migrations lead to what the code expects, once, whoever starts first."""

import asyncio
import stat
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection
from sqlalchemy.engine import make_url

from directory.errors import StoreNewer, StoreOutdated, StoreUnavailable
from directory.store.database import Database
from directory.store.opening import open_database
from directory.store.schema import migrate, require_current
from directory.store.tables import metadata
from tests.databases import PATIENT, Databases

# All that the databases themselves know about a schema; a comparison by reflection leaves conditions of
# indexes and checks out.
CATALOGUES = {
    "sqlite": "SELECT type, tbl_name, name, sql FROM sqlite_master WHERE tbl_name <> 'alembic_version'",
    "postgresql": """
        SELECT 'index', tablename::text, indexname::text, indexdef FROM pg_indexes
        WHERE schemaname = 'public'
        UNION ALL
        SELECT 'constraint', conrelid::regclass::text, conname::text, pg_get_constraintdef(oid)
        FROM pg_constraint WHERE connamespace = 'public'::regnamespace
        UNION ALL
        SELECT 'column', attrelid::regclass::text, attname::text,
               format_type(atttypid, atttypmod) || CASE WHEN attnotnull THEN ' NOT NULL' ELSE '' END
        FROM pg_attribute WHERE attrelid IN (
            SELECT oid FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r'
        ) AND attnum > 0
        UNION ALL
        SELECT 'trigger', tgrelid::regclass::text, tgname::text, pg_get_triggerdef(oid)
        FROM pg_trigger WHERE NOT tgisinternal
        UNION ALL
        SELECT 'function', '', proname::text, pg_get_functiondef(oid)
        FROM pg_proc WHERE pronamespace = 'public'::regnamespace
    """,
}


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, databases: Databases) -> str:
    """A database without any table."""
    return databases.empty(request.param)


@pytest.fixture
async def empty(url: str) -> AsyncIterator[Database]:
    database = open_database(url, limits=PATIENT)
    yield database
    await database.close()


def catalogue(connection: Connection) -> set[tuple[object, ...]]:
    rows = connection.exec_driver_sql(CATALOGUES[connection.dialect.name])
    return {tuple(" ".join(str(part).split()) for part in row) for row in rows if row[1] != "alembic_version"}


def set_revision(connection: Connection) -> None:
    connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'").close()


async def test_the_migrated_schema_is_the_one_the_code_expects(empty: Database) -> None:
    await migrate(empty)

    differences = await empty.read(
        lambda connection: compare_metadata(MigrationContext.configure(connection), metadata)
    )
    assert differences == []


async def test_the_migrated_schema_is_the_same_to_the_last_condition(
    empty: Database, databases: Databases, url: str
) -> None:
    await migrate(empty)
    kind = "sqlite" if url.startswith("sqlite") else "postgresql"
    drawn = open_database(databases.empty(kind), limits=PATIENT)
    await drawn.restructure(metadata.create_all)

    assert await empty.read(catalogue) == await drawn.read(catalogue)
    await drawn.close()


async def test_migrating_leads_to_the_current_schema_and_says_its_name(empty: Database) -> None:
    revision = await migrate(empty)

    await require_current(empty)
    assert revision == "0001"


async def test_migrating_twice_changes_nothing(empty: Database) -> None:
    await migrate(empty)
    before = await empty.read(catalogue)

    await migrate(empty)

    assert await empty.read(catalogue) == before


async def test_processes_that_migrate_at_once_do_not_disturb_each_other(url: str) -> None:
    several = [open_database(url, limits=PATIENT) for _ in range(4)]

    revisions = await asyncio.gather(*(migrate(database) for database in several))

    assert set(revisions) == {"0001"}
    for database in several:
        await require_current(database)
        await database.close()


async def test_an_empty_database_is_outdated(empty: Database) -> None:
    if "SQLite" in empty.description:
        await empty.restructure(lambda _connection: None)

    with pytest.raises(StoreOutdated) as refused:
        await require_current(empty)

    assert (refused.value.found, refused.value.wanted) == ("none", "0001")


async def test_a_newer_schema_is_refused_and_left_alone(empty: Database) -> None:
    await migrate(empty)
    await empty.write(set_revision)

    with pytest.raises(StoreNewer) as by_service:
        await require_current(empty)
    with pytest.raises(StoreNewer) as by_migration:
        await migrate(empty)

    assert (by_service.value.found, by_migration.value.found) == ("9999", "9999")


async def test_a_failed_migration_leaves_the_database_as_it_was(empty: Database) -> None:
    if "SQLite" in empty.description:
        await empty.restructure(lambda _connection: None)
    await empty.write(
        lambda connection: connection.exec_driver_sql("CREATE TABLE relays (in_the_way INT)").close()
    )
    before = await empty.read(catalogue)

    with pytest.raises(StoreUnavailable):
        await migrate(empty)

    assert await empty.read(catalogue) == before


async def test_a_new_sqlite_file_is_its_owners_alone(databases: Databases) -> None:
    url = databases.empty("sqlite")
    database = open_database(url, limits=PATIENT)

    await migrate(database)
    await database.close()

    assert permissions(url) == 0o600


def permissions(url: str) -> int:
    return stat.S_IMODE(Path(str(make_url(url).database)).stat().st_mode)
