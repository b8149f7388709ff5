from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from directory.crls import CrlRecord, CrlRhythm, Occasion, StandingCrl, next_number
from tests.builders import NOW

HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
RHYTHM = CrlRhythm(interval=DAY, validity=7 * DAY)


def a_record(
    *,
    number: int = 1,
    this_update: datetime = NOW,
    entries: int = 3,
    covers_from: datetime = NOW - DAY,
    changes: int = 5,
) -> CrlRecord:
    return CrlRecord(
        number=number,
        this_update=this_update,
        next_update=this_update + 7 * DAY,
        covers_from=covers_from,
        entries=entries,
        changes=changes,
    )


@pytest.mark.parametrize(
    ("latest", "changes", "later", "due"),
    [
        (None, 0, DAY, Occasion.FIRST),
        (a_record(), 5, timedelta(0), None),
        (a_record(), 5, DAY - timedelta(seconds=1), None),
        (a_record(), 5, DAY, Occasion.SCHEDULE),
        (a_record(), 6, timedelta(0), Occasion.REVOCATION),
        (a_record(), 4, timedelta(0), Occasion.REVOCATION),  # somebody has put the count back
        (a_record(), 5, -4 * timedelta(minutes=1), None),  # two nodes whose clocks are a little apart
        (a_record(), 5, -DAY, Occasion.CLOCK),
    ],
)
def test_a_crl_is_due_when(
    latest: CrlRecord | None, changes: int, later: timedelta, due: Occasion | None
) -> None:
    assert RHYTHM.due(StandingCrl(latest=latest, changes=changes), NOW + later) is due


@pytest.mark.parametrize(
    ("entries", "partition", "age", "due"),
    [
        (100_000, None, timedelta(0), Occasion.REVOCATION),
        (100_001, None, HOUR - timedelta(seconds=1), None),
        (100_001, None, HOUR, Occasion.REVOCATION),
        (100_001, 7, timedelta(0), Occasion.REVOCATION),
    ],
)
def test_a_long_complete_crl_waits_for_an_hour_and_a_partition_never(
    entries: int, partition: int | None, age: timedelta, due: Occasion | None
) -> None:
    standing = StandingCrl(partition=partition, latest=a_record(entries=entries), changes=6)

    assert RHYTHM.due(standing, NOW + age) is due


def test_a_long_complete_crl_that_waits_is_made_on_schedule_all_the_same() -> None:
    standing = StandingCrl(latest=a_record(entries=100_001), changes=6)
    seldom = replace(RHYTHM, pause=2 * DAY)

    assert seldom.due(standing, NOW + DAY) is Occasion.SCHEDULE


def test_a_first_crl_lists_what_expired_within_the_interval_too() -> None:
    assert RHYTHM.covers_from(None, NOW) == NOW - DAY


@pytest.mark.parametrize(
    ("age", "since"), [(HOUR, DAY), (DAY, DAY), (30 * DAY, 30 * DAY)], ids=["early", "in time", "late"]
)
def test_a_crl_lists_what_had_not_expired_at_the_one_before_nor_an_interval_ago(
    age: timedelta, since: timedelta
) -> None:
    assert RHYTHM.covers_from(a_record(this_update=NOW - age), NOW) == NOW - since


@given(
    gaps=st.lists(st.integers(1, 60 * 24 * 40), min_size=1, max_size=30),  # minutes between CRLs
    expires_after=st.integers(0, 60 * 24 * 60),
)
def test_every_entry_is_on_a_crl_made_after_its_certificate_expired(
    gaps: list[int], expires_after: int
) -> None:
    # RFC 5280 section 3.3, whatever the intervals: service interrupted, revocations in between.
    expiry, moment, latest, shown_after = NOW + timedelta(minutes=expires_after), NOW, None, False
    for gap in gaps:
        covers_from = RHYTHM.covers_from(latest, moment)
        if listed := expiry >= covers_from:
            shown_after = shown_after or moment > expiry
        assert listed or shown_after
        latest = a_record(this_update=moment, covers_from=covers_from)
        moment += timedelta(minutes=gap)


def test_the_number_grows_although_an_older_database_was_restored() -> None:
    backed_up = a_record(number=int(NOW.timestamp()))
    lost = next_number(backed_up, NOW + DAY)

    assert next_number(backed_up, NOW + DAY + timedelta(seconds=1)) > lost


def test_the_number_tells_the_time_and_always_grows() -> None:
    seconds = int(NOW.timestamp())
    before = a_record(number=seconds - 5)

    assert next_number(None, NOW) == seconds
    assert next_number(before, NOW) == seconds
    assert next_number(replace(before, number=seconds), NOW) == seconds + 1
    assert next_number(replace(before, number=seconds + 99), NOW) == seconds + 100
