"""Which attributes does this directory know, and by which names?

The types of RFC 4519, RFC 4523, RFC 4524, RFC 2798 and RFC 4512 that occur in its entries, in the names of
authorities and recipients, or that clients name when they ask for a person. What is not here is an unknown
attribute: ignored in a list of attributes, Undefined in a filter. Attributes for secrets (userPassword,
userPKCS12, private keys) are left out for good: what does not exist cannot be returned by mistake.
"""

from dataclasses import dataclass
from enum import Enum
from typing import Final


class Syntax(Enum):
    """The syntaxes in use; the value is the last arc below 1.3.6.1.4.1.1466.115.121.1 (RFC 4517)."""

    ATTRIBUTE_TYPE_DESCRIPTION = 3
    BINARY = 5
    CERTIFICATE = 8
    CERTIFICATE_LIST = 9
    CERTIFICATE_PAIR = 10
    COUNTRY_STRING = 11
    DISTINGUISHED_NAME = 12
    DIRECTORY_STRING = 15
    GENERALIZED_TIME = 24
    IA5_STRING = 26
    INTEGER = 27
    MATCHING_RULE_DESCRIPTION = 30
    OBJECT_CLASS_DESCRIPTION = 37
    OBJECT_IDENTIFIER = 38
    PRINTABLE_STRING = 44
    LDAP_SYNTAX_DESCRIPTION = 54
    SUBSTRING_ASSERTION = 58
    CERTIFICATE_EXACT_ASSERTION = "1.3.6.1.1.15.1"  # RFC 4523 section 2.5, outside of that arc

    @property
    def oid(self) -> str:
        """The object identifier."""
        value = self.value
        return value if isinstance(value, str) else f"1.3.6.1.4.1.1466.115.121.1.{value}"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Rule:
    oid: str
    name: str
    syntax: Syntax


class MatchingRule(Enum):
    """The matching rules in use (RFC 4517 section 4.2, RFC 4523 section 3)."""

    OBJECT_IDENTIFIER = _Rule(oid="2.5.13.0", name="objectIdentifierMatch", syntax=Syntax.OBJECT_IDENTIFIER)
    DISTINGUISHED_NAME = _Rule(
        oid="2.5.13.1", name="distinguishedNameMatch", syntax=Syntax.DISTINGUISHED_NAME
    )
    CASE_IGNORE = _Rule(oid="2.5.13.2", name="caseIgnoreMatch", syntax=Syntax.DIRECTORY_STRING)
    CASE_IGNORE_SUBSTRINGS = _Rule(
        oid="2.5.13.4", name="caseIgnoreSubstringsMatch", syntax=Syntax.SUBSTRING_ASSERTION
    )
    GENERALIZED_TIME = _Rule(oid="2.5.13.27", name="generalizedTimeMatch", syntax=Syntax.GENERALIZED_TIME)
    FIRST_COMPONENT = _Rule(
        oid="2.5.13.30", name="objectIdentifierFirstComponentMatch", syntax=Syntax.OBJECT_IDENTIFIER
    )
    CERTIFICATE_EXACT = _Rule(
        oid="2.5.13.34", name="certificateExactMatch", syntax=Syntax.CERTIFICATE_EXACT_ASSERTION
    )
    CASE_IGNORE_IA5 = _Rule(
        oid="1.3.6.1.4.1.1466.109.114.2", name="caseIgnoreIA5Match", syntax=Syntax.IA5_STRING
    )
    CASE_IGNORE_IA5_SUBSTRINGS = _Rule(
        oid="1.3.6.1.4.1.1466.109.114.3",
        name="caseIgnoreIA5SubstringsMatch",
        syntax=Syntax.SUBSTRING_ASSERTION,
    )

    @property
    def names(self) -> tuple[str, str]:
        """What a filter may call it, in lower case."""
        return self.value.oid, self.value.name.lower()


class Usage(Enum):
    """Who cares about an attribute (RFC 4512 section 4.1.2)."""

    USER = "userApplications"
    DIRECTORY = "directoryOperation"
    SERVER = "dSAOperation"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class AttributeType:
    """One type of attribute; the same type is the same object."""

    oid: str
    names: tuple[str, ...]
    syntax: Syntax
    equality: MatchingRule | None = None
    substrings: MatchingRule | None = None
    usage: Usage = Usage.USER
    single: bool = False

    @property
    def needs_binary(self) -> bool:
        """Whether values are only ever transferred as `;binary` (RFC 4523 section 2)."""
        return self.syntax in {Syntax.CERTIFICATE, Syntax.CERTIFICATE_LIST, Syntax.CERTIFICATE_PAIR}

    @property
    def takes_binary(self) -> bool:
        """Whether it may be asked for as `;binary`."""
        return self.needs_binary or self.syntax is Syntax.BINARY

    @property
    def description(self) -> str:
        """The attribute's name in responses, whatever spelling was asked for (RFC 4522 section 5).

        One that takes `;binary` without needing it is returned in the form asked for instead.
        """
        return f"{self.names[0]};binary" if self.needs_binary else self.names[0]


