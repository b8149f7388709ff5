"""What has to be tidied now and then so that nothing grows without end? A loop beside everything else."""

import asyncio
import logging
from datetime import datetime, timedelta
from typing import Protocol

from directory.clock import Clock
from directory.errors import StoreUnavailable

logger = logging.getLogger(__name__)

INTERVAL = timedelta(hours=1)


class Buckets(Protocol):
    """The buckets of the limits."""

    async def forget_full_buckets(self, now: datetime) -> int:
        """Delete the buckets that have filled up again; return how many."""
        ...


class OldChanges(Protocol):
    """What was announced as taken away (`directory/changes.py`)."""

    async def forget_old_changes(self) -> None:
        """Delete what nobody will read any more."""
        ...


class Traces(Protocol):
    """Where what was overwritten or deleted may still be read."""

    async def erase_traces(self) -> None:
        """Overwrite it."""
        ...


class StoredKeys(Protocol):
    """The keys of the pool that are stored."""

    async def discard(self, *, older_than: timedelta) -> int:
        """Destroy those of that age; return how many."""
        ...


class Housekeeping:
    """Tidies at start and then once an hour."""

    def __init__(
        self,
        *,
        buckets: Buckets,
        changes: OldChanges,
        stored_keys: StoredKeys,
        key_lifetime: timedelta,
        traces: Traces,
        clock: Clock,
    ) -> None:
        self._buckets = buckets
        self._changes = changes
        self._stored_keys = stored_keys
        self._key_lifetime = key_lifetime
        self._traces = traces
        self._clock = clock

    async def run(self, stopped: asyncio.Event) -> None:
        """Tidy until told to stop; what fails is tried again next time."""
        while not stopped.is_set():
            await self.tidy()
            try:
                async with asyncio.timeout(INTERVAL.total_seconds()):
                    await stopped.wait()
            except TimeoutError:
                continue

    async def tidy(self) -> None:
        """Tidy once."""
        try:
            await self._buckets.forget_full_buckets(self._clock.now())
            await self._changes.forget_old_changes()
            await self._stored_keys.discard(older_than=self._key_lifetime)
            await self._traces.erase_traces()
        except StoreUnavailable as error:
            logger.warning("housekeeping has to wait: %s", error.reason)
