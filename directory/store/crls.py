"""Which CRLs has an issuer published, and what must its next one list?

The revoked certificates are read a page at a time, along an index that holds nothing else: each statement is
short however many there are. Pages see different moments; a certificate that is revoked meanwhile may be
missing, and is then counted, but not listed: the next CRL is due at once.

What is revoked is counted again only when something was taken away since (`directory_state`, which triggers
write): a look every few seconds costs one small statement, however much is revoked.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial

from sqlalchemy import Connection, and_, bindparam, delete, func, insert, select, tuple_

from ca.profiles import Purpose
from ca.revocation import RevocationReason, RevokedCertificate
from directory.audit import AuditEvent
from directory.crls import CrlRecord, StandingIssuer, StoredCrl
from directory.store import audit_log
from directory.store.database import Database
from directory.store.rows import AnyRow, sealed, token_key
from directory.store.tables import certificates, crls, directory_state, issuers

KEPT = 3
"""How many CRLs of each issuer are kept: the current one, and a few to compare it with."""
_PAGE = 5000
_BEFORE_ALL_SERIALS = ""

_earlier = crls.alias("earlier")
_LATEST_NUMBER = (
    select(func.max(_earlier.c.number))
    .where(_earlier.c.issuer_id == issuers.c.id)
    .correlate(issuers)
    .scalar_subquery()
)
_LATEST_CRL = and_(crls.c.issuer_id == issuers.c.id, crls.c.number == _LATEST_NUMBER)
_RECORD = (crls.c.number, crls.c.this_update, crls.c.next_update, crls.c.covers_from, crls.c.entries)
_STANDINGS = (
    select(
        issuers.c.id,
        issuers.c.der,
        issuers.c.purpose,
        issuers.c.is_foreign,
        issuers.c.key_master_key_id,
        issuers.c.key_wrapped_key,
        issuers.c.key_ciphertext,
        issuers.c.token,
        issuers.c.token_key,
        *_RECORD,
        select(directory_state.c.generation).scalar_subquery().label("generation"),
    )
    .join_from(issuers, crls, _LATEST_CRL, isouter=True)
    .order_by(issuers.c.created_at, issuers.c.id)
)
_COUNTS = (
    select(issuers.c.id, func.count(certificates.c.serial).label("revoked"))
    .join_from(issuers, crls, _LATEST_CRL)
    .join(
        certificates,
        and_(
            certificates.c.issuer_id == issuers.c.id,
            certificates.c.revoked_at.is_not(None),
            certificates.c.not_after >= crls.c.covers_from,
        ),
        isouter=True,
    )
    .group_by(issuers.c.id)
)
_THIS_ISSUER = crls.c.issuer_id == bindparam("of_issuer")
_LATEST = (
    select(crls.c.issuer_id, crls.c.der, *_RECORD).where(_THIS_ISSUER).order_by(crls.c.number.desc()).limit(1)
)
_PLACE = (certificates.c.not_after, certificates.c.serial)
_PAGE_OF_REVOKED = (
    select(*_PLACE, certificates.c.revoked_at, certificates.c.revocation_reason)
    .where(
        certificates.c.issuer_id == bindparam("of_issuer"),
        certificates.c.revoked_at.is_not(None),
        tuple_(*_PLACE) > tuple_(*(bindparam(f"after_{one.name}", type_=one.type) for one in _PLACE)),
    )
    .order_by(*_PLACE)
    .limit(bindparam("page"))
)
_NUMBER = select(func.max(crls.c.number)).where(_THIS_ISSUER)
# Certificates that are being minted refer to the issuer; they do not wait for this lock.
_LOCK = select(issuers.c.id).where(issuers.c.id == bindparam("of_issuer")).with_for_update(key_share=True)
_LATEST_KEPT = (
    select(crls.c.number).where(_THIS_ISSUER).order_by(crls.c.number.desc()).limit(KEPT).scalar_subquery()
)
_FORGET = delete(crls).where(_THIS_ISSUER, crls.c.number.not_in(_LATEST_KEPT))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Counted:
    """How much was revoked, of each issuer, at a moment."""

    moment: tuple[tuple[str, int | None, int | None], ...]
    """Each issuer, the number of its latest CRL, and the generation of the directory."""
    revoked: Mapping[str, int]


class SqlCrlReader:
    """Knows the CRLs, and what they must list."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._counted: _Counted | None = None

    async def issuers(self) -> Sequence[StandingIssuer]:
        """Return every issuer, the oldest first."""
        rows = await self._database.read(_standings)
        # Counted after the generation was read: what is taken away meanwhile makes another one.
        moment = tuple((row.id, row.number, row.generation) for row in rows)
        if self._counted is None or self._counted.moment != moment:
            self._counted = _Counted(moment=moment, revoked=await self._database.read(_counts))
        return [_standing(row, self._counted.revoked.get(row.id, 0)) for row in rows]

    async def revoked(self, issuer_id: str, covers_from: datetime) -> Sequence[RevokedCertificate]:
        """Return the issuer's revoked certificates that had not expired at that moment."""
        found: list[RevokedCertificate] = []
        after = (covers_from, _BEFORE_ALL_SERIALS)
        while True:
            rows = await self._database.read(partial(_page, issuer_id=issuer_id, after=after))
            found += map(_revoked, rows)
            if len(rows) < _PAGE:
                return found
            after = rows[-1].not_after, rows[-1].serial

    async def latest(self, issuer_id: str) -> StoredCrl | None:
        """Return the issuer's CRL with the greatest number."""
        return await self._database.read(partial(_latest, issuer_id=issuer_id))