def _text(
    oid: str, *names: str, syntax: Syntax = Syntax.DIRECTORY_STRING, single: bool = False
) -> AttributeType:
    return AttributeType(
        oid=oid,
        names=names,
        syntax=syntax,
        single=single,
        equality=MatchingRule.CASE_IGNORE,
        substrings=MatchingRule.CASE_IGNORE_SUBSTRINGS,
    )


def _ia5(oid: str, *names: str, single: bool = False) -> AttributeType:
    return AttributeType(
        oid=oid,
        names=names,
        syntax=Syntax.IA5_STRING,
        equality=MatchingRule.CASE_IGNORE_IA5,
        substrings=MatchingRule.CASE_IGNORE_IA5_SUBSTRINGS,
        single=single,
    )


def _certificate(oid: str, name: str) -> AttributeType:
    return AttributeType(
        oid=oid, names=(name,), syntax=Syntax.CERTIFICATE, equality=MatchingRule.CERTIFICATE_EXACT
    )


def _of_server(oid: str, name: str, syntax: Syntax, equality: MatchingRule | None = None) -> AttributeType:
    return AttributeType(oid=oid, names=(name,), syntax=syntax, equality=equality, usage=Usage.SERVER)


def _of_schema(oid: str, name: str, syntax: Syntax) -> AttributeType:
    return AttributeType(
        oid=oid,
        names=(name,),
        syntax=syntax,
        equality=MatchingRule.FIRST_COMPONENT,
        usage=Usage.DIRECTORY,
    )


def _timestamp(oid: str, name: str) -> AttributeType:
    """Define what no entry here has, but ldap3 insists on when it reads the schema a second time."""
    return AttributeType(
        oid=oid,
        names=(name,),
        syntax=Syntax.GENERALIZED_TIME,
        equality=MatchingRule.GENERALIZED_TIME,
        usage=Usage.DIRECTORY,
        single=True,
    )


_NAME_MATCH = MatchingRule.DISTINGUISHED_NAME
_OID_MATCH = MatchingRule.OBJECT_IDENTIFIER

OBJECT_CLASS: Final = AttributeType(
    oid="2.5.4.0", names=("objectClass",), syntax=Syntax.OBJECT_IDENTIFIER, equality=_OID_MATCH
)
CN: Final = _text("2.5.4.3", "cn", "commonName")
SN: Final = _text("2.5.4.4", "sn", "surname")
O: Final = _text("2.5.4.10", "o", "organizationName")  # noqa: E741 - it is called that
SERIAL_NUMBER: Final = _text("2.5.4.5", "serialNumber", syntax=Syntax.PRINTABLE_STRING)
COUNTRY: Final = _text("2.5.4.6", "c", "countryName", syntax=Syntax.COUNTRY_STRING, single=True)
LOCALITY: Final = _text("2.5.4.7", "l", "localityName")
STATE: Final = _text("2.5.4.8", "st", "stateOrProvinceName")
STREET: Final = _text("2.5.4.9", "street", "streetAddress")
ORGANIZATION_IDENTIFIER: Final = _text("2.5.4.97", "organizationIdentifier")
OU: Final = _text("2.5.4.11", "ou", "organizationalUnitName")
DESCRIPTION: Final = _text("2.5.4.13", "description")
GIVEN_NAME: Final = _text("2.5.4.42", "givenName", "gn")
DISPLAY_NAME: Final = _text("2.16.840.1.113730.3.1.241", "displayName")
UID: Final = _text("0.9.2342.19200300.100.1.1", "uid", "userid")
DC: Final = _ia5("0.9.2342.19200300.100.1.25", "dc", "domainComponent", single=True)
MAIL: Final = _ia5("0.9.2342.19200300.100.1.3", "mail", "rfc822Mailbox")
EMAIL_ADDRESS: Final = _ia5("1.2.840.113549.1.9.1", "emailAddress", "email", "e")
"""Of names in certificates (RFC 5280 appendix A.1); an entry has `mail`."""
USER_CERTIFICATE: Final = _certificate("2.5.4.36", "userCertificate")
CA_CERTIFICATE: Final = _certificate("2.5.4.37", "cACertificate")
AUTHORITY_REVOCATION_LIST: Final = AttributeType(
    oid="2.5.4.38", names=("authorityRevocationList",), syntax=Syntax.CERTIFICATE_LIST
)
CERTIFICATE_REVOCATION_LIST: Final = AttributeType(
    oid="2.5.4.39", names=("certificateRevocationList",), syntax=Syntax.CERTIFICATE_LIST
)
CROSS_CERTIFICATE_PAIR: Final = AttributeType(
    oid="2.5.4.40", names=("crossCertificatePair",), syntax=Syntax.CERTIFICATE_PAIR
)
USER_SMIME_CERTIFICATE: Final = AttributeType(
    oid="2.16.840.1.113730.3.1.40", names=("userSMIMECertificate",), syntax=Syntax.BINARY
)
SUBSCHEMA_SUBENTRY: Final = AttributeType(
    oid="2.5.18.10",
    names=("subschemaSubentry",),
    syntax=Syntax.DISTINGUISHED_NAME,
    equality=_NAME_MATCH,
    usage=Usage.DIRECTORY,
    single=True,
)
CREATE_TIMESTAMP: Final = _timestamp("2.5.18.1", "createTimestamp")
MODIFY_TIMESTAMP: Final = _timestamp("2.5.18.2", "modifyTimestamp")
ATTRIBUTE_TYPES: Final = _of_schema("2.5.21.5", "attributeTypes", Syntax.ATTRIBUTE_TYPE_DESCRIPTION)
OBJECT_CLASSES: Final = _of_schema("2.5.21.6", "objectClasses", Syntax.OBJECT_CLASS_DESCRIPTION)
MATCHING_RULES: Final = _of_schema("2.5.21.4", "matchingRules", Syntax.MATCHING_RULE_DESCRIPTION)
LDAP_SYNTAXES: Final = _of_schema(
    "1.3.6.1.4.1.1466.101.120.16", "ldapSyntaxes", Syntax.LDAP_SYNTAX_DESCRIPTION
)
NAMING_CONTEXTS: Final = _of_server(
    "1.3.6.1.4.1.1466.101.120.5", "namingContexts", Syntax.DISTINGUISHED_NAME, _NAME_MATCH
)
SUPPORTED_CONTROL: Final = _of_server(
    "1.3.6.1.4.1.1466.101.120.13", "supportedControl", Syntax.OBJECT_IDENTIFIER, _OID_MATCH
)
SUPPORTED_EXTENSION: Final = _of_server(
    "1.3.6.1.4.1.1466.101.120.7", "supportedExtension", Syntax.OBJECT_IDENTIFIER, _OID_MATCH
)
SUPPORTED_FEATURES: Final = _of_server(
    "1.3.6.1.4.1.4203.1.3.5", "supportedFeatures", Syntax.OBJECT_IDENTIFIER, _OID_MATCH
)
SUPPORTED_LDAP_VERSION: Final = _of_server(
    "1.3.6.1.4.1.1466.101.120.15", "supportedLDAPVersion", Syntax.INTEGER
)
SUPPORTED_SASL_MECHANISMS: Final = _of_server(
    "1.3.6.1.4.1.1466.101.120.14", "supportedSASLMechanisms", Syntax.DIRECTORY_STRING
)
VENDOR_NAME: Final = _of_server("1.3.6.1.1.4", "vendorName", Syntax.DIRECTORY_STRING)

