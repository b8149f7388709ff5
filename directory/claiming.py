"""How is work that is due taken from the database, so much at a time, until the service stops? By claims.

A claim is a lease: whoever dies with it loses it in time, and the work is due again. What the work is, mails
or calls of webhooks, and what becomes of it, is for whoever is given it.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Generic, Protocol, TypeAlias, TypeVar

from directory.clock import Clock
from directory.errors import StoreUnavailable
from directory.faults import log_failure

logger = logging.getLogger(__name__)

Work = TypeVar("Work")
Work_co = TypeVar("Work_co", covariant=True)

Wait: TypeAlias = Callable[[asyncio.Event, timedelta], Awaitable[None]]
"""Returns when the event is set, or the period is over."""

_SHORTEST_PAUSE = timedelta(milliseconds=100)
"""Between two looks at the database that found nothing, should clocks disagree about what is due."""
_CUT_OFF_AGAIN_SECONDS = 0.1


class Claims(Protocol[Work_co]):
    """The work that is due."""

    async def claim_due(
        self, *, worker: str, now: datetime, lease_until: datetime, most: int
    ) -> Sequence[Work_co]:
        """Claim up to `most` of what is due and nobody else has claimed."""
        ...

    async def next_due(self) -> datetime | None:
        """Return when the next is due or its claim runs out; None if there is none."""
        ...

    async def release_claims(self, *, worker: str) -> None:
        """Give up the claims of this worker: it has just been started, or stopped, and works on none."""
        ...


class Pace(Protocol):
    """How much at a time, and how often one looks."""

    @property
    def in_flight(self) -> int:
        """How many are worked on at a time."""
        ...

    @property
    def lease(self) -> timedelta:
        """How long a claim lasts; longer than any work."""
        ...

    @property
    def poll(self) -> timedelta:
        """How often one looks when nobody notifies."""
        ...

    @property
    def stopping(self) -> timedelta:
        """How long what is in flight may take to finish when the service stops."""
        ...


async def wait_until_set(event: asyncio.Event, longest: timedelta) -> None:
    """Return when the event is set, or the period is over."""
    try:
        async with asyncio.timeout(longest.total_seconds()):
            await event.wait()
    except TimeoutError:
        return


class ClaimLoop(Generic[Work]):
    """Claims what is due and has it worked on.

    `worker` is its own name among all that work on the same database, and the same after a restart. `name`
    and `source` are what the log calls it, and what it claims from. `looks_again` tells whether to look for
    more at once, when one has landed and so many are left in flight.
    """

    def __init__(
        self,
        *,
        worker: str,
        name: str,
        source: str,
        claims: Claims[Work],
        begin: Callable[[Work, datetime], Coroutine[None, None, None]],
        looks_again: Callable[[int], bool],
        pace: Pace,
        clock: Clock,
        wait: Wait,
    ) -> None:
        self._worker = worker
        self._name = name
        self._source = source
        self._claims = claims
        self._begin = begin
        self._looks_again = looks_again
        self._pace = pace
        self._clock = clock
        self._wait = wait
        self._wake = asyncio.Event()
        self._stopping = asyncio.Event()
        self._in_flight: set[asyncio.Task[None]] = set()
        self._promised = 0
        """Room kept for work that is being recorded, claimed from the beginning."""
        self._former_claims_released = False

    @property
    def is_stopping(self) -> bool:
        """Whether nothing more is to be begun."""
        return self._stopping.is_set()

    def notify(self) -> None:
        """Say that something may be due; called on the event loop."""
        self._wake.set()

    def stop(self) -> None:
        """Let `run` return: nothing more is claimed, what is in flight may finish."""
        self._stopping.set()
        self._wake.set()

    async def wait_for_stop(self, longest: timedelta) -> None:
        """Return when told to stop, or the period is over."""
        await self._wait(self._stopping, longest)

    @contextmanager
    def room(self, now: datetime) -> Iterator[datetime | None]:
        """Keep room for one more, and tell until when it may be claimed; None if it has to wait its turn."""
        if self.is_stopping or not self._former_claims_released or self._room_left < 1:
            yield None
            return
        self._promised += 1
        try:
            yield now + self._pace.lease
        finally:
            self._promised -= 1

    def take_up(self, work: Coroutine[None, None, None]) -> None:
        """Begin with what has been claimed for this worker already."""
        task = asyncio.create_task(work, name=self._name)
        self._in_flight.add(task)
        task.add_done_callback(self._landed)

    async def run(self) -> None:
        """Have everything worked on that is due, until told to stop. Runs once."""
        try:
            while not self.is_stopping:
                self._wake.clear()
                pause = await self._guarded_round()
                await self._wait(self._wake, pause)
        finally:
            await self._finish()

    async def _guarded_round(self) -> timedelta:
        """Claim what there is room for; whatever goes wrong with it, the loop goes on."""
        try:
            return await self._round()
        except StoreUnavailable as error:
            logger.warning("%s is unavailable: %s", self._source, error.reason)
        except Exception as error:  # noqa: BLE001 - the top loop
            log_failure(self._name, error)
        return self._pace.poll

    async def _round(self) -> timedelta:
        """Claim as much as there is room for and begin with it; return how long to wait."""
        if not self._former_claims_released:
            await self._claims.release_claims(worker=self._worker)
            self._former_claims_released = True
        room = self._room_left
        if room < 1:
            return self._pace.poll
        now = self._clock.now()
        lease_until = now + self._pace.lease
        claimed = await self._claims.claim_due(
            worker=self._worker, now=now, lease_until=lease_until, most=room
        )
        for one in claimed:
            self.take_up(self._begin(one, lease_until))
        if len(claimed) == room:
            # There is probably more; look again as soon as there is room.
            return self._pace.poll
        due = await self._claims.next_due()
        until_due = self._pace.poll if due is None else due - self._clock.now()
        return max(_SHORTEST_PAUSE, min(until_due, self._pace.poll))

    @property
    def _room_left(self) -> int:
        return self._pace.in_flight - len(self._in_flight) - self._promised

    def _landed(self, task: asyncio.Task[None]) -> None:
        self._in_flight.discard(task)
        if self._looks_again(len(self._in_flight)):
            self._wake.set()
        if not task.cancelled() and (error := task.exception()) is not None:
            log_failure(self._name, error)

    async def _finish(self) -> None:
        """Let what is in flight finish within bounds, cut the rest off, and leave nothing claimed."""
        if self._in_flight:
            await asyncio.wait(self._in_flight, timeout=self._pace.stopping.total_seconds())
        # More than once: `wait_for` of Python 3.11, under every reply that aiosmtplib waits for, forgets a
        # cancellation that meets the reply.
        while self._in_flight:
            for task in self._in_flight:
                task.cancel()
            await asyncio.wait(self._in_flight, timeout=_CUT_OFF_AGAIN_SECONDS)
        try:
            await self._claims.release_claims(worker=self._worker)
        except StoreUnavailable as error:
            logger.warning("%s is unavailable, claims run out by themselves: %s", self._source, error.reason)
