"""The book-keeping of one algorithm's keys, without threads."""

from concurrent.futures import Future

import pytest

from ca.keys import KeyAlgorithm, PrivateKey, generate
from ca.keyshelf import KeyShelf, Watermarks


def a_shelf(*, low: int = 1, high: int = 3) -> KeyShelf:
    return KeyShelf(Watermarks(low=low, high=high))


def a_key() -> PrivateKey:
    return generate(KeyAlgorithm.P_256)


def make(shelf: KeyShelf, keys: int = 1) -> None:
    for _ in range(keys):
        shelf.begin_one()
        assert shelf.put_new(a_key()) is None


@pytest.mark.parametrize(("low", "high"), [(-1, 1), (0, -1), (1, 1), (2, 1), (1, 0)])
def test_refuses_watermarks_between_which_nothing_lies(low: int, high: int) -> None:
    with pytest.raises(ValueError, match="low < high"):
        Watermarks(low=low, high=high)


def test_a_shelf_without_room_wants_nothing() -> None:
    shelf = a_shelf(low=0, high=0)
    assert not shelf.wants_to_fill()
    assert shelf.wanted_from_supply() == 0


def test_rests_between_its_watermarks_and_fills_up_from_the_low_one() -> None:
    shelf = a_shelf(low=1, high=3)
    make(shelf, 3)
    assert not shelf.wants_to_fill()
    assert shelf.take(Future()) is not None
    assert not shelf.wants_to_fill()
    assert shelf.take(Future()) is not None
    assert shelf.wants_to_fill()
    make(shelf)
    assert shelf.wants_to_fill()
    make(shelf)
    assert not shelf.wants_to_fill()


def test_a_key_in_making_counts() -> None:
    shelf = a_shelf(low=0, high=1)
    shelf.begin_one()
    assert not shelf.wants_to_fill()


def test_wants_one_key_for_each_taker() -> None:
    shelf = a_shelf(low=0, high=0)
    takers: list[Future[PrivateKey]] = [Future(), Future()]
    for taker in takers:
        assert shelf.take(taker) is None
    shelf.begin_one()
    assert shelf.wants_for_takers()
    shelf.begin_one()
    assert not shelf.wants_for_takers()
    assert shelf.put_new(a_key()) is takers[0]
    assert shelf.put(a_key()) is takers[1]


def test_wants_as_many_spare_keys_as_were_asked_for() -> None:
    shelf = a_shelf(low=0, high=0)
    spare: Future[PrivateKey] = Future()
    assert not shelf.wants_spare()
    shelf.ask_for_spare(spare)
    assert shelf.wants_spare()
    shelf.begin_one()
    assert not shelf.wants_spare()
    assert shelf.put_new(a_key()) is spare


def test_wants_no_spare_key_for_who_has_gone_away() -> None:
    shelf = a_shelf(low=0, high=0)
    spare: Future[PrivateKey] = Future()
    shelf.ask_for_spare(spare)
    spare.cancel()
    assert not shelf.wants_spare()


def test_what_is_brought_does_not_go_to_who_would_like_a_new_one() -> None:
    shelf = a_shelf()
    shelf.ask_for_spare(Future())
    assert shelf.put(a_key()) is None
    assert shelf.level == 1
