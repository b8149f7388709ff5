"""The session as a state machine: what may follow what, and one answer for every request."""

import pytest

from directory.ldap.ber import element
from directory.ldap.codes import (
    MANAGE_DSA_IT,
    WHO_AM_I,
    RequestTag,
    ResponseTag,
    ResultCode,
)
from directory.ldap.settings import LdapSettings
from tests.directory.ldap.dialogue import Seen, a_dialogue
from tests.directory.ldap.memory import Directory, absent, found
from tests.directory.ldap.wire import (
    DIRMNGR_ADDRESS,
    ReadEntry,
    ReadResult,
    abandon,
    bind,
    compare,
    controls,
    extended,
    mail,
    message,
    nested,
    or_,
    search,
    unbind,
)

SUCCESS = ResultCode.SUCCESS


# Searching.


def test_the_first_pdu_may_be_a_search() -> None:
    seen = a_dialogue(Directory()).send(DIRMNGR_ADDRESS)

    entry, done = seen.responses
    assert isinstance(entry, ReadEntry)
    assert entry.name == "mail=alice@example.com,ou=people,o=directory"
    assert isinstance(done, ReadResult)
    assert (done.kind, done.code) == (ResponseTag.SEARCH_DONE, SUCCESS)
    assert not seen.closed


def test_searches_are_answered_in_the_order_in_which_their_lookups_end() -> None:
    client = a_dialogue()
    client.send(search(message_id=1) + search(message_id=2))
    first, second = client.operations

    assert client.answer(second, absent()).result.message_id == 2
    assert client.answer(first, absent()).result.message_id == 1


def test_no_more_searches_are_under_way_than_allowed_and_the_rest_waits() -> None:
    client = a_dialogue(operations_per_connection=2)
    client.send(b"".join(search(message_id=number) for number in (1, 2, 3)))
    assert [operation.message_id for operation in client.operations] == [1, 2]
    assert not client.session.wants_octets

    client.answer(client.operations[0], absent())
    assert [operation.message_id for operation in client.operations] == [1, 2, 3]


def test_the_clients_time_limit_counts_if_it_is_the_shorter_one() -> None:
    client = a_dialogue()
    client.send(search(message_id=1, time_limit=1) + search(message_id=2, time_limit=60))
    hurried, patient = client.operations

    assert hurried.seconds == 1
    assert patient.seconds == LdapSettings().answer_within
    late = client.carry_out(client.session.late(hurried)).result
    assert (late.message_id, late.code) == (1, ResultCode.TIME_LIMIT_EXCEEDED)
    late = client.carry_out(client.session.late(patient)).result
    assert (late.message_id, late.code) == (2, ResultCode.BUSY)


def test_an_answer_after_the_time_limit_is_dropped_and_gives_its_place_back() -> None:
    client = a_dialogue(operations_per_connection=1)
    client.send(search(message_id=1) + search(message_id=2))
    (slow,) = client.operations
    client.carry_out(client.session.late(slow))
    assert not client.session.wants_octets

    assert client.answer(slow, found()).responses == []
    assert [operation.message_id for operation in client.operations] == [1, 2]


def test_an_operation_is_late_only_if_it_is_not_answered() -> None:
    client = a_dialogue()
    client.send(search())
    client.answer(client.operations[0], absent())

    assert client.session.late(client.operations[0]) == []


def test_an_abandoned_search_is_not_answered() -> None:
    client = a_dialogue()
    client.send(search(message_id=7))

    assert client.send(abandon(7)).responses == []
    assert client.session.is_idle
    assert client.answer(client.operations[0], found()).responses == []


def test_abandoning_does_not_make_room_for_more_lookups() -> None:
    client = a_dialogue(operations_per_connection=2)
    client.send(search(message_id=1) + abandon(1, message_id=2) + search(message_id=3))

    assert not client.session.wants_octets


def test_abandoning_nothing_is_nothing() -> None:
    assert a_dialogue().send(abandon(5)).responses == []


def test_the_message_identifier_of_an_abandoned_search_may_be_used_again() -> None:
    client = a_dialogue()
    client.send(search(message_id=7) + abandon(7) + search(message_id=7))
    first, second = client.operations

    assert client.answer(first, found()).responses == []
    assert client.answer(second, absent()).result.message_id == 7


def test_a_message_identifier_in_use_ends_the_session() -> None:
    client = a_dialogue()
    client.send(search(message_id=7))

    assert client.send(search(message_id=7)).notice.code is ResultCode.PROTOCOL_ERROR


def test_a_filter_that_is_too_much_is_answered_and_the_session_goes_on() -> None:
    client = a_dialogue(Directory())

    assert client.send(search(nested(16))).result.code is ResultCode.ADMIN_LIMIT_EXCEEDED
    many = or_(*(mail(f"p{number}@example.com") for number in range(33)))
    assert client.send(search(many)).result.code is ResultCode.ADMIN_LIMIT_EXCEEDED
    assert len(client.send(search()).responses) == 2


