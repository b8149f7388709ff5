from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from directory.cursors import Cursor

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
PLACES = st.builds(
    Cursor,
    rank=st.integers(0, 9),
    moment=st.integers(0, 10**16 - 1).map(lambda count: EPOCH + timedelta(microseconds=count)),
    record_id=st.from_regex(r"[0-9a-f]{32}", fullmatch=True),
)


@given(place=PLACES)
def test_a_place_comes_back_as_it_was(place: Cursor) -> None:
    assert Cursor.parse(str(place)) == place


def test_a_moment_is_the_same_in_every_zone() -> None:
    noon = datetime(2026, 11, 22, 12, 0, 0, 5, tzinfo=UTC)
    there = noon.astimezone(timezone(timedelta(hours=2)))

    assert str(Cursor(moment=noon, record_id="a")) == str(Cursor(moment=there, record_id="a"))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "1",
        "0.1",
        "0.1.",
        "10.1.a",
        "0.-1.a",
        "0.1.a.b",
        "0.1.a\n",
        "0.1.'",
        "0.99999999999999999.a",
        "\N{ARABIC-INDIC DIGIT ZERO}.1.a",
    ],
)
def test_what_is_no_place_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not a cursor"):
        Cursor.parse(text)


@given(text=st.text(max_size=40))
def test_whatever_is_read_is_a_place_or_refused(text: str) -> None:
    try:
        place = Cursor.parse(text)
    except ValueError:
        return
    assert Cursor.parse(str(place)) == place
