"""What does the pool have, and owe, of one algorithm? A shelf: plain book-keeping without threads or locks.

Keys go first to those who wait, then onto the shelf up to its high watermark, then to those who asked for a
spare one. Knows nothing of who makes them, nor how long that takes.
"""

from collections import deque
from concurrent.futures import Future
from dataclasses import dataclass

from ca.keys import PrivateKey


@dataclass(frozen=True, slots=True, kw_only=True)
class Watermarks:
    """Between which levels a shelf rests: it is filled up to `high`, and again when only `low` are left.

    While it rests the cores are the lookups' alone, whose bursts are mostly shorter than what lies between.
    With a `high` of 0 keys are made on demand only.
    """

    low: int
    high: int

    def __post_init__(self) -> None:
        if not (0 <= self.low < self.high or self.low == self.high == 0):
            raise ValueError("watermarks: 0 <= low < high, or both 0")


class KeyShelf:
    """The keys of one algorithm that are ready, in making, or owed. Its owner guards it with a lock."""

    def __init__(self, marks: Watermarks) -> None:
        self._marks = marks
        # While a live future waits, no key is ready.
        self._ready: deque[PrivateKey] = deque()
        self._waiting: deque[Future[PrivateKey]] = deque()
        self._spare: deque[Future[PrivateKey]] = deque()
        self._in_making = 0
        self._filling = marks.high > 0
        self.is_supplied = False
        """Whether somebody brings keys that were made earlier: then none are made to fill the shelf."""

    @property
    def level(self) -> int:
        """How many keys are ready."""
        return len(self._ready)

    def take(self, taker: Future[PrivateKey]) -> PrivateKey | None:
        """Return a ready key, or None: then the taker is in the queue."""
        if self._ready:
            return self._ready.popleft()
        self._waiting.append(taker)
        return None

    def ask_for_spare(self, asker: Future[PrivateKey]) -> None:
        """Promise a key that is made when there is nothing better to do."""
        self._spare.append(asker)

    def begin_one(self) -> None:
        """Note that one more key is in making."""
        self._in_making += 1
        self._rest_when_full()

    def wants_for_takers(self) -> bool:
        """Whether a key must be begun because somebody waits."""
        return _live(self._waiting) > self._in_making

    def wants_to_fill(self) -> bool:
        """Whether a key must be begun so that the shelf is filled."""
        return not self.is_supplied and self._shortage() > 0

    def wants_spare(self) -> bool:
        """Whether a key may be begun because somebody would like one, once the shelf is full."""
        spare = _live(self._spare)
        return spare > 0 and _live(self._waiting) + self._missing() + spare > self._in_making

    def wanted_from_supply(self) -> int:
        """How many keys that were made earlier are to be brought: enough for every taker, and to fill up."""
        return max(0, self._shortage() + self._in_making)

    def put(self, key: PrivateKey) -> Future[PrivateKey] | None:
        """Take in a key that was made earlier: return the taker whose it is, or keep it and return None."""
        taker = _next_live(self._waiting)
        if taker is None:
            self._keep(key)
        return taker

    def put_new(self, key: PrivateKey) -> Future[PrivateKey] | None:
        """Take in the key whose making has just ended: likewise, and what the shelf lacks not is spare."""
        self._in_making -= 1
        owed = _next_live(self._waiting)
        if owed is None and self._missing() == 0:
            owed = _next_live(self._spare)
        if owed is None:
            self._keep(key)
        return owed

    def clear(self) -> list[Future[PrivateKey]]:
        """Forget every key; return who was promised one."""
        self._ready.clear()
        stranded = []
        for queue in (self._waiting, self._spare):
            while (future := _next_live(queue)) is not None:
                stranded.append(future)
        return stranded

    def _keep(self, key: PrivateKey) -> None:
        self._ready.append(key)
        self._rest_when_full()

    def _missing(self) -> int:
        """How many keys the shelf can hold that are to be made for it."""
        return 0 if self.is_supplied else max(0, self._marks.high - len(self._ready))

    def _stock(self) -> int:
        """How many keys will be left when every taker has his; less than none if more must be begun."""
        return len(self._ready) + self._in_making - _live(self._waiting)

    def _shortage(self) -> int:
        stock = self._stock()
        self._filling = self._filling or (self._marks.high > 0 and stock <= self._marks.low)
        return (self._marks.high if self._filling else 0) - stock

    def _rest_when_full(self) -> None:
        self._filling = self._filling and self._stock() < self._marks.high


def _live(queue: deque[Future[PrivateKey]]) -> int:
    return sum(not future.cancelled() for future in queue)


def _next_live(queue: deque[Future[PrivateKey]]) -> Future[PrivateKey] | None:
    """Take the first live future off the queue; from here on it can no longer be cancelled."""
    while queue:
        future = queue.popleft()
        if future.set_running_or_notify_cancel():
            return future
    return None
