"""Which entries does a recipient have, and by which names?

    mail=ADDRESS,ou=people,SUFFIX                                    the preferred certificate, alone
    description=further certificates+mail=ADDRESS,ou=people,SUFFIX   what else is live, if anything is
    CN=ADDRESS  or  emailAddress=ADDRESS  or both                    all of them, the preferred one first

The first two are what a search finds: some clients read only the first value of the first entry, and
Thunderbird takes two entries for an address at most. The third is the subject of a minted certificate, under
which Java's path builder and GnuPG ask for it; only who names it as the base gets to see that entry.

A domain, to which certificates may be bound as well, has the first two with the domain in place of the
address. Knows nothing of who asks.
"""

from dataclasses import dataclass
from enum import Enum
from typing import Final

from ca.address import Addressee, Mailbox, MailDomain
from ca.errors import AddressRefused
from directory.authorities import Authorities
from directory.ldap.attributes import (
    CN,
    DESCRIPTION,
    EMAIL_ADDRESS,
    MAIL,
    OBJECT_CLASS,
    SN,
    USER_CERTIFICATE,
    USER_SMIME_CERTIFICATE,
    AttributeType,
)
from directory.ldap.entries import Entry, Values, class_names
from directory.ldap.names import DistinguishedName, name_below, parse_name
from directory.ldap.object_classes import INET_ORG_PERSON, ORGANIZATIONAL_PERSON, PERSON, PKI_USER, TOP
from directory.ldap.selection import Selection
from directory.ldap.settings import Presentation, SmimeForm
from directory.ldap.smime import packaged
from directory.lookup import Found, Minted

FURTHER: Final = "further certificates"
"""The value of description that tells the second entry from the first."""

_CLASSES: Final = class_names(TOP, PERSON, ORGANIZATIONAL_PERSON, INET_ORG_PERSON, PKI_USER)
_SUBJECT: Final = frozenset({CN, EMAIL_ADDRESS})
_SECOND: Final = frozenset({MAIL, DESCRIPTION})


class Aspect(Enum):
    """Which of a recipient's entries a name means."""

    PREFERRED = "preferred"
    FURTHER = "further"
    SUBJECT = "subject"


@dataclass(frozen=True, slots=True, kw_only=True)
class RecipientName:
    """The name of one entry of a recipient, known or not."""

    addressee: Addressee
    aspect: Aspect
    text: str
    superior: str
    """The closest name above it that there is for sure."""


