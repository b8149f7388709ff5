"""What is stored, all of it, in order?

Read a page at a time, each a short statement however much there is: on SQLite a long one would keep the
writer from committing, and everywhere it would run into the time limits of a service that answers at once.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import datetime
from functools import partial

from sqlalchemy import Connection, and_, bindparam, exists, select, tuple_

from directory.audit import ChainedEvent, ChainHead
from directory.crl_invariants import InspectedCrl, IssuedCertificate
from directory.crosscertificates import CrossCertificate
from directory.evidence.statements import KeyStatement, SignedHead
from directory.hierarchy import Hierarchy
from directory.invariants import InspectedEnrolment
from directory.lookup import Origin
from directory.status import Place
from directory.store.crls import SqlCrlReader
from directory.store.cross_certificates import every_cross_certificate
from directory.store.database import Database
from directory.store.evidence import SqlEvidence
from directory.store.inspected_enrolments import enrolments_after
from directory.store.inspected_secrets import every_secret
from directory.store.issuer_revocations import unended
from directory.store.issuers import certificates_by_id, every
from directory.store.moments import moments_by_node
from directory.store.pooled_keys import pooled_key
from directory.store.rows import AnyRow
from directory.store.tables import (
    certificates,
    crl_scopes,
    enrolments,
    issuers,
    pooled_keys,
    recovery_certificates,
)
from directory.verification import InspectedPooledKey, InspectedSecret

_PAGE = 200

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
_RECOVERY_CERTIFICATES = select(recovery_certificates.c.id, recovery_certificates.c.der).order_by(
    recovery_certificates.c.id
)
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
            page = await self._database.read(partial(enrolments_after, after=after, most=_PAGE))
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
        return await self._database.read(every_secret)

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


def _pooled_keys_after(connection: Connection, *, after: str) -> list[InspectedPooledKey]:
    return [
        InspectedPooledKey(key=pooled_key(row), is_certified=row.is_certified)
        for row in connection.execute(_PAGE_OF_POOLED_KEYS, {"after": after, "page": _PAGE})
    ]


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


def _certificates_after(connection: Connection, *, after: Sequence[str]) -> list[AnyRow]:
    place = {f"after_{column.name}": value for column, value in zip(_PLACE, after, strict=True)}
    return list(connection.execute(_PAGE_OF_CERTIFICATES, {**place, "page": _PAGE}))
