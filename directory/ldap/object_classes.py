"""Which object classes do the entries of this directory have?

Those of RFC 4519, RFC 4523, RFC 4524, RFC 2798, RFC 2247 and RFC 4512 that its entries need, each with those
of its attributes that `attributes` knows.
"""

from dataclasses import dataclass
from enum import Enum
from typing import Final

from directory.ldap.attributes import (
    ATTRIBUTE_TYPES,
    AUTHORITY_REVOCATION_LIST,
    CA_CERTIFICATE,
    CERTIFICATE_REVOCATION_LIST,
    CN,
    CROSS_CERTIFICATE_PAIR,
    DC,
    DESCRIPTION,
    DISPLAY_NAME,
    GIVEN_NAME,
    LDAP_SYNTAXES,
    MAIL,
    MATCHING_RULES,
    OBJECT_CLASS,
    OBJECT_CLASSES,
    OU,
    SN,
    UID,
    USER_CERTIFICATE,
    USER_SMIME_CERTIFICATE,
    AttributeType,
    O,
)


class Kind(Enum):
    """What an object class is for (RFC 4512 section 2.4)."""

    ABSTRACT = "ABSTRACT"
    STRUCTURAL = "STRUCTURAL"
    AUXILIARY = "AUXILIARY"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ObjectClass:
    """One object class, with those of its attributes that are known here."""

    oid: str
    name: str
    kind: Kind
    superior: "ObjectClass | None" = None
    must: tuple[AttributeType, ...] = ()
    may: tuple[AttributeType, ...] = ()


TOP: Final = ObjectClass(oid="2.5.6.0", name="top", kind=Kind.ABSTRACT, must=(OBJECT_CLASS,))
PERSON: Final = ObjectClass(
    oid="2.5.6.6", name="person", kind=Kind.STRUCTURAL, superior=TOP, must=(SN, CN), may=(DESCRIPTION,)
)
ORGANIZATIONAL_PERSON: Final = ObjectClass(
    oid="2.5.6.7", name="organizationalPerson", kind=Kind.STRUCTURAL, superior=PERSON, may=(OU,)
)
INET_ORG_PERSON: Final = ObjectClass(
    oid="2.16.840.1.113730.3.2.2",
    name="inetOrgPerson",
    kind=Kind.STRUCTURAL,
    superior=ORGANIZATIONAL_PERSON,
    may=(DISPLAY_NAME, GIVEN_NAME, MAIL, O, UID, USER_CERTIFICATE, USER_SMIME_CERTIFICATE),
)
PKI_USER: Final = ObjectClass(
    oid="2.5.6.21", name="pkiUser", kind=Kind.AUXILIARY, superior=TOP, may=(USER_CERTIFICATE,)
)
PKI_CA: Final = ObjectClass(
    oid="2.5.6.22",
    name="pkiCA",
    kind=Kind.AUXILIARY,
    superior=TOP,
    may=(
        CA_CERTIFICATE,
        CERTIFICATE_REVOCATION_LIST,
        AUTHORITY_REVOCATION_LIST,
        CROSS_CERTIFICATE_PAIR,
    ),
)
ORGANIZATIONAL_ROLE: Final = ObjectClass(
    oid="2.5.6.8",
    name="organizationalRole",
    kind=Kind.STRUCTURAL,
    superior=TOP,
    must=(CN,),
    may=(OU, DESCRIPTION),
)
ORGANIZATION: Final = ObjectClass(
    oid="2.5.6.4", name="organization", kind=Kind.STRUCTURAL, superior=TOP, must=(O,), may=(DESCRIPTION,)
)
ORGANIZATIONAL_UNIT: Final = ObjectClass(
    oid="2.5.6.5",
    name="organizationalUnit",
    kind=Kind.STRUCTURAL,
    superior=TOP,
    must=(OU,),
    may=(DESCRIPTION,),
)
DC_OBJECT: Final = ObjectClass(
    oid="1.3.6.1.4.1.1466.344", name="dcObject", kind=Kind.AUXILIARY, superior=TOP, must=(DC,)
)
DOMAIN: Final = ObjectClass(
    oid="0.9.2342.19200300.100.4.13",
    name="domain",
    kind=Kind.STRUCTURAL,
    superior=TOP,
    must=(DC,),
    may=(DESCRIPTION, O),
)
SUBSCHEMA: Final = ObjectClass(
    oid="2.5.20.1",
    name="subschema",
    kind=Kind.AUXILIARY,
    may=(OBJECT_CLASSES, ATTRIBUTE_TYPES, MATCHING_RULES, LDAP_SYNTAXES),
)

ALL_OBJECT_CLASSES: Final = (
    TOP,
    PERSON,
    ORGANIZATIONAL_PERSON,
    INET_ORG_PERSON,
    PKI_USER,
    PKI_CA,
    ORGANIZATIONAL_ROLE,
    ORGANIZATION,
    ORGANIZATIONAL_UNIT,
    DC_OBJECT,
    DOMAIN,
    SUBSCHEMA,
)

_OIDS = {item.name.lower(): item.oid for item in ALL_OBJECT_CLASSES}


def object_class_oid(name: str) -> str | None:
    """Return the object identifier of the object class with that name, in any case."""
    return _OIDS.get(name.lower())
