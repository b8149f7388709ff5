"""Which certificates end soon, and what is known of those that may be renewed?"""

from collections.abc import Sequence
from datetime import datetime
from functools import partial
from typing import Any

from sqlalchemy import Connection, Select, and_, bindparam, case, exists, func, literal, not_, or_, select

from ca.address import Mailbox
from ca.keypackage import KeyPackageFormat
from directory.callers import Gateway
from directory.delivery.outbox import DeliveryState
from directory.errors import Unknown
from directory.lookup import Origin
from directory.mailbudget import BUDGET_PERIOD, MOST_KEY_MAILS
from directory.organization import SHARED_SCOPE, Renewal
from directory.renewal import Renewable
from directory.status import Place
from directory.store import rows
from directory.store.database import Database
from directory.store.mail_budget import sent_to_the_same_person
from directory.store.outbox import EVERYBODY
from directory.store.tables import (
    EnrolmentEnd,
    certificates,
    deliveries,
    enrolments,
    gateways,
    mail_pauses,
    organizations,
    suppressions,
)

_OWN = certificates.alias("own")
_RENEWAL = enrolments.alias("renewal")

_IS_RENEWED = exists().where(
    _RENEWAL.c.renews_enrolment_id == enrolments.c.id,
    _RENEWAL.c.live,
    _RENEWAL.c.place == Place.WAITING.value,
)
_WAS_RENEWED_IN_VAIN = exists().where(
    _RENEWAL.c.renews_enrolment_id == enrolments.c.id,
    _RENEWAL.c.ended_because == EnrolmentEnd.UNRELAYED.value,
)
_HAS_OWN_CERTIFICATE = exists().where(
    _OWN.c.address_key == enrolments.c.address_key,
    or_(_OWN.c.scope == enrolments.c.scope, _OWN.c.scope == SHARED_SCOPE),
    _OWN.c.origin == Origin.FOUND.value,
    _OWN.c.not_after > bindparam("now"),
    _OWN.c.withdrawn_at.is_(None),
    _OWN.c.revoked_at.is_(None),
)
_HAS_ROOM = sent_to_the_same_person() < MOST_KEY_MAILS
_RENEWABLE: Select[*tuple[Any, ...]] = (
    select(
        enrolments.c.id.label("enrolment_id"),
        enrolments.c.address,
        enrolments.c.organization_id,
        enrolments.c.scope,
        enrolments.c.live,
        enrolments.c.place,
        certificates.c.not_after,
        deliveries.c.state,
        deliveries.c.proven_at,
        deliveries.c.language,
        deliveries.c.package_format,
        gateways.c.id.label("gateway_id"),
        gateways.c.name.label("gateway_name"),
        gateways.c.may_mint,
        _IS_RENEWED.label("is_renewed"),
        _HAS_OWN_CERTIFICATE.label("has_own_certificate"),
        _HAS_ROOM.label("has_room"),
    )
    .select_from(certificates)
    .join(enrolments, enrolments.c.id == certificates.c.enrolment_id)
    .join(deliveries, deliveries.c.enrolment_id == enrolments.c.id)
    .join(gateways, gateways.c.id == enrolments.c.gateway_id)
    .join(organizations, organizations.c.id == enrolments.c.organization_id)
)
_OF_ENROLMENT = _RENEWABLE.where(enrolments.c.id == bindparam("of_enrolment"))
_OF_ADDRESS = _RENEWABLE.where(
    enrolments.c.address_key == bindparam("of_address"),
    enrolments.c.live,
    enrolments.c.place == Place.LEADING.value,
).order_by(enrolments.c.scope)
_MAY_BE_RENEWED = (
    # Literally, as the index has it: of a parameter nobody knows whether it will do.
    certificates.c.origin == literal(Origin.MINTED.value, literal_execute=True),
    certificates.c.withdrawn_at.is_(None),
    certificates.c.revoked_at.is_(None),
    certificates.c.not_after > bindparam("now"),
    certificates.c.not_after <= bindparam("until"),
    enrolments.c.live,
    enrolments.c.place == Place.LEADING.value,
    or_(
        organizations.c.renewal == Renewal.ALL.value,
        and_(organizations.c.renewal == Renewal.PROVEN.value, deliveries.c.proven_at.is_not(None)),
    ),
    gateways.c.disabled_at.is_(None),
    organizations.c.disabled_at.is_(None),
    not_(_IS_RENEWED),
    # Its organization would be told one password after the other.
    not_(_WAS_RENEWED_IN_VAIN),
    not_(_HAS_OWN_CERTIFICATE),
    not_(exists().where(suppressions.c.address_key == enrolments.c.address_key)),
)
_ENDING = (
    _RENEWABLE.where(
        *_MAY_BE_RENEWED,
        _HAS_ROOM,
        # It would lie there, and count as tried all the time.
        not_(
            exists().where(
                mail_pauses.c.organization_id.in_([literal(EVERYBODY), enrolments.c.organization_id])
            )
        ),
        or_(
            certificates.c.not_after > bindparam("after_moment"),
            and_(
                certificates.c.not_after == bindparam("after_moment"),
                certificates.c.enrolment_id > bindparam("after_id"),
            ),
        ),
    )
    .order_by(certificates.c.not_after, certificates.c.enrolment_id)
    .limit(bindparam("most"))
)
_COUNTS = (
    select(
        func.count(),
        func.count(case((certificates.c.not_after <= bindparam("late_until"), 1))),
    )
    .select_from(certificates)
    .join(enrolments, enrolments.c.id == certificates.c.enrolment_id)
    .join(deliveries, deliveries.c.enrolment_id == enrolments.c.id)
    .join(gateways, gateways.c.id == enrolments.c.gateway_id)
    .join(organizations, organizations.c.id == enrolments.c.organization_id)
    .where(*_MAY_BE_RENEWED)
)


