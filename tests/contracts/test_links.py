"""Links in the store: found by their secret, for their purpose, until they expire; used once."""

import asyncio
from datetime import datetime, timedelta
from functools import partial

import pytest

from directory.links import Link, LinkPurpose, PresentedLink
from directory.store import links
from directory.store.database import Database
from tests.contracts.following import a_link
from tests.contracts.world import NOW, mint

LATER = NOW + timedelta(days=1)


@pytest.fixture
async def presented(database: Database) -> PresentedLink:
    await mint(database)
    return await a_link(database, LinkPurpose.INSTALL, expires_at=LATER)


async def find(
    database: Database, presented: PresentedLink, purpose: LinkPurpose, now: datetime
) -> Link | None:
    return await database.read(partial(links.find, presented=presented, purpose=purpose, now=now))


async def test_a_link_is_found_until_it_expires(database: Database, presented: PresentedLink) -> None:
    found = await find(database, presented, LinkPurpose.INSTALL, LATER - timedelta(microseconds=1))

    assert found is not None
    assert (found.enrolment_id, found.expires_at, found.used_at) == ("enrolment-1", LATER, None)
    assert await find(database, presented, LinkPurpose.INSTALL, LATER) is None


async def test_a_link_is_good_for_nothing_else(database: Database, presented: PresentedLink) -> None:
    assert await find(database, presented, LinkPurpose.PROOF, NOW) is None
    assert await find(database, presented, LinkPurpose.STOP, NOW) is None


async def test_a_wrong_secret_finds_nothing(database: Database, presented: PresentedLink) -> None:
    wrong = PresentedLink(link_id=presented.link_id, secret="a" * 32)

    assert await find(database, wrong, LinkPurpose.INSTALL, NOW) is None


async def test_of_many_who_use_a_link_at_once_one_does(database: Database, presented: PresentedLink) -> None:
    uses = [
        database.write(lambda connection: links.use(connection, presented.link_id, NOW)) for _ in range(16)
    ]

    assert sorted(await asyncio.gather(*uses)) == [False] * 15 + [True]
