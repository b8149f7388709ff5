"""Which complete addresses does a filter ask for, and may the question cause a mint?

A client's type-ahead sends a search on every keystroke, and its certificate fetch looks almost the same; only
the filter's shape tells them apart. So what may mint is a closed list of shapes, and everything else only
reads:

    exact   = (mail=ADDRESS)  |  an OR of up to 8 such
    shape   = exact  |  an AND of one shape and any number of conditions
    condition = (attribute=*)  |  (objectClass=NAME)  |  an AND or OR of conditions

Two more must hold, which `search` checks because they need more than the filter: the person entry to be made
would match the whole filter; and the answer would carry the certificate. A search for types only, for no
attributes (`1.1`), or for attributes without userCertificate never mints.

To be read, an address may also stand in a substring filter, if it is complete, and on cn and sn, which hold
it too (Kleopatra, Outlook and Thunderbird's autocomplete ask that way). A shorter piece asks for nobody: this
is no place to browse. A bare domain in an equality on mail asks for what is bound to the domain, which is
found or not, and never made.

Nothing is asked for by what stands below a NOT, nor by >=, <=, ~= and extensible matches.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from typing import Final

from ca.address import Addressee, Mailbox
from directory.ldap.attributes import CN, MAIL, OBJECT_CLASS, SN, attribute_type
from directory.ldap.codes import ResultCode
from directory.ldap.errors import RequestRefused
from directory.ldap.filters import And, Equality, Filter, Or, Present, Substrings
from directory.ldap.recipients import parse_addressee

MOST_MINTED: Final = 8
"""Addresses in one search that may mint; with more, it only reads."""
MOST_READ: Final = 32
"""Addresses in one search; one with more is refused."""
_HOLD_THE_ADDRESS: Final = frozenset({MAIL, CN, SN})


class Shape(Enum):
    """What a filter's form allows."""

    EXACT = "exact"  # one of the shapes above: may mint
    BROWSING = "browsing"  # anything else: reads only


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """The recipients a filter asks for, each once, and what its shape allows."""

    addressees: tuple[Addressee, ...]
    shape: Shape


def asked_by(condition: Filter) -> Asked:
    """Return whom a filter asks for. A text that is neither an acceptable address nor a domain means nobody.

    Raises:
        RequestRefused: it asks for more addresses than one search may (adminLimitExceeded).
    """
    addressees: dict[str, Addressee] = {}
    for addressee in _addressees(condition):
        addressees.setdefault(addressee.key, addressee)
    if len(addressees) > MOST_READ:
        raise RequestRefused(
            code=ResultCode.ADMIN_LIMIT_EXCEEDED, reason="the filter asks for too many addresses"
        )
    shape = Shape.EXACT if _is_exact(condition) else Shape.BROWSING
    return Asked(addressees=tuple(addressees.values()), shape=shape)


def _addressees(condition: Filter) -> Iterator[Addressee]:
    match condition:
        case Equality() | Substrings():
            addressee = _addressee(condition)
            if addressee is not None:
                yield addressee
        case And() | Or():
            for member in condition.filters:
                yield from _addressees(member)
        case _:
            return


def _addressee(condition: Equality | Substrings) -> Addressee | None:
    attribute = attribute_type(condition.attribute)
    if attribute not in _HOLD_THE_ADDRESS:
        return None
    if isinstance(condition, Equality):
        found = _read(condition.value)
        return found if attribute is MAIL or isinstance(found, Mailbox) else None
    found = _read(condition.pieces[0]) if len(condition.pieces) == 1 else None
    return found if isinstance(found, Mailbox) else None


def _read(text: bytes) -> Addressee | None:
    try:
        return parse_addressee(text.decode())
    except UnicodeDecodeError:
        return None


def _is_exact(condition: Filter) -> bool:
    match condition:
        case Equality():
            return attribute_type(condition.attribute) is MAIL
        case Or():
            members = condition.filters
            return 1 <= len(members) <= MOST_MINTED and all(
                isinstance(member, Equality) and _is_exact(member) for member in members
            )
        case And():
            asking = [member for member in condition.filters if not _is_condition(member)]
            return len(asking) == 1 and _is_exact(asking[0])
        case _:
            return False


def _is_condition(condition: Filter) -> bool:
    match condition:
        case Present():
            return True
        case Equality():
            return attribute_type(condition.attribute) is OBJECT_CLASS
        case And() | Or():
            return all(map(_is_condition, condition.filters))
        case _:
            return False
