"""The pool's threads meet a workshop that makes a key only when the test says so: no sleeping, no luck."""

import os
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import TypeVar

import pytest

from ca.errors import KeyPoolClosed
from ca.keypool import KeyPool
from ca.keys import KeyAlgorithm, PrivateKey, algorithm_of, generate, to_pkcs8
from ca.keyshelf import Watermarks

_PATIENCE = 10.0
"""Seconds after which a test gives up on a thread; reached only when something is wrong."""

_Result = TypeVar("_Result")


class Workshop:
    """Makes real keys, each only after a permit, and tells when a thread has begun one."""

    def __init__(self) -> None:
        self.made: list[PrivateKey] = []
        self._begun = threading.Semaphore(0)
        self._permits = threading.Semaphore(0)

    def __call__(self, algorithm: KeyAlgorithm) -> PrivateKey:
        self._begun.release()
        assert self._permits.acquire(timeout=_PATIENCE)
        key = generate(algorithm)
        self.made.append(key)
        return key

    def wait_until_one_is_begun(self) -> None:
        assert self._begun.acquire(timeout=_PATIENCE)

    def permit(self, keys: int = 1) -> None:
        self._permits.release(keys)


@pytest.fixture
def workshop() -> Iterator[Workshop]:
    workshop = Workshop()
    yield workshop
    workshop.permit(1000)


def a_pool(make: Callable[[KeyAlgorithm], PrivateKey], *, target: int = 0, threads: int = 1) -> KeyPool:
    return KeyPool(KeyAlgorithm.P_256, marks=marks(target), threads=threads, generate=make)


