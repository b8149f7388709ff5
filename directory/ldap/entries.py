"""What is an entry, and how does it look on the wire? Attributes and their values, written once.

An entry's octets are prepared when it is made; an answer only joins those that were selected. Knows nothing
of who asks, nor where in the tree an entry stands.
"""

from dataclasses import dataclass
from typing import Final

from ca.address import Mailbox
from directory.ldap.attributes import (
    ALL_ATTRIBUTE_TYPES,
    CN,
    MAIL,
    OBJECT_CLASS,
    SN,
    SUBSCHEMA_SUBENTRY,
    USER_CERTIFICATE,
    AttributeType,
)
from directory.ldap.ber import SET, element, octet_string, sequence
from directory.ldap.codes import ResponseTag
from directory.ldap.names import name_below
from directory.ldap.object_classes import (
    INET_ORG_PERSON,
    ORGANIZATIONAL_PERSON,
    PERSON,
    PKI_USER,
    TOP,
    ObjectClass,
)
from directory.ldap.selection import Selection

SUBSCHEMA_NAME: Final = "cn=Subschema"

_DESCRIPTIONS: Final = {item: octet_string(item.description) for item in ALL_ATTRIBUTE_TYPES}
_NO_VALUES: Final = element(SET, b"")


@dataclass(frozen=True, slots=True, kw_only=True)
class Attribute:
    """One attribute of an entry: its values, and its PartialAttribute as octets."""

    type: AttributeType
    values: tuple[bytes, ...]
    written: bytes

    @classmethod
    def of(cls, attribute: AttributeType, *values: str | bytes) -> "Attribute":
        """Make an attribute of its values, in the order in which clients shall see them."""
        octets = tuple(value.encode() if isinstance(value, str) else value for value in values)
        members = element(SET, *map(octet_string, octets))
        return cls(type=attribute, values=octets, written=sequence(_DESCRIPTIONS[attribute], members))

    @property
    def written_without_values(self) -> bytes:
        """The PartialAttribute for a search that wants types only."""
        return sequence(_DESCRIPTIONS[self.type], _NO_VALUES)


def object_classes(*classes: ObjectClass) -> Attribute:
    """Make the objectClass attribute."""
    return Attribute.of(OBJECT_CLASS, *(item.name for item in classes))


_SUBSCHEMA: Final = Attribute.of(SUBSCHEMA_SUBENTRY, SUBSCHEMA_NAME)


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One entry. Every entry tells where its schema is (RFC 4512 section 4.2)."""

    name: str
    attributes: tuple[Attribute, ...]

    @classmethod
    def of(cls, name: str, *attributes: Attribute) -> "Entry":
        """Make an entry."""
        return cls(name=name, attributes=(*attributes, _SUBSCHEMA))

    def values(self, attribute: AttributeType) -> tuple[bytes, ...]:
        """Return the attribute's values; none if the entry does not have it."""
        for present in self.attributes:
            if present.type is attribute:
                return present.values
        return ()

    def written(self, selection: Selection) -> bytes:
        """Write the entry's SearchResultEntry, without its envelope (RFC 4511 section 4.5.2)."""
        selected = [item for item in self.attributes if selection.includes(item.type)]
        if selection.types_only:
            attributes = sequence(*(item.written_without_values for item in selected))
        else:
            attributes = sequence(*(item.written for item in selected))
        return element(ResponseTag.SEARCH_ENTRY, octet_string(self.name), attributes)


_PERSON_CLASSES: Final = object_classes(TOP, PERSON, ORGANIZATIONAL_PERSON, INET_ORG_PERSON, PKI_USER)


def person_entry(people: str, mailbox: Mailbox, certificate: bytes) -> Entry:
    """Make the entry of a recipient, directly below `people`.

    All that is known of a recipient is the address; so it stands for the names as well, which person
    requires (RFC 4519 section 3.12). The certificate is one, in DER (RFC 4523 section 2.1): clients that
    read only the first value of an attribute see the right one.
    """
    address = str(mailbox)
    return Entry.of(
        name_below(people, MAIL, address),
        _PERSON_CLASSES,
        Attribute.of(CN, address),
        Attribute.of(SN, address),
        Attribute.of(MAIL, address),
        Attribute.of(USER_CERTIFICATE, certificate),
    )
