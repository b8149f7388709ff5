"""Which certificates can still be revoked, and what does revoking one change?"""

from collections.abc import Sequence
from datetime import datetime
from functools import partial

from sqlalchemy import Connection, Select, bindparam, select, update

from ca.address import Addressee
from directory.audit import AuditEvent
from directory.revocation import RevocableCertificate, RevocationReason
from directory.store import audit_log, blocked_keys, rows
from directory.store.database import Database
from directory.store.locks import lock_before_end
from directory.store.overtaking import lead_after_end
from directory.store.tables import EnrolmentEnd, certificates, enrolments

_REVOCABLE = (
    select(
        certificates.c.id,
        certificates.c.enrolment_id,
        certificates.c.address,
        certificates.c.serial,
        enrolments.c.organization_id,
    )
    .join_from(certificates, enrolments, isouter=True)
    .where(certificates.c.revoked_at.is_(None), certificates.c.not_after > bindparam("now"))
    .order_by(certificates.c.published_at, certificates.c.id)
)
_BY_SERIAL = _REVOCABLE.where(certificates.c.serial == bindparam("sought"))
_BY_ADDRESS = _REVOCABLE.where(certificates.c.address_key == bindparam("sought"))
_BY_KEY = _REVOCABLE.where(certificates.c.key_sha256 == bindparam("sought"))
_BY_ISSUER = _REVOCABLE.where(certificates.c.issuer_id == bindparam("sought"))
_BY_ORGANIZATION = _REVOCABLE.where(enrolments.c.organization_id == bindparam("sought"))
_REVOKE = (
    update(certificates)
    .where(certificates.c.id == bindparam("certificate_id"), certificates.c.revoked_at.is_(None))
    .values(revoked_at=bindparam("moment"), revocation_reason=bindparam("reason"))
)
# Also one that ended before: a revocation is the operator's last word on whether a successor may be minted.
_END_ENROLMENT = (
    update(enrolments)
    .where(enrolments.c.id == bindparam("of_enrolment"))
    .values(live=False, ended_because=EnrolmentEnd.REVOKED.value)
)


class SqlRevocationStore:
    """Finds and revokes."""

    def __init__(self, database: Database, *, node: str) -> None:
        self._database = database
        self._node = node

    async def by_serial(self, serial: int, now: datetime) -> Sequence[RevocableCertificate]:
        """Return the certificates of this serial number, one per issuer that used it."""
        return await self._database.read(partial(_find, _BY_SERIAL, f"{serial:x}", now))

    async def by_address(self, mailbox: Addressee, now: datetime) -> Sequence[RevocableCertificate]:
        """Return the address' certificates, in every scope."""
        return await self._database.read(partial(_find, _BY_ADDRESS, mailbox.key, now))

    async def by_key(self, key_sha256: bytes, now: datetime) -> Sequence[RevocableCertificate]:
        """Return the certificates of this key, whoever issued them."""
        return await self._database.read(partial(_find, _BY_KEY, key_sha256, now))

    async def by_issuer(self, issuer_id: str, now: datetime) -> Sequence[RevocableCertificate]:
        """Return what this issuer of ours has issued to recipients."""
        return await self._database.read(partial(_find, _BY_ISSUER, issuer_id, now))

    async def by_organization(self, organization_id: str, now: datetime) -> Sequence[RevocableCertificate]:
        """Return what was minted for this organization."""
        return await self._database.read(partial(_find, _BY_ORGANIZATION, organization_id, now))

    async def revoke(
        self, certificate: RevocableCertificate, *, reason: RevocationReason, at: datetime, event: AuditEvent
    ) -> None:
        """Revoke; if somebody else has done so meanwhile, leave his reason and write no second event."""

        def revoke(connection: Connection) -> None:
            if certificate.enrolment_id is not None:
                lock_before_end(connection, certificate.enrolment_id)
            revoked = connection.execute(
                _REVOKE,
                {"certificate_id": certificate.certificate_id, "moment": at, "reason": reason.value},
            )
            if revoked.rowcount == 0:
                return
            blocked_keys.block_if_compromised(connection, certificate.certificate_id)
            switched: Sequence[AuditEvent] = ()
            if certificate.enrolment_id is not None:
                connection.execute(_END_ENROLMENT, {"of_enrolment": certificate.enrolment_id})
                switched = lead_after_end(connection, certificate.enrolment_id, at)
            for each in (event, *switched):
                audit_log.append(connection, self._node, each)

        await self._database.write(revoke)


def _find(
    statement: Select[*tuple[object, ...]], sought: str | bytes, now: datetime, connection: Connection
) -> list[RevocableCertificate]:
    return [
        RevocableCertificate(
            certificate_id=row.id,
            enrolment_id=row.enrolment_id,
            organization_id=row.organization_id,
            mailbox=rows.addressee(row.address) if row.address else None,
            serial=int(row.serial, 16),
        )
        for row in connection.execute(statement, {"sought": sought, "now": now})
    ]
