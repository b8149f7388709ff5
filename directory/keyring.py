"""Which master keys are in force right now? A sealer that notices a rotation by another process."""

import os
from pathlib import Path

from ca.masterkey import load_master_keyring
from ca.sealing import SealedSecret, Sealer, SecretIdentity


class LiveSealer(Sealer):
    """Seals under the master key file as it is now; looks at the file's stamp before each use, 2 µs.

    While the file is away, such as in the moment of an unmounted credential, the keys last read stay in
    force: a running service must not lose its secrets to an operator's mistake.

    Raises:
        MasterKeyUnusable: the file cannot be used; also later, when it has changed into an unusable one.
    """

    def __init__(self, path: Path, passphrase: bytes | None) -> None:
        self._path = path
        self._passphrase = passphrase
        self._stamp = _stamp(path)
        super().__init__(load_master_keyring(path, passphrase))

    @property
    def active_key_id(self) -> str:
        """The master key of everything sealed from now on."""
        self._refresh()
        return super().active_key_id

    def knows(self, key_id: str) -> bool:
        """Whether the file holds the master key of this name."""
        self._refresh()
        return key_id in self._keys

    def seal(self, secret: bytes, identity: SecretIdentity) -> SealedSecret:
        """Encrypt under a fresh data key, and wrap that under the active master key."""
        self._refresh()
        return super().seal(secret, identity)

    def unseal(self, sealed: SealedSecret, identity: SecretIdentity) -> bytes:
        """Return the secret, if it is this record's and nobody touched it.

        Raises:
            SealBroken: it is another record's, or was altered, or erased.
            MasterKeyUnknown: the keyring lacks the master key.
        """
        self._refresh()
        return super().unseal(sealed, identity)

    def rewrap(self, sealed: SealedSecret, identity: SecretIdentity) -> SealedSecret:
        """Wrap the data key anew under the active master key; the ciphertext stays as it is.

        Raises:
            SealBroken: the data key is another record's, or was altered, or erased.
            MasterKeyUnknown: the keyring lacks the master key.
        """
        self._refresh()
        return super().rewrap(sealed, identity)

    def _refresh(self) -> None:
        stamp = _stamp(self._path)
        if stamp is not None and stamp != self._stamp:
            super().__init__(load_master_keyring(self._path, self._passphrase))
            self._stamp = stamp


def _stamp(path: Path) -> tuple[int, int, int] | None:
    try:
        status = os.stat(path)  # noqa: PTH116 - half the time of Path.stat, on the way of every mint
    except FileNotFoundError:
        return None
    return status.st_ino, status.st_mtime_ns, status.st_size
