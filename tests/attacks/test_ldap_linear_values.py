"""Values as long as a message must cost as much as they are long, not more (CVE-2026-103885 and its kin).

Work is counted in lines of our code that are run, not in time, which says more about the machine.
"""

import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

import directory.ldap
from tests.directory.ldap.dialogue import a_dialogue
from tests.directory.ldap.memory import Directory
from tests.directory.ldap.wire import (
    bind,
    bind_with_sasl,
    compare,
    equals,
    extensible,
    mail,
    or_,
    page,
    present,
    search,
    substrings,
)

HERE = str(Path(directory.ldap.__path__[0]).parent.parent)
SHORT, LONG = 8 * 1024, 32 * 1024

Pdu = Callable[[str], bytes]
PDUS: dict[str, Pdu] = {
    "equality": lambda value: search(equals("cn", value)),
    "address": lambda value: search(mail(value)),
    "substring": lambda value: search(substrings("cn", value, initial="a", final="b")),
    "pieces": lambda value: search(substrings("cn", *value[:200], final=value[200:])),
    "extensible": lambda value: search(extensible(value, attribute="cn", rule="2.5.13.2")),
    "name in a filter": lambda value: search(equals("subschemaSubentry", value)),
    "attribute in a filter": lambda value: search(present(value)),
    "attribute asked for": lambda value: search(attributes=(value,)),
    "base": lambda value: search(base=value),
    "bind name": lambda value: bind(value, "token"),
    "password": lambda value: bind("cn=gw,ou=gateways,o=directory", value),
    "SASL": lambda value: bind_with_sasl("PLAIN", f"{value}\0{value}\0x".encode()),
    "cookie": lambda value: search(or_(mail()), controls=page(1, value.encode())),
    "compared entry": compare,
    "compared value": lambda value: compare("o=directory", "o", value),
}
VALUES = {
    "letters": "a",
    "spaces": " ",
    "commas": "o=a,",
    "plusses": "o=a+",
    "backslashes": "\\",
    "escapes": "\\41",
    "dots": "a.",
    "signs": "@",
    "dashes": "xn--",
    "letters that fold": "\u0130",
    "combining marks": "a\u0323\u0307",
    "numbers": "1.",
}


def lines_run(pdu: bytes) -> int:
    """Count the lines of our code, and the backward steps in them, that an answer takes."""
    client = a_dialogue(Directory())
    count = 0

    def trace(frame: FrameType, event: str, _argument: object) -> Any:
        nonlocal count
        if not frame.f_code.co_filename.startswith(HERE):
            return None
        count += event == "line"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        client.send(pdu)
    finally:
        sys.settrace(before)
    return count


@pytest.mark.parametrize("kind", PDUS)
@pytest.mark.parametrize("value", VALUES.values(), ids=VALUES)
def test_four_times_the_length_is_at_most_some_four_times_the_work(kind: str, value: str) -> None:
    short, long = (value * (size // 2 // len(value.encode())) for size in (SHORT, LONG))

    assert lines_run(PDUS[kind](long)) <= 5 * lines_run(PDUS[kind](short)) + 1000
