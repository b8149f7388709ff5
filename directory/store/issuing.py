"""Which keys wait for the certificate that makes them an issuing CA's, and what happens when it comes?"""

from collections.abc import Sequence
from datetime import datetime
from functools import partial

from sqlalchemy import Connection, bindparam, delete, select

from directory.audit import AuditEvent
from directory.errors import AlreadyExists, Unknown
from directory.hierarchy import StoredIssuer
from directory.issuing_ports import PendingIssuer
from directory.store import audit_log, issuers, spare_keys
from directory.store.issuers import SqlIssuers
from directory.store.rows import AnyRow, sealed, sealed_columns, token_columns, token_key
from directory.store.statements import Upsert
from directory.store.tables import issuers as issuers_table
from directory.store.tables import pending_issuers

_LOCK = (
    select(issuers_table.c.id)
    .where(issuers_table.c.id == bindparam("of_issuer"))
    .with_for_update(key_share=True)
)
_FOLLOWERS = select(issuers_table.c.id).where(
    issuers_table.c.organization_id.is_not_distinct_from(bindparam("scope")),
    issuers_table.c.active_from > bindparam("since"),
    issuers_table.c.revoked_at.is_(None),
)
_ALL = select(pending_issuers).order_by(pending_issuers.c.created_at, pending_issuers.c.id)
_ADD = Upsert(pending_issuers, lambda insert: insert.on_conflict_do_nothing().returning(pending_issuers.c.id))
_FORGET = delete(pending_issuers).where(pending_issuers.c.id == bindparam("of_pending"))


class SqlIssuing(SqlIssuers):
    """The issuers, and what is to become one."""

    async def pending(self) -> Sequence[PendingIssuer]:
        """Return what waits for a certificate, the oldest first."""
        return await self._database.read(every_pending)

    async def succeed(self, issuer: StoredIssuer, former: StoredIssuer, events: Sequence[AuditEvent]) -> bool:
        """Add the issuer that follows another, if none of the scope does yet; tell whether that was so."""
        return await self._database.write(
            partial(_succeed, node=self._node, issuer=issuer, former=former, events=events)
        )

    async def request(self, pending: PendingIssuer, *events: AuditEvent) -> None:
        """Keep a key until its certificate comes."""
        await self._database.write(partial(_request, node=self._node, pending=pending, events=events))

    async def complete(
        self, pending_id: str, issuers: Sequence[StoredIssuer], events: Sequence[AuditEvent]
    ) -> None:
        """Add issuers, parents first, and forget what waited for them."""
        await self._database.write(
            partial(_complete, node=self._node, pending_id=pending_id, added=issuers, events=events)
        )

    async def withdraw(
        self, pending: PendingIssuer, events: Sequence[AuditEvent], *, destroy_from: datetime
    ) -> None:
        """Forget a request, and with it its key; the place of one in a token is written down as spare.

        Raises:
            Unknown: it does not wait.
        """
        await self._database.write(
            partial(_withdraw, node=self._node, pending=pending, events=events, destroy_from=destroy_from)
        )


def every_pending(connection: Connection) -> list[PendingIssuer]:
    """Return what waits for a certificate, the oldest first."""
    return [_of(row) for row in connection.execute(_ALL)]


def _of(row: AnyRow) -> PendingIssuer:
    return PendingIssuer(
        issuer_id=row.id,
        subject=row.subject,
        request=row.request,
        sealed_key=sealed(row.key_master_key_id, row.key_wrapped_key, row.key_ciphertext),
        token_key=token_key(row),
        organization_id=row.organization_id,
        created_at=row.created_at,
    )


def _succeed(
    connection: Connection,
    *,
    node: str,
    issuer: StoredIssuer,
    former: StoredIssuer,
    events: Sequence[AuditEvent],
) -> bool:
    # Whoever wants to follow the same one waits here, and finds the one that was added.
    connection.execute(_LOCK, {"of_issuer": former.issuer_id}).one()
    if connection.execute(_FOLLOWERS, {"scope": former.organization_id, "since": former.active_from}).first():
        return False
    issuers.add(connection, node=node, issuer=issuer, events=tuple(events))
    return True


def _request(
    connection: Connection, *, node: str, pending: PendingIssuer, events: Sequence[AuditEvent]
) -> None:
    added = connection.execute(
        _ADD.on(connection),
        {
            "id": pending.issuer_id,
            "subject": pending.subject,
            "request": pending.request,
            **sealed_columns("key", pending.sealed_key),
            **token_columns(pending.token_key),
            "organization_id": pending.organization_id,
            "created_at": pending.created_at,
        },
    )
    if added.one_or_none() is None:
        raise AlreadyExists(kind="request", name=pending.issuer_id)
    for event in events:
        audit_log.append(connection, node, event)


def _complete(
    connection: Connection,
    *,
    node: str,
    pending_id: str,
    added: Sequence[StoredIssuer],
    events: Sequence[AuditEvent],
) -> None:
    _forget(connection, pending_id)
    for issuer in added:
        issuers.add(connection, node=node, issuer=issuer, events=())
    for event in events:
        audit_log.append(connection, node, event)


def _withdraw(
    connection: Connection,
    *,
    node: str,
    pending: PendingIssuer,
    events: Sequence[AuditEvent],
    destroy_from: datetime,
) -> None:
    _forget(connection, pending.issuer_id)
    if pending.token_key is not None:
        spare_keys.put_aside(connection, pending.token_key, destroy_from, issuer_id=pending.issuer_id)
    for event in events:
        audit_log.append(connection, node, event)


def _forget(connection: Connection, pending_id: str) -> None:
    # Whoever completes it and whoever withdraws it meet at this row: the second waits, and finds none.
    if connection.execute(_FORGET, {"of_pending": pending_id}).rowcount == 0:
        raise Unknown(kind="request", name=pending_id)
