"""What the contracts hold to: the database of a store, on SQLite and on PostgreSQL."""

import pytest

from directory.store.database import Database
from tests.contracts.world import Store


@pytest.fixture
def database(store: Store) -> Database:
    return store.database
