"""Under which names are certification authorities found, and with what? Certificates and CRLs, for everybody.

Each has an entry at its full subject name and, where that does not begin with CN, one at the part of it that
does: GnuPG cuts off whatever stands before. DigiCert's and Java's directories have the first.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from cryptography import x509

from directory.authorities import Authorities, PublishedAuthority
from directory.ldap.attributes import (
    AUTHORITY_REVOCATION_LIST,
    CA_CERTIFICATE,
    CERTIFICATE_REVOCATION_LIST,
    CN,
    OBJECT_CLASS,
    OU,
    AttributeType,
    O,
)
from directory.ldap.entries import Entry, Values, class_names
from directory.ldap.names import DistinguishedName, parse_name
from directory.ldap.object_classes import (
    ORGANIZATION,
    ORGANIZATIONAL_ROLE,
    ORGANIZATIONAL_UNIT,
    PKI_CA,
    TOP,
)

_STRUCTURAL: Final = {CN: ORGANIZATIONAL_ROLE, O: ORGANIZATION, OU: ORGANIZATIONAL_UNIT}


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """The entries of what was published at one moment."""

    published: tuple[PublishedAuthority, ...]
    entries: tuple[Entry, ...]
    """One of each authority, at its full name."""
    by_name: Mapping[DistinguishedName, Entry]


class AuthorityEntries:
    """The entries of the authorities; made again only when something else is published."""

    def __init__(self, authorities: Authorities) -> None:
        self._authorities = authorities
        self._shown = _show(authorities.current())

    def shown(self) -> Shown:
        """Return the entries of what is published now."""
        published = self._authorities.current()
        if published is not self._shown.published:
            self._shown = _show(published)
        return self._shown


def _show(published: tuple[PublishedAuthority, ...]) -> Shown:
    by_subject: dict[DistinguishedName, list[PublishedAuthority]] = {}
    for authority in published:
        subject = x509.load_der_x509_certificate(authority.certificate).subject
        # A key that was replaced under the same name has its certificate beside its successor's.
        by_subject.setdefault(parse_name(subject.rfc4514_string()), []).append(authority)

    entries = {name: _entry(name, namesakes) for name, namesakes in by_subject.items()}
    by_name = dict(entries)
    for name, namesakes in by_subject.items():
        cut = _from_common_name(name)
        by_name.setdefault(cut, _entry(cut, namesakes))
    return Shown(published=published, entries=tuple(entries.values()), by_name=by_name)


def _from_common_name(name: DistinguishedName) -> DistinguishedName:
    for at, rdn in enumerate(name.rdns):
        if rdn[0].attribute is CN:
            return DistinguishedName.of(name.rdns[at:])
    return name


def _entry(name: DistinguishedName, namesakes: Sequence[PublishedAuthority]) -> Entry:
    parts = {part.attribute: part.value for part in name.rdns[0] if part.attribute is not None}
    structural = [_STRUCTURAL[attribute] for attribute in parts if attribute in _STRUCTURAL]
    attributes: dict[AttributeType, Values] = {OBJECT_CLASS: class_names(TOP, *structural, PKI_CA)}
    attributes |= {attribute: (value.encode(),) for attribute, value in parts.items()}
    # Their own first: dirmngr reads the first and no other.
    attributes[CA_CERTIFICATE] = (
        *(each.certificate for each in namesakes),
        *(cross for each in namesakes for cross in each.cross_certificates),
    )
    # A root's complete CRL is one of authorities as well, and clients look for it under either name.
    lists = {
        CERTIFICATE_REVOCATION_LIST: tuple(each.crl for each in namesakes if each.crl is not None),
        AUTHORITY_REVOCATION_LIST: tuple(
            each.crl for each in namesakes if each.crl is not None and each.is_root
        ),
    }
    attributes |= {attribute: values for attribute, values in lists.items() if values}
    return Entry.of(str(name), attributes)
