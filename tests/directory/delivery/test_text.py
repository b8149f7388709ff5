import pytest
from hypothesis import given
from hypothesis import strategies as st

from directory.delivery.text import one_line


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("City Hospital", "City Hospital"),
        ("  City\t\tHospital \r\n", "City Hospital"),
        ("Name\r\nBcc: victim@example.org", "Name Bcc: victim@example.org"),
        ("Kranken\u2028haus", "Kranken haus"),
        ("bank\u202egro.elpmaxe", "bankgro.elpmaxe"),
        ("zero\u200bwidth", "zerowidth"),
        ("\ud800 half a character", "half a character"),
        ("בית חולים", "בית חולים"),
        ("\U0001f3e5 Clinic", "\U0001f3e5 Clinic"),
        ("\x00\x07\x1b[31m", "[31m"),
    ],
)
def test_leaves_what_is_visible_on_one_line(text: str, shown: str) -> None:
    assert one_line(text, longest=200) == shown


def test_cuts_what_is_too_long() -> None:
    assert one_line("x" * 10_000, longest=200) == "x" * 200


@given(st.text(), st.integers(1, 50))
def test_whatever_comes_is_short_and_printable_afterwards(text: str, longest: int) -> None:
    shown = one_line(text, longest=longest)
    assert len(shown) <= longest
    assert shown.isprintable()
    assert shown == shown.strip()
