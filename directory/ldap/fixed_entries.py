"""Which entries are there whatever the directory holds? The root DSE, the schema, the containers."""

from typing import Final

from directory.errors import ConfigurationRefused
from directory.ldap import subschema
from directory.ldap.attributes import (
    ATTRIBUTE_TYPES,
    CN,
    DC,
    LDAP_SYNTAXES,
    MATCHING_RULES,
    NAMING_CONTEXTS,
    OBJECT_CLASS,
    OBJECT_CLASSES,
    OU,
    SUPPORTED_CONTROL,
    SUPPORTED_EXTENSION,
    SUPPORTED_FEATURES,
    SUPPORTED_LDAP_VERSION,
    SUPPORTED_SASL_MECHANISMS,
    VENDOR_NAME,
    O,
)
from directory.ldap.codes import ALL_OPERATIONAL_ATTRIBUTES, CANCEL, START_TLS, TRUE_FALSE_FILTERS, WHO_AM_I
from directory.ldap.controls import SUPPORTED_CONTROLS
from directory.ldap.entries import SUBSCHEMA_NAME, Entry, class_names, texts
from directory.ldap.errors import NameRefused
from directory.ldap.names import ROOT, parse_name
from directory.ldap.object_classes import (
    DC_OBJECT,
    DOMAIN,
    ORGANIZATION,
    ORGANIZATIONAL_UNIT,
    SUBSCHEMA,
    TOP,
)
from directory.ldap.settings import StartTls

_VENDOR: Final = "pushpki"
_SUFFIX: Final = "directory.suffix"
_REMEDY: Final = "begin it with o=, ou= or dc=, such as o=directory or dc=example,dc=com"

_CONTEXT_CLASSES: Final = {
    O: (ORGANIZATION,),
    OU: (ORGANIZATIONAL_UNIT,),
    DC: (DOMAIN, DC_OBJECT),
}


def root_entry(suffix: str, start_tls: StartTls, mechanisms: tuple[str, ...]) -> Entry:
    """Return the root DSE (RFC 4512 section 5.1), as it looks to a client that can use these mechanisms."""
    extensions = (START_TLS, WHO_AM_I, CANCEL) if start_tls is StartTls.OFFERED else (WHO_AM_I, CANCEL)
    return Entry.of(
        str(ROOT),
        {
            OBJECT_CLASS: class_names(TOP),
            NAMING_CONTEXTS: texts(suffix),
            SUPPORTED_LDAP_VERSION: texts("3"),
            SUPPORTED_EXTENSION: texts(*extensions),
            SUPPORTED_CONTROL: texts(*SUPPORTED_CONTROLS),
            SUPPORTED_FEATURES: texts(ALL_OPERATIONAL_ATTRIBUTES, TRUE_FALSE_FILTERS),
            **({SUPPORTED_SASL_MECHANISMS: texts(*mechanisms)} if mechanisms else {}),
            VENDOR_NAME: texts(_VENDOR),
        },
    )


def subschema_entry() -> Entry:
    """Return the schema (RFC 4512 section 4.2)."""
    return Entry.of(
        SUBSCHEMA_NAME,
        {
            OBJECT_CLASS: class_names(TOP, SUBSCHEMA),
            CN: texts("Subschema"),
            OBJECT_CLASSES: texts(*subschema.object_class_descriptions()),
            ATTRIBUTE_TYPES: texts(*subschema.attribute_type_descriptions()),
            MATCHING_RULES: texts(*subschema.matching_rule_descriptions()),
            LDAP_SYNTAXES: texts(*subschema.syntax_descriptions()),
        },
    )


def context_entry(suffix: str) -> Entry:
    """Return the entry of the naming context.

    Raises:
        ConfigurationRefused: the suffix is not the name of an organization, a unit or a domain.
    """
    try:
        first = parse_name(suffix).sole_part
    except NameRefused as refused:
        raise ConfigurationRefused(key=_SUFFIX, reason=refused.reason, remedy=_REMEDY) from None
    if first is None or first.attribute not in _CONTEXT_CLASSES:
        raise ConfigurationRefused(
            key=_SUFFIX, reason="not the name of an organization, a unit or a domain", remedy=_REMEDY
        )
    classes = class_names(TOP, *_CONTEXT_CLASSES[first.attribute])
    return Entry.of(suffix, {OBJECT_CLASS: classes, first.attribute: texts(first.value)})


def unit_entry(name: str, unit: str) -> Entry:
    """Return the entry of a container."""
    return Entry.of(name, {OBJECT_CLASS: class_names(TOP, ORGANIZATIONAL_UNIT), OU: texts(unit)})
