"""Which text is one complete mail address, and when do two of them mean the same mailbox?

The one parser for LDAP, HTTP, the agents' desk, the certificate's subjectAltName and the mailer. Wherever
two parsers disagree about an address, a certificate for one person goes to another; so this one accepts
only what every parser of the mail chain reads alike, and refuses the rest:

* the local part is a dot-atom (RFC 5322 section 3.2.3) of at most 64 octets, without `*`, a leading hyphen,
  and the routing operators `%` and `!` that mail servers rewrite into another address;
* it is ASCII, or for who is prepared for it (`Mailbox.parse_international`) holds beyond ASCII what
  `ca.localparts` accepts (RFC 6531 section 3.3), and is never written any other way, as Punycode least;
* the domain has two or more LDH labels (RFC 5890 section 2.3.1), in lower case, international labels as
  IDNA2008 A-labels (RFC 9598 section 3); nothing is mapped, normalized or repaired on the way;
* the whole has at most 254 octets (RFC 5321 section 4.5.3.1.3).

A domain alone is a value of its own, never an address: some certificates are bound to a whole domain.

Look-alike domains are different domains here. Which addresses deserve a certificate is not decided here
either, and nothing in this room knows an organization.
"""

import re
import string
import unicodedata
from dataclasses import dataclass
from enum import StrEnum
from typing import Self

import idna

from ca import localparts
from ca.errors import AddressRefused

_LONGEST_LOCAL_PART = 64
_LONGEST_ADDRESS = 254
_LONGEST_DOMAIN = 253  # RFC 1035 section 2.3.4, written out


class AddressRefusal(StrEnum):
    """Why a text was refused: the closed set of `AddressRefused.code`."""

    EMPTY = "address.empty"
    TOO_LONG = "address.too_long"
    CONTROL_CHARACTER = "address.control_character"
    WHITE_SPACE = "address.white_space"
    ENCODED_WORD = "address.encoded_word"
    QUOTED_LOCAL_PART = "address.quoted_local_part"
    NON_ASCII_LOCAL_PART = "address.non_ascii_local_part"
    LOCAL_PART_CHARACTER = "address.local_part_character"
    LOCAL_PART_NOT_NORMAL = "address.local_part_not_normal"
    SOURCE_ROUTE = "address.source_route"
    DOMAIN_LITERAL = "address.domain_literal"
    DOMAIN = "address.domain"
    SYNTAX = "address.syntax"


_REASONS = {
    AddressRefusal.EMPTY: "no address was given",
    AddressRefusal.TOO_LONG: "an address has at most 254 octets, 64 of them before the @",
    AddressRefusal.CONTROL_CHARACTER: "the address holds a control character or an invisible one",
    AddressRefusal.WHITE_SPACE: "the address holds white space",
    AddressRefusal.ENCODED_WORD: "the address holds the beginning of an encoded-word",
    AddressRefusal.QUOTED_LOCAL_PART: "quoted local parts are not accepted",
    AddressRefusal.NON_ASCII_LOCAL_PART: "local parts beyond ASCII are not accepted",
    AddressRefusal.LOCAL_PART_CHARACTER: (
        "beyond ASCII a local part holds letters and digits, in one direction, and marks that follow them"
    ),
    AddressRefusal.LOCAL_PART_NOT_NORMAL: "the local part is not in its normal form (NFKC)",
    AddressRefusal.SOURCE_ROUTE: "the local part holds a routing operator",
    AddressRefusal.DOMAIN_LITERAL: "an IP address is not accepted as domain",
    AddressRefusal.DOMAIN: "the domain is not one complete, valid domain name",
    AddressRefusal.SYNTAX: "the text is not one plain address of the form local-part@domain",
}

# Never re.IGNORECASE: with it `k` matches U+212A KELVIN SIGN and `s` matches U+017F LONG S.
#
# Of atext we leave out `*`, which means "anybody" where an address becomes a pattern, and a hyphen in first
# place, which becomes an option wherever an address becomes an argument; mail servers refuse it for that.
_ATOM = r"[A-Za-z0-9#$&'+/=?^_`{|}~-]+"
_DOT_ATOM = re.compile(rf"(?!-){_ATOM}(?:\.{_ATOM})*")
_BEYOND_ASCII = re.compile(r"[^\x00-\x7f]")

# Hyphens in third and fourth place are reserved (RFC 5890 section 2.3.1); of those only A-labels are in use.
# A last label that starts with a digit is read as part of an IPv4 address by some ("1.2.3.4", "1.0x7f").
_LABEL = r"(?!(?!xn)[^.]{2}--)[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
_DOMAIN = re.compile(rf"(?:{_LABEL}\.)+(?=[a-z]){_LABEL}")

