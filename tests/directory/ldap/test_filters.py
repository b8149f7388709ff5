"""Reading filters: every kind, the bounds, and what is malformed rather than merely too much."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from directory.ldap.ber import Reader, element, octet_string, sequence
from directory.ldap.codes import ResultCode
from directory.ldap.errors import LdapError, MalformedPdu, RequestRefused
from directory.ldap.filters import (
    DEEPEST,
    MOST_ITEMS,
    And,
    Approximate,
    Equality,
    Extensible,
    Filter,
    GreaterOrEqual,
    LessOrEqual,
    Not,
    Or,
    Present,
    Substrings,
    Unrecognized,
    read_filter,
)
from tests.directory.ldap.wire import (
    and_,
    assertion,
    equals,
    extensible,
    mail,
    nested,
    not_,
    or_,
    present,
    substrings,
)

ALICE = Equality(attribute="mail", value=b"alice@example.com")


def read(written: bytes) -> Filter:
    return read_filter(Reader(written))


def refusal_of(written: bytes) -> ResultCode:
    with pytest.raises(RequestRefused) as refused:
        read(written)
    return refused.value.code


@pytest.mark.parametrize(
    ("written", "filter_"),
    [
        (mail(), ALICE),
        (assertion(0xA5, "mail", "m"), GreaterOrEqual(attribute="mail", value=b"m")),
        (assertion(0xA6, "mail", "m"), LessOrEqual(attribute="mail", value=b"m")),
        (assertion(0xA8, "mail", "m"), Approximate(attribute="mail", value=b"m")),
        (present("objectClass"), Present(attribute="objectClass")),
        (not_(mail()), Not(filter=ALICE)),
        (and_(), And(filters=())),
        (or_(), Or(filters=())),
        (and_(mail(), present("cn")), And(filters=(ALICE, Present(attribute="cn")))),
        (
            or_(and_(mail()), not_(or_()), mail()),
            Or(filters=(And(filters=(ALICE,)), Not(filter=Or(filters=())), ALICE)),
        ),
        (
            substrings("cn", "b", "c", initial="a", final="d"),
            Substrings(attribute="cn", initial=b"a", middle=(b"b", b"c"), final=b"d"),
        ),
        (substrings("cn", "b"), Substrings(attribute="cn", middle=(b"b",))),
        (
            extensible("v", attribute="cn", rule="caseIgnoreMatch", dn_attributes=True),
            Extensible(rule="caseIgnoreMatch", attribute="cn", value=b"v", dn_attributes=True),
        ),
        (
            extensible("v", rule="2.5.13.2"),
            Extensible(rule="2.5.13.2", attribute=None, value=b"v", dn_attributes=False),
        ),
        (element(0xAB, b""), Unrecognized()),
    ],
)
def test_reads_every_kind_of_filter(written: bytes, filter_: Filter) -> None:
    assert read(written) == filter_


def test_an_empty_piece_between_two_asterisks_is_left_out() -> None:
    assert read(substrings("cn", "alice", "")) == Substrings(attribute="cn", middle=(b"alice",))


def test_reads_nothing_beyond_the_filter() -> None:
    reader = Reader(and_(mail()) + octet_string("next"))
    read_filter(reader)

    assert reader.octets() == b"next"


@pytest.mark.parametrize("tag", [0xA0, 0xA1, 0xA2])
def test_nesting_up_to_the_bound_is_read(tag: int) -> None:
    condition = read(nested(DEEPEST - 1, tag))

    for _ in range(DEEPEST - 1):
        assert isinstance(condition, And | Or | Not)
        condition = condition.filter if isinstance(condition, Not) else condition.filters[0]
    assert condition == ALICE


@pytest.mark.parametrize("tag", [0xA0, 0xA1, 0xA2])
@pytest.mark.parametrize("levels", [DEEPEST, 100, 5000])
def test_deeper_nesting_is_refused(tag: int, levels: int) -> None:
    assert refusal_of(nested(levels, tag)) is ResultCode.ADMIN_LIMIT_EXCEEDED


def test_empty_connectives_count_as_a_level() -> None:
    inner = or_()
    for _ in range(DEEPEST - 1):
        inner = and_(inner)

    assert refusal_of(inner) is ResultCode.ADMIN_LIMIT_EXCEEDED


def test_as_many_items_as_allowed_are_read() -> None:
    condition = read(or_(*[present("a")] * (MOST_ITEMS - 1)))

    assert isinstance(condition, Or)
    assert len(condition.filters) == MOST_ITEMS - 1


@pytest.mark.parametrize(
    "written",
    [
        or_(*[present("a")] * MOST_ITEMS),
        or_(*[and_()] * MOST_ITEMS),
        or_(*[substrings("a", *["x"] * 15)] * 16),
        substrings("a", *["x"] * (MOST_ITEMS + 1)),
    ],
)
def test_more_items_are_refused(written: bytes) -> None:
    assert refusal_of(written) is ResultCode.ADMIN_LIMIT_EXCEEDED


@pytest.mark.parametrize(
    "written",
    [
        b"",
        element(0xA2, b""),  # a negation of nothing
        element(0xA2, mail() + mail()),  # of two
        and_(b"\xa3\x05\x04"),  # cut short
        element(0xA3, octet_string("mail")),  # without a value
        element(0xA4, octet_string("cn") + sequence()),  # no substrings
        element(0xA4, octet_string("cn") + sequence(element(0x82, b"z"), element(0x81, b"a"))),
        element(0xA4, octet_string("cn") + sequence(element(0x83, b"z"))),
        element(0xA9, element(0x82, b"cn")),  # an extensible match without a value
        element(0x9F, b"x"),  # a tag number above 30
    ],
)
def test_refuses_malformed_filters(written: bytes) -> None:
    with pytest.raises(MalformedPdu):
        read(written)


def test_an_attribute_that_is_not_utf_8_refuses_the_request() -> None:
    assert refusal_of(element(0x87, b"\xff")) is ResultCode.PROTOCOL_ERROR


comparisons = st.one_of(
    st.builds(equals, st.sampled_from(["mail", "cn", "x"]), st.binary(max_size=8)),
    st.builds(present, st.sampled_from(["mail", "objectClass", "y"])),
)
trees = st.recursive(
    comparisons,
    lambda inner: st.one_of(
        st.builds(lambda members: and_(*members), st.lists(inner, max_size=3)),
        st.builds(lambda members: or_(*members), st.lists(inner, max_size=3)),
        st.builds(not_, inner),
    ),
    max_leaves=20,
)


def written_again(condition: Filter) -> bytes:
    match condition:
        case And():
            return and_(*map(written_again, condition.filters))
        case Or():
            return or_(*map(written_again, condition.filters))
        case Not():
            return not_(written_again(condition.filter))
        case Equality():
            return equals(condition.attribute, condition.value)
        case Present():
            return present(condition.attribute)
        case _:
            raise AssertionError(condition)


def outcome(written: bytes) -> Filter | LdapError:
    try:
        return read(written)
    except (MalformedPdu, RequestRefused) as refused:
        return refused


@given(trees)
def test_a_filter_survives_the_round_trip_or_is_too_deep(written: bytes) -> None:
    result = outcome(written)
    if isinstance(result, RequestRefused):
        assert result.code is ResultCode.ADMIN_LIMIT_EXCEEDED
    else:
        assert isinstance(result, Filter)
        assert written_again(result) == written


@given(st.binary(max_size=80))
def test_arbitrary_octets_end_in_a_filter_or_in_a_refusal(data: bytes) -> None:
    assert isinstance(outcome(data), Filter | LdapError)
