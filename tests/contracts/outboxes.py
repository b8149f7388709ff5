"""Outboxes to hold to their contract: the one in memory that the worker's tests use, and the store's."""

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from sqlalchemy import select

from ca.address import Mailbox
from directory.audit import AuditEvent
from directory.delivery.outbox import MailState, Outbox
from directory.store.audit_log import read_chain
from directory.store.outbox import SqlOutbox
from directory.store.tables import held_keys, outgoing_mail
from tests.contracts.world import Store, a_reservation, mint
from tests.directory.delivery.builders import a_due_mail
from tests.directory.delivery.memory import MemoryOutbox

NODE = "outbox-node"


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """What is stored of a mail."""

    state: MailState
    failure: str | None
    hold_until: datetime | None


class OutboxWorld(Protocol):
    """An outbox, and how to look behind it."""

    @property
    def outbox(self) -> Outbox: ...

    async def put(self, name: str, *, due_at: datetime) -> None:
        """Queue the key mail of a fresh enrolment, under the enrolment's name."""
        ...

    async def stored(self, name: str) -> Stored: ...

    async def events(self) -> list[AuditEvent]:
        """Return what the outbox has written to the audit log."""
        ...


class MemoryWorld:
    """Everything in one process's memory."""

    def __init__(self) -> None:
        self._memory = MemoryOutbox()

    @property
    def outbox(self) -> Outbox:
        return self._memory

    async def put(self, name: str, *, due_at: datetime) -> None:
        self._memory.put(a_due_mail(mail_id=name, enrolment_id=name, created_at=due_at))

    async def stored(self, name: str) -> Stored:
        row = self._memory.rows[name]
        return Stored(state=row.state, failure=row.failure, hold_until=row.hold_until)

    async def events(self) -> list[AuditEvent]:
        return self._memory.events


class SqlWorld:
    """A database."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.outbox: Outbox = SqlOutbox(store.database, node=NODE)

    async def put(self, name: str, *, due_at: datetime) -> None:
        mailbox = Mailbox.parse(f"{name}@example.org")
        await mint(self._store.database, a_reservation(name, mailbox=mailbox, minted_at=due_at))

    async def stored(self, name: str) -> Stored:
        columns = select(outgoing_mail.c.state, outgoing_mail.c.last_failure, held_keys.c.hold_until)
        query = columns.where(
            outgoing_mail.c.enrolment_id == name, held_keys.c.enrolment_id == outgoing_mail.c.enrolment_id
        )
        row = await self._store.database.read(lambda connection: connection.execute(query).one())
        return Stored(state=MailState(row.state), failure=row.last_failure, hold_until=row.hold_until)

    async def events(self) -> list[AuditEvent]:
        return [chained.event async for chained in read_chain(self._store.database, NODE, 100)]
