"""Which issuers has this authority, and which of them signs today?"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import partial

from sqlalchemy import Connection, bindparam, select, update

from ca.profiles import Purpose
from ca.sealing import SealedSecret
from directory.audit import AuditEvent
from directory.errors import AlreadyExists, Unknown
from directory.store import audit_log
from directory.store.database import Database
from directory.store.rows import AnyRow, sealed, sealed_columns
from directory.store.statements import Upsert
from directory.store.tables import issuers

_ADD = Upsert(issuers, lambda insert: insert.on_conflict_do_nothing().returning(issuers.c.id))
_RETIRE = (
    update(issuers).where(issuers.c.purpose == bindparam("of_purpose"), issuers.c.active).values(active=False)
)
_ALL = select(issuers).order_by(issuers.c.created_at, issuers.c.id)
_CERTIFICATES = select(issuers.c.id, issuers.c.parent_id, issuers.c.der)


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredIssuer:
    """An issuer as stored."""

    issuer_id: str
    """The subject key identifier of its certificate, in hex."""
    parent_id: str | None
    """None for a root."""
    purpose: Purpose
    subject: str
    certificate: bytes
    sealed_key: SealedSecret | None
    """None where the key is elsewhere: in a token, or off-line."""
    active: bool
    """Whether it is the one of its purpose that signs today."""
    created_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class ActiveIssuer:
    """The issuer that signs recipients' certificates today."""

    issuer: StoredIssuer
    chain: tuple[bytes, ...]
    """DER of its certificate, then of its issuers up to the root."""


class SqlIssuers:
    """The issuers; they are added, succeeded by others, and never changed."""

    def __init__(self, database: Database, *, node: str) -> None:
        self._database = database
        self._node = node

    async def add(self, issuer: StoredIssuer, event: AuditEvent) -> None:
        """Add an issuer; an active one takes the place of the one active before.

        Raises:
            AlreadyExists: there is an issuer with this key.
        """
        await self._database.write(partial(add, node=self._node, issuer=issuer, event=event))

    async def active(self) -> ActiveIssuer:
        """Return the issuing CA that signs recipients' certificates.

        Raises:
            Unknown: there is none.
        """
        every = await self.all()
        for issuer in every:
            if issuer.active and issuer.purpose is Purpose.ISSUING_CA:
                parents = {each.issuer_id: (each.parent_id, each.certificate) for each in every}
                return ActiveIssuer(issuer=issuer, chain=chain_of(issuer.issuer_id, parents))
        raise Unknown(kind="issuer", name="active")

    async def issuer_certificates(self) -> Mapping[str, bytes]:
        """Return the DER of every issuer by its identifier."""
        stored = await self._database.read(certificates_by_id)
        return {issuer_id: certificate for issuer_id, (_, certificate) in stored.items()}

    async def all(self) -> list[StoredIssuer]:
        """Return every issuer, the oldest first."""
        return await self._database.read(_all)


def chain_of(issuer_id: str, issuers_by_id: Mapping[str, tuple[str | None, bytes]]) -> tuple[bytes, ...]:
    """Follow the parents from an issuer to its root; return their certificates in that order."""
    certificates: list[bytes] = []
    next_id: str | None = issuer_id
    while next_id is not None:
        next_id, certificate = issuers_by_id[next_id]
        certificates.append(certificate)
    return tuple(certificates)


def certificates_by_id(connection: Connection) -> dict[str, tuple[str | None, bytes]]:
    """Return parent and certificate of every issuer, as `chain_of` takes them."""
    return {row.id: (row.parent_id, row.der) for row in connection.execute(_CERTIFICATES)}


def add(connection: Connection, *, node: str, issuer: StoredIssuer, event: AuditEvent) -> None:
    """Add an issuer, in the transaction under way.

    Raises:
        AlreadyExists: there is an issuer with this key.
    """
    if issuer.active:
        connection.execute(_RETIRE, {"of_purpose": issuer.purpose.value})
    added = connection.execute(
        _ADD.on(connection),
        {
            "id": issuer.issuer_id,
            "parent_id": issuer.parent_id,
            "purpose": issuer.purpose.value,
            "subject": issuer.subject,
            "der": issuer.certificate,
            **sealed_columns("key", issuer.sealed_key),
            "active": issuer.active,
            "created_at": issuer.created_at,
        },
    )
    if added.one_or_none() is None:
        raise AlreadyExists(kind="issuer", name=issuer.issuer_id)
    audit_log.append(connection, node, event)


def _all(connection: Connection) -> list[StoredIssuer]:
    return [_issuer(row) for row in connection.execute(_ALL)]


def _issuer(row: AnyRow) -> StoredIssuer:
    return StoredIssuer(
        issuer_id=row.id,
        parent_id=row.parent_id,
        purpose=Purpose(row.purpose),
        subject=row.subject,
        certificate=row.der,
        sealed_key=sealed(row.key_master_key_id, row.key_wrapped_key, row.key_ciphertext),
        active=row.active,
        created_at=row.created_at,
    )
