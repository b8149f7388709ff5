"""Which CRLs has an issuer published, and what must its next ones list?

The revoked certificates are read a page at a time, along an index that holds all that a CRL tells of them:
each statement is short however many there are, and for one partition no other's rows are read. Pages see
different moments; a certificate that is revoked meanwhile may be missing, and is then counted but not listed:
the next CRL is due at once.

Whether something is due is read from the counts that triggers keep, whatever is revoked: a look every few
seconds costs one small statement.
"""

from collections import defaultdict
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import datetime
from functools import partial
from itertools import groupby
from secrets import token_hex

from sqlalchemy import Connection, and_, bindparam, delete, func, insert, literal, select, tuple_, union

from ca.profiles import Purpose
from ca.revocation import RevocationReason, RevokedCertificate
from directory.audit import AuditEvent
from directory.crls import CrlRecord, StandingCrl, StandingIssuer, StoredCrl
from directory.store import audit_log, crl_pieces
from directory.store.database import Database
from directory.store.rows import AnyRow, sealed, token_key
from directory.store.tables import certificates, crl_scopes, crls, cross_certificates, issuers

KEPT = 3
"""How many CRLs of each scope are kept: the current one, and a few to compare it with."""
_PAGE = 2000
_BEFORE_ALL_SERIALS = ""
_COMPLETE = 0
"""The partition of all certificates that name none."""

# Every issuer has a complete CRL, whether something was counted for it or not.
_scopes = union(
    select(issuers.c.id.label("issuer_id"), literal(_COMPLETE).label("partition")),
    select(crl_scopes.c.issuer_id, crl_scopes.c.partition).where(
        (crl_scopes.c.partition == _COMPLETE) | crl_scopes.c.distribution_point.is_not(None)
    ),
).subquery("scopes")
_earlier = crls.alias("earlier")
_LATEST_NUMBER = (
    select(func.max(_earlier.c.number))
    .where(_earlier.c.issuer_id == _scopes.c.issuer_id, _earlier.c.partition == _scopes.c.partition)
    .correlate(_scopes)
    .scalar_subquery()
)
_RECORD = (
    *(crls.c.number, crls.c.this_update, crls.c.next_update, crls.c.covers_from, crls.c.entries),
    crls.c.changes,
)
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
        _scopes.c.partition,
        crl_scopes.c.distribution_point,
        func.coalesce(crl_scopes.c.changes, 0).label("changes_now"),
        *_RECORD,
    )
    .join_from(issuers, _scopes, _scopes.c.issuer_id == issuers.c.id)
    .join(
        crl_scopes,
        and_(crl_scopes.c.issuer_id == _scopes.c.issuer_id, crl_scopes.c.partition == _scopes.c.partition),
        isouter=True,
    )
    .join(
        crls,
        and_(
            crls.c.issuer_id == _scopes.c.issuer_id,
            crls.c.partition == _scopes.c.partition,
            crls.c.number == _LATEST_NUMBER,
        ),
        isouter=True,
    )
    .order_by(issuers.c.created_at, issuers.c.id, _scopes.c.partition)
)
_CROSS_CERTIFICATES = select(cross_certificates.c.issuer_id, cross_certificates.c.der).order_by(
    cross_certificates.c.created_at, cross_certificates.c.id
)
_THIS_SCOPE = and_(crls.c.issuer_id == bindparam("of_issuer"), crls.c.partition == bindparam("of_partition"))
_NEWEST_FIRST = (
    select(crls.c.issuer_id, crls.c.partition, crls.c.der_id, crls.c.size, *_RECORD)
    .where(_THIS_SCOPE)
    .order_by(crls.c.number.desc())
    .limit(bindparam("most"))
)
_PARTS = (
    select(crl_scopes.c.partition)
    .where(crl_scopes.c.issuer_id == bindparam("of_issuer"), crl_scopes.c.partition != _COMPLETE)
    .order_by(crl_scopes.c.partition)
)
_PLACE = (certificates.c.not_after, certificates.c.serial)
_PAGE_OF_REVOKED = (
    select(*_PLACE, certificates.c.revoked_at, certificates.c.revocation_reason)
    .where(
        certificates.c.issuer_id == bindparam("of_issuer"),
        certificates.c.crl_partition == bindparam("of_partition"),
        certificates.c.revoked_at.is_not(None),
        tuple_(*_PLACE) > tuple_(*(bindparam(f"after_{one.name}", type_=one.type) for one in _PLACE)),
    )
    .order_by(*_PLACE)
    .limit(bindparam("page"))
)
_NUMBER = select(func.max(crls.c.number)).where(_THIS_SCOPE)
# Certificates that are being minted refer to the issuer; they do not wait for this lock.
_LOCK = select(issuers.c.id).where(issuers.c.id == bindparam("of_issuer")).with_for_update(key_share=True)
_LATEST_KEPT = (
    select(crls.c.number).where(_THIS_SCOPE).order_by(crls.c.number.desc()).limit(KEPT).scalar_subquery()
)
_FORGET = (
    delete(crls).where(_THIS_SCOPE, crls.c.number.not_in(_LATEST_KEPT)).returning(crls.c.der_id, crls.c.size)
)


