"""The subset of BER: what is read, what is refused, and that reading never fails in another way."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from directory.ldap.ber import (
    BOOLEAN,
    INTEGER,
    OCTET_STRING,
    SEQUENCE,
    Reader,
    element,
    integer,
    octet_string,
    read_length,
    sequence,
)
from directory.ldap.codes import ResultCode
from directory.ldap.errors import MalformedPdu, RequestRefused


def reader(hexadecimal: str) -> Reader:
    return Reader(bytes.fromhex(hexadecimal))


@pytest.mark.parametrize(
    ("hexadecimal", "value"),
    [
        ("020100", 0),
        ("02017f", 127),
        ("0201ff", -1),
        ("02020080", 128),
        ("02047fffffff", 2**31 - 1),
        ("020480000000", -(2**31)),
        ("020400000005", 5),  # superfluous octets, up to four
        ("0281010a", 10),  # a length with more octets than needed
        ("0284000000010a", 10),
    ],
)
def test_reads_an_integer(hexadecimal: str, value: int) -> None:
    assert reader(hexadecimal).integer() == value


@pytest.mark.parametrize(("octet", "value"), [("00", False), ("01", True), ("ff", True), ("80", True)])
def test_any_octet_but_zero_is_true(octet: str, value: bool) -> None:  # noqa: FBT001 - the value of a BOOLEAN
    assert reader(f"0101{octet}").boolean() is value


@pytest.mark.parametrize(
    "hexadecimal",
    [
        "",  # nothing
        "02",  # no length
        "0200",  # no octet
        "020500ffffffff",  # five octets
        "0201",  # no content
        "0202ff",  # content cut short
        "0280010000",  # indefinite length
        "0285000000000101",  # a length of five octets
        "028900000000000000000101",  # of nine
        "0284ffffffff01",  # far longer than what is there
        "0282",  # the length itself cut short
        "04010a",  # another type
        "22030201 0a",  # constructed
    ],
)
def test_refuses_what_is_not_an_integer_of_at_most_four_octets(hexadecimal: str) -> None:
    with pytest.raises(MalformedPdu):
        reader(hexadecimal).integer()


def test_refuses_a_constructed_octet_string() -> None:
    with pytest.raises(MalformedPdu):
        reader("2403040161").octets()


@pytest.mark.parametrize("hexadecimal", ["0100", "01020000", "0102ffff"])
def test_refuses_a_boolean_of_other_than_one_octet(hexadecimal: str) -> None:
    with pytest.raises(MalformedPdu):
        reader(hexadecimal).boolean()


def test_refuses_an_element_that_is_longer_than_what_holds_it() -> None:
    outer = reader("3003 0404 61626364")

    with pytest.raises(MalformedPdu):
        outer.constructed().octets()


def test_a_member_does_not_reach_beyond_its_sequence() -> None:
    outer = reader("3003040161 040162")
    inner = outer.constructed()

    assert inner.octets() == b"a"
    assert inner.at_end()
    assert outer.octets() == b"b"
    assert outer.at_end()


def test_a_text_that_is_not_utf_8_refuses_the_request_and_not_the_session() -> None:
    with pytest.raises(RequestRefused) as refused:
        reader("0402c328").text()

    assert refused.value.code is ResultCode.PROTOCOL_ERROR


def test_skips_unknown_members_that_are_well_formed() -> None:
    members = reader("040161 8a0162 bf7f00")
    members.octets()

    with pytest.raises(MalformedPdu):  # a tag number above 30
        members.skip_rest()

    members = reader("040161 8a0162 a40202 00")
    members.octets()
    members.skip_rest()
    assert members.at_end()


def test_skipping_at_the_end_is_refused() -> None:
    with pytest.raises(MalformedPdu):
        reader("").skip()


@pytest.mark.parametrize(
    ("length", "header"),
    [(0, "0400"), (127, "047f"), (128, "048180"), (255, "0481ff"), (65536, "0483010000")],
)
def test_writes_lengths_with_as_few_octets_as_possible(length: int, header: str) -> None:
    assert element(OCTET_STRING, bytes(length))[: len(header) // 2].hex() == header


def test_an_incomplete_length_is_not_an_error_yet() -> None:
    assert read_length(b"\x30\x82\x01", 1, 3) is None
    assert read_length(b"\x30", 1, 1) is None
    assert read_length(b"\x30\x82\x01\x00", 1, 4) == (256, 4)


@given(st.integers(min_value=-(2**31), max_value=2**31 - 1))
def test_an_integer_survives_the_round_trip(value: int) -> None:
    written = integer(value)

    assert Reader(written).integer() == value
    assert len(written) <= 6


@given(st.lists(st.binary(max_size=300), max_size=8))
def test_a_sequence_of_octet_strings_survives_the_round_trip(contents: list[bytes]) -> None:
    outer = Reader(sequence(*map(octet_string, contents)))
    members = outer.constructed()

    assert [members.octets() for _ in contents] == contents
    assert members.at_end()
    assert outer.at_end()


@given(st.binary(max_size=64))
def test_reading_arbitrary_octets_ends_in_a_value_or_in_a_refusal(data: bytes) -> None:
    for read in (
        lambda: Reader(data).integer(INTEGER),
        lambda: Reader(data).boolean(BOOLEAN),
        lambda: Reader(data).octets(OCTET_STRING),
        lambda: Reader(data).constructed(SEQUENCE).skip_rest(),
        lambda: Reader(data).skip_rest(),
    ):
        assert end_of(read) in {"a value", "a refusal"}


def end_of(read: Callable[[], object]) -> str:
    try:
        read()
    except MalformedPdu:
        return "a refusal"
    return "a value"