_SPECIALS = frozenset('()<>[]:;\\,"')
_ROUTING_OPERATORS = frozenset("%!")
_ASCII_LOWER = str.maketrans(string.ascii_uppercase, string.ascii_lowercase)


@dataclass(frozen=True, slots=True, kw_only=True)
class Mailbox:
    """One mail address that every parser reads alike; an unacceptable one cannot be constructed.

    The local part keeps its spelling; the domain is in lower case and in A-labels. Two mailboxes are *equal*
    when spelled alike; they are *the same recipient* when their `key` is the same. The local part may be
    international: who makes a mailbox out of what others say decides by `parse` or `parse_international`. The
    latter judges characters by what is known of them today; the constructor, for what was accepted once, does
    not.

    Raises:
        AddressRefused: the parts are not acceptable; see `AddressRefusal`.
    """

    local_part: str
    domain: str

    def __post_init__(self) -> None:
        _check_local_part(self.local_part)
        if len(self.local_part.encode()) + len("@") + len(self.domain) > _LONGEST_ADDRESS:
            raise _refused(AddressRefusal.TOO_LONG)
        _check_domain(self.domain)

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read one address of an ASCII local part, or refuse; never repairs, never skips a part of the text.

        The domain may come in any ASCII case, and with U-labels.

        Raises:
            AddressRefused: with a code of `AddressRefusal`, and without the text.
        """
        local_part, domain = _parts(text)
        if not local_part.isascii():
            raise _refused(AddressRefusal.NON_ASCII_LOCAL_PART)
        return cls(local_part=local_part, domain=domain)

    @classmethod
    def parse_international(cls, text: str) -> Self:
        """Read one address as `parse` does, whose local part may go beyond ASCII.

        For recipients alone: whatever else an address of ours is written into takes ASCII.

        Raises:
            AddressRefused: with a code of `AddressRefusal`, and without the text.
        """
        local_part, domain = _parts(text)
        if len(local_part) <= _LONGEST_LOCAL_PART and not localparts.is_acceptable(local_part):
            raise _refused(AddressRefusal.LOCAL_PART_CHARACTER)
        return cls(local_part=local_part, domain=domain)

    @property
    def key(self) -> str:
        """The recipient's identity, for uniqueness and lookup.

        Folds the ASCII case of the local part and nothing else: a wrong merge would hand one person's mail to
        another, so tags and dots count, and beyond ASCII every octet does (RFC 9598 section 5).
        """
        return f"{self.local_part.translate(_ASCII_LOWER)}@{self.domain}"

    @property
    def base_key(self) -> str:
        """The person presumably behind the address, for rate limits only.

        Drops the `+tag`, the dots and the case, or one mailbox could be bombed under many spellings. Too
        coarse for an identity; use `key` for that.
        """
        base, _, _ = self.local_part.partition("+")
        # Composed again, or Greek would grow beyond the length of an address.
        return f"{unicodedata.normalize('NFC', base.replace('.', '').casefold())}@{self.domain}"

    @property
    def is_international(self) -> bool:
        """Whether mail to it takes SMTPUTF8 (RFC 6531), and a certificate for it an SmtpUTF8Mailbox."""
        return not self.local_part.isascii()

    @property
    def display_domain(self) -> str:
        """The domain in U-labels, for human eyes, to be shown beside the A-labels."""
        return _u_labels(self.domain) or self.domain

    def __str__(self) -> str:
        return f"{self.local_part}@{self.domain}"


@dataclass(frozen=True, slots=True, kw_only=True)
class MailDomain:
    """One complete mail domain, as the domain of a `Mailbox`: a name that certificates may be bound to.

    Raises:
        AddressRefused: not one complete, valid domain name.
    """

    domain: str

    def __post_init__(self) -> None:
        if len(self.domain) > _LONGEST_DOMAIN:
            raise _refused(AddressRefusal.TOO_LONG)
        _check_domain(self.domain)

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read one bare domain, in any ASCII case or with U-labels, or refuse; never repairs.

        Raises:
            AddressRefused: with a code of `AddressRefusal`, and without the text.
        """
        _check_readable(text)
        if not _SPECIALS.isdisjoint(text):
            raise _refused(AddressRefusal.DOMAIN)
        return cls(domain=_a_labels(text.translate(_ASCII_LOWER)))

    @property
    def key(self) -> str:
        """The domain's identity, for lookup; it has no `@`, so it is never a mailbox's."""
        return self.domain

    def __str__(self) -> str:
        return self.domain


Addressee = Mailbox | MailDomain
"""Whom a certificate may be for: a mailbox, or everybody in a domain."""


def _refused(refusal: AddressRefusal) -> AddressRefused:
    return AddressRefused(code=refusal.value, reason=_REASONS[refusal])


