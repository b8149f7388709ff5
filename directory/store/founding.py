"""How does an installation come into being in its database? Master key and issuers together, or nothing."""

from collections.abc import Sequence
from functools import partial

from sqlalchemy import Connection, select

from directory.audit import AuditEvent
from directory.errors import AlreadyExists
from directory.evidence.keys import AuditKey
from directory.hierarchy import StoredIssuer
from directory.store import evidence, issuers, master_keys
from directory.store.database import Database
from directory.store.tables import issuers as issuers_table

_ANY_ISSUER = select(issuers_table.c.id).limit(1)


class SqlFounding:
    """Founds an installation in an empty database."""

    def __init__(self, database: Database, *, node: str) -> None:
        self._database = database
        self._node = node

    async def refuse_founded(self) -> None:
        """Return if there is no installation in the database.

        Raises:
            AlreadyExists: there is one.
        """
        await self._database.read(_refuse_founded)

    async def found(
        self,
        master_key_id: str,
        created: Sequence[tuple[StoredIssuer, Sequence[AuditEvent]]],
        audit_key: tuple[AuditKey, AuditEvent],
        event: AuditEvent,
    ) -> None:
        """Register the master key, add the audit key and the issuers, parents first: one durable transaction.

        Raises:
            AlreadyExists: there is an installation in the database, perhaps since this moment.
        """
        await self._database.write(
            partial(
                _found,
                node=self._node,
                master_key_id=master_key_id,
                created=created,
                audit_key=audit_key,
                event=event,
            )
        )


def _refuse_founded(connection: Connection) -> None:
    if connection.execute(_ANY_ISSUER).first() is not None:
        raise AlreadyExists(kind="installation", name="in this database")


def _found(
    connection: Connection,
    *,
    node: str,
    master_key_id: str,
    created: Sequence[tuple[StoredIssuer, Sequence[AuditEvent]]],
    audit_key: tuple[AuditKey, AuditEvent],
    event: AuditEvent,
) -> None:
    # The event comes first: the audit head that it locks makes a second founder wait, and then look.
    master_keys.register(connection, node=node, key_id=master_key_id, event=event)
    _refuse_founded(connection)
    key, key_created = audit_key
    evidence.add_key(connection, node=node, key=key, event=key_created)
    for issuer, events in created:
        issuers.add(connection, node=node, issuer=issuer, events=tuple(events))
