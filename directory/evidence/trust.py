"""Whose signature counts? That of a key one has been given by hand, and of those that it vouches for.

Trust goes forward: a key that is trusted has signed its successor. It goes back only half the way: a trusted
key names its predecessor, whose heads are then compared like others; but they prove nothing to be whole. So
whoever got hold of a key that has been replaced cannot cut the log back to where it was in force.
"""

import re
from collections.abc import Iterable
from enum import Enum

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_public_key,
)

from directory.evidence.statements import KeyStatement, key_id_of, verifies

_PEM = re.compile(rb"-----BEGIN PUBLIC KEY-----.*?-----END PUBLIC KEY-----", re.DOTALL)


class Standing(Enum):
    """What a key's signature is worth."""

    TRUSTED = "trusted"
    FORMER = "replaced before the key that was given"
    UNKNOWN = "unknown"


class TrustedKeys:
    """The keys that were given, and what statements about others make of these."""

    def __init__(self, given: Iterable[bytes]) -> None:
        self._public_keys = {key_id_of(public_key): public_key for public_key in given}
        self._trusted = set(self._public_keys)
        self._former: set[str] = set()
        self._statements: dict[str, KeyStatement] = {}

    def learn(self, statement: KeyStatement) -> bool:
        """Take notice of a statement; tell whether it is signed as it must be, by keys trusted or not."""
        if not verifies(statement.public_key, statement.own_signature, statement.statement):
            return False
        if (statement.predecessor_id is None) is not (statement.predecessors_signature is None):
            return False
        predecessor = self._statements.get(statement.predecessor_id or "")
        if predecessor and not _endorses(predecessor.public_key, statement):
            return False
        self._statements[statement.key_id] = statement
        self._public_keys[statement.key_id] = statement.public_key
        self._spread()
        return True

    def standing(self, key_id: str) -> Standing:
        """Return what a key's signature is worth."""
        if key_id in self._trusted:
            return Standing.TRUSTED
        return Standing.FORMER if key_id in self._former else Standing.UNKNOWN

    def signed(self, key_id: str, signature: bytes, statement: bytes) -> bool:
        """Whether the key, of whatever standing, has signed the statement."""
        public_key = self._public_keys.get(key_id)
        return public_key is not None and verifies(public_key, signature, statement)

    def _spread(self) -> None:
        """Let trust reach as far as the statements carry it."""
        grown = True
        while grown:
            before = len(self._trusted) + len(self._former)
            for statement in self._statements.values():
                self._reach(statement)
            grown = len(self._trusted) + len(self._former) > before

    def _reach(self, statement: KeyStatement) -> None:
        predecessor_id = statement.predecessor_id
        if predecessor_id is None:
            return
        if predecessor_id in self._trusted and _endorses(self._public_keys[predecessor_id], statement):
            self._trusted.add(statement.key_id)
        elif statement.key_id in self._trusted | self._former and predecessor_id not in self._trusted:
            self._former.add(predecessor_id)


def pem_of(public_key: bytes) -> str:
    """Write a public key as PEM (RFC 8410)."""
    key = Ed25519PublicKey.from_public_bytes(public_key)
    return key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


def public_keys_in(pem: bytes) -> list[bytes]:
    """Read the public keys of a PEM file.

    Raises:
        ValueError: there is none, or one that is not Ed25519.
    """
    keys = [load_pem_public_key(block) for block in _PEM.findall(pem)]
    found = [key.public_bytes_raw() for key in keys if isinstance(key, Ed25519PublicKey)]
    if not found or len(found) < len(keys):
        raise ValueError
    return found


def _endorses(public_key: bytes, statement: KeyStatement) -> bool:
    signature = statement.predecessors_signature
    return signature is not None and verifies(public_key, signature, statement.statement)
