import asyncio
from dataclasses import dataclass, field

import pytest

from directory.changes import TRUST, ChangeFollower, Changes
from directory.errors import StoreUnavailable

ANNA = frozenset({"anna@example.org"})


@dataclass
class Log:
    """Tells what it was given to tell, then nothing new; notes what it was asked."""

    told: list[Changes | StoreUnavailable] = field(default_factory=list)
    asked: list[int | None] = field(default_factory=list)
    ends: asyncio.Event = field(default_factory=asyncio.Event)

    async def since(self, generation: int | None) -> Changes:
        self.asked.append(generation)
        if not self.told:
            self.ends.set()
            return Changes(generation=generation or 0, address_keys=frozenset())
        told = self.told.pop(0)
        if isinstance(told, StoreUnavailable):
            raise told
        return told


@dataclass
class Notebook:
    """Notes what it was told to forget."""

    forgotten: list[frozenset[str] | None] = field(default_factory=list)

    def forget(self, address_keys: frozenset[str]) -> None:
        self.forgotten.append(address_keys)

    def forget_everything(self) -> None:
        self.forgotten.append(None)


class Seconds:
    """A monotonic clock that moves when told."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def everything(generation: int) -> Changes:
    return Changes(generation=generation, address_keys=None)


def of_anna(generation: int) -> Changes:
    return Changes(generation=generation, address_keys=ANNA)


GONE = StoreUnavailable(reason="gone")


async def test_it_asks_for_what_it_has_not_heard_and_lets_that_be_forgotten() -> None:
    log, notebook = Log([everything(7), of_anna(8)]), Notebook()
    follower = ChangeFollower(log)
    follower.keep_true(notebook)

    for _ in range(4):
        await follower.ask()

    assert log.asked == [None, 7, 8, 8]
    assert notebook.forgotten == [None, ANNA]


async def test_nothing_is_vouched_for_before_it_has_asked() -> None:
    assert not ChangeFollower(Log()).is_current()


async def test_an_asking_vouches_from_the_moment_it_began() -> None:
    clock = Seconds()

    class Slow(Log):
        async def since(self, generation: int | None) -> Changes:
            clock.now += 1.5
            return await super().since(generation)

    follower = ChangeFollower(Slow(), monotonic=clock)
    await follower.ask()

    assert follower.age == 1.5
    clock.now = 100.0 + TRUST
    assert follower.is_current()
    clock.now += 0.001
    assert not follower.is_current()


async def test_an_asking_that_failed_vouches_for_nothing_and_is_made_up_for() -> None:
    clock, notebook = Seconds(), Notebook()
    log = Log([everything(7), GONE, of_anna(8)])
    follower = ChangeFollower(log, monotonic=clock)
    follower.keep_true(notebook)
    await follower.ask()
    clock.now += TRUST + 1

    with pytest.raises(StoreUnavailable):
        await follower.ask()
    assert not follower.is_current()

    await follower.ask()
    assert follower.is_current()
    assert log.asked == [None, 7, 7]
    assert notebook.forgotten == [None, ANNA]


async def test_it_follows_until_told_to_stop_whatever_fails(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("directory.changes.INTERVAL", 0)
    log, notebook = Log([GONE, GONE, everything(7), GONE, of_anna(8)]), Notebook()
    follower = ChangeFollower(log)
    follower.keep_true(notebook)

    await follower.follow(log.ends)

    assert notebook.forgotten == [None, ANNA]
    assert caplog.text.count("cannot be found out") == 2
