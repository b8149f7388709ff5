"""How is a secret kept at rest, so that only its own record can open it and erasing it is cheap?

    master key ──wraps──► data key (one per secret) ──encrypts──► secret
         └── in the master key file     └── wrapped_key          └── ciphertext

Both layers are AES-256-GCM (NIST SP 800-38D), and both name the record in their associated data: a sealed
secret that was copied to another record, another kind of secret or another organization does not open.
Whoever destroys `wrapped_key` has destroyed the secret, whatever copies of the ciphertext survive; whoever
rotates the master key only wraps again.

Nonces are random, of 96 bits. A data key encrypts one plaintext in its life, so its nonce cannot repeat. A
master key wraps many data keys, and SP 800-38D section 8.3 allows 2^32 encryptions under one key with random
nonces: at a thousand a second, 49 days; at the few per mint of a busy directory, centuries. Rotate before.

This room knows neither where secrets are stored nor where the master key comes from.
"""

import hmac
import secrets
from dataclasses import dataclass, field
from enum import StrEnum

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from ca.errors import MasterKeyUnknown, SealBroken

KEY_OCTETS = 32
_NONCE_OCTETS = 12
_TAG_OCTETS = 16
_LENGTH_OCTETS = 4

# The first octet of both blobs, and part of what they authenticate. A new layout takes the next number.
_FORMAT = b"\x01"
_PURPOSE = b"pushpki sealed secret"


class SecretKind(StrEnum):
    """What a secret is; a secret sealed as one kind does not open as another."""

    CA_KEY = "ca_key"
    RECIPIENT_KEY = "recipient_key"
    PASSWORD = "password"  # noqa: S105  # the name of a kind, not a password
    SMTP_PASSWORD = "smtp_password"  # noqa: S105  # likewise
    DKIM_KEY = "dkim_key"
    WEBHOOK_SECRET = "webhook_secret"  # noqa: S105  # likewise
    OUTGOING_MESSAGE = "outgoing_message"
    AUDIT_KEY = "audit_key"
    OCSP_KEY = "ocsp_key"
    POOLED_KEY = "pooled_key"


@dataclass(frozen=True, slots=True, kw_only=True)
class SecretIdentity:
    """The record a secret belongs to: its associated data, never stored with it.

    `organization_id` is None for a secret of the service itself.
    """

    kind: SecretKind
    record_id: str
    organization_id: str | None

    def __post_init__(self) -> None:
        if not self.record_id:
            raise ValueError("a secret without a record could be swapped for any other")


@dataclass(frozen=True, slots=True, kw_only=True)
class SealedSecret:
    """A secret at rest: the name of the master key, the data key wrapped under it, the encrypted secret."""

    master_key_id: str
    wrapped_key: bytes = field(repr=False)
    ciphertext: bytes = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class MasterKey:
    """A key that wraps data keys, 256 bits, and its public name."""

    key_id: str
    material: bytes = field(repr=False)

    def __post_init__(self) -> None:
        if not self.key_id:
            raise ValueError("a master key needs a name")
        if len(self.material) != KEY_OCTETS:
            raise ValueError("a master key has 256 bits")

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, MasterKey):
            return NotImplemented
        return self.key_id == other.key_id and hmac.compare_digest(self.material, other.material)

    def __hash__(self) -> int:
        return hash(self.key_id)


@dataclass(frozen=True, slots=True, kw_only=True)
class MasterKeyring:
    """The master key that wraps, and those before it that still unwrap."""

    active: MasterKey
    retired: tuple[MasterKey, ...] = ()

    def __post_init__(self) -> None:
        if len({key.key_id for key in self.keys}) != len(self.keys):
            raise ValueError("two master keys of one name")

    @property
    def keys(self) -> tuple[MasterKey, ...]:
        """All of them, the active one first."""
        return (self.active, *self.retired)


