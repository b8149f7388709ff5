"""What did the operator configure? One reader, one frozen value, handed on narrowly."""

from directory.settings.arguments import parse_domain, parse_language, parse_mailbox, parse_recipient
from directory.settings.reading import (
    CONFIGURATION_VARIABLE,
    DEFAULT_FILE,
    configuration_file,
    load_settings,
    read_secret_file,
    read_secret_text,
)
from directory.settings.sections import CaSettings, ListenAddress, Pkcs11Settings, Settings

__all__ = [
    "CONFIGURATION_VARIABLE",
    "DEFAULT_FILE",
    "CaSettings",
    "ListenAddress",
    "Pkcs11Settings",
    "Settings",
    "configuration_file",
    "load_settings",
    "parse_domain",
    "parse_language",
    "parse_mailbox",
    "parse_recipient",
    "read_secret_file",
    "read_secret_text",
]
