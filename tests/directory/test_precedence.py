"""Mints go first, and mails are not held up for ever."""

import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import pytest

from directory.precedence import MintsFirst

PATIENCE = 10.0
"""Seconds after which a test gives up on a thread; reached only when something is wrong."""


class Time:
    """A clock that goes on when told, and tells when somebody has looked at it."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.looked_at = threading.Semaphore(0)

    def __call__(self) -> float:
        self.looked_at.release()
        return self.now


@pytest.mark.parametrize("under_way", [0, 1, 2])
def test_a_few_mints_hold_nobody_up(under_way: int) -> None:
    precedence = MintsFirst()
    with ExitStack() as mints:
        for _ in range(under_way):
            mints.enter_context(precedence.minting())
        precedence.give_way()


def test_a_burst_holds_a_mail_up_until_it_is_over() -> None:
    time = Time()
    precedence = MintsFirst(now=time)
    with ThreadPoolExecutor(1) as composing, ExitStack() as mints:
        for _ in range(4):
            mints.enter_context(precedence.minting())
        assert time.looked_at.acquire(timeout=PATIENCE)
        waiting = composing.submit(precedence.give_way)
        assert time.looked_at.acquire(timeout=PATIENCE)
        assert not waiting.done()
        mints.close()
        waiting.result(PATIENCE)


def test_a_mint_that_fails_is_over_as_well() -> None:
    precedence = MintsFirst(few=0)
    with pytest.raises(ZeroDivisionError), precedence.minting():
        _ = 1 / 0
    precedence.give_way()


def test_mints_that_are_many_for_two_minutes_hold_nobody_up_any_more() -> None:
    time = Time()
    precedence = MintsFirst(few=0, now=time)
    with precedence.minting():
        time.now += 120
        precedence.give_way()


def test_a_new_burst_has_its_own_two_minutes() -> None:
    time = Time()
    precedence = MintsFirst(few=0, now=time)
    with precedence.minting():
        time.now += 120
    with ThreadPoolExecutor(1) as composing:
        with precedence.minting():
            while time.looked_at.acquire(blocking=False):
                pass
            waiting = composing.submit(precedence.give_way)
            assert time.looked_at.acquire(timeout=PATIENCE)
            assert not waiting.done()
        waiting.result(PATIENCE)
