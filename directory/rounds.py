"""How does a task look again and again for what is due, until it is told to stop?

What goes wrong in one round is said, and does not end the task: the next round tries again.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import timedelta
from typing import TypeAlias

from directory.errors import StoreUnavailable

logger = logging.getLogger(__name__)

Uniform: TypeAlias = Callable[[float, float], float]
"""Draws a number between two others."""


class Rounds:
    """The rounds of one task, so far `apart` at most: processes that began together spread out by `uniform`.

    `failing` says what has to wait when a round fails.
    """

    def __init__(self, *, apart: timedelta, failing: str, uniform: Uniform = max) -> None:
        self._apart = apart
        self._failing = failing
        self._uniform = uniform
        self._stopped = asyncio.Event()

    async def run(self, look: Callable[[], Awaitable[object]]) -> None:
        """Look again and again until stopped, first when the first pause is over."""
        while not await set_within(self._uniform(0.5, 1.0) * self._apart, self._stopped):
            await self.attempt(look)

    async def attempt(self, look: Callable[[], Awaitable[object]]) -> None:
        """Look once; say what fails."""
        try:
            await look()
        except StoreUnavailable as error:
            logger.warning("%s: %s", self._failing, error.reason)
        except Exception as error:  # noqa: BLE001 - the top of a task that must not end
            # Its text, and its traceback, may hold anything.
            logger.error("%s: %s", self._failing, type(error).__name__)  # noqa: TRY400 - see above

    @property
    def is_stopped(self) -> bool:
        """Whether `run` ends, for a look that takes long to ask in between."""
        return self._stopped.is_set()

    def stop(self) -> None:
        """Let `run` end."""
        self._stopped.set()


async def end_within(time: timedelta, task: asyncio.Task[None]) -> None:
    """Wait for a task that was told to stop; what has not ended within that time is broken off."""
    await asyncio.wait({task}, timeout=time.total_seconds())
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


async def set_within(time: timedelta, event: asyncio.Event) -> bool:
    """Tell whether the event is set within that time, as soon as it is."""
    try:
        async with asyncio.timeout(time.total_seconds()):
            return await event.wait()
    except TimeoutError:
        return False
