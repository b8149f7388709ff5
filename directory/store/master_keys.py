"""Which master keys may wrap secrets, and how does everything move from one to the next?

A sealed secret refers to the row of its master key. So a key cannot be dropped while anything still needs it,
nor can a process that has not heard of a rotation seal with it afterwards.
"""

from collections.abc import Iterator, Sequence
from functools import partial

from sqlalchemy import Column, ColumnElement, Connection, Null, bindparam, delete, null, select, update
from sqlalchemy.exc import IntegrityError

from ca.sealing import SealedSecret, Sealer, SecretIdentity, SecretKind
from directory.audit import AuditEvent
from directory.errors import AlreadyExists, ConfigurationRefused, Unknown
from directory.store import audit_log
from directory.store.database import Database
from directory.store.statements import Upsert
from directory.store.tables import (
    audit_keys,
    enrolments,
    held_keys,
    issuers,
    master_keys,
    ocsp_responders,
    organizations,
    outgoing_mail,
    pending_issuers,
    pooled_keys,
    relays,
)

_REGISTER = Upsert(master_keys, lambda insert: insert.on_conflict_do_nothing().returning(master_keys.c.id))
_IDS = select(master_keys.c.id).order_by(master_keys.c.created_at, master_keys.c.id)
_DROP = delete(master_keys).where(master_keys.c.id == bindparam("key_id"))


class _SealedColumn:
    """One place where sealed secrets are stored, and whose they are there."""

    def __init__(
        self,
        record_id: Column[str],
        organization_id: ColumnElement[str] | Null,
        prefix: str,
        kind: SecretKind,
    ) -> None:
        table = record_id.table
        self.kind = kind
        key_id, wrapped = table.c[f"{prefix}_master_key_id"], table.c[f"{prefix}_wrapped_key"]
        source = table.join(enrolments) if organization_id is enrolments.c.organization_id else table
        self.outdated = (
            select(
                record_id.label("record_id"),
                organization_id.label("organization_id"),
                key_id.label("key_id"),
                wrapped.label("wrapped"),
                table.c[f"{prefix}_ciphertext"].label("ciphertext"),
            )
            .select_from(source)
            .where(key_id != bindparam("active"), record_id > bindparam("after"))
            .order_by(record_id)
            .limit(bindparam("batch"))
            # Whoever only refers to the record, as every mint does to its organization's, does not wait.
            .with_for_update(of=table, key_share=True)
        )
        self.replace = (
            update(table)
            .where(record_id == bindparam("of_record"))
            .values({key_id: bindparam("new_key_id"), wrapped: bindparam("new_wrapped")})
        )


_SEALED_COLUMNS = (
    _SealedColumn(issuers.c.id, null(), "key", SecretKind.CA_KEY),
    _SealedColumn(pending_issuers.c.id, null(), "key", SecretKind.CA_KEY),
    _SealedColumn(audit_keys.c.id, null(), "key", SecretKind.AUDIT_KEY),
    _SealedColumn(ocsp_responders.c.id, null(), "key", SecretKind.OCSP_KEY),
    _SealedColumn(pooled_keys.c.id, null(), "key", SecretKind.POOLED_KEY),
    _SealedColumn(organizations.c.id, organizations.c.id, "smtp_password", SecretKind.SMTP_PASSWORD),
    _SealedColumn(organizations.c.id, organizations.c.id, "dkim_key", SecretKind.DKIM_KEY),
    _SealedColumn(organizations.c.id, organizations.c.id, "webhook_secret", SecretKind.WEBHOOK_SECRET),
    _SealedColumn(held_keys.c.enrolment_id, enrolments.c.organization_id, "key", SecretKind.RECIPIENT_KEY),
    _SealedColumn(relays.c.enrolment_id, enrolments.c.organization_id, "password", SecretKind.PASSWORD),
    _SealedColumn(
        outgoing_mail.c.id, outgoing_mail.c.organization_id, "message", SecretKind.OUTGOING_MESSAGE
    ),
)


class SqlMasterKeys:
    """The master keys the store knows by name."""

    def __init__(self, database: Database, *, node: str) -> None:
        self._database = database
        self._node = node

    async def register(self, key_id: str, event: AuditEvent) -> None:
        """Let secrets be sealed under this key from now on.

        Raises:
            AlreadyExists: it is registered.
        """
        await self._database.write(partial(register, node=self._node, key_id=key_id, event=event))

    async def ids(self) -> Sequence[str]:
        """Return the names of the registered keys, the oldest first."""
        return await self._database.read(_ids)

    async def rewrap(self, sealer: Sealer, *, batch: int = 200) -> int:
        """Wrap every secret in the store under the sealer's active key; return how many were not yet.

        Each batch is a transaction, so others get their turn, and whoever is interrupted starts again and
        finds less to do.

        Raises:
            SealBroken: a secret does not open; those before it are done.
            StoreUnavailable: likewise.
        """
        done = 0
        for column in _SEALED_COLUMNS:
            after: str | None = ""
            while after is not None:
                count, after = await self._database.write(
                    partial(_rewrap_batch, column=column, sealer=sealer, after=after, batch=batch)
                )
                done += count
        return done

    async def drop(self, key_id: str, event: AuditEvent) -> None:
        """Forget a key that no secret needs any more.

        Raises:
            Unknown: it is not registered.
            ConfigurationRefused: a secret is still sealed under it.
        """
        await self._database.write(partial(_drop, node=self._node, key_id=key_id, event=event))


def register(connection: Connection, *, node: str, key_id: str, event: AuditEvent) -> None:
    """Let secrets be sealed under this key, in the transaction under way.

    Raises:
        AlreadyExists: it is registered.
    """
    added = connection.execute(_REGISTER.on(connection), {"id": key_id, "created_at": event.at})
    if added.one_or_none() is None:
        raise AlreadyExists(kind="master key", name=key_id)
    audit_log.append(connection, node, event)


def _ids(connection: Connection) -> list[str]:
    return list(connection.execute(_IDS).scalars())


def _drop(connection: Connection, *, node: str, key_id: str, event: AuditEvent) -> None:
    try:
        dropped = connection.execute(_DROP, {"key_id": key_id})
    except IntegrityError:
        # `from None`: the driver's text is not repeated; the foreign key is all there is to say.
        raise ConfigurationRefused(
            key="master key",
            reason=f"secrets are still sealed under {key_id}",
            remedy="wrap them under the active key first",
        ) from None
    if dropped.rowcount == 0:
        raise Unknown(kind="master key", name=key_id)
    audit_log.append(connection, node, event)


def _rewrap_batch(
    connection: Connection, *, column: _SealedColumn, sealer: Sealer, after: str, batch: int
) -> tuple[int, str | None]:
    """Wrap one batch anew; return its size, and after which record the next one begins, if any."""
    outdated = connection.execute(
        column.outdated, {"active": sealer.active_key_id, "after": after, "batch": batch}
    ).all()

    def rewrapped() -> Iterator[dict[str, str | bytes]]:
        for row in outdated:
            identity = SecretIdentity(
                kind=column.kind, record_id=row.record_id, organization_id=row.organization_id
            )
            sealed = SealedSecret(
                master_key_id=row.key_id, wrapped_key=row.wrapped, ciphertext=row.ciphertext
            )
            anew = sealer.rewrap(sealed, identity)
            yield {
                "of_record": row.record_id,
                "new_key_id": anew.master_key_id,
                "new_wrapped": anew.wrapped_key,
            }

    if outdated:
        connection.execute(column.replace, list(rewrapped()))
    return len(outdated), outdated[-1].record_id if len(outdated) == batch else None
