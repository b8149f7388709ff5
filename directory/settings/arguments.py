"""What an operator types: addresses and domains, read by the one parser, refused by the name of their key."""

from collections.abc import Callable

from ca.address import Mailbox
from ca.errors import AddressRefused
from directory.errors import ConfigurationRefused
from directory.languages import is_language


def parse_mailbox(key: str, text: str) -> Mailbox:
    """Parse an address of a sender, an agent or an organization that an operator gave.

    Raises:
        ConfigurationRefused: it is not one, or its local part is not ASCII.
    """
    return _mailbox(key, text, Mailbox.parse)


def parse_recipient(key: str, text: str) -> Mailbox:
    """Parse the address of a recipient that an operator gave; its local part may go beyond ASCII.

    Raises:
        ConfigurationRefused: it is not one.
    """
    return _mailbox(key, text, Mailbox.parse_international)


def _mailbox(key: str, text: str, parse: Callable[[str], Mailbox]) -> Mailbox:
    try:
        return parse(text)
    except AddressRefused as error:
        raise ConfigurationRefused(key=key, reason=f"{text!r} is not an address: {error}") from error


def parse_domain(key: str, text: str) -> str:
    """Parse a mail domain that an operator gave; return it in the form addresses have theirs.

    Raises:
        ConfigurationRefused: it is not one.
    """
    try:
        return Mailbox.parse(f"somebody@{text}").domain
    except AddressRefused as error:
        raise ConfigurationRefused(key=key, reason=f"{text!r} is not a mail domain: {error}") from error


def parse_language(text: str) -> str:
    """Parse a language that an operator gave.

    Raises:
        ConfigurationRefused: it is not the code of one.
    """
    if not is_language(text):
        raise ConfigurationRefused(
            key="--language", reason=f"{text!r} is not the code of a language", remedy="give one such as de"
        )
    return text
