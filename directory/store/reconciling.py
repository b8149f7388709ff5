"""How is a certificate kept of which little but its serial number is known? Revoked, and empty."""

from collections.abc import Collection, Mapping
from datetime import datetime
from functools import partial
from secrets import token_hex
from typing import Final

from sqlalchemy import Connection, bindparam, insert, select

from directory.audit import AuditEvent
from directory.errors import Unknown
from directory.organization import SHARED_SCOPE
from directory.reconciling import LostCertificate
from directory.store import audit_log
from directory.store.crls import part_of
from directory.store.database import Database
from directory.store.tables import certificates, issuers

_LOST: Final = "lost"
"""Its origin: neither found nor minted, for there is nothing that could be answered with."""
_PAGE: Final = 500
_KNOWN = select(certificates.c.serial, certificates.c.revoked_at).where(
    certificates.c.serial.in_(bindparam("serials", expanding=True)), certificates.c.issuer_id.is_not(None)
)
_IS_KNOWN = select(certificates.c.id).where(
    certificates.c.serial == bindparam("of_serial"), certificates.c.issuer_id == bindparam("of_issuer")
)


_ISSUER = select(issuers.c.id).where(issuers.c.id == bindparam("of_issuer"))


class SqlReconciling:
    """Takes in what was lost."""

    def __init__(self, database: Database, *, node: str) -> None:
        self._database = database
        self._node = node

    async def standing_of(self, serials: Collection[str]) -> Mapping[str, bool]:
        """Return of the certificates with these serial numbers that are known whether they are revoked."""
        standing: dict[str, bool] = {}
        ordered = sorted(serials)
        for start in range(0, len(ordered), _PAGE):
            standing |= await self._database.read(
                partial(_standing_of, serials=ordered[start : start + _PAGE])
            )
        return standing

    async def take_in(self, lost: LostCertificate, *, at: datetime, event: AuditEvent) -> None:
        """Keep a lost certificate as revoked; nothing if it is known by now.

        Raises:
            Unknown: its issuer was lost as well.
        """
        await self._database.write(partial(_take_in, node=self._node, lost=lost, at=at, event=event))


def _standing_of(connection: Connection, *, serials: list[str]) -> dict[str, bool]:
    return {
        row.serial: row.revoked_at is not None for row in connection.execute(_KNOWN, {"serials": serials})
    }


def _take_in(
    connection: Connection, *, node: str, lost: LostCertificate, at: datetime, event: AuditEvent
) -> None:
    of_this = {"of_serial": lost.serial, "of_issuer": lost.issuer_id}
    if connection.execute(_ISSUER, {"of_issuer": lost.issuer_id}).first() is None:
        raise Unknown(kind="issuer", name=lost.issuer_id)
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
    audit_log.append(connection, node, event)