def marks(high: int) -> Watermarks:
    return Watermarks(low=high // 2, high=high)


def level(pool: KeyPool, algorithm: KeyAlgorithm = KeyAlgorithm.P_256) -> int:
    return pool.levels[algorithm]


def closing(pool: KeyPool, workshop: Workshop) -> None:
    """Close the pool although its thread is waiting for a permit."""
    workshop.permit(100)
    pool.close()


def promptly(call: Callable[[], _Result]) -> _Result:
    """Run the call in a thread of its own, so that one that blocks fails the test."""
    with ThreadPoolExecutor(max_workers=1) as executor:
        return executor.submit(call).result(_PATIENCE)


def test_fills_itself_before_anybody_takes_a_key(workshop: Workshop) -> None:
    pool = a_pool(workshop, target=3).start()
    for ready in range(3):
        workshop.wait_until_one_is_begun()
        assert level(pool) == ready
        workshop.permit()
    keys = [pool.take(KeyAlgorithm.P_256).result(_PATIENCE) for _ in range(3)]
    assert keys == workshop.made[:3]
    closing(pool, workshop)


def test_a_key_taken_is_replaced(workshop: Workshop) -> None:
    pool = a_pool(workshop, target=1).start()
    workshop.wait_until_one_is_begun()
    workshop.permit()
    pool.take(KeyAlgorithm.P_256).result(_PATIENCE)
    workshop.wait_until_one_is_begun()
    closing(pool, workshop)


def test_rests_until_half_is_left_and_then_fills_itself_again(workshop: Workshop) -> None:
    pool = a_pool(workshop, target=4).start()
    for _ in range(4):
        workshop.wait_until_one_is_begun()
        workshop.permit()
    first = pool.take(KeyAlgorithm.P_256).result(_PATIENCE)
    assert pool.wanted(KeyAlgorithm.P_256) == 0

    second = pool.take(KeyAlgorithm.P_256).result(_PATIENCE)
    for ready in (2, 3):
        workshop.wait_until_one_is_begun()
        assert level(pool) == ready
        workshop.permit()
    assert [first, second] == workshop.made[:2]
    closing(pool, workshop)


def test_makes_no_more_than_was_taken_and_the_target() -> None:
    made: list[PrivateKey] = []

    def make(algorithm: KeyAlgorithm) -> PrivateKey:
        made.append(generate(algorithm))
        return made[-1]

    with a_pool(make, target=5, threads=3) as pool:
        for _ in range(20):
            pool.take(KeyAlgorithm.P_256).result(_PATIENCE)
    assert 20 <= len(made) <= 25


def test_gives_keys_of_its_algorithm() -> None:
    with KeyPool(KeyAlgorithm.P_256, marks=marks(0), threads=1) as pool:
        key = pool.take(KeyAlgorithm.RSA_2048).result(_PATIENCE)
    assert algorithm_of(key.public_key()) is KeyAlgorithm.RSA_2048


def test_serves_a_taker_although_the_target_is_zero(workshop: Workshop) -> None:
    pool = a_pool(workshop, target=0).start()
    taken = pool.take(KeyAlgorithm.P_256)
    workshop.wait_until_one_is_begun()
    assert not taken.done()
    workshop.permit()
    assert taken.result(_PATIENCE) is workshop.made[0]
    assert level(pool) == 0
    closing(pool, workshop)


def test_serves_first_who_came_first(workshop: Workshop) -> None:
    pool = a_pool(workshop).start()
    takers = [pool.take(KeyAlgorithm.P_256) for _ in range(3)]
    for served, taker in enumerate(takers, start=1):
        workshop.permit()
        assert taker.result(_PATIENCE) is workshop.made[-1]
        assert [other.done() for other in takers].count(True) == served
    closing(pool, workshop)


def test_a_taker_may_come_before_the_start(workshop: Workshop) -> None:
    pool = a_pool(workshop)
    taken = pool.take(KeyAlgorithm.P_256)
    workshop.permit()
    pool.start()
    assert taken.result(_PATIENCE) is workshop.made[0]
    pool.close()


def test_a_cancelled_taker_does_not_eat_the_key_of_the_next(workshop: Workshop) -> None:
    pool = a_pool(workshop).start()
    first, second = pool.take(KeyAlgorithm.P_256), pool.take(KeyAlgorithm.P_256)
    workshop.wait_until_one_is_begun()
    assert first.cancel()
    workshop.permit()
    assert second.result(_PATIENCE) is workshop.made[0]
    closing(pool, workshop)


def test_a_key_whose_taker_went_away_meanwhile_is_kept_for_the_next(workshop: Workshop) -> None:
    pool = a_pool(workshop).start()
    gone = pool.take(KeyAlgorithm.P_256)
    workshop.wait_until_one_is_begun()
    assert gone.cancel()
    workshop.permit()
    assert pool.take(KeyAlgorithm.P_256).result(_PATIENCE) is workshop.made[0]
    closing(pool, workshop)


def test_makes_no_key_for_a_cancelled_taker(workshop: Workshop) -> None:
    pool = a_pool(workshop, threads=2)
    gone, staying = pool.take(KeyAlgorithm.P_256), pool.take(KeyAlgorithm.P_256)
    assert gone.cancel()
    workshop.permit(10)
    pool.start()
    staying.result(_PATIENCE)
    pool.close()
    assert len(workshop.made) == 1


def test_gives_every_key_out_exactly_once() -> None:
    """Eight takers at once, a quarter of whom change their minds."""
    pool = KeyPool(KeyAlgorithm.P_256, marks=marks(10), threads=3)
    together = threading.Barrier(8)

    def take_some(taker: int) -> list[Future[PrivateKey]]:
        together.wait(_PATIENCE)
        futures = []
        for number in range(48):
            future = pool.take(KeyAlgorithm.P_256)
            if (number + taker) % 4 == 0:
                future.cancel()
            futures.append(future)
        return futures

    with pool, ThreadPoolExecutor(max_workers=8) as executor:
        futures = [future for futures in executor.map(take_some, range(8)) for future in futures]
        wait(futures, _PATIENCE)
    keys = [future.result() for future in futures if not future.cancelled()]
    assert len(keys) >= 8 * 36
    assert len({to_pkcs8(key) for key in keys}) == len(keys)


def test_threads_make_keys_side_by_side() -> None:
    """The barrier opens only when two threads are making keys at the same time."""
    together = threading.Barrier(2)

    def make(algorithm: KeyAlgorithm) -> PrivateKey:
        together.wait(_PATIENCE)
        return generate(algorithm)

    with a_pool(make, threads=2) as pool:
        first, second = pool.take(KeyAlgorithm.P_256), pool.take(KeyAlgorithm.P_256)
        assert first.result(_PATIENCE) is not second.result(_PATIENCE)


def test_nobody_waits_for_the_arithmetic(workshop: Workshop) -> None:
    pool = a_pool(workshop, target=1).start()
    workshop.wait_until_one_is_begun()
    assert promptly(lambda: level(pool)) == 0
    assert promptly(lambda: not pool.take(KeyAlgorithm.P_256).done())
    closing(pool, workshop)


def test_a_taker_may_take_another_key_as_soon_as_he_has_one() -> None:
    """The callback runs on the pool's own thread: a lock held there would never be released."""
    second: Future[Future[PrivateKey]] = Future()
    with KeyPool(KeyAlgorithm.P_256, marks=marks(0), threads=1) as pool:
        first = pool.take(KeyAlgorithm.P_256)
        first.add_done_callback(lambda _: second.set_result(pool.take(KeyAlgorithm.P_256)))
        assert second.result(_PATIENCE).result(_PATIENCE) is not None


def test_a_taker_may_close_the_pool_as_soon_as_he_has_a_key() -> None:
    closed = threading.Event()

    def close(_: Future[PrivateKey]) -> None:
        pool.close()
        closed.set()

    pool = KeyPool(KeyAlgorithm.P_256, marks=marks(0), threads=2).start()
    pool.take(KeyAlgorithm.P_256).add_done_callback(close)
    assert closed.wait(_PATIENCE)
    pool.close()


def test_closing_fails_the_takers_who_still_wait(workshop: Workshop) -> None:
    pool = a_pool(workshop).start()
    waiting = [pool.take(KeyAlgorithm.P_256) for _ in range(3)]
    workshop.wait_until_one_is_begun()
    with ThreadPoolExecutor(max_workers=1) as executor:
        closed = executor.submit(pool.close)
        for future in waiting:
            assert isinstance(future.exception(_PATIENCE), KeyPoolClosed)
        assert not closed.done()  # a key is still in the making
        workshop.permit()
        closed.result(_PATIENCE)
    assert level(pool) == 0


def test_closing_a_pool_that_was_never_started_fails_its_takers(workshop: Workshop) -> None:
    pool = a_pool(workshop)
    taken = pool.take(KeyAlgorithm.P_256)
    pool.close()
    assert isinstance(taken.exception(_PATIENCE), KeyPoolClosed)


def test_a_cancelled_taker_is_left_alone_by_closing(workshop: Workshop) -> None:
    pool = a_pool(workshop)
    taken = pool.take(KeyAlgorithm.P_256)
    taken.cancel()
    pool.close()
    assert taken.cancelled()


def test_a_closed_pool_gives_no_key() -> None:
    with KeyPool(KeyAlgorithm.P_256, marks=marks(2), threads=1) as pool:
        pool.take(KeyAlgorithm.P_256).result(_PATIENCE)
    assert level(pool) == 0
    assert isinstance(pool.take(KeyAlgorithm.P_256).exception(_PATIENCE), KeyPoolClosed)


def test_closing_twice_is_harmless() -> None:
    pool = KeyPool(KeyAlgorithm.P_256, marks=marks(1), threads=1).start()
    pool.close()
    pool.close()
    assert level(pool) == 0


def test_no_thread_is_left_after_closing() -> None:
    before = threading.active_count()
    with KeyPool(KeyAlgorithm.P_256, marks=marks(2), threads=3) as pool:
        pool.take(KeyAlgorithm.P_256).result(_PATIENCE)
        assert threading.active_count() == before + 3
    assert threading.active_count() == before


def test_a_pool_that_cannot_make_keys_fails_its_takers_and_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    reported: Future[type[BaseException]] = Future()
    monkeypatch.setattr(threading, "excepthook", lambda hook: reported.set_result(hook.exc_type))

    def fail(_: KeyAlgorithm) -> PrivateKey:
        raise MemoryError

    pool = a_pool(fail)
    first, second = pool.take(KeyAlgorithm.P_256), pool.take(KeyAlgorithm.P_256)
    pool.start()
    assert isinstance(first.exception(_PATIENCE), KeyPoolClosed)
    assert isinstance(second.exception(_PATIENCE), KeyPoolClosed)
    assert isinstance(pool.take(KeyAlgorithm.P_256).exception(_PATIENCE), KeyPoolClosed)
    assert reported.result(_PATIENCE) is MemoryError
    pool.close()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux gives each thread a priority of its own")
def test_its_threads_stand_back_and_the_others_do_not() -> None:
    niceness: Future[int] = Future()

    def make(algorithm: KeyAlgorithm) -> PrivateKey:
        niceness.set_result(os.getpriority(os.PRIO_PROCESS, threading.get_native_id()))
        return generate(algorithm)

    before = os.getpriority(os.PRIO_PROCESS, threading.get_native_id())
    with a_pool(make) as pool:
        pool.take(KeyAlgorithm.P_256).result(_PATIENCE)
    assert niceness.result(_PATIENCE) == min(before + 10, 19)
    assert os.getpriority(os.PRIO_PROCESS, threading.get_native_id()) == before


def test_refuses_a_pool_that_could_never_serve() -> None:
    with pytest.raises(ValueError, match="at least one thread"):
        KeyPool(KeyAlgorithm.P_256, marks=marks(0), threads=0)


def test_shows_its_levels_and_no_key(workshop: Workshop) -> None:
    assert repr(a_pool(workshop, target=7)) == "<KeyPool p-256 0>"


def test_has_a_shelf_for_each_algorithm_that_was_asked_for() -> None:
    with KeyPool(KeyAlgorithm.P_256, marks=marks(0), threads=1) as pool:
        assert set(pool.levels) == {KeyAlgorithm.P_256}
        pool.take(KeyAlgorithm.RSA_2048).result(_PATIENCE)
        assert set(pool.levels) == {KeyAlgorithm.P_256, KeyAlgorithm.RSA_2048}


def test_who_waits_comes_before_another_algorithms_shelf(workshop: Workshop) -> None:
    asked: list[KeyAlgorithm] = []

    def make(algorithm: KeyAlgorithm) -> PrivateKey:
        asked.append(algorithm)
        return workshop(KeyAlgorithm.P_256)

    pool = KeyPool(KeyAlgorithm.P_256, marks=marks(4), threads=1, generate=make)
    taken = pool.take(KeyAlgorithm.RSA_2048)
    pool.start()
    workshop.permit()
    taken.result(_PATIENCE)
    assert asked[0] is KeyAlgorithm.RSA_2048
    closing(pool, workshop)


def test_a_spare_key_is_made_when_the_shelf_is_full(workshop: Workshop) -> None:
    pool = a_pool(workshop, target=2)
    spare = pool.spare(KeyAlgorithm.P_256)
    pool.start()
    workshop.permit(3)
    assert spare.result(_PATIENCE) is workshop.made[2]
    assert level(pool) == 2
    closing(pool, workshop)


def test_whoever_waits_is_given_what_would_have_been_spare(workshop: Workshop) -> None:
    pool = a_pool(workshop).start()
    spare = pool.spare(KeyAlgorithm.P_256)
    workshop.wait_until_one_is_begun()
    taken = pool.take(KeyAlgorithm.P_256)
    workshop.permit()
    assert taken.result(_PATIENCE) is workshop.made[0]
    assert not spare.done()
    workshop.permit()
    assert spare.result(_PATIENCE) is workshop.made[1]
    closing(pool, workshop)


def test_what_is_brought_goes_to_who_waits_and_then_onto_the_shelf(workshop: Workshop) -> None:
    pool = a_pool(workshop, target=4)
    taken = pool.take(KeyAlgorithm.P_256)
    brought = [generate(KeyAlgorithm.P_256) for _ in range(3)]
    assert pool.wanted(KeyAlgorithm.P_256) == 5
    pool.bring(KeyAlgorithm.P_256, brought)
    assert taken.result(_PATIENCE) is brought[0]
    assert (level(pool), pool.wanted(KeyAlgorithm.P_256)) == (2, 2)
    assert pool.take(KeyAlgorithm.P_256).result(_PATIENCE) is brought[1]
    closing(pool, workshop)


def test_makes_none_for_the_shelf_while_somebody_brings_them(workshop: Workshop) -> None:
    pool = a_pool(workshop, target=4)
    pool.set_supplied(KeyAlgorithm.P_256, supplied=True)
    pool.start()
    taken = pool.take(KeyAlgorithm.P_256)
    workshop.permit(10)
    taken.result(_PATIENCE)
    spare = pool.spare(KeyAlgorithm.P_256).result(_PATIENCE)
    assert workshop.made == [taken.result(), spare]
    pool.set_supplied(KeyAlgorithm.P_256, supplied=False)
    for _ in range(4):
        workshop.wait_until_one_is_begun()
    closing(pool, workshop)


def test_tells_when_a_take_leaves_a_shelf_low(workshop: Workshop) -> None:
    pool = a_pool(workshop, target=2)
    pool.bring(KeyAlgorithm.P_256, [generate(KeyAlgorithm.P_256) for _ in range(3)])
    told: list[int] = []
    pool.on_low(lambda: told.append(level(pool)))
    for _ in range(3):
        pool.take(KeyAlgorithm.P_256)
    assert told == [1, 0]
    pool.close()


def test_a_closed_pool_forgets_what_is_brought() -> None:
    with KeyPool(KeyAlgorithm.P_256, marks=marks(0), threads=1) as pool:
        pass
    pool.bring(KeyAlgorithm.P_256, [generate(KeyAlgorithm.P_256)])
    assert level(pool) == 0
    assert isinstance(pool.spare(KeyAlgorithm.P_256).exception(_PATIENCE), KeyPoolClosed)
