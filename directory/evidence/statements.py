"""What does the audit key put its name to? The end of a chain, its successor, a whole export; nothing else.

Ed25519 (RFC 8032). Each kind of statement begins with a purpose of its own, and each part is preceded by its
length, so that no signature can be read as one of something else.
"""

import hashlib
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Self

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from ca.errors import KeyRefused
from directory.audit import ChainHead

KEY_OCTETS = 32
_LENGTH_OCTETS = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedHead:
    """Where a node's chain ended at a moment, signed: these events, in that order, and no others."""

    node: str
    sequence: int
    hash: bytes
    at: datetime
    key_id: str
    signature: bytes = field(repr=False)

    @property
    def statement(self) -> bytes:
        """What is signed."""
        return _head_statement(self.node, self.sequence, self.hash, self.at, self.key_id)


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyStatement:
    """That a key signs from now on: signed by itself, and by the key whose place it takes."""

    number: int
    """From 1, each successor one more."""
    public_key: bytes
    """RFC 8032 section 5.1.2, 32 octets."""
    at: datetime
    predecessor_id: str | None
    own_signature: bytes = field(repr=False)
    predecessors_signature: bytes | None = field(repr=False)

    @property
    def key_id(self) -> str:
        """The SHA-256 of the public key, in hexadecimal."""
        return key_id_of(self.public_key)

    @property
    def statement(self) -> bytes:
        """What is signed, by both."""
        return _key_statement(self.number, self.public_key, self.at, self.predecessor_id)


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportEnd:
    """That an export is all that was written."""

    at: datetime
    key_id: str
    sha256: bytes
    """Of every octet before this line."""
    signature: bytes = field(repr=False)

    @property
    def statement(self) -> bytes:
        """What is signed."""
        return _end_statement(self.sha256, self.at, self.key_id)


class AuditSigner:
    """Holds the private key, and signs these statements alone."""

    def __init__(self, key: Ed25519PrivateKey) -> None:
        self._key = key
        self.public_key = key.public_key().public_bytes_raw()
        self.key_id = key_id_of(self.public_key)

    @classmethod
    def generate(cls) -> Self:
        """Make a new key."""
        return cls(Ed25519PrivateKey.generate())

    @classmethod
    def from_secret(cls, secret: bytes) -> Self:
        """Take the key that `secret` returned.

        Raises:
            KeyRefused: it is none.
        """
        if len(secret) != KEY_OCTETS:
            raise KeyRefused("not an Ed25519 private key")
        return cls(Ed25519PrivateKey.from_private_bytes(secret))

    def secret(self) -> bytes:
        """Return the private key, to be sealed at once."""
        return self._key.private_bytes_raw()

    def head(self, head: ChainHead, at: datetime) -> SignedHead:
        """Sign the end of a chain."""
        statement = _head_statement(head.node, head.sequence, head.hash, at, self.key_id)
        return SignedHead(
            node=head.node,
            sequence=head.sequence,
            hash=head.hash,
            at=at,
            key_id=self.key_id,
            signature=self._key.sign(statement),
        )

    def beginning(self, at: datetime) -> KeyStatement:
        """Sign that this is the first key."""
        return KeyStatement(
            number=1,
            public_key=self.public_key,
            at=at,
            predecessor_id=None,
            own_signature=self._key.sign(_key_statement(1, self.public_key, at, None)),
            predecessors_signature=None,
        )

    def succeeded_by(self, successor: "AuditSigner", *, number: int, at: datetime) -> KeyStatement:
        """Sign, together with the successor, that it takes this key's place."""
        statement = _key_statement(number, successor.public_key, at, self.key_id)
        return KeyStatement(
            number=number,
            public_key=successor.public_key,
            at=at,
            predecessor_id=self.key_id,
            own_signature=successor._key.sign(statement),  # noqa: SLF001 - another of this class
            predecessors_signature=self._key.sign(statement),
        )

    def end(self, sha256: bytes, at: datetime) -> ExportEnd:
        """Sign that an export with this digest is whole."""
        signature = self._key.sign(_end_statement(sha256, at, self.key_id))
        return ExportEnd(at=at, key_id=self.key_id, sha256=sha256, signature=signature)


def key_id_of(public_key: bytes) -> str:
    """Return the name of a public key: its SHA-256, in hexadecimal."""
    return hashlib.sha256(public_key).hexdigest()


def verifies(public_key: bytes, signature: bytes, statement: bytes) -> bool:
    """Whether the key has signed the statement."""
    try:
        Ed25519PublicKey.from_public_bytes(public_key).verify(signature, statement)
    except (InvalidSignature, ValueError):
        return False
    return True


def moment_text(moment: datetime) -> str:
    """Write a moment as it is hashed, signed and exported: RFC 3339, UTC, microseconds."""
    return moment.astimezone(UTC).isoformat(timespec="microseconds")


def _head_statement(node: str, sequence: int, head_hash: bytes, at: datetime, key_id: str) -> bytes:
    return _joined(
        b"pushpki audit head v1",
        node.encode(),
        str(sequence).encode(),
        head_hash,
        moment_text(at).encode(),
        key_id.encode(),
    )


def _key_statement(number: int, public_key: bytes, at: datetime, predecessor_id: str | None) -> bytes:
    return _joined(
        b"pushpki audit key v1",
        str(number).encode(),
        public_key,
        moment_text(at).encode(),
        (predecessor_id or "").encode(),
    )


def _end_statement(sha256: bytes, at: datetime, key_id: str) -> bytes:
    return _joined(b"pushpki audit export v1", sha256, moment_text(at).encode(), key_id.encode())


def _joined(*parts: bytes) -> bytes:
    return b"".join(len(part).to_bytes(_LENGTH_OCTETS, "big") + part for part in parts)