def _parts(text: str) -> tuple[str, str]:
    """Take an address apart into its local part, not looked at yet, and its domain in A-labels."""
    _check_readable(text)
    local_part, at, domain = text.rpartition("@")
    if not at:
        raise _refused(AddressRefusal.SYNTAX)
    if domain.startswith("["):
        raise _refused(AddressRefusal.DOMAIN_LITERAL)
    if not _SPECIALS.isdisjoint(domain):
        raise _refused(AddressRefusal.SYNTAX)
    return local_part, _a_labels(domain.translate(_ASCII_LOWER))


def _check_readable(text: str) -> None:
    """Refuse what no further step should look at; the length first, so that all the others are cheap."""
    if not text:
        raise _refused(AddressRefusal.EMPTY)
    # No A-label is shorter than its U-label, so counting characters refuses nothing acceptable.
    if len(text) > _LONGEST_ADDRESS:
        raise _refused(AddressRefusal.TOO_LONG)
    if not _is_visible(text):
        separators_only = all(c.isprintable() or unicodedata.category(c) == "Zs" for c in text)
        raise _refused(AddressRefusal.WHITE_SPACE if separators_only else AddressRefusal.CONTROL_CHARACTER)
    if " " in text:
        raise _refused(AddressRefusal.WHITE_SPACE)


def _is_visible(text: str) -> bool:
    """Whether the text has no control, format (zero-width, bidi), separator or unassigned character."""
    return text.isprintable()


def _check_local_part(local_part: str) -> None:
    # Characters first: what is not visible, as a lone surrogate, may have no octets.
    if len(local_part) > _LONGEST_LOCAL_PART:
        raise _refused(AddressRefusal.TOO_LONG)
    if not local_part.isascii():
        _check_international(local_part)
    if '"' in local_part:
        raise _refused(AddressRefusal.QUOTED_LOCAL_PART)
    # `=?utf-8?q?a=40b?=` is a correct atom, and becomes `a@b` in parsers that decode it.
    if "=?" in local_part:
        raise _refused(AddressRefusal.ENCODED_WORD)
    # "@hop.example:anna@home.example" (RFC 5321 appendix C), and what mail servers rewrite to this day:
    # "anna%home.example@hop.example", "home.example!anna@hop.example".
    if local_part.startswith("@") or not _ROUTING_OPERATORS.isdisjoint(local_part):
        raise _refused(AddressRefusal.SOURCE_ROUTE)
    if _DOT_ATOM.fullmatch(_BEYOND_ASCII.sub("x", local_part)) is None:
        raise _refused(AddressRefusal.SYNTAX)


def _check_international(local_part: str) -> None:
    # No more than every version of Unicode says alike: an address that a newer one accepted must not become
    # unreadable where an older one runs, and keep others from their mail.
    if not localparts.is_readable(local_part):
        raise _refused(AddressRefusal.LOCAL_PART_CHARACTER)
    # In lower case as well, or the key of one mailbox would look like another's (J and a caron, ǰ).
    if not all(map(localparts.is_normal, (local_part, local_part.translate(_ASCII_LOWER)))):
        raise _refused(AddressRefusal.LOCAL_PART_NOT_NORMAL)
    if len(local_part.encode()) > _LONGEST_LOCAL_PART:
        raise _refused(AddressRefusal.TOO_LONG)


def _check_domain(domain: str) -> None:
    if _DOMAIN.fullmatch(domain) is None or _u_labels(domain) is None:
        raise _refused(AddressRefusal.DOMAIN)


# idna's errors repeat the label they complain about, and a raised error keeps the one it was raised in. So
# the functions below answer None instead, and the refusal is raised where no such error is in reach.


def _a_labels(domain: str) -> str:
    """Convert U-labels per IDNA2008 (RFC 5891 section 4), without any mapping (no UTS 46)."""
    if domain.isascii():
        return domain
    converted = _encoded(domain)
    if converted is None:
        raise _refused(AddressRefusal.DOMAIN)
    return converted


def _encoded(domain: str) -> str | None:
    try:
        return idna.encode(domain, strict=True, uts46=False).decode("ascii")
    except idna.IDNAError:
        return None


def _u_labels(domain: str) -> str | None:
    """Convert A-labels back; None where one is not the exact spelling of a visible U-label.

    IDNA2008 allows two invisible joiners in some scripts. They are refused in this spelling as in the other:
    no two domains shall look alike to the last pixel.
    """
    if "xn--" not in domain:
        return domain
    try:
        u_labels = idna.decode(domain, strict=True)
    except idna.IDNAError:
        return None
    return u_labels if _is_visible(u_labels) else None
