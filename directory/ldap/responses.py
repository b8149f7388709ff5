"""How is an answer written? Responses of LDAP as octets, each with its envelope (RFC 4511 section 4)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from directory.ldap.ber import ENUMERATED, Reader, element, integer, octet_string, sequence
from directory.ldap.codes import NOTICE_OF_DISCONNECTION, ResponseTag, ResultCode

_RESPONSE_NAME, _RESPONSE_VALUE = 0x8A, 0x8B
_CONTROLS = 0xA0
_UNSOLICITED = 0
_SUCCESSFUL_END: Final = bytes.fromhex("65070a010004000400")


_WRITTEN: Final[Mapping[ResponseTag, list[int]]] = {tag: [0] * (max(ResultCode) + 1) for tag in ResponseTag}
"""How many results of each code this process has written: plain numbers, since every result is counted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """How an operation ended (RFC 4511 section 4.1.9). Never with a referral."""

    code: ResultCode
    matched_name: str = ""
    diagnostic: str = ""


SUCCESS: Final = Result(code=ResultCode.SUCCESS)


def write_result(message_id: int, tag: ResponseTag, result: Result) -> bytes:
    """Write the response that ends an operation."""
    _WRITTEN[tag][result.code] += 1
    if result is SUCCESS and tag is ResponseTag.SEARCH_DONE:
        return sequence(integer(message_id), _SUCCESSFUL_END)
    return sequence(integer(message_id), element(tag, _components(result)))


def write_entry(message_id: int, entry: bytes) -> bytes:
    """Write one SearchResultEntry whose protocolOp has been written already."""
    return sequence(integer(message_id), entry)


def write_extended(message_id: int, result: Result, *, name: str = "", value: bytes | None = None) -> bytes:
    """Write an extended response; without a name, as for an operation that is not supported."""
    _WRITTEN[ResponseTag.EXTENDED][result.code] += 1
    members = [_components(result)]
    if name:
        members.append(octet_string(name, _RESPONSE_NAME))
    if value is not None:
        members.append(octet_string(value, _RESPONSE_VALUE))
    return sequence(integer(message_id), sequence(*members, tag=ResponseTag.EXTENDED))


def with_control(message: bytes, oid: str, value: bytes) -> bytes:
    """Return a response already written, with a control put behind its operation."""
    control = sequence(octet_string(oid), octet_string(value))
    return sequence(Reader(message).constructed().rest(), sequence(control, tag=_CONTROLS))


def write_notice_of_disconnection(result: Result) -> bytes:
    """Write the unsolicited notification that the session ends now (RFC 4511 section 4.4.1)."""
    return write_extended(_UNSOLICITED, result, name=NOTICE_OF_DISCONNECTION)


def results_written() -> Mapping[tuple[str, ...], int]:
    """Return how many results this process has written, by operation and code."""
    return {
        (tag.name.lower(), str(code)): written
        for tag, by_code in _WRITTEN.items()
        for code, written in enumerate(by_code)
        if written
    }


def _components(result: Result) -> bytes:
    return (
        integer(result.code, ENUMERATED) + octet_string(result.matched_name) + octet_string(result.diagnostic)
    )
