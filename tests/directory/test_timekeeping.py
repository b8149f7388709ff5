"""The clock is believed until something contradicts it, and then until nothing does any more."""

import asyncio
import logging
from datetime import timedelta

import pytest

from directory.audit import AuditEvent, AuditKind
from directory.timekeeping import TOLERANCE, ClockAcceptance, Moments, Timekeeper, seconds_passed
from tests.directory.clocks import StoppedClock

DAY, HOUR = timedelta(days=1), timedelta(hours=1)


class World:
    """A machine and its database: a clock that can be set, and one that cannot."""

    def __init__(self, *, on_record: timedelta | None = None, database: timedelta | None = None) -> None:
        self.clock = StoppedClock()
        self.seconds = 1000.0
        self.events: list[AuditEvent] = []
        self.accepted: list[AuditEvent] = []
        self.on_record = self.clock.now() + on_record if on_record is not None else None
        self.of_database = self.clock.now() + database if database is not None else None
        self.keeper = Timekeeper(
            node="node-1", store=self, log=self, clock=self.clock, passed=lambda: self.seconds
        )

    async def moments(self) -> Moments:
        return Moments(on_record=self.on_record, of_database=self.of_database)

    async def accept(self, event: AuditEvent) -> None:
        self.accepted.append(event)

    async def append(self, *events: AuditEvent) -> None:
        self.events.extend(events)

    def pass_(self, time: timedelta) -> None:
        """Let time pass, as all clocks see it."""
        self.clock.advance(time)
        self.seconds += time.total_seconds()
        if self.of_database is not None:
            self.of_database += time

    async def doubt(self) -> str | None:
        await self.keeper.look()
        return self.keeper.doubt()


@pytest.mark.parametrize("database", [None, timedelta(0)])
@pytest.mark.parametrize("on_record", [None, -DAY, timedelta(0), TOLERANCE])
async def test_a_clock_that_nothing_contradicts_is_believed(
    on_record: timedelta | None, database: timedelta | None
) -> None:
    world = World(on_record=on_record, database=database)

    assert await world.doubt() is None
    world.pass_(DAY)
    assert await world.doubt() is None
    assert world.events == []


async def test_one_that_is_behind_what_is_on_record_is_doubted_until_that_is_reached() -> None:
    world = World(on_record=HOUR)

    assert await world.doubt() == ("the clock shows 2026-11-22 09:30 UTC, but 2026-11-22 10:30 is on record")
    world.pass_(HOUR - TOLERANCE)
    assert world.keeper.doubt() is None


async def test_one_that_an_operator_has_accepted_is_believed() -> None:
    world = World(on_record=DAY)
    assert await world.doubt() is not None

    now = await ClockAcceptance(node="node-1", store=world, clock=world.clock, actor="operator:olga").accept()

    (event,) = world.accepted
    assert now == event.at == world.clock.now()
    assert (event.kind, event.actor) == (AuditKind.CLOCK_ACCEPTED, "operator:olga")
    assert event.detail == {"on_record": (now + DAY).isoformat()}


@pytest.mark.parametrize("jump", [-DAY, -2 * TOLERANCE, 2 * TOLERANCE, DAY])
@pytest.mark.parametrize("database", [None, timedelta(0)])
async def test_one_that_jumps_is_doubted_at_once_and_as_long_as_it_is_wrong(
    jump: timedelta, database: timedelta | None
) -> None:
    world = World(database=database)
    assert await world.doubt() is None

    world.clock.advance(jump)

    assert world.keeper.doubt() is not None  # before anybody looks at the database
    world.pass_(HOUR)
    assert await world.doubt() is not None
    world.clock.advance(-jump)
    assert await world.doubt() is None


@pytest.mark.parametrize("step", [-TOLERANCE, TOLERANCE])
async def test_one_that_is_set_by_a_little_is_believed(step: timedelta) -> None:
    world = World()
    assert await world.doubt() is None

    world.clock.advance(step)

    assert await world.doubt() is None


@pytest.mark.parametrize("database", [-DAY, -HOUR, HOUR, DAY])
async def test_one_that_the_database_contradicts_is_doubted_until_they_agree(database: timedelta) -> None:
    world = World(database=database)

    assert str(await world.doubt()).startswith("the clock shows 2026-11-22 09:30 UTC, but the database's ")
    world.clock.advance(database)
    assert await world.doubt() is None


async def test_a_doubt_is_on_record_and_in_the_log_once(caplog: pytest.LogCaptureFixture) -> None:
    world = World(on_record=DAY)
    caplog.set_level(logging.WARNING)

    for _ in range(3):
        await world.keeper.look()
    world.pass_(DAY)
    await world.keeper.look()

    (event,) = world.events
    assert event.kind is AuditKind.CLOCK_DOUBTED
    assert (event.subject, event.actor) == ("node:node-1", "service")
    assert event.detail["because"].endswith("is on record")
    assert [record.getMessage() for record in caplog.records] == [
        f"nothing is signed, for the clock is in doubt: {event.detail['because']}",
        "the clock is no longer in doubt",
    ]


async def test_it_stops_when_told_to() -> None:
    stopped = asyncio.Event()
    stopped.set()

    await World().keeper.run(stopped)


def test_seconds_pass() -> None:
    before = seconds_passed()

    assert seconds_passed() >= before
