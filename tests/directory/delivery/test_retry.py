import random
from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from directory.delivery.retry import Backoff
from tests.directory.delivery.builders import NOW

MINUTE = timedelta(minutes=1)
FIVE_DAYS = NOW + timedelta(days=5)


def shortest(lower: float, _upper: float) -> float:
    return lower


def longest(_lower: float, upper: float) -> float:
    return upper


def pause_after(attempts: int, *, shortest_draw: bool) -> timedelta:
    next_attempt = Backoff().next_attempt(
        attempts=attempts,
        now=NOW,
        give_up_at=FIVE_DAYS,
        uniform=shortest if shortest_draw else longest,
    )
    assert next_attempt is not None
    return next_attempt - NOW


def test_the_first_retry_comes_after_one_to_two_minutes() -> None:
    assert pause_after(0, shortest_draw=True) == MINUTE
    assert pause_after(0, shortest_draw=False) == 2 * MINUTE


def test_pauses_double() -> None:
    assert [pause_after(n, shortest_draw=True) / MINUTE for n in range(7)] == [1, 2, 4, 8, 16, 32, 64]


def test_pauses_reach_half_an_hour_and_end_at_four_hours() -> None:
    assert pause_after(5, shortest_draw=True) >= 30 * MINUTE
    assert pause_after(50, shortest_draw=False) == timedelta(hours=4)
    assert pause_after(50, shortest_draw=True) == timedelta(hours=2)


def test_mails_that_failed_together_do_not_come_back_together() -> None:
    draw = random.Random(1).uniform  # noqa: S311 - a reproducible draw, not a secret
    moments = {
        Backoff().next_attempt(attempts=3, now=NOW, give_up_at=FIVE_DAYS, uniform=draw) for _ in range(100)
    }
    assert len(moments) == 100


def test_the_last_attempt_is_made_when_the_days_are_over() -> None:
    almost = FIVE_DAYS - timedelta(seconds=1)
    assert Backoff().next_attempt(attempts=40, now=almost, give_up_at=FIVE_DAYS, uniform=longest) == FIVE_DAYS


def test_gives_up_only_when_the_days_are_over() -> None:
    assert Backoff().next_attempt(attempts=0, now=FIVE_DAYS, give_up_at=FIVE_DAYS, uniform=longest) is None


@given(
    attempts=st.integers(0, 10**9),
    share=st.floats(0, 1),
    elapsed=st.timedeltas(timedelta(0), timedelta(days=6)),
)
def test_always_a_pause_within_bounds_or_the_end(attempts: int, share: float, elapsed: timedelta) -> None:
    now = NOW + elapsed
    next_attempt = Backoff().next_attempt(
        attempts=attempts,
        now=now,
        give_up_at=FIVE_DAYS,
        uniform=lambda lower, upper: lower + share * (upper - lower),
    )
    if now >= FIVE_DAYS:
        assert next_attempt is None
    else:
        assert next_attempt is not None
        assert now < next_attempt <= min(now + timedelta(hours=4), FIVE_DAYS)
