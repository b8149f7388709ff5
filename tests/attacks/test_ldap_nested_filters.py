"""A filter nested without end must not exhaust the stack, nor cost time (CVE-2020-12243 and its many kin)."""

import time

import pytest

from directory.ldap.codes import ResultCode
from tests.directory.ldap.dialogue import Dialogue, a_dialogue
from tests.directory.ldap.memory import Directory
from tests.directory.ldap.wire import nested, search

AND, OR, NOT = 0xA0, 0xA1, 0xA2


def timed(client: Dialogue, pdu: bytes) -> tuple[float, ResultCode]:
    began = time.process_time()
    seen = client.send(pdu)
    elapsed = time.process_time() - began
    return elapsed, seen.result.code


@pytest.mark.parametrize("tag", [AND, OR, NOT])
@pytest.mark.parametrize("depth", range(1, 17))
def test_sixteen_levels_are_evaluated(tag: int, depth: int) -> None:
    seen = a_dialogue(Directory()).send(search(nested(depth - 1, tag)))

    assert seen.responses[-1] == a_dialogue(Directory()).send(search()).responses[-1]


@pytest.mark.parametrize("tag", [AND, OR, NOT])
@pytest.mark.parametrize("depth", [17, 1_000, 15_000])
def test_deeper_filters_are_refused_at_once_and_the_session_goes_on(tag: int, depth: int) -> None:
    client = a_dialogue(Directory())

    elapsed, code = timed(client, search(nested(depth - 1, tag)))

    assert code is ResultCode.ADMIN_LIMIT_EXCEEDED
    assert elapsed < 0.02
    assert len(client.send(search(message_id=2)).responses) == 2


def test_a_million_levels_do_not_even_fit() -> None:
    pdu = search(nested(1_000_000, NOT))
    client = a_dialogue(Directory())

    began = time.process_time()
    seen = client.send(pdu[: 64 * 1024])

    assert seen.notice.code is ResultCode.PROTOCOL_ERROR
    assert time.process_time() - began < 0.02


def test_mixed_connectives_count_together() -> None:
    condition = nested(5, NOT)
    for tag in (AND, OR, AND, OR, NOT) * 2 + (AND,):
        condition = bytes((tag,)) + _length(len(condition)) + condition

    _, code = timed(a_dialogue(Directory()), search(condition))

    assert code is ResultCode.ADMIN_LIMIT_EXCEEDED


def _length(length: int) -> bytes:
    return bytes((length,)) if length < 0x80 else b"\x82" + length.to_bytes(2, "big")
