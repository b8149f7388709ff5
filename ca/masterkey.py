"""Where does the master key live, and how is it replaced without losing a sealed secret?

In one file that only the service can read. A rotation takes three steps, each of which may be interrupted:

1. `add_active_key`: a new key wraps from now on; the old ones stay and still unwrap. Every process loads the
   file again before any of them seals anything.
2. Every sealed secret is wrapped again (`Sealer.rewrap`).
3. `drop_retired_keys`: the keys that no secret needs any more leave the file.

A file is never overwritten in place, and never at all by creation: whoever loses a master key loses every
secret under it. Knows nothing of the secrets; the form of the file is `ca.masterkeyformat`'s.
"""

import contextlib
import os
import stat
from collections.abc import Callable, Collection
from datetime import datetime
from pathlib import Path

from ca import masterkeyformat
from ca.errors import MasterKeyUnusable
from ca.masterkeyformat import DatedKey, KeyList
from ca.sealing import MasterKeyring

_ROOT = 0
_OWNER_ONLY = 0o600
_LARGEST_FILE = 65536


def create_master_key_file(path: Path, passphrase: bytes | None, *, created: datetime) -> MasterKeyring:
    """Make a new file with one new key, and return what was read back from it; durable when this returns.

    Raises:
        MasterKeyUnusable: there is a file already, or it cannot be written, or the passphrase is empty.
    """
    _refuse_empty(passphrase, path)
    first = DatedKey.generate(created)
    text = masterkeyformat.write(KeyList(dated=(first,), active_id=first.key.key_id), passphrase)
    with contextlib.ExitStack() as undo:
        descriptor = _claim(path, "already exists, and is never overwritten")
        undo.callback(path.unlink)
        _write_durably(descriptor, text, path)
        keys = _read(path, passphrase)
        _sync_directory(path)
        undo.pop_all()
    return keys.keyring


def load_master_keyring(path: Path, passphrase: bytes | None) -> MasterKeyring:
    """Read the keys, also from a file that may not be written, as systemd and Kubernetes hand it over.

    Raises:
        MasterKeyUnusable: the file is missing, no regular file, accessible to others, malformed or altered;
            the passphrase is wrong, missing, or given though none is needed.
    """
    return _read(path, passphrase).keyring


def add_active_key(path: Path, passphrase: bytes | None, *, created: datetime) -> MasterKeyring:
    """Put a new key into use and keep all others: the first step of a rotation.

    Raises:
        MasterKeyUnusable: the file cannot be read (see `load_master_keyring`) or replaced; it is as it was.
    """
    new = DatedKey.generate(created)
    return _replace(
        path, passphrase, lambda keys: KeyList(dated=(*keys.dated, new), active_id=new.key.key_id)
    ).keyring


def drop_retired_keys(path: Path, passphrase: bytes | None, *, keep: Collection[str]) -> MasterKeyring:
    """Remove every key but the active one and those named in `keep`: the last step of a rotation.

    `keep` names the keys that sealed secrets still need. If one of them is not in the file, something is
    badly wrong, and nothing is removed.

    Raises:
        MasterKeyUnusable: the file lacks a key to be kept, or cannot be read or replaced; it is as it was.
    """

    def without_unneeded(keys: KeyList) -> KeyList:
        missing = sorted(set(keep) - set(keys.ids))
        if missing:
            reason = f"lacks {', '.join(missing)}, which is still needed; no key was dropped"
            raise MasterKeyUnusable(path=path, reason=reason)
        needed = {*keep, keys.active_id}
        remaining = tuple(dated for dated in keys.dated if dated.key.key_id in needed)
        return KeyList(dated=remaining, active_id=keys.active_id)

    return _replace(path, passphrase, without_unneeded).keyring


