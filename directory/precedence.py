"""Who goes first when a gateway waits for a mint, and a mail that can wait wants the processor as well?

Both are mostly arithmetic under the interpreter's lock, so one takes the time of the other. While more than a
few mints are under way, as in a burst, composing mails stands back: the mails are in the outbox, and lose
nothing but time. Not for ever: what has waited for two minutes takes its turns with the mints.
"""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

FEW: Final = 2
"""So many mints at once are no burst."""
_LONGEST_SECONDS: Final = 120.0


class MintsFirst:
    """Knows how many mints are under way, and holds up who can wait."""

    def __init__(self, *, few: int = FEW, now: Callable[[], float] = time.monotonic) -> None:
        self._few = few
        self._now = now
        self._changed = threading.Condition()
        self._under_way = 0
        self._busy_since = 0.0

    @contextmanager
    def minting(self) -> Iterator[None]:
        """Count one more mint as under way: one that has its key, and needs nothing but the processor."""
        with self._changed:
            self._under_way += 1
            if self._under_way == self._few + 1:
                self._busy_since = self._now()
        try:
            yield
        finally:
            with self._changed:
                self._under_way -= 1
                if self._under_way == self._few:
                    self._changed.notify_all()

    def give_way(self) -> None:
        """Return when only a few mints are under way, or they have been many for two minutes."""
        with self._changed:
            while self._under_way > self._few:
                left = self._busy_since + _LONGEST_SECONDS - self._now()
                if left <= 0:
                    return
                self._changed.wait(left)
