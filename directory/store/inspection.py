"""What is stored, all of it, in order?

Read a page at a time, each a short statement however much there is: on SQLite a long one would keep the
writer from committing, and everywhere it would run into the time limits of a service that answers at once.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from functools import partial
from typing import TypeVar

from sqlalchemy import Connection, ScalarSelect, and_, bindparam, exists, func, select, tuple_

from ca.sealing import SecretIdentity, SecretKind
from directory.audit import AuditKind, ChainedEvent, ChainHead
from directory.crl_invariants import InspectedCrl, IssuedCertificate
from directory.crosscertificates import CrossCertificate
from directory.delivery.outbox import DeliveryState, MailKind, MailState
from directory.evidence.keys import audit_key_identity
from directory.evidence.statements import KeyStatement, SignedHead
from directory.hierarchy import Hierarchy
from directory.invariants import InspectedEnrolment, InspectedEscrow, InspectedRenewed
from directory.lookup import Origin
from directory.ocsp_responders import ocsp_key_identity
from directory.organization import (
    KeyFate,
    dkim_key_identity,
    smtp_password_identity,
    webhook_secret_identity,
)
from directory.relay import RelayState
from directory.status import KeyState, Place
from directory.store.crls import SqlCrlReader
from directory.store.cross_certificates import every_cross_certificate
from directory.store.database import Database
from directory.store.evidence import SqlEvidence
from directory.store.holds import HAS_SERVED
from directory.store.issuer_revocations import unended
from directory.store.issuers import certificates_by_id, every
from directory.store.mail_outcomes import TO_RECIPIENT
from directory.store.moments import moments_by_node
from directory.store.pooled_keys import pooled_key
from directory.store.rows import AnyRow, sealed
from directory.store.tables import (
    audit_events,
    audit_keys,
    certificates,
    crl_scopes,
    deliveries,
    enrolments,
    escrowed_keys,
    held_keys,
    issuers,
    ocsp_responders,
    organizations,
    outgoing_mail,
    pending_issuers,
    pooled_keys,
    recovery_certificates,
    relays,
    suppressions,
)
from directory.verification import InspectedPooledKey, InspectedSecret

_PAGE = 200
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
_PLACE = (certificates.c.address_key, certificates.c.scope, certificates.c.id)
_PAGE_OF_CERTIFICATES = (
    select(
        *_PLACE,
        certificates.c.enrolment_id,
        certificates.c.origin,
        certificates.c.not_after,
        certificates.c.withdrawn_at,
        certificates.c.revoked_at,
        enrolments.c.place,
    )
    .join_from(certificates, enrolments, isouter=True)
    .where(tuple_(*_PLACE) > tuple_(*(bindparam(f"after_{column.name}") for column in _PLACE)))
    .order_by(*_PLACE)
    .limit(bindparam("page"))
)
_PAGE_OF_ISSUED = (
    select(
        certificates.c.id,
        certificates.c.issuer_id,
        certificates.c.der,
        certificates.c.crl_partition,
        crl_scopes.c.distribution_point,
    )
    .join_from(
        certificates,
        crl_scopes,
        and_(
            crl_scopes.c.issuer_id == certificates.c.issuer_id,
            crl_scopes.c.partition == certificates.c.crl_partition,
        ),
        isouter=True,
    )
    # Where somebody else's CA publishes what it has revoked is its own affair.
    .join(issuers, and_(issuers.c.id == certificates.c.issuer_id, issuers.c.is_foreign.is_(False)))
    .where(
        certificates.c.not_after > bindparam("now"),
        certificates.c.id > bindparam("after"),
    )
    .order_by(certificates.c.id)
    .limit(bindparam("page"))
)
_CA_KEYS = select(
    issuers.c.id, issuers.c.key_master_key_id, issuers.c.key_wrapped_key, issuers.c.key_ciphertext
).order_by(issuers.c.id)
_PENDING_KEYS = select(
    pending_issuers.c.id,
    pending_issuers.c.key_master_key_id,
    pending_issuers.c.key_wrapped_key,
    pending_issuers.c.key_ciphertext,
).order_by(pending_issuers.c.id)
_AUDIT_KEYS = select(
    audit_keys.c.id, audit_keys.c.key_master_key_id, audit_keys.c.key_wrapped_key, audit_keys.c.key_ciphertext
).order_by(audit_keys.c.number)
_OCSP_KEYS = select(
    ocsp_responders.c.id,
    ocsp_responders.c.key_master_key_id,
    ocsp_responders.c.key_wrapped_key,
    ocsp_responders.c.key_ciphertext,
).order_by(ocsp_responders.c.id)
_RECOVERY_CERTIFICATES = select(recovery_certificates.c.id, recovery_certificates.c.der).order_by(
    recovery_certificates.c.id
)
_IDENTITIES = (smtp_password_identity, dkim_key_identity, webhook_secret_identity)
_SECRETS_OF_ORGANIZATIONS = select(
    organizations.c.id,
    *(
        organizations.c[f"{prefix}_{column}"]
        for prefix in ("smtp_password", "dkim_key", "webhook_secret")
        for column in ("master_key_id", "wrapped_key", "ciphertext")
    ),
).order_by(organizations.c.id)

_PAGE_OF_POOLED_KEYS = (
    select(
        *pooled_keys.c,
        exists().where(certificates.c.key_sha256 == pooled_keys.c.key_sha256).label("is_certified"),
    )
    .where(pooled_keys.c.id > bindparam("after"))
    .order_by(pooled_keys.c.id)
    .limit(bindparam("page"))
)


class SqlStoreInspector:
    """Reads everything, in order, without loading it all at once."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._crls = SqlCrlReader(database)
        self._evidence = SqlEvidence(database)
        self._ends: dict[str, int] = {}

    async def enrolments(self) -> AsyncIterator[InspectedEnrolment]:
        """Yield every enrolment."""
        after = ""
        while True:
            page = await self._database.read(partial(_enrolments_after, after=after))
            for enrolment in page:
                yield enrolment
            if len(page) < _PAGE:
                return
            after = page[-1].enrolment_id

    async def issuer_certificates(self) -> dict[str, bytes]:
        """Return the DER of every issuer by its identifier."""
        stored = await self._database.read(certificates_by_id)
        return {issuer_id: certificate for issuer_id, (_, certificate) in stored.items()}

    async def recovery_certificates(self) -> Mapping[str, bytes]:
        """Return the DER of every recovery certificate by its identifier."""
        return await self._database.read(_recovery_certificates)

    async def secrets(self) -> Sequence[InspectedSecret]:
        """Return the issuers' keys, the audit key, and the secrets of organizations."""
        return await self._database.read(_secrets)

    async def pooled_keys(self) -> AsyncIterator[InspectedPooledKey]:
        """Yield every key of the pool that is stored."""
        after = ""
        while True:
            page = await self._database.read(partial(_pooled_keys_after, after=after))
            for inspected in page:
                yield inspected
            if len(page) < _PAGE:
                return
            after = page[-1].key.key_id

    async def orphaned_certificates(self) -> Sequence[str]:
        """Return identifiers of certificates marked minted that belong to no enrolment."""
        return [
            row.id
            async for row in self._certificates()
            if row.origin == Origin.MINTED and row.enrolment_id is None
        ]

    async def doubled_addresses(self, now: datetime) -> Sequence[str]:
        """Return `scope address_key` of addresses where two live minted certificates lead, or two wait."""
        doubled: list[str] = []
        before = ""
        taken: set[str] = set()
        # In order of address and scope, so that what is doubled stands side by side.
        async for row in self._certificates():
            is_live = row.not_after > now and row.withdrawn_at is None and row.revoked_at is None
            if row.origin != Origin.MINTED or not is_live or row.place == Place.OVERTAKEN:
                continue
            address = f"{row.scope} {row.address_key}"
            if address != before:
                before, taken = address, set()
            if row.place in taken and address not in doubled[-1:]:
                doubled.append(address)
            taken.add(row.place)
        return doubled

    async def hierarchy(self) -> Hierarchy:
        """Return every issuer."""
        return Hierarchy(issuers=await self._database.read(every))

    async def cross_certificates(self) -> Sequence[CrossCertificate]:
        """Return what other CAs have certified of issuers' keys."""
        return await self._database.read(every_cross_certificate)

    async def unended_issuers(self, now: datetime) -> Sequence[str]:
        """Return issuers that were revoked, though not all that they issued."""
        return await self._database.read(partial(unended, now=now))

    async def crls(self, now: datetime) -> AsyncIterator[InspectedCrl]:
        """Yield the latest CRL of every issuer and partition, and what it must list."""
        for issuer in await self._crls.issuers():
            for scope in issuer.crls:
                # What is revoked first: a CRL that is made meanwhile lists more, not less.
                pages = self._crls.revoked(issuer.issuer_id, scope.partition, now)
                revoked = [one async for page in pages for one in page]
                newest = await self._crls.newest(issuer.issuer_id, scope.partition, most=2)
                yield InspectedCrl(
                    issuer_id=issuer.issuer_id,
                    partition=scope.partition,
                    distribution_point=scope.distribution_point,
                    crl=newest[0] if newest else None,
                    before=newest[1] if len(newest) > 1 else None,
                    revoked=revoked,
                )

    async def issued_certificates(self, now: datetime) -> AsyncIterator[IssuedCertificate]:
        """Yield every certificate of our issuers that has not expired."""
        after = ""
        while True:
            page = await self._database.read(partial(_issued_after, after=after, now=now))
            for issued in page:
                yield issued
            if len(page) < _PAGE:
                return
            after = page[-1].certificate_id

    async def moments(self) -> Mapping[str, datetime]:
        """Return the latest moment that each node has put on record."""
        return await moments_by_node(self._database)

    async def audit_heads(self) -> Sequence[ChainHead]:
        """Return the head of every node's chain; of one whose head was deleted, where it would begin."""
        standings = await self._evidence.standings()
        # Events that are written from now on are not in these heads, and no fault of the chain.
        self._ends = {standing.head.node: standing.end for standing in standings}
        return [standing.head for standing in standings]

    async def audit_keys(self) -> Sequence[KeyStatement]:
        """Return what is public about every audit key, in order."""
        return await self._evidence.key_statements()

    async def _certificates(self) -> AsyncIterator[AnyRow]:
        after: Sequence[str] = ("", "", "")
        while True:
            page = await self._database.read(partial(_certificates_after, after=after))
            for row in page:
                yield row
            if len(page) < _PAGE:
                return
            after = page[-1].address_key, page[-1].scope, page[-1].id

    async def audit_chain(self, node: str) -> AsyncIterator[ChainedEvent | SignedHead]:
        """Yield a node's events in order, and signed heads behind theirs, as when the heads were read."""
        if node not in self._ends:
            await self.audit_heads()
        async for item in self._evidence.chain(node, after=0, last=self._ends.get(node, 0)):
            yield item


