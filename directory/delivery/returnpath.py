"""To which address does a mail come back that nobody takes? One of its own, with a token nobody guesses.

A variable envelope return path: `LOCAL+TOKEN@DOMAIN`. Many mail servers lose the envelope identifier, some
return no word of the mail, but all send their notification to this address. The token has 128 bits and is
known to whoever handled the mail; a notification at an address without a live one is nobody's business here.
"""

import re
from dataclasses import replace

from ca.address import Mailbox
from directory.organization import Organization

SEPARATOR = "+"
TOKEN_DIGITS = 32
LONGEST_LOCAL_PART = 64 - TOKEN_DIGITS - len(SEPARATOR)
"""Octets that a bounce address may have before the @ so that a token fits behind them (RFC 5321 section
4.5.3.1.1)."""

_LONGEST_ADDRESS = 254
_TOKEN = re.compile(rf"[0-9a-f]{{{TOKEN_DIGITS}}}")


def bounce_address(organization: Organization) -> Mailbox:
    """Return where the organization takes bounces: the address made for it, else the mails' own sender."""
    return organization.correspondence.bounce_address or organization.mail_from


def has_room_for_a_token(address: Mailbox) -> bool:
    """Say whether a token fits into this address."""
    added = TOKEN_DIGITS + len(SEPARATOR)
    return len(address.local_part) <= LONGEST_LOCAL_PART and len(str(address)) + added <= _LONGEST_ADDRESS


def return_path(organization: Organization, bounce_token: str) -> Mailbox:
    """Return the envelope sender of one mail.

    An address that has no room for the token stays as it is: the mail is not kept back for it, and its bounce
    may still be known by the envelope identifier.
    """
    address = bounce_address(organization)
    if not has_room_for_a_token(address):
        return address
    return replace(address, local_part=f"{address.local_part}{SEPARATOR}{bounce_token}")


def read_token(address: str) -> str | None:
    """Return the token of a return path as a mail server wrote it; None if there is none in it.

    Some servers change the case of the local part. What stands before the token and behind the @ is not
    looked at: the token says enough, and mail servers rewrite domains.
    """
    local_part, at, _ = address.strip().strip("<>").rpartition("@")
    _, separator, token = local_part.rpartition(SEPARATOR)
    return _shaped(token) if at and separator else None


def read_bare_token(text: str) -> str | None:
    """Return a token that stands alone, as in an envelope identifier; None if it is none."""
    return _shaped(text.strip())


def _shaped(token: str) -> str | None:
    lowered = token.lower()
    return lowered if _TOKEN.fullmatch(lowered) else None
