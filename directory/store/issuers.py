"""Which issuers has this authority? They are added, made active, revoked; nothing else of them changes."""

from collections.abc import Mapping
from datetime import datetime
from functools import partial

from sqlalchemy import Connection, bindparam, null, select, update

from ca.profiles import Purpose
from ca.revocation import RevocationReason
from directory.audit import AuditEvent
from directory.errors import AlreadyExists, IssuerEnded, Unknown
from directory.hierarchy import Hierarchy, StoredIssuer
from directory.store import audit_log
from directory.store.database import Database
from directory.store.rows import AnyRow, sealed, sealed_columns, token_columns, token_key
from directory.store.statements import Upsert
from directory.store.tables import issuers

_ADD = Upsert(issuers, lambda insert: insert.on_conflict_do_nothing().returning(issuers.c.id))
_ALL = select(issuers).order_by(issuers.c.created_at, issuers.c.id)
_CERTIFICATES = select(issuers.c.id, issuers.c.parent_id, issuers.c.der)
_THIS = issuers.c.id == bindparam("of_issuer")
_ACTIVATE = (
    update(issuers).where(_THIS, issuers.c.revoked_at.is_(None)).values(active_from=bindparam("moment"))
)
_ERASE_KEY = (
    update(issuers)
    .where(_THIS, issuers.c.key_wrapped_key.is_not(None))
    .values(key_master_key_id=null(), key_wrapped_key=null(), key_ciphertext=null())
)
# What refers to the issuer takes this lock as well; a revocation takes one that excludes it.
_HOLD = select(issuers.c.revoked_at).where(_THIS).with_for_update(read=True, key_share=True)


class SqlIssuers:
    """The issuers."""

    def __init__(self, database: Database, *, node: str) -> None:
        self._database = database
        self._node = node

    async def add(self, issuer: StoredIssuer, *events: AuditEvent) -> None:
        """Add an issuer.

        Raises:
            AlreadyExists: there is an issuer with this key.
        """
        await self._database.write(partial(add, node=self._node, issuer=issuer, events=events))

    async def activate(self, issuer_id: str, at: datetime, event: AuditEvent) -> None:
        """Let an issuer certify recipients from that moment on.

        Raises:
            Unknown: there is none of that identifier that was not revoked.
        """
        await self._database.write(
            partial(_activate, node=self._node, issuer_id=issuer_id, at=at, event=event)
        )

    async def key_exported(self, event: AuditEvent) -> None:
        """Put on record that a key is about to leave."""
        await self._database.write(lambda connection: audit_log.append(connection, self._node, event))

    async def erase_key(self, issuer_id: str, event: AuditEvent) -> None:
        """Erase the sealed key of an issuer, which is elsewhere from now on.

        Raises:
            Unknown: there is no such issuer whose key is here.
        """
        await self._database.write(partial(_erase_key, node=self._node, issuer_id=issuer_id, event=event))

    async def hierarchy(self) -> Hierarchy:
        """Return every issuer, the oldest first."""
        return Hierarchy(issuers=await self._database.read(every))

    async def issuer_certificates(self) -> Mapping[str, bytes]:
        """Return the DER of every issuer by its identifier."""
        stored = await self._database.read(certificates_by_id)
        return {issuer_id: certificate for issuer_id, (_, certificate) in stored.items()}


def certificates_by_id(connection: Connection) -> dict[str, tuple[str | None, bytes]]:
    """Return parent and certificate of every issuer, as `chain_of` takes them."""
    return {row.id: (row.parent_id, row.der) for row in connection.execute(_CERTIFICATES)}


def add(connection: Connection, *, node: str, issuer: StoredIssuer, events: tuple[AuditEvent, ...]) -> None:
    """Add an issuer, in the transaction under way.

    Raises:
        AlreadyExists: there is an issuer with this key.
    """
    added = connection.execute(
        _ADD.on(connection),
        {
            "id": issuer.issuer_id,
            "parent_id": issuer.parent_id,
            "purpose": issuer.purpose.value,
            "subject": issuer.subject,
            "der": issuer.certificate,
            "serial": f"{issuer.serial:x}",
            "not_before": issuer.not_before,
            "not_after": issuer.not_after,
            **sealed_columns("key", issuer.sealed_key),
            "is_foreign": issuer.is_foreign,
            "organization_id": issuer.organization_id,
            "active_from": issuer.active_from,
            **token_columns(issuer.token_key),
            "created_at": issuer.created_at,
        },
    )
    if added.one_or_none() is None:
        raise AlreadyExists(kind="issuer", name=issuer.issuer_id)
    for event in events:
        audit_log.append(connection, node, event)


def hold(connection: Connection, issuer_id: str) -> None:
    """Keep an issuer from being revoked until the transaction under way ends.

    Raises:
        IssuerEnded: it was revoked.
    """
    if connection.execute(_HOLD, {"of_issuer": issuer_id}).scalar_one() is not None:
        raise IssuerEnded(issuer_id=issuer_id)


def _activate(connection: Connection, *, node: str, issuer_id: str, at: datetime, event: AuditEvent) -> None:
    if connection.execute(_ACTIVATE, {"of_issuer": issuer_id, "moment": at}).rowcount == 0:
        raise Unknown(kind="issuer", name=issuer_id)
    audit_log.append(connection, node, event)


def _erase_key(connection: Connection, *, node: str, issuer_id: str, event: AuditEvent) -> None:
    if connection.execute(_ERASE_KEY, {"of_issuer": issuer_id}).rowcount == 0:
        raise Unknown(kind="issuer", name=issuer_id)
    audit_log.append(connection, node, event)


def every(connection: Connection) -> tuple[StoredIssuer, ...]:
    """Return every issuer, the oldest first."""
    return tuple(_issuer(row) for row in connection.execute(_ALL))


def _issuer(row: AnyRow) -> StoredIssuer:
    return StoredIssuer(
        issuer_id=row.id,
        parent_id=row.parent_id,
        purpose=Purpose(row.purpose),
        subject=row.subject,
        certificate=row.der,
        serial=int(row.serial, 16),
        not_before=row.not_before,
        not_after=row.not_after,
        sealed_key=sealed(row.key_master_key_id, row.key_wrapped_key, row.key_ciphertext),
        token_key=token_key(row),
        is_foreign=row.is_foreign,
        organization_id=row.organization_id,
        active_from=row.active_from,
        created_at=row.created_at,
        revoked_at=row.revoked_at,
        revocation_reason=RevocationReason(row.revocation_reason) if row.revocation_reason else None,
    )
