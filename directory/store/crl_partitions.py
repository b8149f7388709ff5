"""Which partitions of its issuer's CRL may certificates name from now on?

A partition has one URL for ever, in its certificates and on its CRL. Where the service is published elsewhere
one day, the issuer gets others, with other numbers; those of before go on being served.
"""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

from sqlalchemy import Connection, bindparam, insert, select

from ca.publication import Publication
from directory.audit import AuditEvent
from directory.store import audit_log
from directory.store.database import Database
from directory.store.tables import crl_scopes, issuers

_LOCK = select(issuers.c.id).where(issuers.c.id == bindparam("of_issuer")).with_for_update(key_share=True)
_NUMBERED = (
    select(crl_scopes.c.partition, crl_scopes.c.distribution_point)
    .where(crl_scopes.c.issuer_id == bindparam("of_issuer"), crl_scopes.c.partition > 0)
    .order_by(crl_scopes.c.partition)
)
_ADD = insert(crl_scopes)


class SqlCrlPartitions:
    """The partitions; they are opened, and never closed."""

    def __init__(self, database: Database, *, node: str) -> None:
        self._database = database
        self._node = node

    async def usable(
        self, issuer_id: str, publication: Publication, count: int, event: AuditEvent
    ) -> Sequence[int]:
        """Return the numbers of so many, after opening what is missing; the event tells of that alone."""
        usable = await self._database.read(
            partial(_usable, issuer_id=issuer_id, publication=publication, count=count)
        )
        if len(usable) == count:
            return usable
        return await self._database.write(
            partial(
                _opened,
                node=self._node,
                issuer_id=issuer_id,
                publication=publication,
                count=count,
                event=event,
            )
        )


def _usable(connection: Connection, *, issuer_id: str, publication: Publication, count: int) -> list[int]:
    numbered = connection.execute(_NUMBERED, {"of_issuer": issuer_id})
    return [
        row.partition
        for row in numbered
        if row.distribution_point == publication.crl_url(issuer_id, row.partition)
    ][:count]


def _opened(
    connection: Connection,
    *,
    node: str,
    issuer_id: str,
    publication: Publication,
    count: int,
    event: AuditEvent,
) -> list[int]:
    connection.execute(_LOCK, {"of_issuer": issuer_id}).one()
    usable = _usable(connection, issuer_id=issuer_id, publication=publication, count=count)
    numbered = connection.execute(_NUMBERED, {"of_issuer": issuer_id}).scalars()
    first = max(numbered, default=0) + 1
    missing = range(first, first + count - len(usable))
    if missing:
        connection.execute(
            _ADD,
            [
                {
                    "issuer_id": issuer_id,
                    "partition": number,
                    "distribution_point": publication.crl_url(issuer_id, number),
                    "changes": 0,
                }
                for number in missing
            ],
        )
        detail = {**event.detail, "first": str(missing[0]), "last": str(missing[-1])}
        audit_log.append(connection, node, replace(event, detail=detail))
    return [*usable, *missing]