class People:
    """The entries of recipients, below one name."""

    def __init__(self, name: str, presentation: Presentation, authorities: Authorities) -> None:
        self.name = name
        self._key = parse_name(name).key
        self._smime = presentation.smime
        self._authorities = authorities

    def named(self, name: DistinguishedName) -> RecipientName | None:
        """Return which entry of which recipient has this name; None where none could."""
        if name.parent.key != self._key:
            return _subject(name)
        values = {part.attribute: part.value for part in name.rdns[0]}
        addressee = parse_addressee(values.get(MAIL, ""))
        if addressee is None or len(values) != len(name.rdns[0]):
            return None
        if values.keys() == {MAIL}:
            aspect = Aspect.PREFERRED
        elif values.keys() == _SECOND and values[DESCRIPTION].lower() == FURTHER:
            aspect = Aspect.FURTHER
        else:
            return None
        return RecipientName(addressee=addressee, aspect=aspect, text=str(name), superior=self.name)

    def expected(self, addressee: Addressee) -> Entry:
        """Return the entry as it will look, for filters, before anybody knows whether it is there."""
        return self._entry(addressee, (b"",), (b"",))

    def preferred(self, addressee: Addressee, answer: Found | Minted, selection: Selection) -> Entry:
        """Return the entry with the preferred certificate."""
        best = (answer.certificate.der,)
        return self._entry(_spelling(addressee, answer), best, self._packages(best, selection))

    def further(self, addressee: Addressee, answer: Found | Minted, selection: Selection) -> Entry | None:
        """Return the entry with all others; None if there are none."""
        others = _further(answer)
        if not others:
            return None
        spelling = _spelling(addressee, answer)
        first = self._entry(spelling, others, self._packages(others, selection))
        return Entry.of(
            f"{DESCRIPTION.names[0]}={FURTHER}+{first.name}",
            {**first.attributes, DESCRIPTION: (FURTHER.encode(),)},
        )

    def entry_named(self, name: RecipientName, answer: Found | Minted, selection: Selection) -> Entry | None:
        """Return the entry of that name; None if there is no such one."""
        match name.aspect:
            case Aspect.PREFERRED:
                return self.preferred(name.addressee, answer, selection)
            case Aspect.FURTHER:
                return self.further(name.addressee, answer, selection)
            case Aspect.SUBJECT:
                every = (answer.certificate.der, *_further(answer))
                shown = self._entry(
                    _spelling(name.addressee, answer), every, self._packages(every, selection)
                )
                return Entry.of(name.text, shown.attributes)

    def _entry(self, addressee: Addressee, certificates: Values, packages: Values) -> Entry:
        """Make an entry. All that is known of a recipient is the address.

        So it stands for the names as well, which person requires (RFC 4519 section 3.12).
        """
        address = str(addressee)
        names = (address.encode(),)
        attributes: dict[AttributeType, Values] = {
            OBJECT_CLASS: _CLASSES,
            CN: names,
            SN: names,
            MAIL: names,
            USER_CERTIFICATE: certificates,
        }
        if packages:
            attributes[USER_SMIME_CERTIFICATE] = packages
        return Entry.of(name_below(self.name, MAIL, address), attributes)

    def _packages(self, certificates: Values, selection: Selection) -> Values:
        """Return the values of userSMIMECertificate; where nobody will see them, what takes no work."""
        if self._smime is SmimeForm.OFF:
            return ()
        if self._smime is SmimeForm.DER or USER_SMIME_CERTIFICATE not in selection.named:
            return certificates
        published = self._authorities.current()
        return tuple(package for each in certificates if (package := packaged(each, published)) is not None)


def parse_addressee(text: str) -> Addressee | None:
    """Read a complete address or a bare domain; None for anything else.

    Spaces at the ends of a value are insignificant (RFC 4518 section 2.6.1).
    """
    for parse in (Mailbox.parse_international, MailDomain.parse):
        try:
            return parse(text.strip(" "))
        except AddressRefused:
            continue
    return None


def _subject(name: DistinguishedName) -> RecipientName | None:
    """Read the subject of a minted certificate, in either order and in one part or two."""
    parts = [part for rdn in name.rdns for part in rdn]
    types = {part.attribute for part in parts}
    if not parts or not types <= _SUBJECT or len(types) != len(parts):
        return None
    addressees = {parse_addressee(part.value) for part in parts}
    keys = {each.key for each in addressees if isinstance(each, Mailbox)}
    if len(keys) != 1 or not all(isinstance(each, Mailbox) for each in addressees):
        return None
    return RecipientName(
        addressee=next(each for each in addressees if each is not None),
        aspect=Aspect.SUBJECT,
        text=str(name),
        superior="",
    )


def _spelling(addressee: Addressee, answer: Found | Minted) -> Addressee:
    """Return whom the entry is about: as the certificate spells it, but a domain as it was asked for.

    The certificate for a domain may be that of its confidentiality authority.
    """
    return addressee if isinstance(addressee, MailDomain) else answer.certificate.mailbox


def _further(answer: Found | Minted) -> Values:
    """Return all certificates but the best, each once: the values of an attribute differ (RFC 4512 2.3)."""
    further = answer.further if isinstance(answer, Found) else ()
    if not further:
        return ()
    certificates = dict.fromkeys(each.der for each in further)
    certificates.pop(answer.certificate.der, None)
    return tuple(certificates)
