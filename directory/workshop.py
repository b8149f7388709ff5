"""How does a folder come into being whole, or not at all? It is filled under another name, then renamed.

Knows nothing of what is put into it.
"""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from directory.errors import ConfigurationRefused

_KEY = "--dir"


@contextmanager
def workshop(folder: Path) -> Iterator[Path]:
    """Lend a folder beside, mode 0700; once filled it is made durable and takes the name of `folder`.

    Whatever goes wrong meanwhile, nothing is left; a process that was killed leaves a folder whose name says
    what it is. Of two at once the second is refused.

    Raises:
        ConfigurationRefused: there is something of that name, or the folder cannot be made.
    """
    _refuse_existing(folder)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        made = Path(tempfile.mkdtemp(prefix=f"{folder.name}.initializing-", dir=folder.parent))
    except OSError as error:
        raise _refused(f"{folder} cannot be made: {error.strerror}", "choose another folder") from error
    try:
        yield made
        _make_durable(made)
    except BaseException:
        shutil.rmtree(made)
        raise
    try:
        made.rename(folder)
    except OSError as error:
        # What was done elsewhere, such as in a database, may be done already: this is not thrown away.
        raise _refused(f"{made} is complete but cannot be renamed", f"rename it to {folder.name}") from error
    _sync(folder.parent)


def write_private(path: Path, content: bytes) -> None:
    """Write a new file, readable by its owner alone from its first moment; durable when this returns."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(descriptor)


def _refuse_existing(folder: Path) -> None:
    # A dangling link is something as well.
    if os.path.lexists(folder):
        raise _refused(
            f"{folder} exists already", "an installation is never overwritten; choose another folder"
        )


def _refused(reason: str, remedy: str) -> ConfigurationRefused:
    return ConfigurationRefused(key=_KEY, reason=reason, remedy=remedy)


def _make_durable(folder: Path) -> None:
    for path in folder.rglob("*"):
        _sync(path)
    _sync(folder)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
