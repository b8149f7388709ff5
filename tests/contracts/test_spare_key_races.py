"""Several processes at one key in a token, each at its own pace, on both databases."""

import asyncio
import threading
from dataclasses import replace

import pytest

from ca.pkcs11 import TokenLimits, TokenThread
from directory.sparekeys import UNCLAIMED_AFTER
from tests.builders import NOW, Authority
from tests.contracts.sparekeys import MOMENT, PATIENT, House
from tests.contracts.world import Store
from tests.directory.clocks import StoppedClock
from tests.directory.minting import found_authority
from tests.faketoken import FakeToken


@pytest.fixture
async def house(store: Store, authority: Authority) -> House:
    await found_authority(store, authority)
    return House(store=store, token=FakeToken(), clock=StoppedClock(NOW))


class Interrupted(TokenThread):
    """A token whose user is interrupted when it has destroyed a key: he has to wait, or ends."""

    def __init__(self, driver: FakeToken, limits: TokenLimits) -> None:
        super().__init__(driver, limits)
        self.destroyed = threading.Event()
        self.goes_on = threading.Event()
        self.goes_on.set()
        self.ends = False

    def destroy(self, key_id: bytes) -> bool:
        was_there = super().destroy(key_id)
        self.destroyed.set()
        self.goes_on.wait(60)
        if self.ends:
            raise ProcessLookupError
        return was_there


async def test_of_two_that_find_it_due_at_once_the_others_key_does_not_stay(house: House) -> None:
    one, other = house.process("node-1"), house.process("node-2")
    (standing,) = await one.store.standings()
    await one.responders._certify(standing)

    assert await other.responders._certify(standing) is None

    assert len(house.made) == 2
    house.clock.advance(UNCLAIMED_AFTER + MOMENT)
    await one.spare.clear()
    assert house.made == await house.in_use()


async def test_one_that_took_too_long_is_not_kept(house: House) -> None:
    process = house.process()
    (standing,) = await process.store.standings()
    place = process.workshop.place(standing)
    made = process.workshop.certify(standing, number=1, now=NOW, place=place)

    assert not await process.store.succeed(made, event=process.responders._event(made))


async def test_two_processes_that_clear_at_once_tell_of_it_once(house: House) -> None:
    place = await house.left_over()
    looked = threading.Barrier(2)

    class Both(Interrupted):
        def has_key(self, key_id: bytes) -> bool:
            found = super().has_key(key_id)
            looked.wait(60)
            return found

    one = house.clearing(Both(house.token, PATIENT), "node-1")
    other = house.clearing(Both(house.token, PATIENT), "node-2")

    await asyncio.gather(one.clear(), other.clear())

    assert house.made == set()
    assert await house.destroyed() == [place.key_id]


async def test_the_event_is_not_lost_when_who_finds_nothing_is_first_to_say_so(house: House) -> None:
    place = await house.left_over()
    token = Interrupted(house.token, PATIENT)
    token.goes_on.clear()
    one, other = house.clearing(token, "node-1"), house.process("node-2").spare
    slow = asyncio.create_task(one.clear())
    assert await asyncio.to_thread(token.destroyed.wait, 60)

    await other.clear()

    assert await house.destroyed() == [place.key_id]
    token.goes_on.set()
    await slow
    assert await house.destroyed() == [place.key_id]
    assert await house.spare() == set()


async def test_the_event_is_not_lost_with_the_process_that_has_destroyed_it(house: House) -> None:
    place = await house.left_over()
    token = Interrupted(house.token, PATIENT)
    token.ends = True

    with pytest.raises(ProcessLookupError):
        await house.clearing(token, "node-1").clear()
    assert (house.made, await house.destroyed()) == (set(), [])
    await house.process("node-2").spare.clear()

    assert await house.destroyed() == [place.key_id]
    assert await house.spare() == set()


async def test_one_that_is_about_to_be_destroyed_becomes_nobodys_responder(house: House) -> None:
    process = house.process("node-1")
    made, kept = await house.certified(process)
    house.clock.advance(UNCLAIMED_AFTER)
    house.token.is_protected = True
    await house.process("node-2").spare.clear()
    assert len(house.made) == 1

    assert not await process.store.succeed(made, event=kept)  # by a clock that is behind

    house.token.is_protected = False
    await house.process("node-3").spare.clear()
    assert house.made == await house.in_use() == set()


async def test_one_that_may_be_destroyed_becomes_nobodys_responder(house: House) -> None:
    process = house.process()
    made, kept = await house.certified(process)

    late = replace(kept, at=kept.at + UNCLAIMED_AFTER)

    assert not await process.store.succeed(made, event=late)


async def test_one_that_became_somebodys_since_it_was_found_is_not_destroyed(house: House) -> None:
    process = house.process("node-1")
    made, kept = await house.certified(process)
    house.clock.advance(UNCLAIMED_AFTER)
    looked, goes_on = threading.Event(), threading.Event()

    class Slow(Interrupted):
        def has_key(self, key_id: bytes) -> bool:
            found = super().has_key(key_id)
            looked.set()
            goes_on.wait(60)
            return found

    clearing = asyncio.create_task(house.clearing(Slow(house.token, PATIENT), "node-2").clear())
    assert await asyncio.to_thread(looked.wait, 60)
    assert await process.store.succeed(made, event=kept)  # by a clock that is behind
    goes_on.set()
    await clearing

    assert house.made == await house.in_use() != set()


async def test_one_that_was_made_when_its_place_was_forgotten_does_not_stay(house: House) -> None:
    process = house.process()
    (standing,) = await process.store.standings()
    place = process.workshop.place(standing)
    assert place is not None
    await process.store.announce(place, unclaimed_from=NOW)
    await process.spare.clear()
    made = process.workshop.certify(standing, number=1, now=NOW, place=place)

    assert not await process.store.succeed(made, event=process.responders._event(made))

    await process.spare.clear()
    assert house.made == set()
    assert await house.destroyed() == [place.key_id]
