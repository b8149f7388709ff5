"""A house whose recipient has links, and a client at the pages."""

from collections.abc import AsyncIterator
from dataclasses import dataclass

import httpx
import pytest

from ca.keys import PrivateKey
from directory.links import LinkPurpose
from directory.recipient import Recipient
from tests.builders import Authority
from tests.directory.http.house import SEALER, Certificates, House, a_house, house_certificates
from tests.directory.recipients import a_recipient


@dataclass
class Stay:
    """A house, its recipient, and the tokens of his links."""

    house: House
    recipient: Recipient
    install: str
    proof: str
    stop: str

    def change(self, **changes: object) -> None:
        """Change how the enrolment behind all the links stands."""
        for token in (self.install, self.proof, self.stop):
            self.house.links.change(token, **changes)


@pytest.fixture(scope="session")
def certificates(authority: Authority, recipient_key: PrivateKey) -> Certificates:
    return house_certificates(authority, recipient_key.public_key())


@pytest.fixture
def stay(authority: Authority, recipient_key: PrivateKey, certificates: Certificates) -> Stay:
    house = a_house(authority, certificates)
    recipient = a_recipient(authority, recipient_key, SEALER)
    tokens = {purpose: house.links.issue(recipient, purpose) for purpose in LinkPurpose}
    return Stay(
        house=house,
        recipient=recipient,
        install=tokens[LinkPurpose.INSTALL],
        proof=tokens[LinkPurpose.PROOF],
        stop=tokens[LinkPurpose.STOP],
    )


@pytest.fixture
async def browser(stay: Stay) -> AsyncIterator[httpx.AsyncClient]:
    """A client on this machine that follows no redirect."""
    async with stay.house.client() as client:
        yield client
