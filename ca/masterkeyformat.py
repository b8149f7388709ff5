"""What stands in a master key file, in clear or under a passphrase?

A JSON document that says what it is. With a passphrase the keys are encrypted, by AES-256-GCM under a key
that Argon2id (RFC 9106) derives; all the rest of the document is authenticated with each of them, so that
none can be swapped, dropped or made active again. Without one they stand there in clear, and the file's mode
is all that protects them.

Knows nothing of files; a path is only the name by which a refusal calls the document.
"""

import base64
import json
import re
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self, TypeVar

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

from ca.errors import MasterKeyUnusable
from ca.sealing import KEY_OCTETS, MasterKey, MasterKeyring

FORMAT = "pushpki master key file"
VERSION = 1

_KEY_ID = re.compile(r"[0-9a-f]{16}")
_KEY_ID_OCTETS = 8
_NONCE_OCTETS = 12
_SALT_OCTETS = 16

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class DatedKey:
    """A master key and the time it was made."""

    key: MasterKey
    created: datetime

    def __post_init__(self) -> None:
        if _KEY_ID.fullmatch(self.key.key_id) is None:
            raise ValueError("a master key is named by 16 hexadecimal digits")
        if self.created.tzinfo is None:
            raise ValueError("the time a master key was made needs its time zone")

    @classmethod
    def generate(cls, created: datetime) -> Self:
        """Draw a new key, and a name for it that no other has."""
        key = MasterKey(key_id=secrets.token_hex(_KEY_ID_OCTETS), material=secrets.token_bytes(KEY_OCTETS))
        return cls(key=key, created=created)


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyList:
    """The master keys of one file, oldest first; the one that `active_id` names is in use."""

    dated: tuple[DatedKey, ...]
    active_id: str

    def __post_init__(self) -> None:
        if self.active_id not in self.ids:
            raise ValueError("the active master key is not among the keys")
        if len(set(self.ids)) != len(self.ids):
            raise ValueError("two master keys of one name")

    @property
    def ids(self) -> tuple[str, ...]:
        """The names of all keys, oldest first."""
        return tuple(dated.key.key_id for dated in self.dated)

    @property
    def keyring(self) -> MasterKeyring:
        """The keys as the sealer wants them: the active one, and the retired ones, oldest first."""
        keys = {dated.key.key_id: dated.key for dated in self.dated}
        return MasterKeyring(active=keys.pop(self.active_id), retired=tuple(keys.values()))


@dataclass(frozen=True, slots=True, kw_only=True)
class PassphraseCost:
    """What one guess at the passphrase costs; by default RFC 9106 section 4, the second recommended option.

    The bounds are checked before anything is derived, or a forged file could exhaust the machine.
    """

    salt: bytes
    memory_kib: int = 65536
    iterations: int = 3
    lanes: int = 4

    def __post_init__(self) -> None:
        for name, value, least, most in (
            ("salt", len(self.salt), 16, 64),
            ("memory_kib", self.memory_kib, 8192, 1048576),
            ("iterations", self.iterations, 1, 10),
            ("lanes", self.lanes, 1, 16),
        ):
            if not least <= value <= most:
                raise ValueError(f"{name} is out of bounds")

    def derive(self, passphrase: bytes) -> AESGCM:
        """Spend the cost, and return the cipher the passphrase stands for."""
        kdf = Argon2id(
            salt=self.salt,
            length=KEY_OCTETS,
            iterations=self.iterations,
            lanes=self.lanes,
            memory_cost=self.memory_kib,
        )
        return AESGCM(kdf.derive(passphrase))


def write(keys: KeyList, passphrase: bytes | None) -> bytes:
    """Put the keys into a document; under a passphrase, with a fresh salt and fresh nonces."""
    cost = cipher = None
    if passphrase is not None:
        cost = PassphraseCost(salt=secrets.token_bytes(_SALT_OCTETS))
        cipher = cost.derive(passphrase)
    header = _header([(dated.key.key_id, dated.created) for dated in keys.dated], keys.active_id, cost)
    entries = []
    for entry, dated in zip(header["keys"], keys.dated, strict=True):
        blob = dated.key.material
        if cipher is not None:
            nonce = secrets.token_bytes(_NONCE_OCTETS)
            blob = nonce + cipher.encrypt(nonce, blob, _associated_data(header, dated.key.key_id))
        entries.append({**entry, "material": base64.b64encode(blob).decode()})
    return json.dumps({**header, "keys": entries}, indent=2).encode() + b"\n"