ALL_ATTRIBUTE_TYPES: Final = (
    OBJECT_CLASS,
    CN,
    SN,
    SERIAL_NUMBER,
    COUNTRY,
    LOCALITY,
    STATE,
    STREET,
    O,
    OU,
    ORGANIZATION_IDENTIFIER,
    DESCRIPTION,
    GIVEN_NAME,
    DISPLAY_NAME,
    UID,
    DC,
    MAIL,
    EMAIL_ADDRESS,
    USER_CERTIFICATE,
    CA_CERTIFICATE,
    AUTHORITY_REVOCATION_LIST,
    CERTIFICATE_REVOCATION_LIST,
    CROSS_CERTIFICATE_PAIR,
    USER_SMIME_CERTIFICATE,
    SUBSCHEMA_SUBENTRY,
    CREATE_TIMESTAMP,
    MODIFY_TIMESTAMP,
    ATTRIBUTE_TYPES,
    OBJECT_CLASSES,
    MATCHING_RULES,
    LDAP_SYNTAXES,
    NAMING_CONTEXTS,
    SUPPORTED_CONTROL,
    SUPPORTED_EXTENSION,
    SUPPORTED_FEATURES,
    SUPPORTED_LDAP_VERSION,
    SUPPORTED_SASL_MECHANISMS,
    VENDOR_NAME,
)


def _descriptions() -> dict[str, AttributeType]:
    """Every spelling that means an attribute, in lower case: names, identifier, and each with `;binary`."""
    spellings = {}
    for attribute in ALL_ATTRIBUTE_TYPES:
        for name in (attribute.oid, *attribute.names):
            spellings[name.lower()] = attribute
            if attribute.takes_binary:
                spellings[f"{name.lower()};binary"] = attribute
    return spellings


_BY_DESCRIPTION = _descriptions()


def attribute_type(description: str) -> AttributeType | None:
    """Return the attribute that a description means, in any case; None if there is no such attribute here.

    The option `binary` is accepted where the syntax is transferred that way, in a filter as in a list of
    attributes (RFC 4522 section 4). No attribute here has other options; with one it is another, unknown
    attribute (RFC 4512 section 2.5).
    """
    return _BY_DESCRIPTION.get(description.lower())