class SqlRenewals:
    """What may be renewed."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def ending(
        self, *, now: datetime, until: datetime, after: Renewable | None, most: int
    ) -> Sequence[Renewable]:
        """Return what ends after now and not after a moment, the soonest first, from behind one on."""
        sought = {
            "until": until,
            "after_moment": after.not_after if after else now,
            "after_id": after.enrolment_id if after else "",
            "most": most,
        }
        return await self._database.read(partial(_found, _ENDING, sought, now))

    async def of_enrolment(self, enrolment_id: str, now: datetime) -> Renewable:
        """Return an enrolment, whatever its state.

        Raises:
            Unknown: there is none.
        """
        found = await self._database.read(partial(_found, _OF_ENROLMENT, {"of_enrolment": enrolment_id}, now))
        if not found:
            raise Unknown(kind="enrolment", name=enrolment_id)
        return found[0]

    async def of_address(self, mailbox: Mailbox, now: datetime) -> Sequence[Renewable]:
        """Return the enrolments that lead an address, one for each scope."""
        return await self._database.read(partial(_found, _OF_ADDRESS, {"of_address": mailbox.key}, now))


def count_due(
    connection: Connection, *, now: datetime, until: datetime, late_until: datetime
) -> tuple[int, int]:
    """Return how many wait to be renewed that end by a moment, and how many of them by an earlier one."""
    due, late = connection.execute(_COUNTS, {"now": now, "until": until, "late_until": late_until}).one()
    return due, late


def _found(
    wanted: Select[*tuple[Any, ...]], sought: dict[str, object], now: datetime, connection: Connection
) -> list[Renewable]:
    parameters = {**sought, "now": now, "since": now - BUDGET_PERIOD}
    return [_renewable(row) for row in connection.execute(wanted, parameters)]


def _renewable(row: rows.AnyRow) -> Renewable:
    return Renewable(
        enrolment_id=row.enrolment_id,
        mailbox=rows.mailbox(row.address),
        gateway=Gateway(
            gateway_id=row.gateway_id,
            name=row.gateway_name,
            organization_id=row.organization_id,
            scope=row.scope,
            may_mint=row.may_mint,
        ),
        not_after=row.not_after,
        live=row.live,
        place=Place(row.place),
        delivery=DeliveryState(row.state),
        is_proven=row.proven_at is not None,
        language=row.language,
        package_format=KeyPackageFormat(row.package_format),
        is_renewed=row.is_renewed,
        has_own_certificate=row.has_own_certificate,
        has_room=row.has_room,
    )
