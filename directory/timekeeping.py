"""Can the clock be believed? Nothing is signed by one that is in doubt; what exists is still answered.

A certificate that begins tomorrow, and a CRL that ended yesterday, are worse than none. The clock is in doubt
while

1. it shows a moment before one that this node has put on record: it was set back, or had run ahead before;
2. the database's own clock shows another time; or, on a database without one,
3. it has jumped since the process was started, against a clock that nobody sets.

The first ends when that moment is reached, or by an operator who says that the time is right now; the second
when the two agree; the third when the clock jumps back, or the service is started again.
"""

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Protocol

from directory.audit import AuditEvent, AuditKind
from directory.clock import Clock
from directory.errors import StoreUnavailable
from directory.rounds import set_within

logger = logging.getLogger(__name__)

TOLERANCE: Final = timedelta(minutes=5)
"""How far clocks may be apart: what is signed begins an hour early, so that nobody notices."""
INTERVAL: Final = timedelta(seconds=30)
"""How often a process compares."""
_MINUTE: Final = "%Y-%m-%d %H:%M"

Doubt = Callable[[], str | None]
"""Says why the clock is in doubt; None while it is not."""
SecondsPassed = Callable[[], float]
"""Tells seconds since some moment, by a clock that nobody can set."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Moments:
    """What others say about the time."""

    on_record: datetime | None
    """The latest moment that this node has put on record; None if nothing."""
    of_database: datetime | None
    """What the database's clock shows; None where that is our own."""


class MomentStore(Protocol):
    """Knows about the time."""

    async def moments(self) -> Moments:
        """Return what is known now.

        Raises:
            StoreUnavailable: the database does not answer.
        """
        ...

    async def accept(self, event: AuditEvent) -> None:
        """Take the event's moment for the present, whatever is on record, and let limits go by it."""
        ...


class AuditLog(Protocol):
    """Where it is put on record."""

    async def append(self, *events: AuditEvent) -> None:
        """Write events.

        Raises:
            StoreUnavailable: they were not written.
        """
        ...


def never_doubted() -> None:
    """Say that the clock is not in doubt, for whoever works without one that could be."""


def seconds_passed() -> float:
    """Return seconds since the machine has started, those included in which it was suspended."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Reading:
    """The clock and what passed, at the same moment."""

    shown: datetime
    passed: float


class Timekeeper:
    """Watches the clock of one process."""

    def __init__(
        self,
        *,
        node: str,
        store: MomentStore,
        log: AuditLog,
        clock: Clock,
        passed: SecondsPassed = seconds_passed,
    ) -> None:
        self._node = node
        self._store = store
        self._log = log
        self._clock = clock
        self._passed = passed
        self._moments = Moments(on_record=None, of_database=None)
        self._believed: _Reading | None = None
        self._compared: _Reading | None = None
        self._told: str | None = None

    def doubt(self) -> str | None:
        """Say why the clock is in doubt at this moment; None while it is not."""
        now = self._reading()
        on_record = self._moments.on_record
        if on_record is not None and on_record - now.shown > TOLERANCE:
            return f"the clock shows {now.shown:{_MINUTE}} UTC, but {on_record:{_MINUTE}} is on record"
        if self._moments.of_database is None:
            return self._against_itself(now)
        return self._against_database(now, self._moments.of_database)

    async def compare(self) -> None:
        """Compare the clock with what others say.

        Raises:
            StoreUnavailable: the database does not answer; what it has said before still counts.
        """
        self._moments = await self._store.moments()
        self._compared = self._reading()
        if self.doubt() is None:
            self._believed = self._compared

    async def look(self) -> None:
        """Compare, and put a doubt on record that begins.

        Raises:
            StoreUnavailable: as `compare`.
        """
        await self.compare()
        doubt = self.doubt()
        if doubt is not None and self._told is None:
            logger.error("nothing is signed, for the clock is in doubt: %s", doubt)
            await self._log.append(self._event(doubt))
        elif doubt is None and self._told is not None:
            logger.warning("the clock is no longer in doubt")
        self._told = doubt

    async def run(self, stopped: asyncio.Event) -> None:
        """Look again and again until told to stop; what fails is tried again next time."""
        while not await set_within(INTERVAL, stopped):
            try:
                await self.look()
            except StoreUnavailable as error:
                logger.warning("the clock cannot be compared: %s", error.reason)

    def _reading(self) -> _Reading:
        return _Reading(shown=self._clock.now(), passed=self._passed())

    def _against_database(self, now: _Reading, shown: datetime) -> str | None:
        before = self._compared
        if before is None:
            return None
        expected = shown + timedelta(seconds=now.passed - before.passed)
        if abs(now.shown - expected) <= TOLERANCE:
            return None
        return f"the clock shows {now.shown:{_MINUTE}} UTC, but the database's {expected:{_MINUTE}}"

    def _against_itself(self, now: _Reading) -> str | None:
        before = self._believed
        if before is None:
            return None
        expected = before.shown + timedelta(seconds=now.passed - before.passed)
        if abs(now.shown - expected) <= TOLERANCE:
            return None
        return f"the clock shows {now.shown:{_MINUTE}} UTC, but {expected:{_MINUTE}} has come"

    def _event(self, doubt: str) -> AuditEvent:
        return AuditEvent(
            kind=AuditKind.CLOCK_DOUBTED,
            at=self._clock.now(),
            actor="service",
            subject=f"node:{self._node}",
            detail={"because": doubt},
        )


class ClockAcceptance:
    """An operator who says that the clock is right."""

    def __init__(self, *, node: str, store: MomentStore, clock: Clock, actor: str) -> None:
        self._node = node
        self._store = store
        self._clock = clock
        self._actor = actor

    async def accept(self) -> datetime:
        """Take what the clock shows for the time from here on, and return it.

        Raises:
            StoreUnavailable: the database does not answer; nothing was changed.
        """
        now, moments = self._clock.now(), await self._store.moments()
        on_record = moments.on_record.isoformat() if moments.on_record else "nothing"
        await self._store.accept(
            AuditEvent(
                kind=AuditKind.CLOCK_ACCEPTED,
                at=now,
                actor=self._actor,
                subject=f"node:{self._node}",
                detail={"on_record": on_record},
            )
        )
        return now
