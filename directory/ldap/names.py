"""Which entry does a distinguished name mean? Reads, compares and writes names (RFC 4514).

Names are equal when their parts are, whatever the case and the spacing, and whichever of its names an
attribute is given. Knows nothing of which entries exist.
"""

import re
from dataclasses import dataclass, field
from functools import lru_cache

from directory.ldap.attributes import AttributeType, attribute_type
from directory.ldap.errors import NameRefused
from directory.ldap.preparation import prepared

_LONGEST_NAME = 2048
"""Characters. The longest name in use, an escaped address of 254 octets below a suffix, has half of them."""
_MOST_PARTS = 32

_TYPE = re.compile(r" *([A-Za-z][A-Za-z0-9-]*|[0-9]+(?:\.[0-9]+)*) *= *")
_HEX_VALUE = re.compile(r"#((?:[0-9A-Fa-f]{2})+) *(?=[,+]|\Z)")
_VALUE = re.compile(r'(?:[^\\"+,;<>\0]|\\(?:[ "#+,;<=>\\]|[0-9A-Fa-f]{2}))*')
_PAIR = re.compile(rb"\\([0-9A-Fa-f]{2}|.)", re.DOTALL)
_MUST_ESCAPE = re.compile(r'[\\"+,;<>]')

_STRING_TAGS = frozenset({0x0C, 0x13, 0x16})
"""UTF8String, PrintableString, IA5String."""
_STRING_HEADER = 2
_LONGEST_SHORT_FORM = 127
"""Octets of tag and length, and of a string whose length fits in one; a longer one is left as it is."""

_PartKey = tuple[str, bytes]
_RdnKey = frozenset[_PartKey]


@dataclass(frozen=True, slots=True, kw_only=True)
class NamePart:
    """One attribute type and value of a relative distinguished name."""

    type_name: str
    """As it was written."""
    value: str
    """Without escapes."""

    @property
    def attribute(self) -> AttributeType | None:
        """The type, if the directory knows it."""
        return attribute_type(self.type_name)

    @property
    def key(self) -> _PartKey:
        """What it is compared by."""
        known = self.attribute
        return known.oid if known else self.type_name.lower(), prepared(self.value.encode())

    def __str__(self) -> str:
        return f"{self.type_name}={_escaped(self.value)}"


Rdn = tuple[NamePart, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class DistinguishedName:
    """A name, from the entry up to the root; the root's own name has no parts."""

    rdns: tuple[Rdn, ...] = field(compare=False)
    key: tuple[_RdnKey, ...]

    @classmethod
    def of(cls, rdns: tuple[Rdn, ...]) -> "DistinguishedName":
        """Put a name together."""
        return cls(rdns=rdns, key=tuple(frozenset(part.key for part in rdn) for rdn in rdns))

    @property
    def parent(self) -> "DistinguishedName":
        """The name one step up."""
        return DistinguishedName(rdns=self.rdns[1:], key=self.key[1:])

    @property
    def sole_part(self) -> NamePart | None:
        """The only part of the first relative name; None where that has several, or there is none."""
        return self.rdns[0][0] if self.rdns and len(self.rdns[0]) == 1 else None

    def __str__(self) -> str:
        return ",".join("+".join(map(str, rdn)) for rdn in self.rdns)


ROOT = DistinguishedName.of(())


def name_below(superior: str, attribute: AttributeType, value: str) -> str:
    """Write the name of an entry directly below another."""
    return f"{attribute.names[0]}={_escaped(value)},{superior}"


@lru_cache(maxsize=256)
def parse_name(text: str) -> DistinguishedName:
    """Read a distinguished name (RFC 4514 section 3).

    Raises:
        NameRefused: it is not one, or longer or deeper than any name here.
    """
    if len(text) > _LONGEST_NAME:
        raise NameRefused(reason="the name is too long")
    if not text:
        return ROOT
    rdns: list[Rdn] = []
    parts: list[NamePart] = []
    at = 0
    for _ in range(_MOST_PARTS):
        part, at = _read_part(text, at)
        parts.append(part)
        separator = text[at : at + 1]
        if separator != "+":
            rdns.append(tuple(parts))
            parts = []
        if not separator:
            return DistinguishedName.of(tuple(rdns))
        at += 1
    raise NameRefused(reason="the name has too many parts")


def _read_part(text: str, at: int) -> tuple[NamePart, int]:
    type_match = _TYPE.match(text, at)
    if type_match is None:
        raise NameRefused(reason="an attribute type and '=' were expected in the name")
    at = type_match.end()
    hex_match = _HEX_VALUE.match(text, at)
    value_match = hex_match or _VALUE.match(text, at)
    if value_match is None or text[value_match.end() : value_match.end() + 1] not in {"", ",", "+"}:
        raise NameRefused(reason="a character of the name is not escaped, or wrongly")
    value = _from_hexadecimal(hex_match[1]) if hex_match else _unescaped(value_match[0])
    return NamePart(type_name=type_match[1], value=value), value_match.end()


def _from_hexadecimal(digits: str) -> str:
    """Read BER in hexadecimal: as its text, if it is a string; else it is a value like no other.

    Java writes emailAddress like that, and every other type that RFC 4514 section 3 has no name for.
    """
    ber = bytes.fromhex(digits)
    length = len(ber) - _STRING_HEADER
    if ber[0] in _STRING_TAGS and 0 <= length <= _LONGEST_SHORT_FORM and ber[1] == length:
        try:
            return ber[_STRING_HEADER:].decode()
        except UnicodeDecodeError:
            pass
    return f"#{digits.lower()}"


def _unescaped(raw: str) -> str:
    stripped = raw.rstrip(" ")
    backslashes = len(stripped) - len(stripped.rstrip("\\"))
    if backslashes % 2:
        stripped += " "  # the first of the trailing spaces is escaped, so it counts
    try:
        return _PAIR.sub(_pair, stripped.encode()).decode()
    except UnicodeError:
        raise NameRefused(reason="a value of the name is not UTF-8") from None


def _pair(match: re.Match[bytes]) -> bytes:
    escaped = match[1]
    return bytes.fromhex(escaped.decode()) if len(escaped) > 1 else escaped


def _escaped(value: str) -> str:
    """Escape a value (RFC 4514 section 2.4)."""
    text = _MUST_ESCAPE.sub(r"\\\g<0>", value).replace("\0", r"\00")
    if text.startswith(("#", " ")):
        text = f"\\{text}"
    if value.endswith(" ") and len(value) > 1:
        text = f"{text[:-1]}\\ "
    return text
