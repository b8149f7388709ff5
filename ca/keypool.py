"""How is a fresh key at hand the moment a lookup needs one?

Background threads keep a few keys ready, because an RSA key takes longer to make than a lookup may take.
Knows nothing of certificates, nor of the event loop that may be waiting: it hands out plain futures.
"""

import os
import sys
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from types import TracebackType
from typing import Self

from ca import keys
from ca.errors import KeyPoolClosed
from ca.keys import KeyAlgorithm, PrivateKey

_STEP_BACK = 10
"""How much nicer the pool's threads are than those that answer lookups."""

_NICEST = 19


class KeyPool:
    """Keeps up to `target` fresh keys ready and gives each of them out exactly once, first come first served.

    It fills up to the target, rests until half of that is left, and fills up again: while it rests, the cores
    are the lookups' alone, whose bursts are mostly shorter than half a pool.

    When the pool is empty a taker waits for the next key made; with a target of 0 keys are made on demand
    only. Keys are generated outside the lock, so taking one never waits for arithmetic.
    """

    def __init__(
        self,
        algorithm: KeyAlgorithm,
        *,
        target: int,
        threads: int,
        generate: Callable[[KeyAlgorithm], PrivateKey] = keys.generate,
    ) -> None:
        if target < 0 or threads < 1:
            raise ValueError("a key pool needs a target of at least 0 and at least one thread")
        self._algorithm = algorithm
        self._target = target
        self._generate = generate
        self._changed = threading.Condition()
        # Guarded by `_changed`. While a live future waits, no key is ready; `_in_making` are on their way.
        self._ready: deque[PrivateKey] = deque()
        self._waiting: deque[Future[PrivateKey]] = deque()
        self._in_making = 0
        self._filling = target > 0
        self._closed = False
        self._threads = [
            threading.Thread(target=self._work, name=f"keypool-{algorithm}-{number}", daemon=True)
            for number in range(threads)
        ]

    def __repr__(self) -> str:
        return f"<KeyPool {self._algorithm} {self.level}/{self._target}>"

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
    def level(self) -> int:
        """How many keys are ready to be taken at once."""
        with self._changed:
            return len(self._ready)

    def take(self) -> Future[PrivateKey]:
        """Claim one key: the future is done at once if the pool holds one.

        Cancel the future to give up the place in the queue; the key then goes to the next taker. The
        future fails with `KeyPoolClosed` when the pool closes, or is closed already.
        """
        future: Future[PrivateKey] = Future()
        with self._changed:
            if not self._closed and not self._ready:
                self._waiting.append(future)
                self._changed.notify_all()
                return future
            key = None if self._closed else self._ready.popleft()
            self._changed.notify_all()
        if key is None:
            future.set_exception(KeyPoolClosed())
        else:
            future.set_result(key)
        return future

    def _work(self) -> None:
        """Make keys until the pool closes: the body of each thread."""
        try:
            _stand_back()
            while self._wait_until_a_key_is_wanted():
                self._make_one()
        finally:
            # Closed already, unless an error ends the thread: then nobody may be left waiting for its keys.
            self._shut()

    def _wait_until_a_key_is_wanted(self) -> bool:
        """Promise to make one key, or learn that the pool is closed."""
        with self._changed:
            self._changed.wait_for(lambda: self._closed or self._shortage() > 0)
            if self._closed:
                return False
            self._in_making += 1
            self._filling = self._filling and self._stock() < self._target
            return True

    def _shortage(self) -> int:
        """How many keys must still be started: for every taker, and to fill the pool while it fills."""
        stock = self._stock()
        self._filling = self._filling or stock <= self._target // 2
        return (self._target if self._filling else 0) - stock

    def _stock(self) -> int:
        """How many keys will be left when every taker has his; less than none if more must be started."""
        takers = sum(not future.cancelled() for future in self._waiting)
        return len(self._ready) + self._in_making - takers

    def _make_one(self) -> None:
        """Generate a key and give it to the taker who has waited longest, or keep it ready."""
        key = self._generate(self._algorithm)  # no lock is held here
        with self._changed:
            self._in_making -= 1
            taker = self._next_taker()
            if taker is None and not self._closed:
                self._ready.append(key)
        if taker is not None:
            # Outside the lock: the future calls its callbacks, and those may call us.
            taker.set_result(key)

    def _next_taker(self) -> Future[PrivateKey] | None:
        """Take the first live future off the queue; from here on it can no longer be cancelled."""
        while self._waiting:
            future = self._waiting.popleft()
            if future.set_running_or_notify_cancel():
                return future
        return None

    def _shut(self) -> None:
        with self._changed:
            self._closed = True
            self._ready.clear()
            stranded = []
            while (future := self._next_taker()) is not None:
                stranded.append(future)
            self._changed.notify_all()
        for future in stranded:
            future.set_exception(KeyPoolClosed())


def _stand_back() -> None:
    """Lower the priority of the calling thread, where the platform gives threads one of their own."""
    if sys.platform == "linux":
        # On Linux the nice value is the thread's; elsewhere the process's, which would slow the answers.
        thread = threading.get_native_id()
        niceness = os.getpriority(os.PRIO_PROCESS, thread) + _STEP_BACK
        os.setpriority(os.PRIO_PROCESS, thread, min(niceness, _NICEST))