def _recovery_certificates(connection: Connection) -> dict[str, bytes]:
    return {row.id: row.der for row in connection.execute(_RECOVERY_CERTIFICATES)}


def _secrets(connection: Connection) -> list[InspectedSecret]:
    found: list[InspectedSecret] = []
    for record_id, *columns in (*connection.execute(_CA_KEYS), *connection.execute(_PENDING_KEYS)):
        if (secret := sealed(*columns)) is not None:
            identity = SecretIdentity(kind=SecretKind.CA_KEY, record_id=record_id, organization_id=None)
            found.append(InspectedSecret(identity=identity, sealed=secret))
    for record_id, *columns in connection.execute(_AUDIT_KEYS):
        if (secret := sealed(*columns)) is not None:
            found.append(InspectedSecret(identity=audit_key_identity(record_id), sealed=secret))
    for record_id, *columns in connection.execute(_OCSP_KEYS):
        if (secret := sealed(*columns)) is not None:
            found.append(InspectedSecret(identity=ocsp_key_identity(record_id), sealed=secret))
    for row in connection.execute(_SECRETS_OF_ORGANIZATIONS):
        for number, identity_of in enumerate(_IDENTITIES):
            if (secret := sealed(*row[3 * number + 1 : 3 * number + 4])) is not None:
                found.append(InspectedSecret(identity=identity_of(row.id), sealed=secret))
    return found


