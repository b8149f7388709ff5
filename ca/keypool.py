"""How is a fresh key at hand the moment a lookup needs one?

Background threads keep a few keys of each algorithm ready, because an RSA key takes longer to make than a
lookup may take. Knows nothing of certificates, nor of the event loop that may be waiting: it hands out plain
futures. Nor does it know where keys come from that were made earlier; somebody brings them.
"""

import os
import sys
import threading
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future
from types import TracebackType
from typing import Self

from ca import keys
from ca.errors import KeyPoolClosed
from ca.keys import KeyAlgorithm, PrivateKey
from ca.keyshelf import KeyShelf, Watermarks

_STEP_BACK = 10
"""How much nicer the pool's threads are than those that answer lookups."""

_NICEST = 19


class KeyPool:
    """Keeps fresh keys ready and gives each of them out exactly once, first come first served.

    There is a shelf for each algorithm, made when somebody first asks for it; that of `algorithm` is there
    from the start. All of them share the threads: who waits comes before any shelf, and a shelf before who
    would only like a spare key. When a shelf is empty a taker waits for the next key made, or brought. Keys
    are generated outside the lock, so taking one never waits for arithmetic.
    """

    def __init__(
        self,
        algorithm: KeyAlgorithm,
        *,
        marks: Watermarks,
        threads: int,
        generate: Callable[[KeyAlgorithm], PrivateKey] = keys.generate,
    ) -> None:
        if threads < 1:
            raise ValueError("a key pool needs at least one thread")
        self._marks = marks
        self._generate = generate
        self._changed = threading.Condition()
        # Guarded by `_changed`.
        self._shelves = {algorithm: KeyShelf(marks)}
        self._closed = False
        self._on_low: Callable[[], None] = _tell_nobody
        self._threads = [
            threading.Thread(target=self._work, name=f"keypool-{number}", daemon=True)
            for number in range(threads)
        ]

    def __repr__(self) -> str:
        return f"<KeyPool {', '.join(f'{name} {level}' for name, level in self.levels.items())}>"

    def start(self) -> Self:
        """Begin to fill the pool."""
        for thread in self._threads:
            thread.start()
        return self

    def close(self) -> None:
        """Forget the keys at hand and fail every waiting taker; on return no thread of the pool runs.

        Waits for keys in the making, up to a second for RSA-4096. Closing twice is harmless.
        """
        self._shut()
        for thread in self._threads:
            # A taker's callback runs on the pool's own thread and may well close the pool.
            if thread.is_alive() and thread is not threading.current_thread():
                thread.join()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def levels(self) -> Mapping[KeyAlgorithm, int]:
        """How many keys of each algorithm that was ever asked for are ready to be taken at once."""
        with self._changed:
            return {algorithm: shelf.level for algorithm, shelf in self._shelves.items()}

    def take(self, algorithm: KeyAlgorithm) -> Future[PrivateKey]:
        """Claim one key: the future is done at once if the pool holds one.

        Cancel the future to give up the place in the queue; the key then goes to the next taker. The
        future fails with `KeyPoolClosed` when the pool closes, or is closed already.
        """
        future: Future[PrivateKey] = Future()
        with self._changed:
            closed = self._closed
            shelf = self._shelf(algorithm)
            key = None if closed else shelf.take(future)
            is_low = not closed and shelf.wanted_from_supply() > 0
            self._changed.notify_all()
        if closed:
            future.set_exception(KeyPoolClosed())
        elif key is not None:
            future.set_result(key)
        if is_low:
            self._on_low()
        return future

    def spare(self, algorithm: KeyAlgorithm) -> Future[PrivateKey]:
        """Ask for a new key that nobody waits for and the shelf has no room for; else as `take`."""
        future: Future[PrivateKey] = Future()
        with self._changed:
            closed = self._closed
            if not closed:
                self._shelf(algorithm).ask_for_spare(future)
                self._changed.notify_all()
        if closed:
            future.set_exception(KeyPoolClosed())
        return future

    def bring(self, algorithm: KeyAlgorithm, made_earlier: Iterable[PrivateKey]) -> None:
        """Add keys that were made earlier, and given to nobody. A closed pool forgets them."""
        served = []
        with self._changed:
            for key in () if self._closed else made_earlier:
                taker = self._shelf(algorithm).put(key)
                if taker is not None:
                    served.append((taker, key))
        for taker, key in served:
            # Outside the lock: the future calls its callbacks, and those may call us.
            taker.set_result(key)

    def wanted(self, algorithm: KeyAlgorithm) -> int:
        """How many keys that were made earlier it would take: none while the shelf rests."""
        with self._changed:
            return 0 if self._closed else self._shelf(algorithm).wanted_from_supply()

    def set_supplied(self, algorithm: KeyAlgorithm, *, supplied: bool) -> None:
        """Say whether somebody brings keys as they are wanted: then none are made to fill the shelf."""
        with self._changed:
            self._shelf(algorithm).is_supplied = supplied
            self._changed.notify_all()

    def on_low(self, tell: Callable[[], None]) -> None:
        """Have this called after each take that leaves keys `wanted`, in the taker's thread."""
        self._on_low = tell

    def _shelf(self, algorithm: KeyAlgorithm) -> KeyShelf:
        return self._shelves.setdefault(algorithm, KeyShelf(self._marks))

    def _work(self) -> None:
        """Make keys until the pool closes: the body of each thread."""
        try:
            _stand_back()
            while (algorithm := self._wait_until_a_key_is_wanted()) is not None:
                self._make_one(algorithm)
        finally:
            # Closed already, unless an error ends the thread: then nobody may be left waiting for its keys.
            self._shut()

    def _wait_until_a_key_is_wanted(self) -> KeyAlgorithm | None:
        """Promise to make one key, or learn that the pool is closed."""
        with self._changed:
            while not self._closed:
                algorithm = self._most_urgent()
                if algorithm is not None:
                    self._shelves[algorithm].begin_one()
                    return algorithm
                self._changed.wait()
            return None

    def _most_urgent(self) -> KeyAlgorithm | None:
        for is_wanted in (KeyShelf.wants_for_takers, KeyShelf.wants_to_fill, KeyShelf.wants_spare):
            for algorithm, shelf in self._shelves.items():
                if is_wanted(shelf):
                    return algorithm
        return None

    def _make_one(self, algorithm: KeyAlgorithm) -> None:
        """Generate a key and give it to whom it is owed, or keep it ready."""
        key = self._generate(algorithm)  # no lock is held here
        with self._changed:
            owed = None if self._closed else self._shelves[algorithm].put_new(key)
        if owed is not None:
            # Outside the lock: the future calls its callbacks, and those may call us.
            owed.set_result(key)

    def _shut(self) -> None:
        with self._changed:
            self._closed = True
            stranded = [future for shelf in self._shelves.values() for future in shelf.clear()]
            self._changed.notify_all()
        for future in stranded:
            future.set_exception(KeyPoolClosed())


def _tell_nobody() -> None:
    """Do nothing."""


def _stand_back() -> None:
    """Lower the priority of the calling thread, where the platform gives threads one of their own."""
    if sys.platform == "linux":
        # On Linux the nice value is the thread's; elsewhere the process's, which would slow the answers.
        thread = threading.get_native_id()
        niceness = os.getpriority(os.PRIO_PROCESS, thread) + _STEP_BACK
        os.setpriority(os.PRIO_PROCESS, thread, min(niceness, _NICEST))