def _replace(path: Path, passphrase: bytes | None, change: Callable[[KeyList], KeyList]) -> KeyList:
    """Read, change and replace the file as one step: afterwards it is the old one or the new one, complete.

    The successor's name is also the lock: two rotations at once would each drop the other's new key.
    """
    target = path.resolve()
    successor = target.with_name(f"{target.name}.new")
    with contextlib.ExitStack() as undo:
        descriptor = _claim(
            successor, "exists: another change is under way, or was interrupted and left it behind"
        )
        undo.callback(successor.unlink)
        text = masterkeyformat.write(change(_read(target, passphrase)), passphrase)
        _write_durably(descriptor, text, successor, like=target)
        keys = _read(successor, passphrase)
        try:
            successor.replace(target)
        except OSError as error:
            raise _unusable(path, "cannot be replaced", error) from error
        undo.pop_all()
    _sync_directory(target)
    return keys


def _claim(path: Path, if_there: str) -> int:
    """Make a file that was not there, readable by nobody else from its first moment."""
    try:
        return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, _OWNER_ONLY)
    except FileExistsError as error:
        raise MasterKeyUnusable(path=path, reason=if_there) from error
    except OSError as error:
        raise _unusable(path, "cannot be created", error) from error


def _write_durably(descriptor: int, text: bytes, path: Path, like: Path | None = None) -> None:
    """Write and flush to the disk; the file belongs to the owner of `like`, though root may be writing it."""
    try:
        with os.fdopen(descriptor, "wb") as file:
            if like is not None:
                owner = like.stat()
                os.fchown(descriptor, owner.st_uid, owner.st_gid)
            os.fchmod(descriptor, _OWNER_ONLY)
            file.write(text)
            file.flush()
            os.fsync(descriptor)
    except OSError as error:
        raise _unusable(path, "cannot be written", error) from error


def _sync_directory(path: Path) -> None:
    """Make the file's name as durable as its content."""
    try:
        descriptor = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise _unusable(path, "may not survive a power cut", error) from error


def _read(path: Path, passphrase: bytes | None) -> KeyList:
    try:
        # Not blocking, or a named pipe in the file's place would keep the service waiting for ever.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            _refuse_exposed(os.fstat(descriptor), path)
            text = os.read(descriptor, _LARGEST_FILE + 1)
        finally:
            os.close(descriptor)
    except FileNotFoundError as error:
        raise MasterKeyUnusable(path=path, reason="is missing") from error
    except OSError as error:
        raise _unusable(path, "cannot be read", error) from error
    if len(text) > _LARGEST_FILE:
        raise MasterKeyUnusable(path=path, reason="is not a master key file")
    return masterkeyformat.read(text, passphrase, path)


def _refuse_exposed(status: os.stat_result, path: Path) -> None:
    if stat.S_ISDIR(status.st_mode):
        raise MasterKeyUnusable(path=path, reason="is a directory")
    if not stat.S_ISREG(status.st_mode):
        raise MasterKeyUnusable(path=path, reason="is not a regular file")
    mode = stat.S_IMODE(status.st_mode)
    if mode & _forbidden_bits(owner=status.st_uid, reader=os.geteuid()):
        reason = f"is accessible to group or others (mode {mode:04o}); only its owner may read it"
        raise MasterKeyUnusable(path=path, reason=reason)


def _forbidden_bits(*, owner: int, reader: int) -> int:
    """Say what the mode must not contain.

    A service that is not root can read a file of root's only through its group or an ACL, and an ACL shows in
    the group's bits. So systemd hands over credentials (mode 0440), and Kubernetes secrets. PostgreSQL draws
    the line for its private key in the same place.
    """
    return 0o037 if owner == _ROOT and reader != _ROOT else 0o077


def _refuse_empty(passphrase: bytes | None, path: Path) -> None:
    if passphrase is not None and not passphrase:
        raise MasterKeyUnusable(path=path, reason="would be protected by an empty passphrase")


def _unusable(path: Path, what: str, error: OSError) -> MasterKeyUnusable:
    return MasterKeyUnusable(path=path, reason=f"{what}: {error.strerror}")
