"""Work that is due is claimed, so much at a time, worked on, and left claimed by nobody in the end."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import pytest

from directory.claiming import ClaimLoop, wait_until_set
from directory.errors import StoreUnavailable
from tests.directory.clocks import StoppedClock

LEASE = timedelta(minutes=2)


@dataclass(frozen=True, slots=True, kw_only=True)
class APace:
    in_flight: int = 2
    lease: timedelta = LEASE
    poll: timedelta = timedelta(hours=1)
    stopping: timedelta = timedelta(seconds=10)


@dataclass(slots=True)
class Heap:
    """Work that is due, by its name."""

    due: list[str] = field(default_factory=list)
    asked_for: list[int] = field(default_factory=list)
    """How much was asked for each time."""
    released: int = 0
    unavailable: int = 0
    """How many more times it does not answer."""

    async def claim_due(
        self, *, worker: str, now: datetime, lease_until: datetime, most: int
    ) -> Sequence[str]:
        assert (worker, lease_until) == ("node-1", now + LEASE)
        self.asked_for.append(most)
        if self.unavailable:
            self.unavailable -= 1
            raise StoreUnavailable(reason="the disk is full")
        claimed, self.due = self.due[:most], self.due[most:]
        return claimed

    async def next_due(self) -> datetime | None:
        return None

    async def release_claims(self, *, worker: str) -> None:
        assert worker == "node-1"
        self.released += 1


class Bench:
    """Works on one piece until it is let go."""

    def __init__(self, heap: Heap, pace: APace | None = None) -> None:
        self.heap = heap
        self.begun: list[str] = []
        self.done: list[str] = []
        self.cut_off: list[str] = []
        self.may_end = asyncio.Event()
        self.loop = ClaimLoop(
            worker="node-1",
            name="the bench",
            source="the heap",
            claims=heap,
            begin=self.work,
            looks_again=lambda _in_flight: True,
            pace=pace or APace(),
            clock=StoppedClock(),
            wait=self.wait,
        )
        self.rounds = asyncio.Queue[None]()

    async def work(self, name: str, _lease_until: datetime) -> None:
        self.begun.append(name)
        try:
            await self.may_end.wait()
        except asyncio.CancelledError:
            self.cut_off.append(name)
            raise
        if name == "broken":
            raise ZeroDivisionError
        self.done.append(name)

    async def wait(self, event: asyncio.Event, _longest: timedelta) -> None:
        self.rounds.put_nowait(None)
        await event.wait()


async def test_no_more_is_claimed_than_there_is_room_for_and_all_is_done() -> None:
    bench = Bench(Heap(due=["a", "b", "c", "d", "e"]))

    async with asyncio.TaskGroup() as group:
        group.create_task(bench.loop.run())
        await bench.rounds.get()
        assert bench.heap.due == ["c", "d", "e"]
        bench.may_end.set()
        while len(bench.done) < 5:
            await bench.rounds.get()
        bench.loop.stop()

    assert bench.done == ["a", "b", "c", "d", "e"]
    assert max(bench.heap.asked_for) == 2


async def test_claims_of_a_former_life_are_given_up_first_and_its_own_last() -> None:
    bench = Bench(Heap())

    async with asyncio.TaskGroup() as group:
        group.create_task(bench.loop.run())
        await bench.rounds.get()
        assert bench.heap.released == 1
        bench.loop.stop()

    assert bench.heap.released == 2


async def test_a_database_that_is_away_is_asked_again(caplog: pytest.LogCaptureFixture) -> None:
    bench = Bench(Heap(due=["a"], unavailable=1))
    bench.may_end.set()

    async with asyncio.TaskGroup() as group:
        group.create_task(bench.loop.run())
        await bench.rounds.get()
        bench.loop.notify()
        while not bench.done:
            await bench.rounds.get()
        bench.loop.stop()

    assert "the heap is unavailable: the disk is full" in caplog.text


async def test_a_fault_in_one_piece_of_work_is_logged_and_hurts_no_other(
    caplog: pytest.LogCaptureFixture,
) -> None:
    bench = Bench(Heap(due=["broken", "b"]))
    bench.may_end.set()

    async with asyncio.TaskGroup() as group:
        group.create_task(bench.loop.run())
        while not bench.done:
            await bench.rounds.get()
        bench.loop.stop()

    assert bench.done == ["b"]
    assert "a fault in the bench: ZeroDivisionError" in caplog.text


async def test_what_does_not_end_in_time_is_cut_off() -> None:
    bench = Bench(Heap(due=["a"]), APace(stopping=timedelta(0)))

    async with asyncio.TaskGroup() as group:
        group.create_task(bench.loop.run())
        await bench.rounds.get()
        bench.loop.stop()

    assert (bench.begun, bench.cut_off, bench.heap.released) == (["a"], ["a"], 2)


async def test_room_that_was_promised_is_not_claimed_for_others() -> None:
    bench = Bench(Heap())
    clock = StoppedClock()
    with bench.loop.room(clock.now()) as before:
        assert before is None, "the claims of the former life are not given up yet"

    async with asyncio.TaskGroup() as group:
        group.create_task(bench.loop.run())
        await bench.rounds.get()
        with bench.loop.room(clock.now()) as first, bench.loop.room(clock.now()) as second:
            assert (first, second) == (clock.now() + LEASE, clock.now() + LEASE)
            with bench.loop.room(clock.now()) as third:
                assert third is None
        bench.loop.stop()
        with bench.loop.room(clock.now()) as after:
            assert after is None, "nothing is begun any more"


async def test_waiting_ends_with_the_event_or_the_period() -> None:
    event = asyncio.Event()
    await wait_until_set(event, timedelta(milliseconds=1))
    event.set()
    await wait_until_set(event, timedelta(hours=1))
    assert event.is_set()
