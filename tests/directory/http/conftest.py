"""The house that the tests of this folder ask."""

from collections.abc import AsyncIterator

import httpx
import pytest

from ca.keys import PrivateKey
from tests.builders import Authority
from tests.directory.http.house import Certificates, House, a_house, house_certificates


@pytest.fixture(scope="session")
def certificates(authority: Authority, recipient_key: PrivateKey) -> Certificates:
    return house_certificates(authority, recipient_key.public_key())


@pytest.fixture
def house(authority: Authority, certificates: Certificates) -> House:
    return a_house(authority, certificates)


@pytest.fixture
async def client(house: House) -> AsyncIterator[httpx.AsyncClient]:
    """A client on this machine."""
    async with house.client() as client:
        yield client
