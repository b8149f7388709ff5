"""Which entries are there, and which of them does a search cover? The tree below the suffix.

    ""                     the root DSE
    cn=Subschema           the schema
    SUFFIX                 the naming context
      ou=people            recipients, mail=ADDRESS; looked up, never listed
      ou=gateways          where gateways' bind names are; shows nobody

Knows names and scopes; who is asked for, and whether an entry matches, is decided elsewhere.
"""

from dataclasses import dataclass
from enum import Enum
from typing import Final

from ca.address import Mailbox
from ca.errors import AddressRefused
from directory.errors import ConfigurationRefused
from directory.ldap import subschema
from directory.ldap.attributes import (
    ATTRIBUTE_TYPES,
    CN,
    DC,
    LDAP_SYNTAXES,
    MAIL,
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
from directory.ldap.codes import (
    ALL_OPERATIONAL_ATTRIBUTES,
    CANCEL,
    START_TLS,
    TRUE_FALSE_FILTERS,
    WHO_AM_I,
    SearchScope,
)
from directory.ldap.controls import SUPPORTED_CONTROLS
from directory.ldap.entries import SUBSCHEMA_NAME, Entry, class_names, person_entry, texts
from directory.ldap.errors import NameRefused
from directory.ldap.names import ROOT, DistinguishedName, name_below, parse_name
from directory.ldap.object_classes import (
    DC_OBJECT,
    DOMAIN,
    ORGANIZATION,
    ORGANIZATIONAL_UNIT,
    SUBSCHEMA,
    TOP,
)
from directory.ldap.settings import StartTls
from directory.lookup import PublishedCertificate

_VENDOR: Final = "pushpki"
_SUFFIX: Final = "directory.suffix"
_REMEDY: Final = "begin it with o=, ou= or dc=, such as o=directory or dc=example,dc=com"


class Recipients(Enum):
    """Whether recipients are among what a search covers."""

    NONE = "none"
    ASKED = "asked"  # those the filter asks for by their complete address


@dataclass(frozen=True, slots=True, kw_only=True)
class Covered:
    """The entries a search covers."""

    fixed: tuple[Entry, ...] = ()
    recipients: Recipients = Recipients.NONE


@dataclass(frozen=True, slots=True, kw_only=True)
class OneRecipient:
    """The base is a recipient's entry, if the directory has it; nothing is below it."""

    mailbox: Mailbox
    covered: bool
    """Whether the scope takes in the base itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NoSuchObject:
    """There is no entry of that name; so far it is right."""

    matched_name: str


Extent = Covered | OneRecipient | NoSuchObject


class Tree:
    """The entries of one naming context, as one front end shows them.

    Raises:
        ConfigurationRefused: the suffix is not the name of an organization, a unit or a domain.
    """

    def __init__(self, suffix: str, start_tls: StartTls, mechanisms: tuple[str, ...] = ()) -> None:
        self._suffix = suffix
        self._start_tls = start_tls
        self._mechanisms = mechanisms
        self._offering = {mechanisms: self}
        context = _context_entry(suffix)
        self.people = name_below(suffix, OU, "people")
        self._gateways = name_below(suffix, OU, "gateways")
        self._people_key = parse_name(self.people).key
        self._gateways_key = parse_name(self._gateways).key

        people = _unit_entry(self.people, "people")
        gateways = _unit_entry(self._gateways, "gateways")
        root = _root_entry(suffix, start_tls, mechanisms)
        schema = _subschema_entry()

        units = Covered(fixed=(people, gateways))
        everything = Covered(fixed=(context, people, gateways), recipients=Recipients.ASKED)
        self._covered = {
            # Below "" is the whole tree, whatever the scope says of levels: clients without a configured base
            # search there.
            ROOT.key: (Covered(fixed=(root,)), everything, everything),
            parse_name(SUBSCHEMA_NAME).key: (Covered(fixed=(schema,)), Covered(), Covered(fixed=(schema,))),
            parse_name(suffix).key: (Covered(fixed=(context,)), units, everything),
            self._people_key: (
                Covered(fixed=(people,)),
                Covered(recipients=Recipients.ASKED),
                Covered(fixed=(people,), recipients=Recipients.ASKED),
            ),
            self._gateways_key: (Covered(fixed=(gateways,)), Covered(), Covered(fixed=(gateways,))),
        }
        """By the name of the base, in the order of `SearchScope`."""

    def offering(self, mechanisms: tuple[str, ...]) -> "Tree":
        """Return the tree as it looks to a client that can use these SASL mechanisms (RFC 4513 5.2.1.5)."""
        if mechanisms not in self._offering:
            self._offering[mechanisms] = Tree(self._suffix, self._start_tls, mechanisms)
        return self._offering[mechanisms]

    def extent(self, base: DistinguishedName, scope: SearchScope) -> Extent:
        """Return what a search with this base and scope covers."""
        covered = self._covered.get(base.key)
        if covered is not None:
            return covered[scope]
        mailbox = self._recipient(base)
        if mailbox is not None:
            return OneRecipient(mailbox=mailbox, covered=scope is not SearchScope.ONE)
        superior = base.parent
        while superior.key not in self._covered:
            superior = superior.parent
        return NoSuchObject(matched_name=str(superior))

    def recipient_entry(self, certificate: PublishedCertificate) -> Entry:
        """Return the entry that shows a certificate."""
        return person_entry(self.people, certificate.mailbox, certificate.der)

    def gateway_name(self, gateway: str) -> str:
        """Return the name under which a gateway binds."""
        return name_below(self._gateways, CN, gateway)

    def gateway_named(self, name: DistinguishedName) -> str | None:
        """Return which gateway binds under this name; None where no gateway could."""
        part = name.sole_part
        if part is None or part.attribute is not CN or name.parent.key != self._gateways_key:
            return None
        return part.value

    def _recipient(self, name: DistinguishedName) -> Mailbox | None:
        part = name.sole_part
        if part is None or part.attribute is not MAIL or name.parent.key != self._people_key:
            return None
        try:
            return Mailbox.parse(part.value.strip(" "))
        except AddressRefused:
            return None


def _root_entry(suffix: str, start_tls: StartTls, mechanisms: tuple[str, ...]) -> Entry:
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


def _subschema_entry() -> Entry:
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


def _context_entry(suffix: str) -> Entry:
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


def _unit_entry(name: str, unit: str) -> Entry:
    return Entry.of(name, {OBJECT_CLASS: class_names(TOP, ORGANIZATIONAL_UNIT), OU: texts(unit)})


_CONTEXT_CLASSES: Final = {
    O: (ORGANIZATION,),
    OU: (ORGANIZATIONAL_UNIT,),
    DC: (DOMAIN, DC_OBJECT),
}
