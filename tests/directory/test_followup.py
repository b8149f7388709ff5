import asyncio
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import pytest

from directory.errors import ConfigurationRefused, StoreUnavailable
from directory.followup import FollowUp, FollowUpRules
from tests.directory.clocks import StoppedClock


@dataclass
class Pile:
    """A chore with so many batches to do; the last one stops the loop, if it is told to."""

    batches: int = 1
    error: Exception | None = None
    stops: asyncio.Event | None = None
    done_at: list[datetime] = field(default_factory=list)

    async def perform(self, now: datetime) -> int:
        self.done_at.append(now)
        if self.stops is not None and len(self.done_at) > self.batches:
            self.stops.set()
        if self.error is not None:
            raise self.error
        return 1 if len(self.done_at) <= self.batches else 0


async def test_every_chore_is_performed_until_nothing_of_it_is_due() -> None:
    clock, stopped = StoppedClock(), asyncio.Event()
    first, second = Pile(batches=3), Pile(batches=2, stops=stopped)

    await FollowUp(chores=[first, second], clock=clock).run(stopped)

    assert first.done_at == [clock.now()] * 4
    assert second.done_at == [clock.now()] * 3


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (StoreUnavailable(reason="gone"), "following up has to wait: gone"),
        (ValueError("anna@example.org"), "a fault in the chore Pile: ValueError"),
    ],
)
async def test_a_chore_that_fails_keeps_no_other_from_its_own(
    caplog: pytest.LogCaptureFixture, error: Exception, said: str
) -> None:
    stopped = asyncio.Event()
    failing, other = Pile(error=error), Pile(batches=0, stops=stopped)

    await FollowUp(chores=[failing, other], clock=StoppedClock()).run(stopped)

    assert len(failing.done_at) == len(other.done_at) == 1
    assert said in caplog.text
    assert "anna" not in caplog.text


async def test_it_comes_back_after_the_interval() -> None:
    stopped = asyncio.Event()
    again = Pile(batches=1, stops=stopped)

    await FollowUp(chores=[again], clock=StoppedClock(), interval=timedelta(microseconds=1)).run(stopped)

    assert len(again.done_at) == 2


async def test_told_to_stop_it_begins_no_further_batch() -> None:
    stopped = asyncio.Event()
    stopped.set()
    pile = Pile(batches=5)

    await FollowUp(chores=[pile], clock=StoppedClock()).perform(stopped)

    assert pile.done_at == []


@pytest.mark.parametrize(("reminder", "unproven"), [(0, 30), (30, 30), (31, 30)])
def test_refuses_periods_that_contradict_each_other(reminder: int, unproven: int) -> None:
    with pytest.raises(ConfigurationRefused) as refused:
        FollowUpRules(reminder_after=timedelta(days=reminder), unproven_after=timedelta(days=unproven))

    assert refused.value.key == "delivery.reminder_days"
