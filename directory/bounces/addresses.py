"""Which mailbox does a report mean? The spellings of RFC 3464, RFC 3461 and RFC 6533, read and compared."""

import re
from collections.abc import Iterator

from ca.address import Mailbox
from ca.errors import AddressRefused

_XTEXT_OCTETS = re.compile(r"(?:\+[0-9A-F]{2})+")
_EMBEDDED_CHARACTER = re.compile(r"\\x\{([0-9A-Fa-f]{2,6})\}")
_LONGEST = 1000


def read_typed_address(field: str) -> frozenset[str]:
    """Return the keys of the mailbox that `type; address` may mean; empty where it means none of ours.

    More than one, because some write the address as xtext (RFC 3461 section 4) and some as it is, and a `+`
    looks alike in both.
    """
    kind, semicolon, address = field[:_LONGEST].rpartition(";")
    if semicolon and kind.strip().lower() not in {"rfc822", "utf-8"}:
        return frozenset()
    return frozenset(_keys(address.strip().strip("<>")))


def read_plain_address(address: str) -> frozenset[str]:
    """Return the key of a bare address; empty where it is none of ours."""
    return frozenset(_keys(address[:_LONGEST].strip().strip("<>")))


def _keys(address: str) -> Iterator[str]:
    embedded = _EMBEDDED_CHARACTER.sub(_character, address)
    for spelling in {address, embedded, _XTEXT_OCTETS.sub(_octets, address)}:
        try:
            yield Mailbox.parse_international(spelling).key
        except AddressRefused:
            continue


def _octets(match: re.Match[str]) -> str:
    # What is no UTF-8 becomes a character that no address holds.
    return bytes.fromhex(match[0].replace("+", "")).decode(errors="replace")


def _character(match: re.Match[str]) -> str:
    point = int(match[1], 16)
    return chr(point) if point <= 0x10FFFF else match[0]  # noqa: PLR2004 - the last code point of Unicode
