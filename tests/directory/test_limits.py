from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ca.address import Mailbox
from directory.errors import LimitReached
from directory.limits import Limit, MintRates, Rate, UsedUpLimits

NOW = datetime(2026, 11, 22, 9, 30, tzinfo=UTC)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)


def limit(burst: int, period: timedelta = HOUR) -> Limit:
    return Limit(name="gateway_hour", bucket="gateway_hour:g", rate=Rate(burst=burst, period=period))


def charge_until_refused(
    subject: Limit, arrival: datetime | None, now: datetime
) -> tuple[int, datetime | None]:
    count = 0
    while True:
        try:
            arrival = subject.charge(arrival, now)
        except LimitReached:
            return count, arrival
        count += 1


@given(st.integers(min_value=1, max_value=500))
def test_a_full_bucket_gives_exactly_its_burst(burst: int) -> None:
    assert charge_until_refused(limit(burst), None, NOW)[0] == burst


@given(st.integers(min_value=1, max_value=500))
def test_an_empty_bucket_is_full_again_after_its_period(burst: int) -> None:
    _, arrival = charge_until_refused(limit(burst), None, NOW)

    assert charge_until_refused(limit(burst), arrival, NOW + HOUR)[0] == burst


def test_an_empty_bucket_gives_one_more_after_one_interval() -> None:
    _, arrival = charge_until_refused(limit(60), None, NOW)

    assert charge_until_refused(limit(60), arrival, NOW + timedelta(minutes=1))[0] == 1


def test_the_refusal_says_when_to_come_back() -> None:
    subject = limit(60)
    _, arrival = charge_until_refused(subject, None, NOW)

    with pytest.raises(LimitReached) as refused:
        subject.charge(arrival, NOW)

    assert refused.value.retry_after == timedelta(minutes=1)
    assert subject.charge(arrival, NOW + refused.value.retry_after) > NOW


def test_a_clock_set_back_does_not_fill_the_bucket() -> None:
    _, arrival = charge_until_refused(limit(5), None, NOW)

    assert charge_until_refused(limit(5), arrival, NOW - HOUR)[0] == 0


def rates(recipient_burst: int = 3) -> MintRates:
    ample = Rate(burst=100, period=HOUR)
    return MintRates(
        gateway_hour=ample,
        gateway_day=ample,
        organization_day=ample,
        recipient_day=Rate(burst=recipient_burst, period=DAY),
        domain_day=ample,
    )


def buckets(address: str, subject: MintRates | None = None) -> dict[str, str]:
    charged = (subject or rates()).limits_for(
        gateway_id="g", organization_id="o", mailbox=Mailbox.parse(address)
    )
    return {one.name: one.bucket for one in charged}


def test_tags_dots_and_case_share_one_recipient_bucket() -> None:
    spellings = ["victim@example.com", "Victim+1@example.com", "v.i.c.t.i.m+2@EXAMPLE.com"]

    assert len({buckets(spelling)["recipient_day"] for spelling in spellings}) == 1


def test_two_recipients_have_two_buckets() -> None:
    assert buckets("a@example.com")["recipient_day"] != buckets("b@example.com")["recipient_day"]


def test_a_rate_of_zero_switches_the_limit_off() -> None:
    assert "recipient_day" not in buckets("a@example.com", rates(recipient_burst=0))


def test_limits_are_always_charged_in_the_same_order() -> None:
    names = list(buckets("a@example.com"))

    assert names == sorted(names)
    assert len(names) == 5


def test_a_used_up_limit_is_known_until_the_moment_it_has_room_again() -> None:
    used_up = UsedUpLimits()
    used_up.remember([limit(1)], LimitReached(limit="gateway_hour", retry_after=timedelta(minutes=20)), NOW)

    with pytest.raises(LimitReached) as refused:
        used_up.check([limit(1)], NOW + timedelta(minutes=5))
    assert (refused.value.limit, refused.value.retry_after) == ("gateway_hour", timedelta(minutes=15))
    used_up.check([limit(1)], NOW + timedelta(minutes=20))


def test_only_the_bucket_that_was_refused_is_known_to_be_used_up() -> None:
    used_up = UsedUpLimits()
    day = Limit(name="domain_day", bucket="domain_day:d", rate=Rate(burst=1, period=DAY))
    other = Limit(name="gateway_hour", bucket="gateway_hour:other", rate=limit(1).rate)

    used_up.remember([day, limit(1)], LimitReached(limit="gateway_hour", retry_after=HOUR), NOW)

    used_up.check([day, other], NOW)
    with pytest.raises(LimitReached):
        used_up.check([day, limit(1)], NOW)
