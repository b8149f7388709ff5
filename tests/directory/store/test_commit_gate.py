from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest

from directory.store.commit_gate import CommitGate

LONG = 30.0


def test_readers_are_inside_together() -> None:
    gate, both_inside = CommitGate(patience=LONG), Barrier(2, timeout=LONG)

    def read() -> None:
        with gate.reading():
            both_inside.wait()

    with ThreadPoolExecutor(2) as threads:
        for done in [threads.submit(read) for _ in range(2)]:
            done.result(LONG)


def test_the_committer_waits_until_the_readers_are_out() -> None:
    gate, order = CommitGate(patience=LONG), list[str]()

    def commit() -> None:
        with gate.committing():
            order.append("committing")

    with ThreadPoolExecutor(1) as thread:
        with gate.reading():
            done = thread.submit(commit)
            order.append("reading")
        done.result(LONG)

    assert order == ["reading", "committing"]


def test_readers_wait_until_the_commit_is_over() -> None:
    gate, order = CommitGate(patience=LONG), list[str]()

    def read() -> None:
        with gate.reading():
            order.append("reading")

    with ThreadPoolExecutor(4) as threads:
        with gate.committing():
            done = [threads.submit(read) for _ in range(4)]
            order.append("committing")
        for each in done:
            each.result(LONG)

    assert order == ["committing", *["reading"] * 4]


def test_nobody_waits_longer_than_his_patience() -> None:
    gate = CommitGate(patience=0.001)

    with gate.reading(), gate.committing(), gate.reading():
        order = "went on"

    assert order == "went on"


def test_a_reader_that_fails_does_not_stay_inside() -> None:
    gate = CommitGate(patience=LONG)

    with pytest.raises(LookupError), gate.reading():
        raise LookupError
    with gate.committing():
        is_alone = True

    assert is_alone
