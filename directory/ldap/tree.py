"""Which entries are there, and which of them does a search cover? The tree of the suffix, and what is beside.

    ""                     the root DSE
    cn=Subschema           the schema
    SUFFIX                 the naming context
      ou=people            recipients, mail=ADDRESS; looked up, never listed
      ou=gateways          where gateways' bind names are; shows nobody
    CN=AUTHORITY,…         certification authorities, at the subjects of their certificates
    CN=ADDRESS             recipients, at the subjects of theirs

Knows names and scopes; who is asked for, and whether an entry matches, is decided elsewhere.
"""

from dataclasses import dataclass
from enum import Enum

from directory.authorities import NO_AUTHORITIES, Authorities
from directory.ldap.attributes import CN, OU
from directory.ldap.authority_entries import AuthorityEntries
from directory.ldap.codes import SearchScope
from directory.ldap.entries import SUBSCHEMA_NAME, Entry
from directory.ldap.fixed_entries import context_entry, root_entry, subschema_entry, unit_entry
from directory.ldap.names import ROOT, DistinguishedName, name_below, parse_name
from directory.ldap.recipients import People, RecipientName
from directory.ldap.settings import Presentation, StartTls


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

    name: RecipientName
    covered: bool
    """Whether the scope takes in the base itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NoSuchObject:
    """There is no entry of that name; so far it is right."""

    matched_name: str


Extent = Covered | OneRecipient | NoSuchObject

_STANDARD = Presentation()


class Tree:
    """The entries of one naming context, as one front end shows them.

    Raises:
        ConfigurationRefused: the suffix is not the name of an organization, a unit or a domain.
    """

    def __init__(
        self,
        suffix: str,
        start_tls: StartTls,
        mechanisms: tuple[str, ...] = (),
        *,
        presentation: Presentation = _STANDARD,
        authorities: Authorities = NO_AUTHORITIES,
    ) -> None:
        self.presentation = presentation
        self._suffix = suffix
        self._start_tls = start_tls
        self._given_authorities = authorities
        self._offering = {mechanisms: self}
        context = context_entry(suffix)
        self.people = People(name_below(suffix, OU, "people"), presentation, authorities)
        self._gateways = name_below(suffix, OU, "gateways")
        self._gateways_key = parse_name(self._gateways).key
        self._authorities = AuthorityEntries(authorities)

        people = unit_entry(self.people.name, "people")
        gateways = unit_entry(self._gateways, "gateways")
        root = root_entry(suffix, start_tls, mechanisms)
        schema = subschema_entry()

        units = Covered(fixed=(people, gateways))
        self._context = Covered(fixed=(context, people, gateways), recipients=Recipients.ASKED)
        self._covered = {
            ROOT.key: (Covered(fixed=(root,)), self._context, self._context),
            parse_name(SUBSCHEMA_NAME).key: (Covered(fixed=(schema,)), Covered(), Covered(fixed=(schema,))),
            parse_name(suffix).key: (Covered(fixed=(context,)), units, self._context),
            parse_name(self.people.name).key: (
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
            self._offering[mechanisms] = Tree(
                self._suffix,
                self._start_tls,
                mechanisms,
                presentation=self.presentation,
                authorities=self._given_authorities,
            )
        return self._offering[mechanisms]

    def extent(self, base: DistinguishedName, scope: SearchScope) -> Extent:
        """Return what a search with this base and scope covers."""
        covered = self._covered.get(base.key)
        if covered is not None:
            is_everything = not base.rdns and scope is not SearchScope.BASE
            return self._everything() if is_everything else covered[scope]
        authority = self._authorities.shown().by_name.get(base)
        if authority is not None:
            return Covered() if scope is SearchScope.ONE else Covered(fixed=(authority,))
        recipient = self.people.named(base)
        if recipient is not None:
            return OneRecipient(name=recipient, covered=scope is not SearchScope.ONE)
        superior = base.parent
        while superior.key not in self._covered:
            superior = superior.parent
        return NoSuchObject(matched_name=str(superior))

    def gateway_name(self, gateway: str) -> str:
        """Return the name under which a gateway binds."""
        return name_below(self._gateways, CN, gateway)

    def gateway_named(self, name: DistinguishedName) -> str | None:
        """Return which gateway binds under this name; None where no gateway could."""
        part = name.sole_part
        if part is None or part.attribute is not CN or name.parent.key != self._gateways_key:
            return None
        return part.value

    def _everything(self) -> Covered:
        """Return what is below "": the whole tree, whatever the scope says of levels.

        Clients without a configured base search there, GnuPG among them.
        """
        shown = self._authorities.shown().entries
        return Covered(fixed=self._context.fixed + shown, recipients=Recipients.ASKED)
