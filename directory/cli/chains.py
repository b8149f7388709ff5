"""What does a command take in with a certificate from elsewhere? The CAs above it, and whom to trust."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from directory.cli.keyfiles import read_file
from directory.errors import ConfigurationRefused

Chain = Annotated[
    list[Path] | None, typer.Option("--chain", help="The CAs above it that are not here, PEM. Repeat.")
]
Trust = Annotated[
    list[str] | None,
    typer.Option(help="SHA-256 of a root, in hex, that you know to be the right one. Repeat."),
]


def read_chain(files: Sequence[Path] | None) -> list[bytes]:
    """Return what is in the files of the option --chain.

    Raises:
        ConfigurationRefused: one cannot be read.
    """
    return [read_file("--chain", one) for one in files or ()]


def read_trust(texts: Sequence[str] | None) -> set[bytes]:
    """Read each SHA-256 of the option --trust.

    Raises:
        ConfigurationRefused: one is none.
    """
    return {_fingerprint(one) for one in texts or ()}


def _fingerprint(text: str) -> bytes:
    try:
        found = bytes.fromhex(text.replace(":", ""))
    except ValueError:
        found = b""
    if len(found) != 32:  # noqa: PLR2004 - octets of a SHA-256
        raise ConfigurationRefused(key="--trust", reason=f"{text!r} is no SHA-256 in hexadecimal")
    return found
