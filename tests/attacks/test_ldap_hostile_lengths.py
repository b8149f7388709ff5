"""Lengths that lie must cost neither memory nor time (CVE-2001-0977, CVE-2008-2952, CVE-2026-102731)."""

import time
import tracemalloc

import pytest

from directory.ldap.codes import ResultCode
from tests.directory.ldap.dialogue import a_dialogue
from tests.directory.ldap.memory import Directory
from tests.directory.ldap.wire import search

SPARE = b"\x00" * 16


@pytest.mark.parametrize(
    "octets",
    [
        "30 84 ff ff ff ff",
        "30 84 7f ff ff ff",
        "30 84 00 01 00 00",
        "30 83 01 00 00",
        "30 80",
        "30 85 00 00 00 00 05",
        "30 89 00 00 00 00 00 00 00 00 05",
        "30 ff",
        "30 81 00",
        "30 00",
        "30 05 02 84 ff ff ff ff",
        "30 05 02 80 00 00 00",
        "30 06 02 01 01 63 ff 00",
        "30 07 02 01 01 63 84 ff ff",
        "30 07 02 01 ff 63 02 04 00",
        "30 09 02 04 80 00 00 00 42 00",
        "30 0a 02 05 01 00 00 00 01 42 00",
        "30 06 02 00 42 00 00 00",
    ],
)
def test_a_lying_length_ends_the_session_at_once(octets: str) -> None:
    client = a_dialogue(Directory())
    began = time.process_time()
    seen = client.send(bytes.fromhex(octets) + SPARE)

    assert seen.notice.code is ResultCode.PROTOCOL_ERROR
    assert time.process_time() - began < 0.02


def test_no_memory_is_set_aside_for_octets_that_have_not_come() -> None:
    clients = [a_dialogue(Directory()) for _ in range(50)]
    almost_too_long = bytes.fromhex("30 83 00 ff f0")
    tracemalloc.start()
    try:
        for client in clients:
            client.send(almost_too_long)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert peak < 50 * 16 * 1024


def test_a_message_that_never_becomes_complete_is_kept_only_up_to_the_limit() -> None:
    client = a_dialogue(Directory())
    tracemalloc.start()
    try:
        client.send(bytes.fromhex("30 83 00 ff f0"))
        for _ in range(0xFFF0 // 16 - 1):
            client.send(bytes(16))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert peak < 512 * 1024
    assert client.send(bytes(16)).notice.code is ResultCode.PROTOCOL_ERROR


@pytest.mark.parametrize("place", range(len(search())))
def test_every_octet_of_a_search_replaced_by_a_long_length_is_survived(place: int) -> None:
    pdu = bytearray(search())
    pdu[place] = 0x84
    client = a_dialogue(Directory())
    seen = client.send(bytes(pdu))

    # A closed session said why; an open one has answered, or waits for the rest of the message.
    assert not seen.closed or seen.notice.code is ResultCode.PROTOCOL_ERROR
