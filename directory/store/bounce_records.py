"""Which addresses bounced, and which domains are paused? For those who put it right."""

from collections.abc import Sequence
from datetime import datetime
from functools import partial

from sqlalchemy import Connection, bindparam, delete, select

from ca.address import Mailbox
from directory.audit import AuditEvent
from directory.bounces.desk import PausedDomain
from directory.revocation import RevocableCertificate
from directory.store import audit_log, rows
from directory.store.database import Database
from directory.store.tables import EnrolmentEnd, certificates, enrolments, organizations, paused_domains

# Expired ones as well: they too keep the address from getting another.
_BOUNCED = (
    select(
        certificates.c.id,
        certificates.c.enrolment_id,
        certificates.c.address,
        certificates.c.serial,
        enrolments.c.organization_id,
    )
    .join_from(certificates, enrolments)
    .where(
        enrolments.c.address_key == bindparam("sought"),
        enrolments.c.ended_because == EnrolmentEnd.BOUNCED.value,
        certificates.c.revoked_at.is_(None),
    )
    .order_by(enrolments.c.minted_at, certificates.c.id)
)
_PAUSED = (
    select(paused_domains, organizations.c.slug)
    .join_from(paused_domains, organizations)
    .where(paused_domains.c.until > bindparam("now"))
    .order_by(paused_domains.c.domain, organizations.c.slug)
)
_RESUME = (
    delete(paused_domains)
    .where(
        paused_domains.c.organization_id == bindparam("of_organization"),
        paused_domains.c.domain == bindparam("of_domain"),
    )
    .returning(paused_domains.c.domain)
)


class SqlBounceRecords:
    """Bounced addresses and paused domains."""

    def __init__(self, database: Database, *, node: str) -> None:
        self._database = database
        self._node = node

    async def bounced(self, mailbox: Mailbox) -> Sequence[RevocableCertificate]:
        """Return the certificates of the address whose key mails came back, in every scope."""
        return await self._database.read(partial(_bounced, address_key=mailbox.key))

    async def paused_domains(self, now: datetime) -> Sequence[PausedDomain]:
        """Return the domains that are paused."""
        return await self._database.read(partial(_paused, now=now))

    async def resume(self, paused: PausedDomain, event: AuditEvent) -> None:
        """End the pause; if somebody else has done so meanwhile, write no second event."""

        def resume(connection: Connection) -> None:
            whose = {"of_organization": paused.organization_id, "of_domain": paused.domain}
            if connection.execute(_RESUME, whose).one_or_none() is not None:
                audit_log.append(connection, self._node, event)

        await self._database.write(resume)


def _bounced(connection: Connection, *, address_key: str) -> list[RevocableCertificate]:
    return [
        RevocableCertificate(
            certificate_id=row.id,
            enrolment_id=row.enrolment_id,
            organization_id=row.organization_id,
            mailbox=rows.addressee(row.address),
            serial=int(row.serial, 16),
        )
        for row in connection.execute(_BOUNCED, {"sought": address_key})
    ]


def _paused(connection: Connection, *, now: datetime) -> list[PausedDomain]:
    return [
        PausedDomain(
            organization_id=row.organization_id,
            slug=row.slug,
            domain=row.domain,
            paused_at=row.paused_at,
            until=row.until,
        )
        for row in connection.execute(_PAUSED, {"now": now})
    ]
