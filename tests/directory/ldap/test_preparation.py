"""When two spellings are one string."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from directory.ldap.preparation import prepared


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (b"ALICE@EXAMPLE.com", b"alice@example.com"),
        (b" alice@example.com  ", b"alice@example.com"),
        (b"Example  \t Org", b"example org"),
        (b"\r\n", b""),
    ],
)
def test_case_and_spacing_do_not_count(one: bytes, other: bytes) -> None:
    assert prepared(one) == prepared(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("\u212aate@example.com", "kate@example.com"),  # KELVIN SIGN
        ("\u0130@example.com", "i@example.com"),
        ("stra\u00dfe", "strasse"),
        ("ex ample", "example"),
    ],
)
def test_nothing_else_is_folded(one: str, other: str) -> None:
    assert prepared(one.encode()) != prepared(other.encode())


@given(st.binary(max_size=60))
def test_preparing_twice_changes_nothing(value: bytes) -> None:
    assert prepared(prepared(value)) == prepared(value)


@pytest.mark.parametrize("piece", [b" ", b"a ", b"\xcc\x81\xcc\xa3", b"A"])
def test_64_kib_take_no_time(piece: bytes) -> None:
    value = piece * (64 * 1024 // len(piece))
    began = time.process_time()
    prepared(value)

    assert time.process_time() - began < 0.02