def _pooled_keys_after(connection: Connection, *, after: str) -> list[InspectedPooledKey]:
    return [
        InspectedPooledKey(key=pooled_key(row), is_certified=row.is_certified)
        for row in connection.execute(_PAGE_OF_POOLED_KEYS, {"after": after, "page": _PAGE})
    ]


def _enrolments_after(connection: Connection, *, after: str) -> list[InspectedEnrolment]:
    return [
        _inspected(row) for row in connection.execute(_PAGE_OF_ENROLMENTS, {"after": after, "page": _PAGE})
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


def _issued_after(connection: Connection, *, after: str, now: datetime) -> list[IssuedCertificate]:
    rows = connection.execute(_PAGE_OF_ISSUED, {"after": after, "now": now, "page": _PAGE})
    return [
        IssuedCertificate(
            certificate_id=row.id,
            issuer_id=row.issuer_id,
            is_in_partition=row.crl_partition != 0,
            distribution_point=row.distribution_point,
            der=row.der,
        )
        for row in rows
    ]


def _known(states: type[_State], text: str | None) -> _State | None:
    # A state that no version of ours writes is as good as none, and is reported as that.
    try:
        return states(text or "")
    except ValueError:
        return None


def _certificates_after(connection: Connection, *, after: Sequence[str]) -> list[AnyRow]:
    place = {f"after_{column.name}": value for column, value in zip(_PLACE, after, strict=True)}
    return list(connection.execute(_PAGE_OF_CERTIFICATES, {**place, "page": _PAGE}))
