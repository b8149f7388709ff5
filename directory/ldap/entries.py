"""What is an entry, and how does it look on the wire? A name, attributes and their values.

Knows nothing of who asks, nor where in the tree an entry stands.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from directory.ldap.attributes import SUBSCHEMA_SUBENTRY, AttributeType
from directory.ldap.ber import SET, octet_string, sequence
from directory.ldap.codes import ResponseTag
from directory.ldap.object_classes import ObjectClass
from directory.ldap.selection import Selection

SUBSCHEMA_NAME: Final = "cn=Subschema"

Values = tuple[bytes, ...]

_NO_VALUES: Final = sequence(tag=SET)
_IN_EVERY_ENTRY: Final = {SUBSCHEMA_SUBENTRY: (SUBSCHEMA_NAME.encode(),)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One entry. Every entry tells where its schema is (RFC 4512 section 4.2)."""

    name: str
    attributes: Mapping[AttributeType, Values]

    @classmethod
    def of(cls, name: str, attributes: Mapping[AttributeType, Values]) -> "Entry":
        """Make an entry of its name and its attributes."""
        return cls(name=name, attributes={**attributes, **_IN_EVERY_ENTRY})

    def values(self, attribute: AttributeType) -> Values:
        """Return the attribute's values; none if the entry does not have it."""
        return self.attributes.get(attribute, ())

    def written(self, selection: Selection) -> bytes:
        """Write the entry's SearchResultEntry, without its envelope (RFC 4511 section 4.5.2)."""
        written = [
            sequence(name, _NO_VALUES if selection.types_only else _write(self.attributes[attribute]))
            for attribute, name in selection.shown(self.attributes)
        ]
        return sequence(octet_string(self.name), sequence(*written), tag=ResponseTag.SEARCH_ENTRY)


def texts(*values: str) -> Values:
    """Encode values of an attribute, in the order in which clients shall see them."""
    return tuple(value.encode() for value in values)


def class_names(*classes: ObjectClass) -> Values:
    """Return the values of objectClass."""
    return texts(*(item.name for item in classes))


def _write(values: Values) -> bytes:
    return sequence(*map(octet_string, values), tag=SET)
