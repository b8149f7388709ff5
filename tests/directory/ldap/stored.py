"""A real store behind the front end, with every statement that is run on it written down."""

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from datetime import timedelta

from sqlalchemy import Connection, Engine, event

from ca.address import Mailbox
from directory.callers import Authentication, Credential, Gateway
from directory.lookup import Answer, Lookup, Minted, Question
from directory.policy import MintContext, MintPolicy
from directory.store.callers import SqlCallerStore
from directory.store.database import Database
from directory.store.lookup import SqlDirectoryReader
from tests.directory.clocks import StoppedClock
from tests.directory.ldap.memory import Directory, minted


class Stored(Directory):
    """Looks up in a real store, and who asks too; what is made is only noted."""

    def __init__(self, database: Database) -> None:
        super().__init__()
        self._authentication = Authentication(SqlCallerStore(database, node="node-1"))
        self._lookup = Lookup(
            reader=SqlDirectoryReader(database),
            policy=MintPolicy(),
            minter=self,
            clock=StoppedClock(),
            patience=timedelta(seconds=20),
        )

    async def mint(self, mailbox: Mailbox, context: MintContext) -> Minted:
        del context
        self.mints.append(mailbox.key)
        return minted(str(mailbox))

    async def answer(self, question: Question) -> Answer:
        return await self._lookup.answer(question)

    async def named_gateway(self, name: str, token: str) -> Gateway | None:
        return await self._authentication.named_gateway(name, token)

    async def certified_gateway(self, sha256: bytes) -> Gateway | None:
        return await self._authentication.certified_gateway(sha256)

    async def still_good(self, credentials: Collection[Credential]) -> dict[Credential, Gateway]:
        return dict(await self._authentication.still_good(credentials))


@contextmanager
def overheard() -> Iterator[list[str]]:
    """Write down every statement that any database is given."""
    statements: list[str] = []

    def note(_connection: Connection, _cursor: object, statement: str, *_rest: object) -> None:
        statements.append(statement)

    event.listen(Engine, "before_cursor_execute", note)
    try:
        yield statements
    finally:
        event.remove(Engine, "before_cursor_execute", note)
