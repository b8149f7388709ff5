"""What several folders share: keys and authorities that are dear to make, made once."""

import logging
from collections.abc import AsyncIterator, Iterator

import pytest
from hypothesis import settings

from ca.keys import KeyAlgorithm, PrivateKey, generate
from ca.linting import Linter
from directory.store.opening import open_database
from tests.builders import Authority, an_authority
from tests.contracts.world import Store, populate
from tests.databases import PATIENT, Databases


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--long", action="store_true", help="generate a hundred times as many examples")


def pytest_configure(config: pytest.Config) -> None:
    # No deadline: how long an example takes says more about the machine than about the code.
    examples = 10_000 if config.getoption("--long") else 100
    settings.register_profile("pushpki", deadline=None, max_examples=examples)
    settings.load_profile("pushpki")
    # The tests' own HTTP client writes down every URL, at a level that some tests let through; what they look
    # at is what the service writes down.
    logging.getLogger("httpx").setLevel(logging.WARNING)


@pytest.fixture(scope="session")
def linter() -> Linter:
    linter = Linter()
    linter.warm()
    return linter


@pytest.fixture(scope="session")
def authority(linter: Linter) -> Authority:
    """A root and an issuing CA with RSA-2048 keys."""
    return an_authority(linter)


@pytest.fixture(scope="session")
def recipient_key() -> PrivateKey:
    """An RSA-2048 key, as `a_profile()` asks for."""
    return generate(KeyAlgorithm.RSA_2048)


@pytest.fixture(scope="session")
def databases() -> Iterator[Databases]:
    """Fresh databases, SQLite and PostgreSQL."""
    made = Databases()
    yield made
    made.close()


@pytest.fixture(params=["sqlite", "postgresql"])
async def store(request: pytest.FixtureRequest, databases: Databases) -> AsyncIterator[Store]:
    """A fresh database with an organization, a gateway, an agent, an issuer and a master key."""
    url = await databases.fresh(request.param)
    database = open_database(url, limits=PATIENT)
    try:
        await populate(database)
        yield Store(url=url, database=database)
    finally:
        await database.close()
        databases.drop(url)
