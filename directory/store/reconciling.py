"""How is a certificate kept of which little but its serial number is known? Revoked, and empty.

The log tells the number of the partition that it names, and not the URL. Where the database has forgotten the
partition as well, it gets the URL that this number has where the service is published now. If it was
published elsewhere when the certificate was made, that is another URL than the certificate's: then only the
complete CRL and OCSP tell of it, unless the configuration names the place of then.
"""

from collections.abc import Collection, Mapping
from datetime import datetime
from functools import partial
from secrets import token_hex
from typing import Final

from sqlalchemy import Connection, bindparam, insert, select, update

from ca.publication import Publication
from directory.audit import AuditEvent
from directory.hierarchy import Hierarchy
from directory.organization import SHARED_SCOPE
from directory.reconciling import LostCertificate
from directory.store import audit_log
from directory.store.crls import part_of
from directory.store.database import Database
from directory.store.issuers import every
from directory.store.tables import certificates, crl_scopes

_LOST: Final = "lost"
"""Its origin: neither found nor minted, for there is nothing that could be answered with."""
_PAGE: Final = 500
_KNOWN = select(certificates.c.serial, certificates.c.revoked_at, certificates.c.not_after).where(
    certificates.c.serial.in_(bindparam("serials", expanding=True)), certificates.c.issuer_id.is_not(None)
)
_IS_KNOWN = select(certificates.c.id).where(
    certificates.c.serial == bindparam("of_serial"), certificates.c.issuer_id == bindparam("of_issuer")
)
# A trigger has made the row, and does not know where its CRL is.
_PLACE = (
    update(crl_scopes)
    .where(
        crl_scopes.c.issuer_id == bindparam("of_issuer"),
        crl_scopes.c.partition == bindparam("of_partition"),
        crl_scopes.c.distribution_point.is_(None),
    )
    .values(distribution_point=bindparam("url"))
)


class SqlReconciling:
    """Takes in what was lost."""

    def __init__(self, database: Database, *, node: str, publication: Publication) -> None:
        self._database = database
        self._node = node
        self._publication = publication

    async def hierarchy(self) -> Hierarchy:
        """Return every issuer that is known."""
        return Hierarchy(issuers=await self._database.read(every))

    async def standing_of(self, serials: Collection[str], now: datetime) -> Mapping[str, bool]:
        """Return of the certificates with these serial numbers that are known whether they have ended."""
        standing: dict[str, bool] = {}
        ordered = sorted(serials)
        for start in range(0, len(ordered), _PAGE):
            standing |= await self._database.read(
                partial(_standing_of, serials=ordered[start : start + _PAGE], now=now)
            )
        return standing

    async def take_in(self, lost: LostCertificate, *, at: datetime, event: AuditEvent) -> None:
        """Keep a lost certificate as revoked; nothing if it is known by now."""
        await self._database.write(
            partial(_take_in, node=self._node, lost=lost, at=at, event=event, publication=self._publication)
        )


def _standing_of(connection: Connection, *, serials: list[str], now: datetime) -> dict[str, bool]:
    return {
        row.serial: row.revoked_at is not None or row.not_after <= now
        for row in connection.execute(_KNOWN, {"serials": serials})
    }


def _take_in(
    connection: Connection,
    *,
    node: str,
    lost: LostCertificate,
    at: datetime,
    event: AuditEvent,
    publication: Publication,
) -> None:
    of_this = {"of_serial": lost.serial, "of_issuer": lost.issuer_id}
    if connection.execute(_IS_KNOWN, of_this).first() is not None:
        return
    connection.execute(
        insert(certificates),
        {
            "id": token_hex(16),
            "issuer_id": lost.issuer_id,
            "serial": lost.serial,
            "scope": SHARED_SCOPE,
            "address": "",
            "address_key": "",
            "origin": _LOST,
            "der": b"",
            "key_sha256": b"",
            "not_before": lost.issued_at,
            "not_after": lost.not_after,
            "published_at": at,
            "revoked_at": lost.revoked_at or at,
            "revocation_reason": lost.reason.value,
            "crl_partition": part_of(lost.crl_partition),
        },
    )
    if lost.crl_partition is not None:
        connection.execute(
            _PLACE,
            {
                "of_issuer": lost.issuer_id,
                "of_partition": lost.crl_partition,
                "url": publication.crl_url(lost.issuer_id, lost.crl_partition),
            },
        )
    audit_log.append(connection, node, event)
