"""Is what was remembered still true? Follows what the database announces as taken away.

Every process remembers answers; any process, on any node, may make them untrue. So whatever is taken away or
loses its place is announced in its own transaction, under a generation, a number that only grows
(`store/migrations`), and each process asks once a second what was announced since it last asked.

How old can a remembered answer be? Let a revocation be committed at c.

1. An asking that begins at c or later reads the announcement, because both became visible together. What was
   remembered for the address is forgotten before the asking counts as done.
2. What was looked up before that, and is remembered only afterwards, is refused (`AnswerCache.remember`).
3. Remembered answers are given at a moment m only if the last asking that was done began at b >= m - TRUST.

So at any m > c + TRUST, b > c, and by 1 and 2 nothing is remembered that the revocation made untrue. The
bound needs neither a working database nor a working network, nor that this loop runs: where the askings
fail, remembering falls silent, and lookups ask the database themselves, or fail as it does. Clocks are
compared with nobody else's: b and m are of one monotonic clock, and c enters only as before and after.
"""

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Protocol

from directory.errors import StoreUnavailable

logger = logging.getLogger(__name__)

INTERVAL: Final = 1.0
"""Seconds between askings."""
TRUST: Final = 4.0
"""Seconds for which an asking vouches for what is remembered; three may fail before it falls silent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Changes:
    """What was announced since some generation."""

    generation: int
    """The last one that is in here."""
    address_keys: frozenset[str] | None
    """Whose certificates changed; None where it may be everybody's, or the rights of who asks."""


class ChangeLog(Protocol):
    """Tells what was announced."""

    async def since(self, generation: int | None) -> Changes:
        """Return what was announced after the generation; of None, everything.

        Raises:
            StoreUnavailable: the database does not answer.
        """
        ...


class Memory(Protocol):
    """Remembers what may have become untrue."""

    def forget(self, address_keys: frozenset[str]) -> None:
        """Forget what was remembered for these addresses, and what is being looked up now."""
        ...

    def forget_everything(self) -> None:
        """Forget all of it, and what is being looked up now."""
        ...


class ChangeFollower:
    """Keeps the memories of one process true."""

    def __init__(self, log: ChangeLog, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._log = log
        self._monotonic = monotonic
        self._memories: list[Memory] = []
        self._generation: int | None = None
        self._asked_at = float("-inf")

    def keep_true(self, memory: Memory) -> None:
        """Let this memory forget whatever is announced from now on."""
        self._memories.append(memory)

    def is_current(self) -> bool:
        """Whether what is remembered may be given as an answer at this moment."""
        return self._monotonic() - self._asked_at <= TRUST

    @property
    def age(self) -> float:
        """Seconds since the last asking that was done began; infinite before the first."""
        return self._monotonic() - self._asked_at

    async def ask(self) -> None:
        """Ask once what was announced, and let it be forgotten.

        Raises:
            StoreUnavailable: the database does not answer; nothing was forgotten.
        """
        began = self._monotonic()
        changes = await self._log.since(self._generation)
        for memory in self._memories:
            if changes.address_keys is None:
                memory.forget_everything()
            elif changes.address_keys:
                memory.forget(changes.address_keys)
        self._generation = changes.generation
        self._asked_at = began

    async def follow(self, stopped: asyncio.Event) -> None:
        """Ask once a second until told to stop; what fails is tried again the next time."""
        is_failing = False
        while not stopped.is_set():
            try:
                await self.ask()
                is_failing = False
            except StoreUnavailable as error:
                if not is_failing:
                    logger.warning("what was revoked cannot be found out: %s", error.reason)
                is_failing = True
            try:
                async with asyncio.timeout(INTERVAL):
                    await stopped.wait()
            except TimeoutError:
                continue