def read(text: bytes, passphrase: bytes | None, path: Path) -> KeyList:
    """Take the keys out of a document.

    Raises:
        MasterKeyUnusable: it is something else, of another version, damaged or altered; the passphrase is
            wrong, missing, or given though none is needed.
    """
    document = _json_object(text)
    if document is None or document.get("format") != FORMAT:
        raise MasterKeyUnusable(path=path, reason="is not a master key file")
    if document.get("version") != VERSION:
        raise MasterKeyUnusable(path=path, reason="is of a version this program does not know")
    try:
        contents = _Contents.of(document)
    except ValueError as error:
        raise MasterKeyUnusable(path=path, reason=f"is malformed: {error}") from error
    if passphrase is None and contents.cost is not None:
        raise MasterKeyUnusable(path=path, reason="needs a passphrase")
    if passphrase is not None and contents.cost is None:
        raise MasterKeyUnusable(path=path, reason="needs no passphrase, but one was given")
    try:
        return contents.open(passphrase)
    except InvalidTag as error:
        reason = "does not open: the passphrase is wrong, or the file was altered"
        raise MasterKeyUnusable(path=path, reason=reason) from error
    except ValueError as error:
        raise MasterKeyUnusable(path=path, reason=f"is malformed: {error}") from error


@dataclass(frozen=True, slots=True, kw_only=True)
class _Contents:
    """A document whose structure is right and whose keys are still locked."""

    dates: list[tuple[str, datetime]]
    blobs: list[bytes]
    active_id: str
    cost: PassphraseCost | None

    @classmethod
    def of(cls, document: dict[str, Any]) -> Self:
        _expect_members(document, "format", "version", "passphrase", "active", "keys")
        dates, blobs = [], []
        for entry in _typed(document["keys"], list, "keys"):
            _expect_members(entry, "id", "created", "material")
            dates.append((_typed(entry["id"], str, "id"), _time(entry["created"])))
            blobs.append(_octets(entry["material"], "material"))
        return cls(
            dates=dates,
            blobs=blobs,
            active_id=_typed(document["active"], str, "active"),
            cost=None if document["passphrase"] is None else _cost(document["passphrase"]),
        )

    def open(self, passphrase: bytes | None) -> KeyList:
        cipher = None if self.cost is None or passphrase is None else self.cost.derive(passphrase)
        header = _header(self.dates, self.active_id, self.cost)
        dated = []
        for (key_id, created), blob in zip(self.dates, self.blobs, strict=True):
            material = blob
            if cipher is not None:
                nonce, sealed = blob[:_NONCE_OCTETS], blob[_NONCE_OCTETS:]
                material = cipher.decrypt(nonce, sealed, _associated_data(header, key_id))
            dated.append(DatedKey(key=MasterKey(key_id=key_id, material=material), created=created))
        return KeyList(dated=tuple(dated), active_id=self.active_id)


def _header(dates: list[tuple[str, datetime]], active_id: str, cost: PassphraseCost | None) -> dict[str, Any]:
    """All of the document but the key material."""
    passphrase = None
    if cost is not None:
        passphrase = {
            "kdf": "argon2id",
            "salt": base64.b64encode(cost.salt).decode(),
            "memory_kib": cost.memory_kib,
            "iterations": cost.iterations,
            "lanes": cost.lanes,
        }
    return {
        "format": FORMAT,
        "version": VERSION,
        "passphrase": passphrase,
        "active": active_id,
        "keys": [{"id": key_id, "created": created.astimezone(UTC).isoformat()} for key_id, created in dates],
    }


def _associated_data(header: dict[str, Any], key_id: str) -> bytes:
    """One spelling of the header, however the file is indented, and the key it is said about."""
    return json.dumps([header, key_id], sort_keys=True, separators=(",", ":")).encode()


def _json_object(text: bytes) -> dict[str, Any] | None:
    """Parse; None where that fails: a parser's error carries the whole text, which may be keys in clear."""
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return document if isinstance(document, dict) else None


def _cost(entry: object) -> PassphraseCost:
    members = _expect_members(entry, "kdf", "salt", "memory_kib", "iterations", "lanes")
    if members["kdf"] != "argon2id":
        raise ValueError("the key derivation is not argon2id")
    return PassphraseCost(
        salt=_octets(members["salt"], "salt"),
        memory_kib=_typed(members["memory_kib"], int, "memory_kib"),
        iterations=_typed(members["iterations"], int, "iterations"),
        lanes=_typed(members["lanes"], int, "lanes"),
    )


def _expect_members(entry: object, *names: str) -> dict[str, Any]:
    if not isinstance(entry, dict) or set(entry) != set(names):
        raise ValueError(f"an entry has other members than {', '.join(names)}")
    return entry


def _typed(value: object, kind: type[T], name: str) -> T:
    # Not isinstance: in JSON true is no number, in Python it is one.
    if type(value) is not kind:
        raise ValueError(f"{name} is not of type {kind.__name__}")
    return value


def _octets(value: object, name: str) -> bytes:
    try:
        return base64.b64decode(_typed(value, str, name), validate=True)
    except ValueError:
        pass
    raise ValueError(f"{name} is not base64")


def _time(value: object) -> datetime:
    return datetime.fromisoformat(_typed(value, str, "created"))
