"""A certificate that was taken away is served for five seconds at most, by whatever process remembers it.

Several nodes share one database. What one of them, or a command, takes away, the others must not go on
answering from memory: not when they cannot reach the database, not when their loop sleeps, and not when an
answer that was read before comes to be remembered after.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta

import pytest

from ca.address import Mailbox
from directory.changes import TRUST, ChangeFollower, Changes
from directory.errors import StoreUnavailable
from directory.ldap.actions import LookUp, Send
from directory.ldap.answers import AnswerCache
from directory.ldap.binding import Protection
from directory.ldap.codes import ResultCode
from directory.ldap.results import Outcome
from directory.ldap.session import Session
from directory.ldap.settings import LdapSettings, StartTls
from directory.ldap.tree import Tree
from directory.lookup import Absent, Found, PublishedCertificate
from directory.policy import Refusal
from directory.revocation import RevocationReason
from directory.store.callers import SqlCallerStore
from directory.store.changes import SqlChangeLog
from directory.store.database import Database
from directory.store.lookup import SqlDirectoryReader
from directory.store.outbox import SqlOutbox
from directory.store.revocations import SqlRevocationStore
from tests.contracts.renewing import LEADS, a_renewal, prove, renew
from tests.contracts.world import ANNA, NOW, YEAR, Store, an_event, import_certificate, mint
from tests.directory.builders import a_gateway
from tests.directory.clocks import StoppedClock
from tests.directory.ldap.memory import BIND_NAME, TOKEN
from tests.directory.ldap.wire import ReadEntry, ReadResult, bind, mail, responses, search

FIVE_SECONDS = 5.0
MOMENT = timedelta(microseconds=1)
NOTHING: list[bytes] = []
MINTED = [b"certificate of enrolment-1"]


class Node:
    """One process' LDAP front end over the shared database, with a clock of its own."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._reader = SqlDirectoryReader(database)
        self._log = SqlChangeLog(database)
        self.clock = StoppedClock(NOW)
        self.seconds = 1000.0
        self.is_cut_off = False
        self.follower = ChangeFollower(self, monotonic=lambda: self.seconds)
        self.answers = AnswerCache(octets=1 << 20, clock=self.clock, is_current=self.follower.is_current)
        self.follower.keep_true(self.answers)
        self.read = 0
        """How often the database was asked for certificates."""
        settings = LdapSettings()
        self._session = Session(
            tree=Tree(settings.suffix, StartTls.UNAVAILABLE),
            settings=settings,
            peer_address="127.0.0.1",
            protection=Protection.NONE,
            start_tls=StartTls.UNAVAILABLE,
            answers=self.answers,
        )
        self._session.receive(bind(BIND_NAME, TOKEN))
        self._session.authenticated(a_gateway())

    async def since(self, generation: int | None) -> Changes:
        if self.is_cut_off:
            raise StoreUnavailable(reason="gone")
        return await self._log.since(generation)

    async def hear(self) -> None:
        """Ask what was announced, as once a second."""
        await self.follower.ask()

    async def certificates(
        self, *, meanwhile: Callable[[], Awaitable[None]] | None = None
    ) -> list[bytes] | ResultCode:
        """Return what the client gets; `meanwhile` happens between the database's answer and ours."""
        octets = b""
        for action in self._session.receive(search(mail(str(ANNA)))):
            if isinstance(action, LookUp):
                outcomes = [await self._outcome()]
                if meanwhile is not None:
                    await meanwhile()
                octets += sent(self._session.looked_up(action.operation, outcomes))
            else:
                octets += sent([action])
        *entries, done = responses(octets)
        assert isinstance(done, ReadResult)
        if done.code is not ResultCode.SUCCESS:
            return done.code
        return [
            value
            for entry in entries
            if isinstance(entry, ReadEntry)
            for value in entry.attributes["userCertificate;binary"]
        ]

    async def _outcome(self) -> Outcome:
        self.read += 1
        if self.is_cut_off:
            return StoreUnavailable(reason="gone")
        found = await self._live()
        return Found(certificate=found[0]) if found else Absent(refusal=Refusal.NOT_FOUND)

    async def _live(self) -> Sequence[PublishedCertificate]:
        return await self._reader.live_certificates(ANNA.key, a_gateway(), self.clock.now())


def sent(actions: Sequence[object]) -> bytes:
    return b"".join(action.data for action in actions if isinstance(action, Send))


@asynccontextmanager
async def a_node(store: Store) -> AsyncIterator[Node]:
    """Start a node that knows the certificate by heart."""
    async with store.opened_again() as database:
        node = Node(database)
        await node.hear()
        assert await node.certificates() == MINTED
        assert await node.certificates() == MINTED
        assert node.read == 1
        yield node


@pytest.fixture
async def minted(store: Store) -> Store:
    await mint(store.database)
    return store


async def revoke(database: Database) -> None:
    store = SqlRevocationStore(database, node="operator")
    for certificate in await store.by_address(ANNA, NOW):
        reason = RevocationReason.KEY_COMPROMISE
        await store.revoke(certificate, reason=reason, at=NOW, event=an_event())


async def bounce(database: Database) -> None:
    outbox = SqlOutbox(database, node="operator")
    (mail,) = await outbox.claim_due(worker="worker-1", now=NOW, lease_until=NOW + YEAR, most=1)
    await outbox.record_given_up(mail, at=NOW, failure="550 no such user", event=an_event())


async def disable_gateway(database: Database) -> None:
    await SqlCallerStore(database, node="operator").disable_gateway("gw", "org-1", an_event())


