"""Who certifies, found out while the process runs."""

import asyncio
import logging
from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from ca.errors import SealBroken
from directory.certificatemaker import CertificateMaker
from directory.errors import StoreUnavailable
from directory.hierarchy import Hierarchy, StoredIssuer
from directory.makers import MakerRoster
from tests.builders import Authority
from tests.contracts.world import NOW
from tests.directory.builders import an_organization
from tests.directory.clocks import StoppedClock
from tests.directory.minting import a_maker
from tests.directory.test_hierarchy import FIRST, SECOND, issuing

DAY = timedelta(days=1)
VALIDITY = timedelta(days=730)
HOUSE = an_organization()
ISOLATED = replace(an_organization(), organization_id="isolated", isolated=True)


class Register:
    """Issuers that somebody may change at any moment."""

    def __init__(self, *issuers: StoredIssuer) -> None:
        self.issuers = issuers
        self.asked = asyncio.Event()
        self.fails = False

    async def hierarchy(self) -> Hierarchy:
        self.asked.set()
        if self.fails:
            raise StoreUnavailable(reason="gone")
        return Hierarchy(issuers=(*self.issuers,))


class Workshop:
    """Opens everybody but those whose key is broken."""

    def __init__(self, authority: Authority) -> None:
        self._authority = authority
        self.opened: list[str] = []
        self.broken: set[str] = set()
        self.away: set[str] = set()

    def has_key(self, issuer: StoredIssuer) -> bool:
        return issuer.issuer_id not in self.away

    async def open(self, issuer: StoredIssuer, chain: tuple[bytes, ...]) -> CertificateMaker:
        if issuer.issuer_id in self.broken:
            raise SealBroken(kind="ca_key", record_id=issuer.issuer_id)
        self.opened.append(issuer.issuer_id)
        return replace(a_maker(self._authority), issuer_id=issuer.issuer_id, chain=chain)


class House:
    def __init__(self, authority: Authority, *issuers: StoredIssuer) -> None:
        self.register = Register(*(replace(issuer, parent_id=None) for issuer in issuers))
        self.workshop = Workshop(authority)
        self.roster = MakerRoster(
            register=self.register,
            open_maker=self.workshop.open,
            has_key=self.workshop.has_key,
            only_own=False,
            validity=VALIDITY,
            clock=StoppedClock(NOW),
            uniform=lambda _low, _high: 0.0,
        )

    def signs(self, moment: datetime = NOW) -> str | None:
        maker = self.roster.maker(HOUSE, moment)
        return maker.issuer_id if maker else None


async def test_a_succession_takes_effect_at_its_moment_without_another_look(authority: Authority) -> None:
    house = House(authority, FIRST, SECOND)
    await house.roster.start()

    assert [house.signs(moment) for moment in (NOW, NOW + DAY)] == ["first", "second"]


async def test_an_issuer_that_is_made_active_is_taken_up_and_opened_once(authority: Authority) -> None:
    house = House(authority, FIRST)
    await house.roster.start()
    house.register.issuers = (*house.register.issuers, replace(issuing("new", NOW), parent_id=None))

    await house.roster.refresh()
    await house.roster.refresh()

    assert house.signs() == "new"
    assert house.workshop.opened == ["first", "new"]


async def test_a_revoked_issuer_certifies_nothing_more(authority: Authority) -> None:
    house = House(authority, FIRST)
    await house.roster.start()
    house.register.issuers = (replace(house.register.issuers[0], revoked_at=NOW),)

    await house.roster.refresh()

    assert house.signs() is None
    assert house.roster.shared is None


async def test_whoever_cannot_be_opened_keeps_the_process_from_starting(authority: Authority) -> None:
    house = House(authority, FIRST)
    house.workshop.broken = {"first"}

    with pytest.raises(SealBroken):
        await house.roster.start()


async def test_one_whose_key_is_not_here_does_not_and_is_as_good_as_none(
    authority: Authority, caplog: pytest.LogCaptureFixture
) -> None:
    house = House(authority, FIRST)
    house.workshop.broken = house.workshop.away = {"first"}

    with caplog.at_level(logging.ERROR):
        await house.roster.start()

    assert house.signs() is None
    assert "issuer first cannot certify recipients: its key is not here" in caplog.text


async def test_one_of_an_isolated_organization_that_cannot_be_opened_keeps_nobody_else_from_anything(
    authority: Authority, caplog: pytest.LogCaptureFixture
) -> None:
    own = issuing("own", NOW - DAY, organization=ISOLATED.organization_id)
    house = House(authority, FIRST, own)
    house.workshop.broken = {"own"}

    with caplog.at_level(logging.ERROR):
        await house.roster.start()

    assert house.signs() == "first"
    assert house.roster.maker(ISOLATED, NOW) is None
    assert "issuer own cannot certify" in caplog.text


async def test_a_successor_that_cannot_be_opened_does_not_and_is_tried_again(
    authority: Authority, caplog: pytest.LogCaptureFixture
) -> None:
    house = House(authority, FIRST, SECOND)
    house.workshop.broken = {"second"}
    with caplog.at_level(logging.ERROR):
        await house.roster.start()
    assert "issuer second cannot certify" in caplog.text
    assert house.signs(NOW + DAY) is None

    house.workshop.broken = set()
    await house.roster.refresh()

    assert house.signs(NOW + DAY) == "second"


async def test_a_process_starts_without_anybody_who_certifies_and_says_so(
    authority: Authority, caplog: pytest.LogCaptureFixture
) -> None:
    house = House(authority)

    with caplog.at_level(logging.ERROR):
        await house.roster.start()

    assert house.signs() is None
    assert "nothing is minted" in caplog.text


async def test_it_looks_again_by_itself_though_the_database_was_away(authority: Authority) -> None:
    house = House(authority, FIRST)
    await house.roster.start()
    house.register.fails = True
    task = asyncio.create_task(house.roster.run())
    await _asked(house)
    assert house.signs() == "first"

    house.register.fails = False
    house.register.issuers = (replace(issuing("new", NOW), parent_id=None),)
    while house.signs() != "new":
        await _asked(house)

    house.roster.stop()
    await task


async def _asked(house: House) -> None:
    house.register.asked.clear()
    async with asyncio.timeout(60):
        await house.register.asked.wait()
    await asyncio.sleep(0)
