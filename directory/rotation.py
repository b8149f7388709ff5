"""How is the master key replaced while the service runs, and without losing a secret?

    new key into the file ─► its name into the store ─► all secrets wrapped anew ─► the old key goes

Each step may be interrupted: the next run finds where it stopped. The store refuses to forget a key that a
secret still needs, and a secret under a key it does not know; so whatever a running service seals meanwhile,
the old key outlives it. In the moment between the first two steps a mint may be refused, and is asked again.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from ca.masterkey import add_active_key, drop_retired_keys, load_master_keyring
from ca.sealing import MasterKeyring, Sealer
from directory.audit import AuditEvent, AuditKind
from directory.clock import Clock
from directory.errors import ConfigurationRefused

_ROUNDS = 10
"""How often the secrets are wrapped anew because a service has meanwhile sealed more under the old key. It
does so only until it looks at the key file again, before its next secret."""


class MasterKeyRegister(Protocol):
    """Knows master keys by name, and every secret sealed under one."""

    async def ids(self) -> Sequence[str]:
        """Return the registered keys, the oldest first."""
        ...

    async def register(self, key_id: str, event: AuditEvent) -> None:
        """Let secrets be sealed under this key from now on."""
        ...

    async def rewrap(self, sealer: Sealer) -> int:
        """Wrap every secret under the sealer's active key; return how many were not yet."""
        ...

    async def drop(self, key_id: str, event: AuditEvent) -> None:
        """Forget a key that no secret needs any more.

        Raises:
            ConfigurationRefused: a secret is still sealed under it.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Rotated:
    """What a rotation did."""

    active_key_id: str
    rewrapped: int
    """How many secrets were wrapped anew."""


class MasterKeyRotation:
    """Replaces the master key."""

    def __init__(
        self, *, path: Path, passphrase: bytes | None, register: MasterKeyRegister, clock: Clock, actor: str
    ) -> None:
        self._path = path
        self._passphrase = passphrase
        self._register = register
        self._clock = clock
        self._actor = actor

    async def rotate(self) -> Rotated:
        """Replace the master key, or finish a replacement that was interrupted.

        Raises:
            MasterKeyUnusable: the file cannot be read or replaced.
            SealBroken: a secret does not open; it and those after it keep the old key, which stays.
            ConfigurationRefused: something keeps sealing under the old key, such as a service that reads
                another file than this one; the old key stays.
            StoreUnavailable: the database does not answer.
        """
        keyring = await self._with_new_key()
        active_id = keyring.active.key_id
        if active_id not in await self._register.ids():
            await self._register.register(active_id, self._event(active_id, "registered"))
        rewrapped = await self._retire_all_but(keyring)
        drop_retired_keys(self._path, self._passphrase, keep=await self._register.ids())
        return Rotated(active_key_id=active_id, rewrapped=rewrapped)

    async def _retire_all_but(self, keyring: MasterKeyring) -> int:
        """Wrap every secret under the active key and forget the others; return how many were wrapped."""
        rewrapped, rounds = 0, 0
        while True:
            rewrapped += await self._register.rewrap(Sealer(keyring))
            rounds += 1
            try:
                await self._forget_all_but(keyring.active.key_id)
            except ConfigurationRefused:
                if rounds == _ROUNDS:
                    raise
            else:
                return rewrapped

    async def _forget_all_but(self, active_id: str) -> None:
        for key_id in await self._register.ids():
            if key_id != active_id:
                await self._register.drop(key_id, self._event(key_id, "dropped"))

    async def _with_new_key(self) -> MasterKeyring:
        keyring = load_master_keyring(self._path, self._passphrase)
        unfinished = keyring.retired or keyring.active.key_id not in await self._register.ids()
        if unfinished:
            return keyring
        return add_active_key(self._path, self._passphrase, created=self._clock.now())

    def _event(self, key_id: str, what: str) -> AuditEvent:
        return AuditEvent(
            kind=AuditKind.MASTER_KEY_ROTATED,
            at=self._clock.now(),
            actor=self._actor,
            subject=key_id,
            detail={"what": what},
        )
