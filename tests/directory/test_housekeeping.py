import asyncio
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import pytest

from directory.clock import Clock
from directory.errors import StoreUnavailable
from directory.housekeeping import Housekeeping
from tests.directory.clocks import StoppedClock

MONTH = timedelta(days=30)


@dataclass
class Shelf:
    """Counts how often it is tidied."""

    stopped: asyncio.Event = field(default_factory=asyncio.Event)
    tidied_at: list[datetime] = field(default_factory=list)
    changes_forgotten: int = 0
    traces_erased: int = 0
    lifetimes: list[timedelta] = field(default_factory=list)
    is_gone: bool = False

    async def forget_full_buckets(self, now: datetime) -> int:
        self.tidied_at.append(now)
        self.stopped.set()
        if self.is_gone:
            raise StoreUnavailable(reason="gone")
        return 1

    async def forget_old_changes(self) -> None:
        self.changes_forgotten += 1

    async def discard(self, *, older_than: timedelta) -> int:
        assert self.traces_erased == 0, "what was destroyed leaves traces"
        self.lifetimes.append(older_than)
        return 1

    async def erase_traces(self) -> None:
        self.traces_erased += 1


def housekeeping(shelf: Shelf, clock: Clock) -> Housekeeping:
    return Housekeeping(
        buckets=shelf, changes=shelf, stored_keys=shelf, key_lifetime=MONTH, traces=shelf, clock=clock
    )


async def test_it_tidies_at_start_and_ends_when_told() -> None:
    shelf, clock = Shelf(), StoppedClock()

    await housekeeping(shelf, clock).run(shelf.stopped)

    assert shelf.tidied_at == [clock.now()]
    assert shelf.changes_forgotten == 1
    assert shelf.lifetimes == [MONTH]
    assert shelf.traces_erased == 1


async def test_a_lost_database_does_not_end_it(caplog: pytest.LogCaptureFixture) -> None:
    shelf = Shelf(is_gone=True)

    await housekeeping(shelf, StoppedClock()).run(shelf.stopped)

    assert "housekeeping has to wait" in caplog.text