class SqlCrlReader:
    """Knows the CRLs, and what they must list."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def issuers(self) -> Sequence[StandingIssuer]:
        """Return every issuer, the oldest first."""
        rows, crossed = await self._database.read(_standings)
        return [
            _standing(list(scopes), crossed.get(issuer_id, ()))
            for issuer_id, scopes in groupby(rows, key=lambda row: row.id)
        ]

    async def revoked(
        self, issuer_id: str, partition: int | None, covers_from: datetime
    ) -> AsyncIterator[Sequence[RevokedCertificate]]:
        """Yield the revoked certificates that had not expired at that moment; of no partition, of all."""
        parts = [partition] if partition is not None else await self._every_part(issuer_id)
        for part in parts:
            after = (covers_from, _BEFORE_ALL_SERIALS)
            while True:
                rows = await self._database.read(partial(_page, issuer_id=issuer_id, part=part, after=after))
                if rows:
                    yield [_revoked(row) for row in rows]
                if len(rows) < _PAGE:
                    break
                after = rows[-1].not_after, rows[-1].serial

    async def latest(self, issuer_id: str, partition: int | None) -> StoredCrl | None:
        """Return the issuer's CRL with the greatest number."""
        found = await self.newest(issuer_id, partition, most=1)
        return found[0] if found else None

    async def latest_number(self, issuer_id: str, partition: int | None) -> int | None:
        """Return the number of that one."""
        return await self._database.read(partial(_number, issuer_id=issuer_id, part=part_of(partition)))

    async def newest(self, issuer_id: str, partition: int | None, *, most: int) -> Sequence[StoredCrl]:
        """Return so many of the issuer's CRLs, the one with the greatest number first."""
        rows = await self._database.read(
            partial(_newest, issuer_id=issuer_id, part=part_of(partition), most=most)
        )
        read = [(row, await crl_pieces.read(self._database, row.der_id, row.size)) for row in rows]
        return [_stored(row, der) for row, der in read if der is not None]

    async def _every_part(self, issuer_id: str) -> Sequence[int]:
        return [_COMPLETE, *await self._database.read(partial(_parts, issuer_id=issuer_id))]


class SqlCrlStore(SqlCrlReader):
    """Keeps the CRLs; what is published goes on record in the node's audit chain."""

    def __init__(self, database: Database, *, node: str) -> None:
        super().__init__(database)
        self._node = node

    async def publish(self, crl: StoredCrl, *, replaces: int | None, event: AuditEvent) -> bool:
        """Add a CRL if the latest still has the number `replaces`; tell whether that was so."""
        der_id, (*first, last) = token_hex(16), crl_pieces.split(crl.der)
        for piece, octets in enumerate(first):
            await self._database.write(
                partial(crl_pieces.add, der_id=der_id, piece=piece, octets=octets, at=event.at)
            )
        published = await self._database.write(
            partial(
                _publish, node=self._node, crl=crl, der_id=der_id, last=last, replaces=replaces, event=event
            )
        )
        gone = [(der_id, len(crl.der))] if published is None else published
        for each, size in gone:
            await crl_pieces.forget(self._database, each, size)
        await crl_pieces.forget_abandoned(self._database, event.at)
        return published is not None


