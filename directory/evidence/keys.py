"""Where does the audit key come from, and how does another take its place?

Its private half is sealed in the database like an issuer's. When it is replaced it signs its successor, and
is erased in the same transaction.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from ca.sealing import SealedSecret, Sealer, SecretIdentity, SecretKind
from directory.audit import AuditEvent, AuditKind
from directory.clock import Clock
from directory.errors import Unknown
from directory.evidence.statements import AuditSigner, KeyStatement


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditKey:
    """An audit key as stored."""

    statement: KeyStatement
    sealed: SealedSecret | None
    """None when another has taken its place."""


class AuditKeyStore(Protocol):
    """Keeps the audit keys."""

    async def keys(self) -> Sequence[AuditKey]:
        """Return every key, in order."""
        ...

    async def add(self, key: AuditKey, event: AuditEvent) -> bool:
        """Add a key, and erase the one before; tell whether it was not there under its number already."""
        ...


class AuditKeys:
    """The key that signs the audit log, and those before it."""

    def __init__(self, *, store: AuditKeyStore, sealer: Sealer, clock: Clock, actor: str) -> None:
        self._store = store
        self._sealer = sealer
        self._clock = clock
        self._actor = actor

    async def statements(self) -> Sequence[KeyStatement]:
        """Return what is public about every key, in order.

        Raises:
            Unknown: there is none yet.
        """
        keys = await self._store.keys()
        if not keys:
            raise Unknown(kind="audit key", name="current")
        return [key.statement for key in keys]

    async def signer(self) -> AuditSigner:
        """Return the key that signs now.

        Raises:
            Unknown: there is none yet.
            SealBroken, KeyRefused: it does not open.
        """
        keys = await self._store.keys()
        if not keys or keys[-1].sealed is None:
            raise Unknown(kind="audit key", name="current")
        return self._opened(keys[-1].statement.key_id, keys[-1].sealed)

    async def ensure(self) -> None:
        """Make the first key where there is none, as in an installation from before there were any."""
        if not await self._store.keys():
            key, event = first_audit_key(self._sealer, at=self._clock.now(), actor=self._actor)
            # If another process was first, its key is as good.
            await self._store.add(key, event)

    async def rotate(self) -> KeyStatement:
        """Let another key take the place of the one that signs now; return what is public about it.

        Raises:
            Unknown: there is none yet, or another took its place this very moment.
            SealBroken, KeyRefused: it does not open, so it cannot sign its successor.
        """
        now = self._clock.now()
        former = await self.signer()
        number = (await self.statements())[-1].number + 1
        successor = AuditSigner.generate()
        key = _sealed(self._sealer, successor, former.succeeded_by(successor, number=number, at=now))
        event = _event(AuditKind.AUDIT_KEY_ROTATED, key.statement, now, self._actor)
        if not await self._store.add(key, event):
            raise Unknown(kind="audit key", name=former.key_id)
        return key.statement

    def _opened(self, key_id: str, sealed: SealedSecret) -> AuditSigner:
        return AuditSigner.from_secret(self._sealer.unseal(sealed, audit_key_identity(key_id)))


def audit_key_identity(key_id: str) -> SecretIdentity:
    """Return what a sealed audit key is bound to."""
    return SecretIdentity(kind=SecretKind.AUDIT_KEY, record_id=key_id, organization_id=None)


def first_audit_key(sealer: Sealer, *, at: datetime, actor: str) -> tuple[AuditKey, AuditEvent]:
    """Make the first key, and the event that tells of it."""
    signer = AuditSigner.generate()
    key = _sealed(sealer, signer, signer.beginning(at))
    return key, _event(AuditKind.AUDIT_KEY_CREATED, key.statement, at, actor)


def _sealed(sealer: Sealer, signer: AuditSigner, statement: KeyStatement) -> AuditKey:
    return AuditKey(
        statement=statement, sealed=sealer.seal(signer.secret(), audit_key_identity(signer.key_id))
    )


def _event(kind: AuditKind, statement: KeyStatement, at: datetime, actor: str) -> AuditEvent:
    detail = {"number": str(statement.number)}
    if statement.predecessor_id is not None:
        detail["predecessor"] = statement.predecessor_id
    return AuditEvent(kind=kind, at=at, actor=actor, subject=f"audit_key:{statement.key_id}", detail=detail)
