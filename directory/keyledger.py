"""Which pooled keys were used, though the database may be as it was last week? A small file beside it.

A key in the database is used once because its row is deleted first. That does not help when an older database
is restored: the rows are back, and the keys long in somebody's hands. So every pooled key has a number, and
this file, which no restore of the database touches, says up to which number they were used.

It is one machine's: its processes share it, and use only the keys that it has numbered. Where it is missing a
new one begins, under a new name: whatever the old one has numbered is used by nobody any more.
"""

import fcntl
import json
import os
import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from ca.keys import KeyAlgorithm
from directory.errors import ConfigurationRefused

SETTING: Final = "ca.key_pool_ledger"
_HALF_OCTETS: Final = 8  # of an identifier: the ledger's name, and the number
_DIGITS: Final = 2 * _HALF_OCTETS


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """The identifiers of the keys that may be used: beyond `after`, up to `last`, in the order of text."""

    after: str
    last: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Page:
    """What the file says."""

    name: str
    numbered: int = 0
    """The last number that was given to a key."""
    used: dict[str, int] = field(default_factory=dict)
    """The last number that was used, by algorithm."""


class KeyLedger:
    """Numbers pooled keys and remembers which were used. Its calls wait for the disk.

    Raises:
        ConfigurationRefused: by all of them, the file cannot be read or written.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def number(self, keys: int) -> Sequence[str]:
        """Return so many new identifiers, in order; nobody is ever given them again."""
        with self._turning() as page:
            self._write(replace(page, numbered=page.numbered + keys))
        return [_identifier(page.name, page.numbered + one) for one in range(1, keys + 1)]

    def usable(self, algorithm: KeyAlgorithm) -> Span:
        """Return which keys of the algorithm were not used yet, as far as anybody knows."""
        with self._turning() as page:
            return Span(
                after=_identifier(page.name, page.used.get(algorithm, 0)),
                last=_identifier(page.name, page.numbered),
            )

    def note_used(self, algorithm: KeyAlgorithm, last: str) -> None:
        """Let no key up to this identifier be used from now on; durable when this returns."""
        number = int(last[_DIGITS:], 16)
        with self._turning() as page:
            if number > page.used.get(algorithm, 0):
                self._write(replace(page, used={**page.used, algorithm.value: number}))

    @contextmanager
    def _turning(self) -> Iterator[_Page]:
        """Keep every other process away while the file is read and replaced."""
        try:
            # A file of its own: the ledger itself is replaced, and with it whatever was locked.
            lock = os.open(f"{self._path}.lock", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX)
                yield self._read()
            finally:
                os.close(lock)
        except OSError as error:
            raise self._refused(f"cannot be used: {error.strerror}") from error

    def _read(self) -> _Page:
        try:
            written: Any = json.loads(self._path.read_bytes())
            return _Page(name=written["name"], numbered=written["numbered"], used=written["used"])
        except FileNotFoundError:
            page = _Page(name=secrets.token_hex(_HALF_OCTETS))
            self._write(page)
            return page
        except (ValueError, KeyError, TypeError) as error:
            raise self._refused("is no ledger of keys") from error

    def _write(self, page: _Page) -> None:
        content = json.dumps({"name": page.name, "numbered": page.numbered, "used": page.used})
        beside = self._path.with_name(f"{self._path.name}.new")
        descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(content)
            file.flush()
            os.fsync(descriptor)
        beside.replace(self._path)
        folder = os.open(self._path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    def _refused(self, reason: str) -> ConfigurationRefused:
        return ConfigurationRefused(
            key=SETTING,
            reason=f"{self._path} {reason}",
            remedy="name a file that the service may replace; a new one makes the pool begin anew",
        )


def _identifier(name: str, number: int) -> str:
    return f"{name}{number:0{_DIGITS}x}"