def _standings(connection: Connection) -> tuple[list[AnyRow], Mapping[str, Sequence[bytes]]]:
    crossed: defaultdict[str, list[bytes]] = defaultdict(list)
    for row in connection.execute(_CROSS_CERTIFICATES):
        crossed[row.issuer_id].append(row.der)
    return list(connection.execute(_STANDINGS)), crossed


def _standing(scopes: Sequence[AnyRow], crossed: Sequence[bytes]) -> StandingIssuer:
    row = scopes[0]
    return StandingIssuer(
        issuer_id=row.id,
        certificate=row.der,
        is_root=row.purpose == Purpose.ROOT_CA,
        is_foreign=row.is_foreign,
        sealed_key=sealed(row.key_master_key_id, row.key_wrapped_key, row.key_ciphertext),
        token_key=token_key(row),
        crls=[
            StandingCrl(
                partition=_partition(scope.partition),
                distribution_point=scope.distribution_point,
                latest=None if scope.number is None else _record(scope),
                changes=scope.changes_now,
            )
            for scope in scopes
        ],
        cross_certificates=crossed,
    )


def part_of(partition: int | None) -> int:
    """Return how a partition is stored; None is the complete CRL."""
    return _COMPLETE if partition is None else partition


def _partition(part: int) -> int | None:
    return None if part == _COMPLETE else part


def _record(row: AnyRow) -> CrlRecord:
    return CrlRecord(
        number=row.number,
        this_update=row.this_update,
        next_update=row.next_update,
        covers_from=row.covers_from,
        entries=row.entries,
        changes=row.changes,
    )


def _page(connection: Connection, *, issuer_id: str, part: int, after: tuple[datetime, str]) -> list[AnyRow]:
    end, serial = after
    wanted = {
        "of_issuer": issuer_id,
        "of_partition": part,
        "after_not_after": end,
        "after_serial": serial,
        "page": _PAGE,
    }
    return list(connection.execute(_PAGE_OF_REVOKED, wanted))


def _parts(connection: Connection, *, issuer_id: str) -> list[int]:
    return list(connection.execute(_PARTS, {"of_issuer": issuer_id}).scalars())


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


def _newest(connection: Connection, *, issuer_id: str, part: int, most: int) -> list[AnyRow]:
    wanted = {"of_issuer": issuer_id, "of_partition": part, "most": most}
    return list(connection.execute(_NEWEST_FIRST, wanted))


def _stored(row: AnyRow, der: bytes) -> StoredCrl:
    return StoredCrl(
        issuer_id=row.issuer_id, partition=_partition(row.partition), der=der, record=_record(row)
    )


def _number(connection: Connection, *, issuer_id: str, part: int) -> int | None:
    found: int | None = connection.execute(
        _NUMBER, {"of_issuer": issuer_id, "of_partition": part}
    ).scalar_one()
    return found


def _publish(
    connection: Connection,
    *,
    node: str,
    crl: StoredCrl,
    der_id: str,
    last: bytes,
    replaces: int | None,
    event: AuditEvent,
) -> Sequence[tuple[str, int]] | None:
    """Return the DER that is kept no longer, each with its size; None if somebody else was first."""
    of_scope = {"of_issuer": crl.issuer_id, "of_partition": part_of(crl.partition)}
    connection.execute(_LOCK, {"of_issuer": crl.issuer_id}).one()
    if _number(connection, issuer_id=crl.issuer_id, part=part_of(crl.partition)) != replaces:
        return None
    last_piece = crl_pieces.number_of(len(crl.der)) - 1
    if not crl_pieces.are_there(connection, der_id, last_piece):
        return None
    crl_pieces.add(connection, der_id, last_piece, last, event.at)
    record = crl.record
    connection.execute(
        insert(crls),
        {
            "issuer_id": crl.issuer_id,
            "partition": part_of(crl.partition),
            "number": record.number,
            "this_update": record.this_update,
            "next_update": record.next_update,
            "covers_from": record.covers_from,
            "entries": record.entries,
            "changes": record.changes,
            "der_id": der_id,
            "size": len(crl.der),
        },
    )
    gone = [(row.der_id, row.size) for row in connection.execute(_FORGET, of_scope)]
    audit_log.append(connection, node, event)
    return gone
