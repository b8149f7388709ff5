"""Which keys does an operator keep out of the directory, and of its certificates?

Those that were found in wrong hands, or stand in somebody's list of such keys. A certificate that is revoked
because its key was compromised blocks the key by itself. What already has a blocked key is served until it
is revoked: an operator who blocks one revokes by key as well.
"""

import hashlib
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Final, Protocol

from directory.audit import AuditEvent, AuditKind
from directory.clock import Clock
from directory.errors import ConfigurationRefused

_AT_ONCE: Final = 5_000
"""In one transaction, with one event: few enough for the time limits of a store."""
_HASH_LENGTH: Final = 32


class KeyBlockStore(Protocol):
    """Keeps the blocked keys."""

    async def block(self, keys: Sequence[bytes], at: datetime, event: AuditEvent) -> None:
        """Block all of them; those that are blocked already stay so."""
        ...

    async def lift(self, key_sha256: bytes, event: AuditEvent) -> None:
        """Let a key in again.

        Raises:
            Unknown: it is not blocked.
        """
        ...


class KeyBlocking:
    """An operator who blocks keys."""

    def __init__(self, *, store: KeyBlockStore, clock: Clock, actor: str) -> None:
        self._store = store
        self._clock = clock
        self._actor = actor

    async def block(self, keys: Sequence[bytes]) -> int:
        """Block the keys of these hashes; return how many different ones that are."""
        different = sorted(set(keys))
        for start in range(0, len(different), _AT_ONCE):
            some = different[start : start + _AT_ONCE]
            await self._store.block(some, self._clock.now(), self._event(AuditKind.KEY_BLOCKED, some))
        return len(different)

    async def lift(self, key_sha256: bytes) -> None:
        """Let a key in again that was blocked by mistake.

        Raises:
            Unknown: it is not blocked.
        """
        await self._store.lift(key_sha256, self._event(AuditKind.KEY_UNBLOCKED, [key_sha256]))

    def _event(self, kind: AuditKind, keys: Sequence[bytes]) -> AuditEvent:
        # One key is named by its hash; several by the hash of all their hashes, in order.
        subject = keys[0] if len(keys) == 1 else hashlib.sha256(b"".join(keys)).digest()
        return AuditEvent(
            kind=kind,
            at=self._clock.now(),
            actor=self._actor,
            subject=subject.hex(),
            detail={"keys": str(len(keys))},
        )


def read_key_list(file: bytes) -> Sequence[bytes]:
    """Read a list of keys: a SHA-256 in hexadecimal on each line; what follows a blank or a `#` is a remark.

    Raises:
        ConfigurationRefused: a line is something else, or there is none; the key is `--list`.
    """
    try:
        keys = list(_listed(file.decode("ascii")))
    except ValueError as error:
        raise _refused(str(error)) from error
    if not keys:
        raise _refused("it names no key")
    return keys


def _listed(text: str) -> Iterator[bytes]:
    for number, line in enumerate(text.splitlines(), start=1):
        word = line.partition("#")[0].split()
        if not word:
            continue
        key = bytes.fromhex(word[0].replace(":", ""))
        if len(key) != _HASH_LENGTH:
            raise ValueError(f"line {number} does not begin with a SHA-256")
        yield key


def _refused(reason: str) -> ConfigurationRefused:
    return ConfigurationRefused(
        key="--list", reason=reason, remedy="give one SHA-256 of a SubjectPublicKeyInfo, in hex, on each line"
    )
