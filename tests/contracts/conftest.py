"""Every contract is kept on SQLite and on PostgreSQL."""

from collections.abc import AsyncIterator

import pytest

from directory.store.database import Database
from directory.store.opening import open_database
from tests.contracts.world import Store, populate
from tests.databases import Databases


@pytest.fixture(params=["sqlite", "postgresql"])
async def store(request: pytest.FixtureRequest, databases: Databases) -> AsyncIterator[Store]:
    """A fresh database with an organization, a gateway, an agent, an issuer and a master key."""
    url = await databases.fresh(request.param)
    database = open_database(url)
    try:
        await populate(database)
        yield Store(url=url, database=database)
    finally:
        await database.close()
        databases.drop(url)


@pytest.fixture
def database(store: Store) -> Database:
    return store.database
