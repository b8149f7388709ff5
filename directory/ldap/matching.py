"""Does an entry match a filter? Three-valued, as RFC 4511 section 4.5.1.7 has it.

What cannot be decided (an unknown attribute, a rule the attribute does not have, an impossible value) is
Undefined, never an error; an entry is returned only where the whole filter is TRUE. Recursion is safe here:
`filters` lets no deeper tree through.
"""

from collections.abc import Callable, Hashable, Iterable, Mapping
from enum import Enum
from functools import lru_cache
from typing import Final

from directory.ldap.attributes import MAIL, OBJECT_CLASS, AttributeType, MatchingRule, attribute_type
from directory.ldap.entries import Entry
from directory.ldap.errors import NameRefused
from directory.ldap.filters import (
    And,
    Approximate,
    Equality,
    Extensible,
    Filter,
    Not,
    Or,
    Present,
    Substrings,
)
from directory.ldap.names import parse_name
from directory.ldap.object_classes import object_class_oid
from directory.ldap.preparation import prepared
from directory.ldap.recipients import parse_addressee


class Truth(Enum):
    """The three values of a filter."""

    TRUE = "TRUE"
    FALSE = "FALSE"
    UNDEFINED = "Undefined"


def matches(condition: Filter, entry: Entry) -> Truth:
    """Evaluate a filter over an entry."""
    match condition:
        case Equality() | Approximate():
            # There is no approximate matching here, so it means equality (RFC 4511 section 4.5.1.7.6).
            truth = has_value(entry, condition.attribute, condition.value)
        case Present():
            truth = _is_present(entry, condition)
        case And():
            truth = _all_of(matches(member, entry) for member in condition.filters)
        case Or():
            truth = _any_of(matches(member, entry) for member in condition.filters)
        case Not():
            truth = _OPPOSITES[matches(condition.filter, entry)]
        case Substrings():
            truth = _has_pieces(entry, condition)
        case Extensible():
            truth = _matches_by_rule(entry, condition)
        case _:
            # >= and <=, because no attribute here has an ordering rule; and what RFC 4511 does not know.
            truth = Truth.UNDEFINED
    return truth


def has_value(entry: Entry, description: str, value: bytes, extra: tuple[bytes, ...] = ()) -> Truth:
    """Tell whether the attribute has the value, among the entry's and the extra ones."""
    attribute = attribute_type(description)
    if attribute is None:
        return Truth.UNDEFINED
    held = entry.values(attribute) + extra
    if not held:
        return Truth.FALSE
    asserted = _comparable(attribute, value)
    if asserted is None:
        return Truth.UNDEFINED
    if attribute is OBJECT_CLASS:
        return _truth(any(_held_object_class(item) == asserted for item in held))
    return _truth(any(_comparable(attribute, item) == asserted for item in held))


def _is_present(entry: Entry, condition: Present) -> Truth:
    attribute = attribute_type(condition.attribute)
    return Truth.UNDEFINED if attribute is None else _truth(bool(entry.values(attribute)))


def _has_pieces(entry: Entry, condition: Substrings) -> Truth:
    attribute = attribute_type(condition.attribute)
    if attribute is None or attribute.substrings is None:
        return Truth.UNDEFINED
    return _truth(any(_contains(prepared(held), condition) for held in entry.values(attribute)))


def _contains(text: bytes, condition: Substrings) -> bool:
    initial, final = prepared(condition.initial), prepared(condition.final)
    if not text.startswith(initial):
        return False
    at = len(initial)
    for piece in condition.middle:
        wanted = prepared(piece)
        found = text.find(wanted, at)
        if found < 0:
            return False
        at = found + len(wanted)
    return len(text) - len(final) >= at and text.endswith(final)


def _matches_by_rule(entry: Entry, condition: Extensible) -> Truth:
    if condition.attribute is None:
        return Truth.UNDEFINED  # a rule over every attribute: a kind of filtering not implemented here
    attribute = attribute_type(condition.attribute)
    if attribute is None or attribute.equality is None:
        return Truth.UNDEFINED
    if condition.rule is not None and condition.rule.lower() not in attribute.equality.names:
        return Truth.UNDEFINED
    of_name = _values_in_name(entry, attribute) if condition.dn_attributes else ()
    return has_value(entry, condition.attribute, condition.value, extra=of_name)


def _values_in_name(entry: Entry, attribute: AttributeType) -> tuple[bytes, ...]:
    parts = (part for rdn in parse_name(entry.name).rdns for part in rdn)
    return tuple(part.value.encode() for part in parts if part.attribute is attribute)


def _comparable(attribute: AttributeType, value: bytes) -> Hashable | None:
    """Return what values of the attribute are compared by; None where the value cannot be one."""
    if attribute is MAIL:
        return _mail_key(value)
    prepare = _PREPARATIONS.get(attribute.equality) if attribute.equality else None
    return prepare(value) if prepare else None


def _mail_key(value: bytes) -> bytes | None:
    """Return the recipient's key, so that a domain in U-labels finds the one in A-labels."""
    key = prepared(value)
    if key.isascii():
        return key
    try:
        addressee = parse_addressee(value.decode())
    except UnicodeDecodeError:
        return None
    return addressee.key.encode() if addressee is not None else None


def _object_identifier_key(value: bytes) -> str | None:
    try:
        text = prepared(value).decode("ascii")
    except UnicodeDecodeError:
        return None
    return text if text[:1].isdigit() else object_class_oid(text)


_held_object_class = lru_cache(maxsize=64)(_object_identifier_key)
"""What entries hold is of a few, always the same; what clients assert may be anything."""


def _name_key(value: bytes) -> Hashable | None:
    try:
        return parse_name(value.decode()).key
    except (UnicodeDecodeError, NameRefused):
        return None


_PREPARATIONS: Final[Mapping[MatchingRule, Callable[[bytes], Hashable | None]]] = {
    MatchingRule.CASE_IGNORE: prepared,
    MatchingRule.CASE_IGNORE_IA5: prepared,
    MatchingRule.OBJECT_IDENTIFIER: _object_identifier_key,
    MatchingRule.DISTINGUISHED_NAME: _name_key,
}

_OPPOSITES: Final = {
    Truth.TRUE: Truth.FALSE,
    Truth.FALSE: Truth.TRUE,
    Truth.UNDEFINED: Truth.UNDEFINED,
}


def _truth(known: bool) -> Truth:  # noqa: FBT001 - this is where booleans end
    return Truth.TRUE if known else Truth.FALSE


def _all_of(truths: Iterable[Truth]) -> Truth:
    result = Truth.TRUE
    for truth in truths:
        if truth is Truth.FALSE:
            return Truth.FALSE
        if truth is Truth.UNDEFINED:
            result = Truth.UNDEFINED
    return result


def _any_of(truths: Iterable[Truth]) -> Truth:
    result = Truth.FALSE
    for truth in truths:
        if truth is Truth.TRUE:
            return Truth.TRUE
        if truth is Truth.UNDEFINED:
            result = Truth.UNDEFINED
    return result