def test_a_compare_is_answered() -> None:
    client = a_dialogue(Directory())

    seen = client.send(compare("mail=alice@example.com,ou=people,o=directory"))
    assert (seen.result.kind, seen.result.code) == (ResponseTag.COMPARE, ResultCode.COMPARE_TRUE)
    assert client.send(compare("o=directory", "o", "x")).result.code is ResultCode.COMPARE_FALSE


# Controls and operations that are not supported.


def test_unknown_controls_are_ignored_unless_critical() -> None:
    client = a_dialogue(Directory())

    assert len(client.send(search(controls=controls(("1.2.3.4", False)))).responses) == 2
    refused = client.send(search(controls=controls(("1.2.3.5", False), ("1.2.3.4", True)))).result
    assert (refused.kind, refused.code) == (
        ResponseTag.SEARCH_DONE,
        ResultCode.UNAVAILABLE_CRITICAL_EXTENSION,
    )


def test_manage_dsa_it_may_be_critical() -> None:
    client = a_dialogue(Directory())

    assert len(client.send(search(controls=controls((MANAGE_DSA_IT, True)))).responses) == 2


@pytest.mark.parametrize(
    ("pdu", "kind"),
    [
        (bind(controls=controls(("1.2", True))), ResponseTag.BIND),
        (extended(WHO_AM_I, controls=controls(("1.2", True))), ResponseTag.EXTENDED),
        (message(element(RequestTag.ADD, b""), controls=controls(("1.2", True))), ResponseTag.ADD),
    ],
)
def test_a_critical_unknown_control_refuses_any_operation(pdu: bytes, kind: ResponseTag) -> None:
    result = a_dialogue().send(pdu).result

    assert (result.kind, result.code) == (kind, ResultCode.UNAVAILABLE_CRITICAL_EXTENSION)


def test_unbind_and_abandon_do_not_care_for_criticality() -> None:
    client = a_dialogue()
    unbinding = message(element(RequestTag.UNBIND, b""), controls=controls(("1.2", True)))

    assert client.send(unbinding) == Seen(responses=[], closed=True)


@pytest.mark.parametrize(
    ("tag", "kind"),
    [
        (RequestTag.MODIFY, ResponseTag.MODIFY),
        (RequestTag.ADD, ResponseTag.ADD),
        (RequestTag.DELETE, ResponseTag.DELETE),
        (RequestTag.MODIFY_DN, ResponseTag.MODIFY_DN),
    ],
)
def test_writing_is_refused_with_the_right_response(tag: RequestTag, kind: ResponseTag) -> None:
    result = a_dialogue().send(message(element(tag, b"anything"))).result

    assert (result.kind, result.code) == (kind, ResultCode.UNWILLING_TO_PERFORM)


def test_an_unknown_extended_operation_is_a_protocol_error_without_a_name() -> None:
    result = a_dialogue().send(extended("1.3.6.1.4.1.4203.1.11.1")).result

    assert (result.code, result.response_name) == (ResultCode.PROTOCOL_ERROR, None)


# The end.


def test_unbind_closes_without_an_answer() -> None:
    client = a_dialogue()

    assert client.send(unbind() + search()) == Seen(responses=[], closed=True)
    assert client.send(search()).responses == []


@pytest.mark.parametrize(
    "octets",
    [b"GET / HTTP/1.1\r\n", b"\x30\x80", b"\x30\x84\xff\xff\xff\xff", message(b"\x64\x00"), b"\x30\x00"],
)
def test_what_is_no_message_is_answered_with_a_notice_and_the_end(octets: bytes) -> None:
    notice = a_dialogue().send(octets).notice

    assert notice.code is ResultCode.PROTOCOL_ERROR
    assert notice.diagnostic


def test_the_session_ends_with_a_malformed_message_whatever_is_under_way() -> None:
    client = a_dialogue()
    seen = client.send(search() + b"\xff")

    assert len(seen.responses) == 1
    assert seen.notice.code is ResultCode.PROTOCOL_ERROR
    assert client.answer(client.operations[0], found()).responses == []


def test_the_server_may_end_a_session_once() -> None:
    client = a_dialogue()
    seen = client.carry_out(client.session.shut_down(ResultCode.UNAVAILABLE, "going down"))

    assert seen.notice.code is ResultCode.UNAVAILABLE
    assert client.session.shut_down(ResultCode.UNAVAILABLE, "again") == []


def test_an_idle_session_ends_without_a_notice() -> None:
    client = a_dialogue()

    assert client.carry_out(client.session.expire()) == Seen(responses=[], closed=True)


def test_a_client_that_sends_no_more_still_gets_its_answers() -> None:
    client = a_dialogue()
    client.send(search(message_id=1) + search(message_id=2))
    assert not client.carry_out(client.session.end_of_input()).closed
    assert not client.answer(client.operations[0], absent()).closed

    assert client.answer(client.operations[1], absent()).closed


def test_a_client_that_waits_for_nothing_and_sends_no_more_is_done() -> None:
    client = a_dialogue()

    assert client.carry_out(client.session.end_of_input()).closed