@pytest.mark.parametrize("take_away", [revoke, bounce, disable_gateway])
async def test_what_is_taken_away_anywhere_is_served_nowhere(
    minted: Store, take_away: Callable[[Database], Awaitable[None]]
) -> None:
    async with a_node(minted) as here, a_node(minted) as there:
        await take_away(minted.database)

        for node in (here, there):
            node.seconds += 1
            await node.hear()
            assert await node.certificates() == NOTHING


async def test_an_isolated_organization_is_not_answered_with_what_it_shared(minted: Store) -> None:
    async with a_node(minted) as node:
        await minted.sql("UPDATE organizations SET isolated = (1 = 1)")
        await node.hear()

        assert await node.certificates() == NOTHING


async def test_the_recipients_own_certificate_takes_the_place_of_a_minted_one(minted: Store) -> None:
    async with a_node(minted) as node:
        await import_certificate(minted.database)
        await node.hear()

        assert await node.certificates() == [b"own"]


async def test_a_node_that_hears_nothing_does_not_go_on_for_five_seconds(minted: Store) -> None:
    async with a_node(minted) as node:
        await revoke(minted.database)
        node.is_cut_off = True

        node.seconds += FIVE_SECONDS

        assert await node.certificates() is ResultCode.UNAVAILABLE


async def test_a_node_whose_loop_sleeps_asks_the_database_instead(minted: Store) -> None:
    async with a_node(minted) as node:
        await revoke(minted.database)

        node.seconds += TRUST
        assert await node.certificates() == MINTED, "the bound is meant to be four seconds"
        node.seconds += 0.001

        assert await node.certificates() == NOTHING


async def test_a_slow_announcement_vouches_only_for_the_time_before_it_was_asked_for(minted: Store) -> None:
    async with a_node(minted) as node:
        heard = node.since

        async def slowly(generation: int | None) -> Changes:
            changes = await heard(generation)
            await revoke(minted.database)
            node.seconds += 3
            return changes

        node.follower._log.since = slowly  # type: ignore[method-assign]
        await node.hear()
        node.seconds += 2

        assert await node.certificates() == NOTHING


async def test_what_was_read_before_a_revocation_is_not_remembered_after_it(minted: Store) -> None:
    async with minted.opened_again() as database:
        node = Node(database)
        await node.hear()

        async def meanwhile() -> None:
            await revoke(minted.database)
            await node.hear()

        assert await node.certificates(meanwhile=meanwhile) == MINTED, "it was good when it was read"
        assert await node.certificates() == NOTHING


async def test_what_is_remembered_while_a_revocation_is_announced_is_forgotten_with_it(
    minted: Store,
) -> None:
    async with minted.opened_again() as database:
        node = Node(database)
        await node.hear()

        async def meanwhile() -> None:
            await revoke(minted.database)

        assert await node.certificates(meanwhile=meanwhile) == MINTED
        await node.hear()

        assert await node.certificates() == NOTHING


async def test_what_expires_is_served_no_longer_than_it_is_valid(store: Store) -> None:
    await mint(store.database, not_after=NOW + timedelta(minutes=1))
    async with a_node(store) as node:
        node.clock.advance(timedelta(minutes=1))

        assert await node.certificates() == NOTHING


async def test_a_renewal_is_served_from_its_moment_by_whoever_knew_the_old_certificate_by_heart(
    minted: Store,
) -> None:
    async with a_node(minted) as node:
        await renew(minted.database)
        await node.hear()
        node.clock.advance(LEADS - NOW - MOMENT)
        assert await node.certificates() == MINTED
        assert await node.certificates() == MINTED
        assert node.read == 2, "what is remembered now knows when it ends to be true"

        # Nothing runs, nothing is announced: time passes, as with an expiry.
        node.clock.advance(MOMENT)

        assert await node.certificates() == [b"certificate of a-renewal"]


async def test_a_renewal_that_nobody_heard_of_is_served_in_time_all_the_same(minted: Store) -> None:
    async with a_node(minted) as node:
        await renew(minted.database, a_renewal(at=LEADS))
        node.is_cut_off = True
        node.clock.advance(LEADS - NOW)
        node.seconds += FIVE_SECONDS
        assert await node.certificates() is ResultCode.UNAVAILABLE

        node.is_cut_off = False

        assert await node.certificates() == [b"certificate of a-renewal"]


async def test_a_proven_renewal_takes_the_place_of_the_old_certificate_everywhere(minted: Store) -> None:
    await renew(minted.database)
    async with a_node(minted) as here, a_node(minted) as there:
        await prove(minted.database, at=NOW)

        for node in (here, there):
            node.seconds += 1
            await node.hear()
            assert await node.certificates() == [b"certificate of a-renewal"]


async def test_what_was_read_before_a_renewal_is_not_remembered_after_it(minted: Store) -> None:
    async with minted.opened_again() as database:
        node = Node(database)
        await node.hear()

        async def meanwhile() -> None:
            await renew(minted.database)
            await node.hear()

        assert await node.certificates(meanwhile=meanwhile) == MINTED
        node.clock.advance(LEADS - NOW)

        assert await node.certificates() == [b"certificate of a-renewal"]


async def test_the_revocation_of_somebody_else_costs_nobody_his_answer(minted: Store) -> None:
    async with a_node(minted) as node:
        await import_certificate(minted.database, mailbox=Mailbox.parse("berta@example.org"))
        await node.hear()

        assert await node.certificates() == MINTED
        assert node.read == 1
