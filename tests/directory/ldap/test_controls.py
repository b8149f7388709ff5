"""What the controls of a request change about it."""

import pytest

from directory.ldap.codes import MANAGE_DSA_IT, PAGED_RESULTS, ResultCode
from directory.ldap.controls import PageWanted, read_controls
from directory.ldap.errors import RequestRefused
from directory.ldap.requests import Control, Request, read_message
from tests.directory.ldap.wire import compare, search

SEARCH = read_message(search()).request
COMPARE = read_message(compare("o=directory")).request
FIRST_PAGE = bytes.fromhex("30050201640400")  # size 100, no cookie


def paged(value: bytes | None = FIRST_PAGE, *, critical: bool = True) -> Control:
    return Control(oid=PAGED_RESULTS, critical=critical, value=value)


def refusal(request: Request, *controls: Control) -> ResultCode:
    with pytest.raises(RequestRefused) as refused:
        read_controls(request, controls)
    return refused.value.code


@pytest.mark.parametrize("critical", [True, False])
def test_a_page_is_wanted_critical_or_not(*, critical: bool) -> None:
    assert read_controls(SEARCH, [paged(critical=critical)]) == PageWanted(size=100, cookie=b"")


def test_the_cookie_is_handed_on_as_it_is() -> None:
    assert read_controls(SEARCH, [paged(bytes.fromhex("3008 020101 0403 00ff30"))]) == PageWanted(
        size=1, cookie=b"\x00\xff\x30"
    )


def test_without_controls_the_whole_answer_is_wanted() -> None:
    assert read_controls(SEARCH, []) is None


def test_there_are_no_referrals_to_manage() -> None:
    assert read_controls(SEARCH, [Control(oid=MANAGE_DSA_IT, critical=True)]) is None


@pytest.mark.parametrize("request_of", [SEARCH, COMPARE])
def test_an_unknown_control_is_ignored_unless_it_is_critical(request_of: Request) -> None:
    assert read_controls(request_of, [Control(oid="1.2.3", critical=False, value=b"x")]) is None
    assert (
        refusal(request_of, Control(oid="1.2.3", critical=True)) is ResultCode.UNAVAILABLE_CRITICAL_EXTENSION
    )


def test_pages_of_anything_but_a_search_are_as_an_unknown_control() -> None:
    assert read_controls(COMPARE, [paged(critical=False)]) is None
    assert refusal(COMPARE, paged()) is ResultCode.UNAVAILABLE_CRITICAL_EXTENSION


def test_one_critical_control_among_others_is_enough() -> None:
    assert refusal(SEARCH, paged(), Control(oid="1.2.3", critical=True)) is (
        ResultCode.UNAVAILABLE_CRITICAL_EXTENSION
    )


@pytest.mark.parametrize(
    "value",
    [None, b"", b"\x30\x00", b"\x30\x03\x02\x01\x64", b"\x30\x05\x02\x01\xff\x04\x00", FIRST_PAGE + b"\x00"],
)
def test_a_page_that_cannot_be_read_is_a_protocol_error(value: bytes | None) -> None:
    assert refusal(SEARCH, paged(value)) is ResultCode.PROTOCOL_ERROR


def test_pages_asked_for_twice_are_a_protocol_error() -> None:
    assert refusal(SEARCH, paged(), paged()) is ResultCode.PROTOCOL_ERROR
