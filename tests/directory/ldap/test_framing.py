"""Cutting a stream into PDUs: any split gives the same PDUs, and nothing too long is ever collected."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from directory.ldap.ber import element, sequence
from directory.ldap.errors import MalformedPdu
from directory.ldap.framing import Framer
from tests.directory.ldap.wire import DIRMNGR_ADDRESS, JNDI_ROOT_DSE, THUNDERBIRD_BIND, THUNDERBIRD_SEARCH

CAPTURED = (THUNDERBIRD_BIND, THUNDERBIRD_SEARCH, DIRMNGR_ADDRESS, JNDI_ROOT_DSE)


def framer(limit: int = 1024) -> Framer:
    return Framer(limit)


def pdus(framer: Framer) -> list[bytes]:
    found = []
    while (pdu := framer.next_pdu()) is not None:
        found.append(pdu)
    return found


@given(st.lists(st.integers(min_value=0, max_value=400), max_size=12))
def test_any_split_gives_the_same_pdus(cuts: list[int]) -> None:
    stream = b"".join(CAPTURED)
    subject = framer()
    found: list[bytes] = []
    places = sorted({0, len(stream), *(cut % len(stream) for cut in cuts)})
    for start, stop in pairwise(places):
        subject.feed(stream[start:stop])
        found += pdus(subject)

    assert found == list(CAPTURED)
    assert subject.pending == 0


@given(st.sampled_from(CAPTURED), st.binary(max_size=8), st.integers(0, 9), st.integers(20, 400))
def test_knows_whether_octets_are_one_pdu_and_nothing_else(
    pdu: bytes, behind: bytes, missing: int, limit: int
) -> None:
    octets = (pdu + behind)[: len(pdu) + len(behind) - missing]
    fed = framer(limit)
    fed.feed(octets)

    try:
        alone = fed.next_pdu() == octets
    except MalformedPdu:
        alone = False

    assert framer(limit).is_one_pdu(octets) is alone


def test_octets_behind_others_are_not_one_pdu() -> None:
    fed = framer()
    fed.feed(THUNDERBIRD_BIND[:1])
    assert not fed.is_one_pdu(THUNDERBIRD_BIND)


def test_byte_by_byte_gives_each_pdu_with_its_last_octet() -> None:
    subject = framer()

    for octet in THUNDERBIRD_SEARCH[:-1]:
        subject.feed(bytes((octet,)))
        assert subject.next_pdu() is None
    subject.feed(THUNDERBIRD_SEARCH[-1:])

    assert subject.next_pdu() == THUNDERBIRD_SEARCH


def test_tells_how_much_waits() -> None:
    subject = framer()
    subject.feed(THUNDERBIRD_BIND + THUNDERBIRD_SEARCH + b"\x30")

    assert subject.next_pdu() == THUNDERBIRD_BIND
    assert subject.pending == len(THUNDERBIRD_SEARCH) + 1
    assert subject.next_pdu() == THUNDERBIRD_SEARCH
    assert subject.pending == 1


def test_a_pdu_of_exactly_the_limit_is_accepted_and_one_octet_more_is_not() -> None:
    longest = sequence(bytes(124))
    subject = framer(limit=len(longest))
    subject.feed(longest)
    assert subject.next_pdu() == longest

    subject.feed(sequence(bytes(125)))
    with pytest.raises(MalformedPdu):
        subject.next_pdu()


def test_a_pdu_beyond_the_limit_is_refused_by_its_length_alone() -> None:
    subject = framer(limit=64 * 1024)
    subject.feed(bytes.fromhex("30 84 00 01 00 01"))

    with pytest.raises(MalformedPdu):
        subject.next_pdu()


def test_the_limit_may_change_between_pdus() -> None:
    long = sequence(bytes(200))
    subject = framer(limit=100)
    subject.limit = 1000
    subject.feed(long)

    assert subject.next_pdu() == long


@pytest.mark.parametrize(
    "beginning",
    [
        b"GET / HTTP/1.1\r\n",
        b"\x16\x03\x01\x02\x00",  # a TLS ClientHello
        element(0x31, b""),  # a SET
        b"\x30\x80",  # of indefinite length
        b"\x30\x85\x00\x00\x00\x00\x01",
        b"\x30\xff",
        b"\x00",
    ],
)
def test_what_cannot_become_a_pdu_is_refused_at_its_first_octets(beginning: bytes) -> None:
    subject = framer()
    subject.feed(beginning)

    with pytest.raises(MalformedPdu):
        subject.next_pdu()


@given(st.binary(max_size=64))
def test_arbitrary_octets_end_in_pdus_or_in_a_refusal(data: bytes) -> None:
    subject = framer(limit=32)
    subject.feed(data)
    try:
        found = pdus(subject)
    except MalformedPdu:
        return

    assert data.startswith(b"".join(found))
