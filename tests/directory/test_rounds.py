"""A task looks again and again, whatever one round meets, until it is told to stop."""

import asyncio
import logging
from datetime import timedelta

import pytest

from directory.errors import StoreUnavailable
from directory.rounds import Rounds, end_within, set_within

AT_ONCE = timedelta(0)


class Work:
    """Fails as it is told to, round by round, and stops the rounds after the last."""

    def __init__(self, rounds: Rounds, *failures: Exception | None) -> None:
        self._rounds = rounds
        self._failures = list(failures)
        self.looked = 0

    async def look(self) -> None:
        self.looked += 1
        failure = self._failures.pop(0)
        if not self._failures:
            self._rounds.stop()
        if failure is not None:
            raise failure


async def test_what_fails_is_said_without_its_text_and_tried_again(caplog: pytest.LogCaptureFixture) -> None:
    rounds = Rounds(apart=AT_ONCE, failing="mails have to wait")
    work = Work(rounds, StoreUnavailable(reason="no answer in time"), ValueError("anna@example.org"), None)

    with caplog.at_level(logging.WARNING):
        await rounds.run(work.look)

    assert work.looked == 3
    assert caplog.messages == ["mails have to wait: no answer in time", "mails have to wait: ValueError"]


async def test_what_was_stopped_before_does_not_look() -> None:
    rounds = Rounds(apart=AT_ONCE, failing="mails have to wait")
    work = Work(rounds, None)
    rounds.stop()

    await rounds.run(work.look)

    assert work.looked == 0


async def test_a_pause_is_drawn_for_each_round() -> None:
    drawn: list[tuple[float, float]] = []

    def uniform(low: float, high: float) -> float:
        drawn.append((low, high))
        return low

    rounds = Rounds(apart=AT_ONCE, failing="mails have to wait", uniform=uniform)
    await rounds.run(Work(rounds, None, None).look)

    assert drawn == [(0.5, 1.0)] * 3


async def test_a_task_that_does_not_end_in_time_is_broken_off() -> None:
    ended = asyncio.Event()

    async def work() -> None:
        await ended.wait()

    endless, brief = asyncio.create_task(work()), asyncio.create_task(asyncio.sleep(0))
    await end_within(AT_ONCE, endless)
    await end_within(timedelta(minutes=1), brief)

    assert (endless.cancelled(), brief.cancelled()) == (True, False)


async def test_an_event_is_waited_for_no_longer_than_its_time() -> None:
    event = asyncio.Event()
    assert not await set_within(AT_ONCE, event)

    event.set()
    assert await set_within(timedelta(minutes=1), event)
