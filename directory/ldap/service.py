"""What do all connections of the front end share? The ports, the limits across connections, the work.

Knows the ports it was given, and not what is behind them; knows connections only as something to be drained.
"""

import asyncio
import ssl
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol

from directory.authorities import NO_AUTHORITIES, Authorities
from directory.callers import Gateway
from directory.faults import log_failure
from directory.ldap.answers import AnswerCache
from directory.ldap.attendance import Attendance
from directory.ldap.binding import Protection
from directory.ldap.errors import Overloaded
from directory.ldap.results import Outcome
from directory.ldap.rights import LoggedIn, StillGood, watch_rights
from directory.ldap.session import Session
from directory.ldap.settings import LdapSettings, StartTls
from directory.ldap.tree import Tree
from directory.lookup import Answer, Question

AnswerQuestion = Callable[[Question], Awaitable[Answer]]
"""Answers one question: `Lookup.answer`."""
NamedGateway = Callable[[str, str], Awaitable[Gateway | None]]
"""Returns the gateway of a name, if it holds the token: `Authentication.named_gateway`."""
CertifiedGateway = Callable[[bytes], Awaitable[Gateway | None]]
"""Returns the gateway of a certificate, by its SHA-256: `Authentication.certified_gateway`."""


class Client(LoggedIn, Protocol):
    """A connection, seen from here."""

    @property
    def peer_address(self) -> str:
        """Where it comes from."""
        ...

    def drain(self) -> None:
        """Take no more requests; close when those under way are answered."""
        ...

    def abort(self) -> None:
        """Close at once."""
        ...


class Service:
    """The front end, seen from its connections."""

    def __init__(
        self,
        *,
        answer: AnswerQuestion,
        named_gateway: NamedGateway,
        certified_gateway: CertifiedGateway,
        still_good: StillGood,
        settings: LdapSettings,
        tls: ssl.SSLContext | None,
        authorities: Authorities = NO_AUTHORITIES,
        answers: AnswerCache | None = None,
        on_wrong_credentials: Callable[[str], None] = lambda _: None,
    ) -> None:
        self.settings = settings
        self.tls = tls
        self._answers = answers
        self._answer = answer
        self._named_gateway = named_gateway
        self._certified_gateway = certified_gateway
        self._still_good = still_good
        self.wrong_credentials = on_wrong_credentials
        self._start_tls = StartTls.OFFERED if tls else StartTls.UNAVAILABLE
        self._tree = Tree(
            settings.suffix, self._start_tls, presentation=settings.presentation, authorities=authorities
        )
        self._clients: set[Client] = set()
        self._nobody_left = asyncio.Event()
        self._work: set[asyncio.Task[None]] = set()
        self._lookups = 0
        self._attendance = Attendance(most=settings.connections, most_of_peer=settings.connections_per_peer)

    @property
    def clients(self) -> tuple[Client, ...]:
        """The connections there are."""
        return tuple(self._clients)

    def has_room(self, peer_address: str) -> bool:
        """Whether one more connection from there is within the limits."""
        return self._attendance.has_room(peer_address)

    def handshake(self, peer_address: str) -> AbstractContextManager[None]:
        """Count a connection that is not admitted yet."""
        return self._attendance.present(peer_address)

    def admit(self, client: Client) -> None:
        """Count a connection."""
        self._clients.add(client)
        self._attendance.enter(client.peer_address)

    def dismiss(self, client: Client) -> None:
        """Count a connection no more."""
        if client in self._clients:
            self._clients.discard(client)
            self._attendance.leave(client.peer_address)
        if not self._clients:
            self._nobody_left.set()

    async def until_nobody_is_left(self) -> None:
        """Wait for the last connection to go."""
        self._nobody_left.clear()
        if self._clients:
            await self._nobody_left.wait()

    def session(self, peer_address: str, protection: Protection) -> Session:
        """Return a fresh session."""
        return Session(
            tree=self._tree,
            settings=self.settings,
            peer_address=peer_address,
            protection=protection,
            start_tls=self._start_tls,
            answers=self._answers,
        )

    def start(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Run work beside everything else, until it ends or the front end stops."""
        task = asyncio.get_running_loop().create_task(work)
        self._work.add(task)
        task.add_done_callback(self._work.discard)
        return task

    async def stop_work(self) -> None:
        """Cancel the work that is left, and wait for it to end."""
        work = tuple(self._work)
        for task in work:
            task.cancel()
        await asyncio.gather(*work, return_exceptions=True)

    async def gateway(self, name: str, token: str) -> Gateway | None:
        """Return the gateway of that name, if it holds the token.

        Raises:
            TimeoutError: that could not be found out in time.
            DirectoryError: nor at all.
        """
        async with asyncio.timeout(self.settings.answer_within):
            return await self._named_gateway(name, token)

    async def certified_gateway(self, sha256: bytes) -> Gateway | None:
        """Return the gateway of the certificate with this digest.

        Raises:
            TimeoutError: that could not be found out in time.
            DirectoryError: nor at all.
        """
        async with asyncio.timeout(self.settings.answer_within):
            return await self._certified_gateway(sha256)

    def watch_rights(self) -> None:
        """Keep looking whether those who are logged in still may be."""
        self.start(watch_rights(lambda: self.clients, self._still_good, every=self.settings.rights))

    async def outcomes(self, questions: Sequence[Question]) -> Sequence[Outcome]:
        """Answer questions, all at once; what goes wrong is an outcome too."""
        if self._lookups + len(questions) > self.settings.lookups:
            return (Overloaded(),)
        self._lookups += len(questions)
        try:
            if len(questions) == 1:
                return (await self._outcome(questions[0]),)
            return await asyncio.gather(*map(self._outcome, questions))
        finally:
            self._lookups -= len(questions)

    async def _outcome(self, question: Question) -> Outcome:
        try:
            return await self._answer(question)
        except Exception as error:  # noqa: BLE001 - here every failure becomes a result; none may end in silence
            log_failure("a lookup", error)
            return error