class Sealer:
    """Seals secrets under the active master key, and opens them under any of the keyring."""

    def __init__(self, keyring: MasterKeyring) -> None:
        self._active = keyring.active
        self._keys = {key.key_id: key for key in keyring.keys}

    @property
    def active_key_id(self) -> str:
        """The master key of everything sealed from now on."""
        return self._active.key_id

    def seal(self, secret: bytes, identity: SecretIdentity) -> SealedSecret:
        """Encrypt under a fresh data key, and wrap that under the active master key."""
        data_key = secrets.token_bytes(KEY_OCTETS)
        return SealedSecret(
            master_key_id=self._active.key_id,
            wrapped_key=_wrap(data_key, self._active, identity),
            ciphertext=_encrypt(data_key, secret, _associated_data(identity, b"secret")),
        )

    def unseal(self, sealed: SealedSecret, identity: SecretIdentity) -> bytes:
        """Return the secret, if it is this record's and nobody touched it.

        Raises:
            SealBroken: it is another record's, or was altered, or erased.
            MasterKeyUnknown: the keyring lacks the master key.
        """
        data_key = self._unwrap(sealed, identity)
        return _decrypt(data_key, sealed.ciphertext, _associated_data(identity, b"secret"), identity)

    def rewrap(self, sealed: SealedSecret, identity: SecretIdentity) -> SealedSecret:
        """Wrap the data key anew under the active master key; the ciphertext stays as it is.

        Raises:
            SealBroken: the data key is another record's, or was altered, or erased.
            MasterKeyUnknown: the keyring lacks the master key.
        """
        data_key = self._unwrap(sealed, identity)
        return SealedSecret(
            master_key_id=self._active.key_id,
            wrapped_key=_wrap(data_key, self._active, identity),
            ciphertext=sealed.ciphertext,
        )

    def _unwrap(self, sealed: SealedSecret, identity: SecretIdentity) -> bytes:
        master_key = self._keys.get(sealed.master_key_id)
        if master_key is None:
            raise MasterKeyUnknown(
                kind=identity.kind, record_id=identity.record_id, master_key_id=sealed.master_key_id
            )
        associated_data = _associated_data(identity, b"data key", master_key.key_id.encode())
        return _decrypt(master_key.material, sealed.wrapped_key, associated_data, identity)


def _wrap(data_key: bytes, master_key: MasterKey, identity: SecretIdentity) -> bytes:
    return _encrypt(
        master_key.material, data_key, _associated_data(identity, b"data key", master_key.key_id.encode())
    )


def _encrypt(key: bytes, plaintext: bytes, associated_data: bytes) -> bytes:
    nonce = secrets.token_bytes(_NONCE_OCTETS)
    return _FORMAT + nonce + AESGCM(key).encrypt(nonce, plaintext, associated_data)


def _decrypt(key: bytes, blob: bytes, associated_data: bytes, identity: SecretIdentity) -> bytes:
    body = blob[len(_FORMAT) :]
    if not blob.startswith(_FORMAT) or len(body) < _NONCE_OCTETS + _TAG_OCTETS:
        raise SealBroken(kind=identity.kind, record_id=identity.record_id)
    try:
        return AESGCM(key).decrypt(body[:_NONCE_OCTETS], body[_NONCE_OCTETS:], associated_data)
    except InvalidTag as error:
        raise SealBroken(kind=identity.kind, record_id=identity.record_id) from error


def _associated_data(identity: SecretIdentity, *layer: bytes) -> bytes:
    """Say whose a blob is and which layer, so that no two different things are ever said in the same octets.

    Each part is preceded by its length, so that none can reach into the next.
    """
    organization = [] if identity.organization_id is None else [identity.organization_id.encode()]
    parts = [
        _PURPOSE,
        _FORMAT,
        identity.kind.encode(),
        identity.record_id.encode(),
        b"of an organization" if organization else b"of the service",
        *organization,
        *layer,
    ]
    return b"".join(len(part).to_bytes(_LENGTH_OCTETS, "big") + part for part in parts)
