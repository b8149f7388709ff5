"""Cancel (RFC 3909), and that what was cancelled gets exactly one answer."""

import pytest

from directory.ldap.ber import integer, sequence
from directory.ldap.codes import CANCEL, ResponseTag, ResultCode
from tests.directory.ldap.dialogue import a_dialogue
from tests.directory.ldap.memory import Directory, found
from tests.directory.ldap.wire import (
    ReadResult,
    bind,
    cancel,
    compare,
    extended,
    search,
)


def test_a_cancelled_operation_ends_so_and_the_cancel_succeeds() -> None:
    client = a_dialogue()
    client.send(search(message_id=1))

    ended, cancelled = client.send(cancel(1, message_id=2)).responses

    assert ended == ReadResult(message_id=1, kind=ResponseTag.SEARCH_DONE, code=ResultCode.CANCELED)
    assert cancelled == ReadResult(message_id=2, kind=ResponseTag.EXTENDED, code=ResultCode.SUCCESS)


def test_a_compare_can_be_cancelled_too() -> None:
    client = a_dialogue()
    client.send(compare("mail=alice@example.com,ou=people,o=directory", message_id=1))

    ended, _ = client.send(cancel(1)).responses

    assert ended == ReadResult(message_id=1, kind=ResponseTag.COMPARE, code=ResultCode.CANCELED)


def test_what_is_looked_up_for_a_cancelled_operation_is_not_sent() -> None:
    client = a_dialogue()
    client.send(search(message_id=1))
    client.send(cancel(1))

    assert client.answer(client.operations[0], found()).responses == []
    assert client.carry_out(client.session.late(client.operations[0])).responses == []


def test_a_cancelled_lookup_still_counts_until_it_ends() -> None:
    client = a_dialogue(operations_per_connection=2)
    for number in (1, 3):
        client.send(search(message_id=number))
        client.send(cancel(number, message_id=number + 1))
    assert not client.session.wants_octets

    client.answer(client.operations[0], found())

    assert client.session.wants_octets


def test_its_number_may_be_used_again() -> None:
    client = a_dialogue()
    client.send(search(message_id=1))
    client.send(cancel(1))
    client.send(search(message_id=1))

    assert client.answer(client.operations[0], found()).responses == []
    assert len(client.answer(client.operations[1], found()).responses) == 2


def test_a_bind_behind_a_cancelled_operation_is_not_held_up() -> None:
    client = a_dialogue(Directory())
    client.send(search(message_id=1) + cancel(1) + bind(message_id=3))

    assert client.session.is_idle


def test_what_is_answered_already_is_no_operation_any_more() -> None:
    client = a_dialogue(Directory())
    client.send(search(message_id=1))

    assert client.send(cancel(1)).result.code is ResultCode.NO_SUCH_OPERATION
    assert client.send(cancel(7)).result.code is ResultCode.NO_SUCH_OPERATION


def test_a_cancel_cannot_cancel_itself() -> None:
    assert a_dialogue().send(cancel(2, message_id=2)).result.code is ResultCode.CANNOT_CANCEL


@pytest.mark.parametrize(
    "value", [None, b"", b"\x30\x00", b"\x02\x01\x01", b"\x30\x03\x04\x01\x01", b"\x30\x05"]
)
def test_a_cancel_that_names_nothing_is_a_protocol_error(value: bytes | None) -> None:
    client = a_dialogue()
    client.send(search(message_id=1))

    assert client.send(extended(CANCEL, value, message_id=2)).result.code is ResultCode.PROTOCOL_ERROR
    assert len(client.operations) == 1


def test_what_a_later_version_may_add_to_a_cancel_is_ignored() -> None:
    client = a_dialogue()
    value = sequence(integer(5), integer(1))

    assert client.send(extended(CANCEL, value)).result.code is ResultCode.NO_SUCH_OPERATION
