"""What does a search filter say? The tree of RFC 4511 section 4.5.1.7, read from BER within bounds.

A filter may nest as deep as its sender likes; so reading it does not recurse, and stops at `DEEPEST` levels
and `MOST_ITEMS` items. Whoever walks the tree later may recurse: it is that shallow.

Knows attributes by what they are called in the filter; whether they exist is `matching`'s question.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from directory.ldap.ber import SEQUENCE, Reader
from directory.ldap.codes import ResultCode
from directory.ldap.errors import MalformedPdu, RequestRefused

DEEPEST: Final = 16
"""Levels of a filter; a single comparison has one, its negation two."""
MOST_ITEMS: Final = 256
"""Comparisons, connectives and pieces of substrings in one filter."""

_AND, _OR, _NOT = 0xA0, 0xA1, 0xA2
_EQUALITY, _SUBSTRINGS, _GREATER_OR_EQUAL, _LESS_OR_EQUAL = 0xA3, 0xA4, 0xA5, 0xA6
_PRESENT, _APPROXIMATE, _EXTENSIBLE = 0x87, 0xA8, 0xA9
_INITIAL, _ANY, _FINAL = 0x80, 0x81, 0x82
_RULE, _TYPE, _VALUE, _DN_ATTRIBUTES = 0x81, 0x82, 0x83, 0x84


@dataclass(frozen=True, slots=True, kw_only=True)
class And:
    """Every one of them; TRUE when there is none (RFC 4526)."""

    filters: "tuple[Filter, ...]"


@dataclass(frozen=True, slots=True, kw_only=True)
class Or:
    """At least one of them; FALSE when there is none (RFC 4526)."""

    filters: "tuple[Filter, ...]"


@dataclass(frozen=True, slots=True, kw_only=True)
class Not:
    """The opposite."""

    filter: "Filter"


@dataclass(frozen=True, slots=True, kw_only=True)
class Equality:
    """The attribute has this value."""

    attribute: str
    value: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Substrings:
    """A value of the attribute has these pieces, in this order. Empty pieces are left out."""

    attribute: str
    initial: bytes = b""
    middle: tuple[bytes, ...] = ()
    final: bytes = b""

    @property
    def pieces(self) -> tuple[bytes, ...]:
        """The pieces that say something."""
        return tuple(piece for piece in (self.initial, *self.middle, self.final) if piece)


@dataclass(frozen=True, slots=True, kw_only=True)
class GreaterOrEqual:
    """A value of the attribute is this one or comes after it."""

    attribute: str
    value: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class LessOrEqual:
    """A value of the attribute is this one or comes before it."""

    attribute: str
    value: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Present:
    """The attribute has a value."""

    attribute: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Approximate:
    """A value of the attribute is much like this one."""

    attribute: str
    value: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Extensible:
    """A value matches by the named rule, in the attribute or in any, in the entry or also in its name."""

    rule: str | None
    attribute: str | None
    value: bytes
    dn_attributes: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Unrecognized:
    """A choice that RFC 4511 does not have; its extensibility allows it."""


Filter = (
    And
    | Or
    | Not
    | Equality
    | Substrings
    | GreaterOrEqual
    | LessOrEqual
    | Present
    | Approximate
    | Extensible
    | Unrecognized
)


class _Connective:
    """An and, or or not whose members are being read."""

    __slots__ = ("members", "rest", "tag")

    def __init__(self, tag: int, rest: Reader) -> None:
        self.tag = tag
        self.rest = rest
        self.members: list[Filter] = []

    def close(self) -> Filter:
        if self.tag == _AND:
            return And(filters=tuple(self.members))
        if self.tag == _OR:
            return Or(filters=tuple(self.members))
        if len(self.members) != 1:
            raise MalformedPdu("a negation of other than one filter")
        return Not(filter=self.members[0])


def read_filter(reader: Reader) -> Filter:
    """Read one filter.

    Raises:
        MalformedPdu: the next element is not one.
        RequestRefused: it is deeper or has more items than this server evaluates (adminLimitExceeded).
    """
    open_connectives: list[_Connective] = []
    items_left = MOST_ITEMS
    source = reader
    while True:
        # 1. Read what comes next: go down into a connective, or read a comparison.
        tag = source.peek()
        if tag in (_AND, _OR, _NOT):
            if len(open_connectives) + 1 >= DEEPEST:
                raise _too_much("the filter is nested too deep")
            source = source.constructed(tag)
            open_connectives.append(_Connective(tag, source))
            items_left -= 1
        else:
            comparison = _read_comparison(source, tag)
            if not open_connectives:
                return comparison
            open_connectives[-1].members.append(comparison)
            items_left -= len(comparison.middle) + 1 if isinstance(comparison, Substrings) else 1
        if items_left < 0:
            raise _too_much("the filter has too many items")

        # 2. Close every connective that is complete, up to one with more members, or to the outermost.
        while open_connectives[-1].rest.at_end():
            closed = open_connectives.pop().close()
            if not open_connectives:
                return closed
            open_connectives[-1].members.append(closed)
        source = open_connectives[-1].rest


def _read_comparison(reader: Reader, tag: int | None) -> Filter:
    if tag is None:
        raise MalformedPdu("a filter is missing")
    read = _COMPARISONS.get(tag)
    if read is not None:
        return read(reader)
    reader.skip()
    return Unrecognized()


def _read_equality(reader: Reader) -> Equality:
    attribute, value = _assertion(reader.constructed(_EQUALITY))
    return Equality(attribute=attribute, value=value)


def _read_greater_or_equal(reader: Reader) -> GreaterOrEqual:
    attribute, value = _assertion(reader.constructed(_GREATER_OR_EQUAL))
    return GreaterOrEqual(attribute=attribute, value=value)


def _read_less_or_equal(reader: Reader) -> LessOrEqual:
    attribute, value = _assertion(reader.constructed(_LESS_OR_EQUAL))
    return LessOrEqual(attribute=attribute, value=value)


def _read_approximate(reader: Reader) -> Approximate:
    attribute, value = _assertion(reader.constructed(_APPROXIMATE))
    return Approximate(attribute=attribute, value=value)


def _read_present(reader: Reader) -> Present:
    return Present(attribute=reader.text(_PRESENT))


def _read_substrings(reader: Reader) -> Substrings:
    members = reader.constructed(_SUBSTRINGS)
    attribute = members.text()
    pieces = members.constructed(SEQUENCE)
    members.skip_rest()
    if pieces.at_end():
        raise MalformedPdu("a substring filter without substrings")
    initial = pieces.octets(_INITIAL) if pieces.peek() == _INITIAL else b""
    middle = []
    while pieces.peek() == _ANY:
        # Thunderbird writes an empty piece where two asterisks meet; it matches everywhere.
        if piece := pieces.octets(_ANY):
            middle.append(piece)
        if len(middle) > MOST_ITEMS:
            raise _too_much("the filter has too many items")
    final = pieces.octets(_FINAL) if pieces.peek() == _FINAL else b""
    if not pieces.at_end():
        raise MalformedPdu("substrings out of order")
    return Substrings(attribute=attribute, initial=initial, middle=tuple(middle), final=final)


def _read_extensible(reader: Reader) -> Extensible:
    members = reader.constructed(_EXTENSIBLE)
    rule = members.text(_RULE) if members.peek() == _RULE else None
    attribute = members.text(_TYPE) if members.peek() == _TYPE else None
    value = members.octets(_VALUE)
    dn_attributes = members.boolean(_DN_ATTRIBUTES) if members.peek() == _DN_ATTRIBUTES else False
    members.skip_rest()
    return Extensible(rule=rule, attribute=attribute, value=value, dn_attributes=dn_attributes)


def _assertion(members: Reader) -> tuple[str, bytes]:
    attribute, value = members.text(), members.octets()
    members.skip_rest()
    return attribute, value


_COMPARISONS: Final[Mapping[int, Callable[[Reader], Filter]]] = {
    _EQUALITY: _read_equality,
    _SUBSTRINGS: _read_substrings,
    _GREATER_OR_EQUAL: _read_greater_or_equal,
    _LESS_OR_EQUAL: _read_less_or_equal,
    _PRESENT: _read_present,
    _APPROXIMATE: _read_approximate,
    _EXTENSIBLE: _read_extensible,
}


def _too_much(reason: str) -> RequestRefused:
    return RequestRefused(code=ResultCode.ADMIN_LIMIT_EXCEEDED, reason=reason)
