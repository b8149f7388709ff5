"""How do certificates of gateways' keys get in? Signed within the transaction that keeps them."""

from datetime import datetime
from functools import partial

from sqlalchemy import Connection, bindparam, insert, or_, select

from directory.lookup import PublishedCertificate
from directory.organization import SHARED_SCOPE
from directory.proxies import ProxyRecord
from directory.store import audit_log, blocked_keys, issuers
from directory.store.aside import aside
from directory.store.crls import part_of
from directory.store.database import Database
from directory.store.tables import certificates

_LIVE = (
    select(certificates.c.id)
    .where(
        certificates.c.address_key == bindparam("of_address_key"),
        certificates.c.key_sha256 == bindparam("of_key"),
        or_(certificates.c.scope == bindparam("of_scope"), certificates.c.scope == SHARED_SCOPE),
        certificates.c.issuer_id.is_not(None),
        certificates.c.revoked_at.is_(None),
        certificates.c.withdrawn_at.is_(None),
        certificates.c.not_after > bindparam("now"),
    )
    .limit(1)
)
_ADD = insert(certificates)


class SqlProxies:
    """Publishes the certificates of gateways' keys."""

    def __init__(self, database: Database, *, node: str) -> None:
        self._database = database
        self._node = node

    async def publish(self, record: ProxyRecord, at: datetime) -> PublishedCertificate | None:
        """Sign, publish and record the event in one transaction; None if the address has this key already.

        Raises:
            KeyBlocked: the key is known to be in wrong hands.
        """
        return await self._database.write(partial(_publish, node=self._node, record=record, at=at))


def _publish(
    connection: Connection, *, node: str, record: ProxyRecord, at: datetime
) -> PublishedCertificate | None:
    blocked_keys.refuse(connection, record.key_sha256)
    same = {
        "of_address_key": record.mailbox.key,
        "of_key": record.key_sha256,
        "of_scope": record.scope,
        "now": at,
    }
    if connection.execute(_LIVE, same).first() is not None:
        return None
    issuers.hold(connection, record.issuer_id)
    certificate = aside(connection, record.sign)
    # Before the audit head: an insert here takes the lock under which changes are announced.
    connection.execute(
        _ADD,
        {
            "id": record.certificate_id,
            "issuer_id": record.issuer_id,
            "crl_partition": part_of(record.crl_partition),
            "serial": f"{certificate.serial:x}",
            "scope": record.scope,
            "address": str(record.mailbox),
            "address_key": record.mailbox.key,
            "origin": certificate.origin.value,
            "der": certificate.der,
            "key_sha256": record.key_sha256,
            "not_before": certificate.not_before,
            "not_after": certificate.not_after,
            "published_at": at,
        },
    )
    audit_log.append(connection, node, record.event)
    return certificate
