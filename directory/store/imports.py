"""How do certificates from elsewhere get into the directory? With their audit events, in one transaction."""

from collections.abc import Sequence
from datetime import datetime
from functools import partial

from sqlalchemy import Connection, bindparam, insert, or_, select

from directory.audit import AuditEvent
from directory.errors import AlreadyExists
from directory.importing import ImportedCertificate
from directory.lookup import Origin
from directory.organization import SHARED_SCOPE
from directory.store import audit_log, blocked_keys
from directory.store.database import Database
from directory.store.tables import certificates

# One that was revoked stands in the way as well: nobody brings it back.
_SAME = (
    select(certificates.c.id)
    .where(
        certificates.c.address_key == bindparam("of_address_key"),
        certificates.c.der == bindparam("of_der"),
        or_(certificates.c.scope == bindparam("of_scope"), certificates.c.scope == SHARED_SCOPE),
    )
    .limit(1)
)
_ADD = insert(certificates)


class SqlImports:
    """Adds what operators bring."""

    def __init__(self, database: Database, *, node: str) -> None:
        self._database = database
        self._node = node

    async def add(
        self, imported: Sequence[ImportedCertificate], at: datetime, events: Sequence[AuditEvent]
    ) -> None:
        """Publish all of them and record the events, or nothing.

        Raises:
            AlreadyExists: one of them is there already, even if it was revoked since.
            KeyBlocked: the key is known to be in wrong hands.
        """
        await self._database.write(partial(_add, node=self._node, imported=imported, at=at, events=events))


def _add(
    connection: Connection,
    *,
    node: str,
    imported: Sequence[ImportedCertificate],
    at: datetime,
    events: Sequence[AuditEvent],
) -> None:
    for each in imported:
        blocked_keys.refuse(connection, each.certificate.key_sha256)
        same = {"of_address_key": each.addressee.key, "of_der": each.certificate.der, "of_scope": each.scope}
        if connection.execute(_SAME, same).first() is not None:
            raise AlreadyExists(kind="certificate", name=str(each.addressee))
    # Before the audit head: an insert here takes the lock under which changes are announced.
    connection.execute(_ADD, [_row(each, at) for each in imported])
    for event in events:
        audit_log.append(connection, node, event)


def _row(imported: ImportedCertificate, at: datetime) -> dict[str, object]:
    certificate = imported.certificate
    return {
        "id": imported.certificate_id,
        "serial": f"{certificate.serial:x}",
        "scope": imported.scope,
        "address": str(imported.addressee),
        "address_key": imported.addressee.key,
        "origin": Origin.FOUND.value,
        "der": certificate.der,
        "key_sha256": certificate.key_sha256,
        "not_before": certificate.not_before,
        "not_after": certificate.not_after,
        "published_at": at,
    }
