"""How does a command come by its installation? The option --config, the passphrase, the event loop."""

import asyncio
import os
import pwd
import sys
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer

from directory.errors import ConfigurationRefused
from directory.settings import Settings, configuration_file, load_settings, read_secret_file
from directory.wiring.installation import Installation, open_installation
from directory.wiring.issuers import sound_issuers

Outcome = TypeVar("Outcome")

Config = Annotated[
    Path | None,
    typer.Option("--config", help="The configuration file; else $PUSHPKI_CONFIG, else ./pushpki.toml."),
]


def operator() -> str:
    """Name who runs the command, as the audit log will: as the system knows him, whatever his environment."""
    uid = os.getuid()
    try:
        return f"operator:{pwd.getpwuid(uid).pw_name}"
    except KeyError:  # a container's arbitrary user has no name
        return f"operator:uid-{uid}"


def read_settings(config: Path | None) -> Settings:
    """Read the configuration that the option, the environment or the folder names.

    Raises:
        ConfigurationRefused: as `load_settings`.
    """
    return load_settings(configuration_file(config, os.environ))


def passphrase_of(settings: Settings) -> bytes | None:
    """Return the master key's passphrase from its file; None where it has none.

    Raises:
        ConfigurationRefused: the file cannot be used.
    """
    path = settings.master_key.passphrase_file
    return read_secret_file("master_key.passphrase_file", path) if path is not None else None


@asynccontextmanager
async def installation(config: Path | None) -> AsyncIterator[Installation]:
    """Open the installation that the command is about.

    Raises:
        ConfigurationRefused, MasterKeyUnusable, StoreUnavailable, StoreOutdated, StoreNewer: as they say.
    """
    settings = read_settings(config)
    async with open_installation(settings, passphrase_of(settings)) as opened:
        yield opened


@asynccontextmanager
async def installation_with_issuers(config: Path | None) -> AsyncIterator[Installation]:
    """Open the installation of a command that reads its issuers, of which each must be what it should be.

    Raises:
        ConfigurationRefused: one is not; else as `installation`.
    """
    async with installation(config) as opened:
        await sound_issuers(opened)
        yield opened


def run(work: Coroutine[Any, Any, Outcome]) -> Outcome:
    """Run a command's work on an event loop of its own."""
    return asyncio.run(work)


def confirm(question: str, *, yes: bool) -> None:
    """Ask before what cannot be undone; a command without a terminal must say --yes.

    Raises:
        ConfigurationRefused: nobody is there to be asked.
    """
    if yes:
        return
    if not sys.stdin.isatty():
        raise ConfigurationRefused(key="--yes", reason=question, remedy="confirm it with --yes")
    typer.confirm(question, abort=True, err=True)
