"""Which cross-certificates are there? Those of our issuers by others, and those that our roots have signed.

The latter are among the certificates, as an issuing CA's own is once it is revoked: so the root's CRL lists
them by the rule that it lists every other by. They have no address: nobody finds them by one.
"""

from collections.abc import Sequence
from functools import partial
from secrets import token_hex

from cryptography import x509
from sqlalchemy import Connection, bindparam, delete, select

from ca.keys import key_hash
from directory.audit import AuditEvent
from directory.crosscertificates import CrossCertificate, SignedForOthers
from directory.errors import AlreadyExists, Unknown
from directory.hierarchy import Hierarchy
from directory.issuing_ports import PendingIssuer
from directory.store import audit_log
from directory.store.database import Database
from directory.store.issuer_revocations import AUTHORITY
from directory.store.issuers import every, hold
from directory.store.issuing import every_pending
from directory.store.rows import AnyRow
from directory.store.statements import Upsert
from directory.store.tables import certificates, cross_certificates

CROSS = "cross"
"""The origin of what a root of ours has certified of somebody else's CA."""

_ADD = Upsert(
    cross_certificates, lambda insert: insert.on_conflict_do_nothing().returning(cross_certificates.c.id)
)
_ALL = select(cross_certificates).order_by(cross_certificates.c.created_at, cross_certificates.c.id)
_REMOVE = delete(cross_certificates).where(cross_certificates.c.id == bindparam("of_cross"))
_RECORD = Upsert(certificates, lambda insert: insert.on_conflict_do_nothing().returning(certificates.c.id))
_SIGNED = (
    select(certificates)
    .where(certificates.c.origin == CROSS)
    .order_by(certificates.c.published_at, certificates.c.id)
)


class SqlCrossCertificates:
    """The cross-certificates."""

    def __init__(self, database: Database, *, node: str) -> None:
        self._database = database
        self._node = node

    async def hierarchy(self) -> Hierarchy:
        """Return every issuer."""
        return Hierarchy(issuers=await self._database.read(every))

    async def pending(self) -> Sequence[PendingIssuer]:
        """Return what waits for a certificate, the oldest first."""
        return await self._database.read(every_pending)

    async def cross_certificates(self) -> Sequence[CrossCertificate]:
        """Return what others have certified, the oldest first."""
        return await self._database.read(every_cross_certificate)

    async def signed_for_others(self) -> Sequence[SignedForOthers]:
        """Return what our roots have certified of others, the oldest first."""
        return await self._database.read(_signed)

    async def add(self, cross: CrossCertificate, event: AuditEvent) -> None:
        """Add what another CA has certified.

        Raises:
            AlreadyExists: it is here.
            IssuerEnded: the issuer was revoked meanwhile.
        """
        await self._database.write(partial(_add, node=self._node, cross=cross, event=event))

    async def remove(self, cross_id: str, event: AuditEvent) -> None:
        """Forget it.

        Raises:
            Unknown: it is not here.
        """
        await self._database.write(partial(_remove, node=self._node, cross_id=cross_id, event=event))

    async def record(self, signed: SignedForOthers, event: AuditEvent) -> None:
        """Put on record what our root has certified.

        Raises:
            AlreadyExists: it is on record.
        """
        await self._database.write(partial(_record, node=self._node, signed=signed, event=event))


def every_cross_certificate(connection: Connection) -> list[CrossCertificate]:
    """Return what others have certified, the oldest first."""
    return [
        CrossCertificate(
            cross_id=row.id,
            issuer_id=row.issuer_id,
            certificate=row.der,
            not_after=row.not_after,
            created_at=row.created_at,
        )
        for row in connection.execute(_ALL)
    ]


def _add(connection: Connection, *, node: str, cross: CrossCertificate, event: AuditEvent) -> None:
    hold(connection, cross.issuer_id)
    added = connection.execute(
        _ADD.on(connection),
        {
            "id": cross.cross_id,
            "issuer_id": cross.issuer_id,
            "der": cross.certificate,
            "not_after": cross.not_after,
            "created_at": cross.created_at,
        },
    )
    if added.one_or_none() is None:
        raise AlreadyExists(kind="cross-certificate", name=cross.cross_id)
    audit_log.append(connection, node, event)


def _remove(connection: Connection, *, node: str, cross_id: str, event: AuditEvent) -> None:
    if connection.execute(_REMOVE, {"of_cross": cross_id}).rowcount == 0:
        raise Unknown(kind="cross-certificate", name=cross_id)
    audit_log.append(connection, node, event)


def _signed(connection: Connection) -> list[SignedForOthers]:
    return [_of(row) for row in connection.execute(_SIGNED)]


def _of(row: AnyRow) -> SignedForOthers:
    return SignedForOthers(
        issuer_id=row.issuer_id,
        serial=int(row.serial, 16),
        certificate=row.der,
        not_before=row.not_before,
        not_after=row.not_after,
        created_at=row.published_at,
        revoked_at=row.revoked_at,
    )


def _record(connection: Connection, *, node: str, signed: SignedForOthers, event: AuditEvent) -> None:
    recorded = connection.execute(
        _RECORD.on(connection),
        {
            "id": token_hex(16),
            "issuer_id": signed.issuer_id,
            "serial": f"{signed.serial:x}",
            "scope": AUTHORITY,
            "address": "",
            "address_key": "",
            "origin": CROSS,
            "der": signed.certificate,
            "key_sha256": key_hash(x509.load_der_x509_certificate(signed.certificate).public_key()),
            "not_before": signed.not_before,
            "not_after": signed.not_after,
            "published_at": signed.created_at,
        },
    )
    if recorded.one_or_none() is None:
        raise AlreadyExists(kind="cross-certificate", name=f"{signed.serial:x}")
    audit_log.append(connection, node, event)
