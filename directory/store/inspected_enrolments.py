"""What is stored of each enrolment, and of whatever belongs to it?"""

from enum import StrEnum
from typing import TypeVar

from sqlalchemy import Connection, ScalarSelect, and_, bindparam, exists, func, select

from directory.audit import AuditKind
from directory.delivery.outbox import DeliveryState, MailKind, MailState
from directory.invariants import InspectedEnrolment, InspectedEscrow, InspectedRenewed
from directory.organization import KeyFate
from directory.relay import RelayState
from directory.status import KeyState, Place
from directory.store.holds import HAS_SERVED
from directory.store.mail_outcomes import TO_RECIPIENT
from directory.store.rows import AnyRow, sealed
from directory.store.tables import (
    audit_events,
    certificates,
    deliveries,
    enrolments,
    escrowed_keys,
    held_keys,
    outgoing_mail,
    relays,
    suppressions,
)

_State = TypeVar("_State", bound=StrEnum)

_MAIL_STATES = (
    select(func.aggregate_strings(outgoing_mail.c.state, " "))
    .where(outgoing_mail.c.enrolment_id == enrolments.c.id, outgoing_mail.c.kind == MailKind.KEY.value)
    .correlate(enrolments)
    .scalar_subquery()
)
_HAS_QUEUED_MAIL = exists().where(
    outgoing_mail.c.enrolment_id == enrolments.c.id,
    outgoing_mail.c.kind.in_([kind.value for kind in TO_RECIPIENT]),
    outgoing_mail.c.state == MailState.QUEUED.value,
)
_IS_SUPPRESSED = exists().where(suppressions.c.address_key == enrolments.c.address_key)
_RENEWED = enrolments.alias("renewed")


def _events(kind: AuditKind) -> ScalarSelect[int]:
    return (
        select(func.count())
        .where(audit_events.c.subject == enrolments.c.id, audit_events.c.kind == kind.value)
        .correlate(enrolments)
        .scalar_subquery()
    )


_PAGE_OF_ENROLMENTS = (
    select(
        enrolments.c.id,
        enrolments.c.organization_id,
        enrolments.c.scope,
        enrolments.c.address,
        enrolments.c.address_key,
        enrolments.c.live,
        certificates.c.der,
        certificates.c.scope.label("certificate_scope"),
        certificates.c.address.label("certificate_address"),
        certificates.c.address_key.label("certificate_address_key"),
        certificates.c.not_after.label("certificate_not_after"),
        certificates.c.serial,
        certificates.c.issuer_id,
        certificates.c.withdrawn_at,
        certificates.c.revoked_at,
        held_keys.c.state.label("key_state"),
        held_keys.c.key_master_key_id,
        held_keys.c.key_wrapped_key,
        held_keys.c.key_ciphertext,
        held_keys.c.hold_until,
        HAS_SERVED.label("key_has_served"),
        held_keys.c.fate,
        escrowed_keys.c.recovery_certificate_id,
        escrowed_keys.c.envelope,
        relays.c.state.label("relay_state"),
        relays.c.password_master_key_id,
        relays.c.password_wrapped_key,
        relays.c.password_ciphertext,
        deliveries.c.state.label("delivery_state"),
        deliveries.c.proven_at,
        _HAS_QUEUED_MAIL.label("has_queued_mail"),
        _IS_SUPPRESSED.label("is_suppressed"),
        _MAIL_STATES.label("mail_states"),
        _events(AuditKind.CERTIFICATE_MINTED).label("minted_event_count"),
        enrolments.c.place,
        certificates.c.served_from,
        enrolments.c.renews_enrolment_id,
        _RENEWED.c.organization_id.label("renewed_organization_id"),
        _RENEWED.c.scope.label("renewed_scope"),
        _RENEWED.c.address_key.label("renewed_address_key"),
        and_(_RENEWED.c.live, _RENEWED.c.place == Place.LEADING.value).label("renewed_leads"),
        _events(AuditKind.CERTIFICATE_LEADS).label("lead_event_count"),
    )
    .join_from(enrolments, certificates, certificates.c.enrolment_id == enrolments.c.id, isouter=True)
    .join(held_keys, held_keys.c.enrolment_id == enrolments.c.id, isouter=True)
    .join(escrowed_keys, escrowed_keys.c.enrolment_id == enrolments.c.id, isouter=True)
    .join(relays, relays.c.enrolment_id == enrolments.c.id, isouter=True)
    .join(deliveries, deliveries.c.enrolment_id == enrolments.c.id, isouter=True)
    .join(_RENEWED, _RENEWED.c.id == enrolments.c.renews_enrolment_id, isouter=True)
    .where(enrolments.c.id > bindparam("after"))
    .order_by(enrolments.c.id)
    .limit(bindparam("page"))
)


def enrolments_after(connection: Connection, *, after: str, most: int) -> list[InspectedEnrolment]:
    """Return so many enrolments, in order of their identifiers."""
    return [
        _inspected(row) for row in connection.execute(_PAGE_OF_ENROLMENTS, {"after": after, "page": most})
    ]


def _inspected(row: AnyRow) -> InspectedEnrolment:
    return InspectedEnrolment(
        enrolment_id=row.id,
        organization_id=row.organization_id,
        scope=row.scope,
        address=row.address,
        address_key=row.address_key,
        live=row.live,
        certificate=row.der,
        certificate_scope=row.certificate_scope,
        certificate_address=row.certificate_address,
        certificate_address_key=row.certificate_address_key,
        certificate_not_after=row.certificate_not_after,
        serial=row.serial,
        issuer_id=row.issuer_id,
        withdrawn_or_revoked=row.withdrawn_at is not None or row.revoked_at is not None,
        key_state=_known(KeyState, row.key_state),
        sealed_key=sealed(row.key_master_key_id, row.key_wrapped_key, row.key_ciphertext),
        hold_until=row.hold_until if row.key_has_served else None,
        key_fate=_known(KeyFate, row.fate),
        escrow=_escrow(row),
        relay_state=_known(RelayState, row.relay_state),
        sealed_password=sealed(row.password_master_key_id, row.password_wrapped_key, row.password_ciphertext),
        delivery_state=_known(DeliveryState, row.delivery_state),
        is_proven=row.proven_at is not None,
        has_queued_mail=row.has_queued_mail,
        is_suppressed=row.is_suppressed,
        mail_states=tuple(
            state for text in (row.mail_states or "").split() if (state := _known(MailState, text))
        ),
        minted_event_count=row.minted_event_count,
        place=_known(Place, row.place),
        served_from=row.served_from,
        renewed=None
        if row.renews_enrolment_id is None
        else InspectedRenewed(
            organization_id=row.renewed_organization_id,
            scope=row.renewed_scope,
            address_key=row.renewed_address_key,
            leads=row.renewed_leads,
        ),
        lead_event_count=row.lead_event_count,
    )


def _escrow(row: AnyRow) -> InspectedEscrow | None:
    if row.envelope is None:
        return None
    return InspectedEscrow(recovery_certificate_id=row.recovery_certificate_id, envelope=row.envelope)


def _known(states: type[_State], text: str | None) -> _State | None:
    # A state that no version of ours writes is as good as none, and is reported as that.
    try:
        return states(text or "")
    except ValueError:
        return None
