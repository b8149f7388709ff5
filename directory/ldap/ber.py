"""How are values written as octets? The subset of BER that RFC 4511 section 5.1 allows, read within bounds.

Reading is strict except where clients in the field are known, or likely, to differ: every such point stands
in the table "What the decoder forgives" of `docs/ldap-conformance.md`.

Knows nothing of messages. A reader never recurses, never copies more than it is asked for, and never looks
beyond the element it was given.
"""

from collections.abc import Iterator
from typing import Final

from directory.ldap.codes import ResultCode
from directory.ldap.errors import MalformedPdu, RequestRefused

BOOLEAN: Final = 0x01
INTEGER: Final = 0x02
OCTET_STRING: Final = 0x04
ENUMERATED: Final = 0x0A
SEQUENCE: Final = 0x30
SET: Final = 0x31

_LONG_FORM = 0x80
_HIGH_TAG = 0x1F
_LONGEST_LENGTH = 4
_LONGEST_INTEGER = 4


def read_length(data: bytes | bytearray, at: int, end: int) -> tuple[int, int] | None:
    """Read the length octets at `at`; return the length and where the content starts.

    None when the octets up to `end` do not hold all of them yet.

    Raises:
        MalformedPdu: the length is of indefinite form, or has more than four octets.
    """
    if at >= end:
        return None
    first = data[at]
    if first < _LONG_FORM:
        return first, at + 1
    size = first - _LONG_FORM
    if size == 0:
        raise MalformedPdu("a length of indefinite form")
    if size > _LONGEST_LENGTH:
        raise MalformedPdu("a length of more than four octets")
    start = at + 1 + size
    if start > end:
        return None
    return int.from_bytes(data[at + 1 : start], "big"), start


class Reader:
    """Reads the elements of one constructed value, in order.

    Every reading method raises `MalformedPdu` when what comes next is not what was asked for, or is longer
    than what holds it.
    """

    __slots__ = ("_at", "_data", "_end")

    def __init__(self, data: bytes, start: int = 0, end: int | None = None) -> None:
        self._data = data
        self._at = start
        self._end = len(data) if end is None else end

    def at_end(self) -> bool:
        """Whether everything has been read."""
        return self._at >= self._end

    def peek(self) -> int | None:
        """Return the identifier octet of the next element; None at the end."""
        return self._data[self._at] if self._at < self._end else None

    def octets(self, tag: int = OCTET_STRING) -> bytes:
        """Read a primitive element's content."""
        start, stop = self._open(tag)
        return self._data[start:stop]

    def text(self, tag: int = OCTET_STRING) -> str:
        """Read a primitive element's content as a text (RFC 4511 section 4.1.2).

        Raises:
            RequestRefused: it is not UTF-8 (protocolError).
        """
        try:
            return self.octets(tag).decode()
        except UnicodeDecodeError:
            raise RequestRefused(code=ResultCode.PROTOCOL_ERROR, reason="a text is not UTF-8") from None

    def constructed(self, tag: int = SEQUENCE) -> "Reader":
        """Return a reader of a constructed element's members."""
        start, stop = self._open(tag)
        return Reader(self._data, start, stop)

    def integer(self, tag: int = INTEGER) -> int:
        """Read an integer or an enumerated value, in two's complement."""
        start, stop = self._open(tag)
        if not 1 <= stop - start <= _LONGEST_INTEGER:
            raise MalformedPdu("an integer of no octet or of more than four")
        return int.from_bytes(self._data[start:stop], "big", signed=True)

    def boolean(self, tag: int = BOOLEAN) -> bool:
        """Read a truth value: any octet but zero is TRUE."""
        start, stop = self._open(tag)
        if stop - start != 1:
            raise MalformedPdu("a boolean that is not one octet")
        return self._data[start] != 0

    def skip(self) -> None:
        """Pass over one element, whatever it is."""
        tag = self.peek()
        if tag is None:
            raise MalformedPdu("an element is missing")
        if tag & _HIGH_TAG == _HIGH_TAG:
            raise MalformedPdu("a tag number that LDAP does not use")
        self._open(tag)

    def skip_rest(self) -> None:
        """Pass over what a later version of the protocol may have added (RFC 4511 section 4)."""
        while self._at < self._end:
            self.skip()

    def rest(self) -> bytes:
        """Read everything that is left, as it is written."""
        start, self._at = self._at, self._end
        return self._data[start : self._end]

    def elements(self) -> Iterator[bytes]:
        """Read every element that is left, each as it is written."""
        while self._at < self._end:
            start = self._at
            self.skip()
            yield self._data[start : self._at]

    def _open(self, tag: int) -> tuple[int, int]:
        at = self._at
        if at >= self._end:
            raise MalformedPdu("an element is missing")
        if self._data[at] != tag:
            raise MalformedPdu("an element of another kind than expected")
        measured = read_length(self._data, at + 1, self._end)
        if measured is None:
            raise MalformedPdu("a length is cut short")
        length, start = measured
        stop = start + length
        if stop > self._end:
            raise MalformedPdu("an element is longer than what holds it")
        self._at = stop
        return start, stop


def element(tag: int, content: bytes) -> bytes:
    """Write one element; the length has as few octets as possible."""
    length = len(content)
    if length < _LONG_FORM:
        return bytes((tag, length)) + content
    size = (length.bit_length() + 7) // 8
    return bytes((tag, _LONG_FORM + size)) + length.to_bytes(size, "big") + content


def integer(value: int, tag: int = INTEGER) -> bytes:
    """Write an integer or an enumerated value, in two's complement with as few octets as possible."""
    magnitude = value if value >= 0 else ~value
    return element(tag, value.to_bytes(magnitude.bit_length() // 8 + 1, "big", signed=True))


def octet_string(content: bytes | str, tag: int = OCTET_STRING) -> bytes:
    """Write octets, or a text in UTF-8."""
    return element(tag, content.encode() if isinstance(content, str) else content)


def sequence(*members: bytes, tag: int = SEQUENCE) -> bytes:
    """Write a sequence, or a set, of elements already written."""
    return element(tag, b"".join(members))
