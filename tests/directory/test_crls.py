from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from directory.crls import CrlRecord, CrlRhythm, Occasion, next_number
from tests.builders import NOW

HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
RHYTHM = CrlRhythm(interval=DAY, validity=7 * DAY)


def a_record(
    *, number: int = 1, this_update: datetime = NOW, entries: int = 3, covers_from: datetime = NOW - DAY
) -> CrlRecord:
    return CrlRecord(
        number=number,
        this_update=this_update,
        next_update=this_update + 7 * DAY,
        covers_from=covers_from,
        entries=entries,
    )


@pytest.mark.parametrize(
    ("latest", "revoked", "later", "due"),
    [
        (None, 0, DAY, Occasion.FIRST),
        (a_record(), 3, timedelta(0), None),
        (a_record(), 3, DAY - timedelta(seconds=1), None),
        (a_record(), 3, DAY, Occasion.SCHEDULE),
        (a_record(), 4, timedelta(0), Occasion.REVOCATION),
        (a_record(), 2, timedelta(0), Occasion.REVOCATION),  # an older database was restored
        (a_record(), 3, -4 * timedelta(minutes=1), None),  # two nodes whose clocks are a little apart
        (a_record(), 3, -DAY, Occasion.CLOCK),
    ],
)
def test_a_crl_is_due_when(
    latest: CrlRecord | None, revoked: int, later: timedelta, due: Occasion | None
) -> None:
    assert RHYTHM.due(latest, revoked=revoked, now=NOW + later) is due


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
