"""How does a command learn which key is meant? From a file, or from the key's hash."""

import re
from pathlib import Path

from ca.errors import KeyRefused
from ca.keyrequests import KeyRequest, certifiable, read_public_key, read_request
from ca.keys import PublicKey, key_hash
from directory.errors import ConfigurationRefused
from directory.workshop import write_private

_MOST_READ = 1 << 24
_SHA256 = re.compile(r"(?:[0-9a-f]{2}:?){31}[0-9a-f]{2}", re.IGNORECASE)


def read_file(option: str, file: Path) -> bytes:
    """Return what is in a file that a command was given.

    Raises:
        ConfigurationRefused: it cannot be read.
    """
    try:
        with file.open("rb") as opened:
            return opened.read(_MOST_READ)
    except OSError as error:
        raise ConfigurationRefused(key=option, reason=f"{file} cannot be read: {error.strerror}") from error


def take_place(option: str, file: Path) -> None:
    """Create an empty file for a secret, readable by its owner alone, before there is no way back.

    Raises:
        ConfigurationRefused: there is something of that name, or it cannot be made.
    """
    try:
        write_private(file, b"")
    except OSError as error:
        raise ConfigurationRefused(
            key=option, reason=f"{file} cannot be made: {error.strerror}", remedy="name another file"
        ) from error


def key_named(option: str, text: str) -> bytes:
    """Return the SHA-256 that names a key: the text itself in hex, or of the key in the file of that name.

    Raises:
        ConfigurationRefused: it is neither.
    """
    if _SHA256.fullmatch(text):
        return bytes.fromhex(text.replace(":", ""))
    try:
        return key_hash(read_public_key(read_file(option, Path(text))))
    except KeyRefused as error:
        raise ConfigurationRefused(key=option, reason=f"{text}: {error}") from error


def requested_key(option: str, file: Path) -> KeyRequest:
    """Return what a certificate request asks for.

    Raises:
        ConfigurationRefused: it is not acceptable.
    """
    content = read_file(option, file)
    try:
        return read_request(content)
    except KeyRefused as error:
        raise ConfigurationRefused(key=option, reason=f"{file}: {error}") from error


def certifiable_key(option: str, file: Path) -> PublicKey:
    """Return a public key that can be certified.

    Raises:
        ConfigurationRefused: there is none.
    """
    content = read_file(option, file)
    try:
        return certifiable(read_public_key(content))
    except KeyRefused as error:
        raise ConfigurationRefused(key=option, reason=f"{file}: {error}") from error