class SqlCrlStore(SqlCrlReader):
    """Keeps the CRLs; what is published goes on record in the node's audit chain."""

    def __init__(self, database: Database, *, node: str) -> None:
        super().__init__(database)
        self._node = node

    async def publish(self, crl: StoredCrl, *, replaces: int | None, event: AuditEvent) -> bool:
        """Add a CRL if the latest still has the number `replaces`; tell whether that was so."""
        return await self._database.write(
            partial(_publish, node=self._node, crl=crl, replaces=replaces, event=event)
        )


def _standings(connection: Connection) -> list[AnyRow]:
    return list(connection.execute(_STANDINGS))


def _counts(connection: Connection) -> dict[str, int]:
    return {row.id: row.revoked for row in connection.execute(_COUNTS)}


def _standing(row: AnyRow, revoked: int) -> StandingIssuer:
    return StandingIssuer(
        issuer_id=row.id,
        certificate=row.der,
        is_root=row.purpose == Purpose.ROOT_CA,
        is_foreign=row.is_foreign,
        sealed_key=sealed(row.key_master_key_id, row.key_wrapped_key, row.key_ciphertext),
        token_key=token_key(row),
        latest=None if row.number is None else _record(row),
        revoked=revoked,
    )


def _record(row: AnyRow) -> CrlRecord:
    return CrlRecord(
        number=row.number,
        this_update=row.this_update,
        next_update=row.next_update,
        covers_from=row.covers_from,
        entries=row.entries,
    )


def _page(connection: Connection, *, issuer_id: str, after: tuple[datetime, str]) -> list[AnyRow]:
    end, serial = after
    wanted = {"of_issuer": issuer_id, "after_not_after": end, "after_serial": serial, "page": _PAGE}
    return list(connection.execute(_PAGE_OF_REVOKED, wanted))


def _revoked(row: AnyRow) -> RevokedCertificate:
    return RevokedCertificate(
        serial_number=int(row.serial, 16), revoked_at=row.revoked_at, reason=reason_of(row.revocation_reason)
    )


def reason_of(text: str | None) -> RevocationReason:
    """Return the reason that is stored of a revocation."""
    # A reason that no version of ours writes must not keep a certificate off the list.
    try:
        return RevocationReason(text or "")
    except ValueError:
        return RevocationReason.UNSPECIFIED


def _latest(connection: Connection, *, issuer_id: str) -> StoredCrl | None:
    row = connection.execute(_LATEST, {"of_issuer": issuer_id}).one_or_none()
    if row is None:
        return None
    return StoredCrl(issuer_id=row.issuer_id, der=row.der, record=_record(row))


def _publish(
    connection: Connection, *, node: str, crl: StoredCrl, replaces: int | None, event: AuditEvent
) -> bool:
    of_issuer = {"of_issuer": crl.issuer_id}
    connection.execute(_LOCK, of_issuer).one()
    if connection.execute(_NUMBER, of_issuer).scalar_one() != replaces:
        return False
    record = crl.record
    connection.execute(
        insert(crls),
        {
            "issuer_id": crl.issuer_id,
            "number": record.number,
            "der": crl.der,
            "this_update": record.this_update,
            "next_update": record.next_update,
            "covers_from": record.covers_from,
            "entries": record.entries,
        },
    )
    connection.execute(_FORGET, of_issuer)
    audit_log.append(connection, node, event)
    return True
