from datetime import UTC, datetime, timedelta

from directory.http.pages.guesses import WRONG_GUESSES, GuessLimit
from directory.limits import Rate

NOW = datetime(2026, 11, 22, 9, 30, tzinfo=UTC)
THREE_A_MINUTE = Rate(burst=3, period=timedelta(minutes=1))


def guess(limit: GuessLimit, address: str | None, now: datetime = NOW, times: int = 3) -> None:
    for _ in range(times):
        assert not limit.is_used_up(address, now)
        limit.count(address, now)


def test_listens_as_often_as_the_rate_says_and_then_no_more() -> None:
    limit = GuessLimit()
    guess(limit, "192.0.2.7", times=WRONG_GUESSES.burst)

    assert limit.is_used_up("192.0.2.7", NOW)


def test_listens_again_after_a_while() -> None:
    limit = GuessLimit(rate=THREE_A_MINUTE)
    guess(limit, "192.0.2.7")

    assert limit.is_used_up("192.0.2.7", NOW + timedelta(seconds=19))
    assert not limit.is_used_up("192.0.2.7", NOW + timedelta(seconds=20))


def test_one_peer_does_not_use_up_anothers() -> None:
    limit = GuessLimit(rate=THREE_A_MINUTE)
    guess(limit, "192.0.2.7")

    assert not limit.is_used_up("192.0.2.8", NOW)


def test_a_network_of_ipv6_is_one_peer_however_many_addresses_it_uses() -> None:
    limit = GuessLimit(rate=THREE_A_MINUTE)
    for last in range(3):
        guess(limit, f"2001:db8::{last}", times=1)

    assert limit.is_used_up("2001:db8::ffff:1", NOW)
    assert not limit.is_used_up("2001:db8:0:1::1", NOW)


def test_all_whose_address_is_not_certain_are_one() -> None:
    limit = GuessLimit(rate=THREE_A_MINUTE)
    guess(limit, None)

    assert limit.is_used_up(None, NOW)


def test_a_guess_beyond_the_limit_does_not_break_it() -> None:
    limit = GuessLimit(rate=THREE_A_MINUTE)
    guess(limit, "192.0.2.7")
    limit.count("192.0.2.7", NOW)

    assert limit.is_used_up("192.0.2.7", NOW)
    assert not limit.is_used_up("192.0.2.7", NOW + timedelta(minutes=2))


def test_remembers_only_so_many_and_forgets_the_quiet_first() -> None:
    limit = GuessLimit(rate=THREE_A_MINUTE, most_remembered=2)
    guess(limit, "192.0.2.1")
    later = NOW + timedelta(seconds=50)
    guess(limit, "192.0.2.2", later)
    guess(limit, "192.0.2.3", later + timedelta(seconds=20))

    assert limit.is_used_up("192.0.2.2", later)
    assert limit.is_used_up("192.0.2.3", later + timedelta(seconds=20))


def test_where_nobody_is_quiet_forgets_who_guessed_least_recently() -> None:
    limit = GuessLimit(rate=THREE_A_MINUTE, most_remembered=2)
    for last in (1, 2, 3):
        guess(limit, f"192.0.2.{last}")

    assert [limit.is_used_up(f"192.0.2.{last}", NOW) for last in (1, 2, 3)] == [False, True, True]
