"""Which certificate may this asker see, and what must be known before one is minted? One statement each.

What a gateway may see is decided by its organization as it is stored at that moment, not as it was when the
gateway authenticated: disabling one, or isolating its organization, takes effect with the next question.
"""

from collections.abc import Sequence
from datetime import datetime
from functools import partial
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, bindparam, case, exists, or_, select

from directory.callers import Asker, Gateway
from directory.lookup import MOST_CERTIFICATES, Origin, PublishedCertificate
from directory.organization import SHARED_SCOPE
from directory.policy import MintContext
from directory.revocation import ALLOWS_SUCCESSOR, RevocationReason
from directory.store import rows
from directory.store.database import Database
from directory.store.tables import (
    EnrolmentEnd,
    certificates,
    enrolments,
    gateways,
    organizations,
    paused_domains,
    suppressions,
)

_SCOPE: ColumnElement[str] = case((organizations.c.isolated, organizations.c.id), else_=SHARED_SCOPE)
_ENABLED = (gateways.c.disabled_at.is_(None), organizations.c.disabled_at.is_(None))
_THIS_GATEWAY = gateways.c.id == bindparam("gateway_id")

_LIVE = (
    certificates.c.address_key == bindparam("address_key"),
    certificates.c.not_after > bindparam("now"),
    certificates.c.withdrawn_at.is_(None),
    certificates.c.revoked_at.is_(None),
)
_PREFERRED_FIRST = (
    select(
        certificates.c.address,
        certificates.c.der,
        certificates.c.serial,
        certificates.c.not_before,
        certificates.c.not_after,
        certificates.c.origin,
        certificates.c.served_from,
    )
    .where(*_LIVE)
    # The recipient's own before a minted one; of several the newest, which replaced the others.
    .order_by(
        case((certificates.c.origin == Origin.FOUND.value, 0), else_=1),
        certificates.c.not_before.desc(),
        certificates.c.id,
    )
    # One of them may not be served yet.
    .limit(MOST_CERTIFICATES + 1)
)
_FOR_ANYBODY = _PREFERRED_FIRST.where(certificates.c.scope == SHARED_SCOPE)
_FOR_GATEWAY = (
    _PREFERRED_FIRST.select_from(certificates.join(gateways, _THIS_GATEWAY).join(organizations))
    .where(*_ENABLED)
    .where(
        or_(
            certificates.c.scope == _SCOPE,
            (certificates.c.scope == SHARED_SCOPE) & (certificates.c.origin == Origin.FOUND.value),
        )
    )
)


def _of_latest_enrolment(column: ColumnElement[str]) -> ColumnElement[str]:
    return (
        select(column)
        .select_from(enrolments.outerjoin(certificates, certificates.c.enrolment_id == enrolments.c.id))
        .where(
            enrolments.c.address_key == bindparam("address_key"),
            enrolments.c.scope == _SCOPE,
            # A renewal whose password nobody passed on says no more of an address than was known before it.
            or_(
                enrolments.c.ended_because.is_(None),
                enrolments.c.ended_because != EnrolmentEnd.UNRELAYED.value,
                enrolments.c.renews_enrolment_id.is_(None),
            ),
        )
        .order_by(enrolments.c.minted_at.desc(), enrolments.c.id)
        .limit(1)
        .correlate(organizations)
        .scalar_subquery()
    )


_CONTEXT: Select[*tuple[Any, ...]] = (
    select(
        gateways.c.id.label("gateway_id"),
        gateways.c.name.label("gateway_name"),
        gateways.c.may_mint,
        *rows.ORGANIZATION,
        _of_latest_enrolment(enrolments.c.ended_because).label("ended_because"),
        _of_latest_enrolment(certificates.c.revocation_reason).label("revocation_reason"),
        exists().where(suppressions.c.address_key == bindparam("address_key")).label("suppressed"),
        select(paused_domains.c.until)
        .where(
            paused_domains.c.organization_id == organizations.c.id,
            paused_domains.c.domain == bindparam("domain"),
        )
        .correlate(organizations)
        .scalar_subquery()
        .label("domain_paused_until"),
    )
    .join_from(gateways, organizations, organizations.c.id == gateways.c.organization_id)
    .where(_THIS_GATEWAY, *_ENABLED)
)


class SqlDirectoryReader:
    """Reads what a lookup needs to know."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def live_certificates(
        self, address_key: str, asker: Asker, now: datetime
    ) -> Sequence[PublishedCertificate]:
        """Return the live certificates the asker may see: the recipient's own before a minted one."""
        return await self._database.read(partial(_live, address_key=address_key, asker=asker, now=now))

    async def best_certificate(
        self, address_key: str, asker: Asker, now: datetime
    ) -> PublishedCertificate | None:
        """Return the first of them, if there is one."""
        return next(iter(await self.live_certificates(address_key, asker, now)), None)

    async def mint_context(self, address_key: str, gateway: Gateway) -> MintContext | None:
        """Return what the mint policy must know, as stored now; None if the gateway has been disabled."""
        return await self._database.read(
            partial(_context, address_key=address_key, gateway_id=gateway.gateway_id)
        )


def _live(
    connection: Connection, *, address_key: str, asker: Asker, now: datetime
) -> list[PublishedCertificate]:
    question = {"address_key": address_key, "now": now}
    if isinstance(asker, Gateway):
        result = connection.execute(_FOR_GATEWAY, question | {"gateway_id": asker.gateway_id})
    else:
        result = connection.execute(_FOR_ANYBODY, question)
    found = result.all()
    waiting = [row.served_from for row in found if row.served_from is not None and row.served_from > now]
    stands_until = min(waiting, default=None)
    return [
        PublishedCertificate(
            mailbox=rows.addressee(row.address),
            der=row.der,
            serial=int(row.serial, 16),
            not_before=row.not_before,
            not_after=row.not_after,
            origin=Origin(row.origin),
            stands_until=stands_until,
        )
        for row in found
        if row.served_from is None or row.served_from <= now
    ][:MOST_CERTIFICATES]


def _context(connection: Connection, *, address_key: str, gateway_id: str) -> MintContext | None:
    asked = {
        "address_key": address_key,
        "domain": address_key.rpartition("@")[2],
        "gateway_id": gateway_id,
    }
    row = connection.execute(_CONTEXT, asked).one_or_none()
    if row is None:
        return None
    organization = rows.organization(row)
    return MintContext(
        gateway=Gateway(
            gateway_id=row.gateway_id,
            name=row.gateway_name,
            organization_id=organization.organization_id,
            scope=organization.scope,
            may_mint=row.may_mint,
        ),
        organization=organization,
        revoked=(
            row.ended_because == EnrolmentEnd.REVOKED
            and RevocationReason(row.revocation_reason) not in ALLOWS_SUCCESSOR
        ),
        suppressed=row.suppressed,
        domain_paused_until=row.domain_paused_until,
        bounced=row.ended_because in {EnrolmentEnd.BOUNCED, EnrolmentEnd.UNRELAYED},
    )
