"""Do any two of the transactions about an enrolment wait for each other? Each pair is made to meet half way.

Somebody holds a row that one of the two needs late, so that it stops with half of its locks taken; the other
is begun then, and runs into those. PostgreSQL only: SQLite has one writer.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from enum import Enum
from functools import partial
from typing import TypeAlias

import pytest
from sqlalchemy import Connection, text

from ca.address import Mailbox
from ca.revocation import RevocationReason
from directory.audit import AuditEvent, AuditKind
from directory.bounces.bounces import Consequence, FailedMail
from directory.bounces.judging import SentMail
from directory.delivery.outbox import DueMail, GivenUp, MailKind, NewMail
from directory.errors import IssuerEnded, RelayRefused, ResendRefused, SlotTaken
from directory.expiry import ExpiredRelay
from directory.followup import FollowUpRules, GivingUp, ProofRequests, Reminders
from directory.links import LinkPurpose
from directory.mint_ports import MintTransaction, Reservation
from directory.proof import ProofDesk
from directory.relay import RelayOutcome, RelayState
from directory.resending import KeyMailResender
from directory.store.bounces import SqlBounceStore
from directory.store.expiries import SqlExpiries
from directory.store.followups import SqlFollowUps
from directory.store.issuer_revocations import SqlIssuerRevocations
from directory.store.mail_queue import queue
from directory.store.mint import SqlMintStore
from directory.store.opening import open_database
from directory.store.outbox import SqlOutbox
from directory.store.proofs import SqlProofStore
from directory.store.relays import SqlRelayStore
from directory.store.resends import SqlResendStore
from directory.store.revocations import SqlRevocationStore
from directory.store.suppressions import SqlSuppressions
from directory.suppression import OptOut
from tests.contracts.following import ENROLMENT, a_link, deliver
from tests.contracts.renewing import a_renewal
from tests.contracts.world import (
    ANNA,
    NOW,
    Store,
    a_reservation,
    an_enrolment,
    an_event,
    an_issuer,
    populate,
    record,
)
from tests.databases import PATIENT, Databases
from tests.directory.clocks import StoppedClock
from tests.directory.delivery.builders import an_acceptance

NODE = "node-1"
OTHER = "enrolment-2"
RENEWAL = "a-renewal"
"""It sorts before what it renews, but is younger."""
DESK = Mailbox.parse("desk@hospital.org")
CARLA = Mailbox.parse("carla@example.org")
DAY = timedelta(days=1)
LATER = NOW + 8 * DAY
MUCH_LATER = NOW + 40 * DAY

WHOSE = {ENROLMENT: ANNA, OTHER: Mailbox.parse("berta@example.org")}


class Row(Enum):
    """What one transaction needs when it has others already."""

    CERTIFICATE = "SELECT 1 FROM certificates WHERE enrolment_id = :whose"
    DELIVERY = "SELECT 1 FROM deliveries WHERE enrolment_id = :whose"
    HELD_KEY = "SELECT 1 FROM held_keys WHERE enrolment_id = :whose"
    BUDGET = "SELECT 1 FROM limit_buckets WHERE bucket LIKE 'mail_budget:%'"
    ANNOUNCEMENTS = "SELECT 1 FROM directory_state"
    ENROLMENT = "SELECT 1 FROM enrolments WHERE id = :whose"
    AUDIT_HEAD = "SELECT 1 FROM audit_heads"


class World:
    """Two enrolments whose key mails were accepted a week ago, with mails to them queued."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.database = store.database
        self.clock = StoppedClock(LATER)
        self._claimed: list[DueMail] = []

    async def mail(self, kind: MailKind, enrolment_id: str) -> DueMail:
        """Return the enrolment's queued mail of the kind, claimed."""
        outbox = SqlOutbox(self.database, node=NODE)
        lease_until = LATER + timedelta(microseconds=1)
        self._claimed += await outbox.claim_due(worker="w", now=LATER, lease_until=lease_until, most=100)
        wanted = enrolment_id, kind
        (found,) = (mail for mail in self._claimed if (mail.enrolment_id, mail.kind) == wanted)
        return found

    async def queue(self, kind: MailKind, enrolment_id: str) -> None:
        """Queue a mail of the kind."""
        mail = NewMail(
            enrolment_id=enrolment_id,
            organization_id="org-1",
            kind=kind,
            recipient=DESK if kind is MailKind.PASSWORD else WHOSE[enrolment_id],
            sender_domain="hospital.org",
            at=NOW,
            due_at=NOW,
            give_up_at=MUCH_LATER,
        )
        await self.database.write(lambda connection: queue(connection, mail))


Act: TypeAlias = Callable[[], Coroutine[None, None, object]]
Participant: TypeAlias = Callable[[World], Awaitable[Act]]
"""Prepares what somebody does, and returns it to be done."""


def accepts(kind: MailKind, enrolment_id: str = ENROLMENT) -> Participant:
    async def prepare(world: World) -> Act:
        mail = await world.mail(kind, enrolment_id)
        event = an_event(AuditKind.MAIL_ACCEPTED, subject=enrolment_id)
        outbox = SqlOutbox(world.database, node=NODE)
        return lambda: outbox.record_accepted(mail, an_acceptance(LATER, asks_for_proof=True), event)

    return prepare


def gives_up(kind: MailKind, enrolment_id: str = ENROLMENT) -> Participant:
    async def prepare(world: World) -> Act:
        mail = await world.mail(kind, enrolment_id)
        event = an_event(AuditKind.KEY_MAIL_GIVEN_UP, subject=enrolment_id)
        outbox = SqlOutbox(world.database, node=NODE)
        return lambda: outbox.record_given_up(
            mail, at=LATER, failure="550", event=event, because=GivenUp.REFUSED
        )

    return prepare


async def bounces(world: World) -> Act:
    sent = SentMail(
        mail_id=f"mail of {ENROLMENT}",
        enrolment_id=ENROLMENT,
        organization_id="org-1",
        kind=MailKind.KEY,
        recipient=ANNA,
        message_id="<m>",
    )
    failed = FailedMail(mail=sent, failure="came back", status="5.1.1", at=LATER)

    def event(_consequence: Consequence) -> AuditEvent:
        return an_event(AuditKind.KEY_MAIL_BOUNCED, subject=ENROLMENT)

    return lambda: SqlBounceStore(world.database, node=NODE).record_failed(failed, event)


async def opts_out(world: World) -> Act:
    link = await a_link(world.database, LinkPurpose.STOP)
    opt_out = OptOut(store=SqlSuppressions(world.database, node=NODE), clock=world.clock)
    return lambda: opt_out.stop(link)


async def proves(world: World) -> Act:
    link = await a_link(world.database, LinkPurpose.PROOF)
    desk = ProofDesk(store=SqlProofStore(world.database, node=NODE), clock=world.clock)
    return lambda: desk.prove(link)


async def resends(world: World) -> Act:
    store = SqlResendStore(world.database, node=NODE)
    resender = KeyMailResender(store=store, clock=world.clock, lifetime=5 * DAY)

    async def resend() -> None:
        try:
            await resender.resend(ENROLMENT, None, "operator:test")
        except ResendRefused:
            return

    return resend


async def reports_failure(world: World) -> Act:
    relays = SqlRelayStore(world.database, node=NODE)
    relay = await relays.relay(ENROLMENT, "org-1")

    async def report() -> None:
        event = an_event(AuditKind.RELAY_RECORDED, subject=ENROLMENT)
        try:
            await relays.record_outcome(
                relay, state=RelayState.FAILED, outcome=RelayOutcome.FAILED, note="", event=event
            )
        except RelayRefused:
            return

    return report


async def revokes(world: World) -> Act:
    revocations = SqlRevocationStore(world.database, node=NODE)
    (found,) = (one for one in await revocations.by_address(ANNA, LATER) if one.enrolment_id == ENROLMENT)
    event = an_event(AuditKind.CERTIFICATE_REVOKED, subject=ENROLMENT)
    return lambda: revocations.revoke(found, reason=RevocationReason.SUPERSEDED, at=LATER, event=event)


async def passwords_expire(world: World) -> Act:
    expiries = SqlExpiries(world.database, node=NODE)

    def event_of(relay: ExpiredRelay) -> AuditEvent:
        return an_event(AuditKind.PASSWORD_EXPIRED, subject=relay.enrolment_id)

    return lambda: expiries.expire(now=MUCH_LATER, notice_until=MUCH_LATER, event_of=event_of, most=100)


async def proves_the_renewal(world: World) -> Act:
    link = await a_link(world.database, LinkPurpose.PROOF, enrolment_id=RENEWAL, expires_at=MUCH_LATER + DAY)
    desk = ProofDesk(store=SqlProofStore(world.database, node=NODE), clock=world.clock)
    return lambda: desk.prove(link)


async def renewal_bounces(world: World) -> Act:
    sent = SentMail(
        mail_id=f"mail of {RENEWAL}",
        enrolment_id=RENEWAL,
        organization_id="org-1",
        kind=MailKind.KEY,
        recipient=ANNA,
        message_id="<m>",
    )
    failed = FailedMail(mail=sent, failure="came back", status="5.1.1", at=LATER)

    def event(_consequence: Consequence) -> AuditEvent:
        return an_event(AuditKind.KEY_MAIL_BOUNCED, subject=RENEWAL)

    return lambda: SqlBounceStore(world.database, node=NODE).record_failed(failed, event)


def enrols(reservation: Reservation) -> Participant:
    async def prepare(world: World) -> Act:
        enrolment = an_enrolment(reservation)

        def work(transaction: MintTransaction) -> None:
            transaction.hold_issuer(enrolment.issuer_id)
            transaction.reserve(enrolment.reservation)
            transaction.record(enrolment)

        async def enrol() -> None:
            with suppress(SlotTaken, IssuerEnded):
                await SqlMintStore(world.database, node=NODE).mint(work)

        return enrol

    return prepare


async def ends_the_issuer(world: World) -> Act:
    revocations = SqlIssuerRevocations(world.database, node=NODE)
    return lambda: revocations.end(an_issuer(), RevocationReason.CA_COMPROMISE, LATER, an_event())


async def ends_what_it_issued(world: World) -> Act:
    revocations = SqlIssuerRevocations(world.database, node=NODE)
    return lambda: revocations.end_certificates("issuing-1", "", LATER, "operator:test", most=100)


async def follows_up(world: World) -> Act:
    store, rules = SqlFollowUps(world.database, node=NODE), FollowUpRules()

    async def all_chores() -> None:
        for chore in (ProofRequests, Reminders):
            await chore(store=store, rules=rules).perform(LATER)

    return all_chores


async def no_longer_waits(world: World) -> Act:
    chore = GivingUp(store=SqlFollowUps(world.database, node=NODE), rules=FollowUpRules())
    return lambda: chore.perform(MUCH_LATER)


@dataclass(frozen=True, slots=True, kw_only=True)
class Meeting:
    """Who is stopped half way, by which row, and who comes then."""

    first: Participant
    at: Row
    whose: str = ENROLMENT
    second: Participant
    queued: tuple[MailKind, ...] = (MailKind.PASSWORD, MailKind.REMINDER)
    """Of each enrolment."""
    renewed: bool = False
    """Whether a renewal of the first waits."""


mints = enrols(a_reservation("third", mailbox=CARLA, minted_at=LATER))
renews_again = enrols(a_renewal("third", at=LATER))
PASSWORD_ACCEPTED, PASSWORD_GIVEN_UP = accepts(MailKind.PASSWORD), gives_up(MailKind.PASSWORD)
WITHOUT_REMINDER = (MailKind.PASSWORD,)
MEETINGS = {
    "opt-out, password accepted": Meeting(first=opts_out, at=Row.CERTIFICATE, second=PASSWORD_ACCEPTED),
    "opt-out, password given up": Meeting(first=opts_out, at=Row.CERTIFICATE, second=PASSWORD_GIVEN_UP),
    "opt-out, agent": Meeting(first=opts_out, at=Row.CERTIFICATE, second=reports_failure),
    "opt-out, expiry": Meeting(first=opts_out, at=Row.CERTIFICATE, second=passwords_expire),
    "opt-out, patience": Meeting(first=opts_out, at=Row.CERTIFICATE, second=no_longer_waits),
    "expiry, password accepted": Meeting(
        first=passwords_expire, at=Row.CERTIFICATE, second=PASSWORD_ACCEPTED
    ),
    "expiry, reminder accepted": Meeting(
        first=passwords_expire,
        at=Row.CERTIFICATE,
        whose=OTHER,
        second=accepts(MailKind.REMINDER, OTHER),
    ),
    "expiry, bounce": Meeting(first=passwords_expire, at=Row.CERTIFICATE, second=bounces),
    "agent, bounce": Meeting(first=reports_failure, at=Row.CERTIFICATE, second=bounces),
    "agent, opt-out": Meeting(first=reports_failure, at=Row.CERTIFICATE, second=opts_out),
    "revocation, bounce": Meeting(first=revokes, at=Row.ANNOUNCEMENTS, second=bounces),
    "revocation, opt-out": Meeting(first=revokes, at=Row.ANNOUNCEMENTS, second=opts_out),
    "bounce, opt-out": Meeting(first=bounces, at=Row.DELIVERY, second=opts_out),
    "bounce, resend": Meeting(first=bounces, at=Row.DELIVERY, second=resends),
    "bounce, proof": Meeting(first=bounces, at=Row.CERTIFICATE, second=proves),
    "proof, opt-out": Meeting(first=proves, at=Row.HELD_KEY, second=opts_out),
    "proof, reminder": Meeting(first=proves, at=Row.HELD_KEY, second=follows_up, queued=WITHOUT_REMINDER),
    "reminder, resend": Meeting(first=follows_up, at=Row.BUDGET, second=resends, queued=WITHOUT_REMINDER),
    "revocation, proof of the renewal": Meeting(
        first=revokes, at=Row.CERTIFICATE, whose=RENEWAL, second=proves_the_renewal, renewed=True
    ),
    "revocation, bounce of the renewal": Meeting(
        first=revokes, at=Row.ANNOUNCEMENTS, second=renewal_bounces, renewed=True
    ),
    "proof of the renewal, revocation": Meeting(
        first=proves_the_renewal, at=Row.DELIVERY, whose=RENEWAL, second=revokes, renewed=True
    ),
    "proof of the renewal, opt-out": Meeting(
        first=proves_the_renewal, at=Row.DELIVERY, whose=RENEWAL, second=opts_out, renewed=True
    ),
    "bounce of the renewal, revocation": Meeting(
        first=renewal_bounces, at=Row.CERTIFICATE, whose=RENEWAL, second=revokes, renewed=True
    ),
    "opt-out, proof of the renewal": Meeting(
        first=opts_out, at=Row.CERTIFICATE, whose=RENEWAL, second=proves_the_renewal, renewed=True
    ),
    "agent, proof of the renewal": Meeting(
        first=reports_failure, at=Row.CERTIFICATE, second=proves_the_renewal, renewed=True
    ),
    "expiry, proof of the renewal": Meeting(
        first=passwords_expire, at=Row.CERTIFICATE, second=proves_the_renewal, renewed=True
    ),
    "renewal, revocation": Meeting(first=renews_again, at=Row.ANNOUNCEMENTS, second=revokes),
    "renewal, bounce": Meeting(first=renews_again, at=Row.BUDGET, second=bounces),
    "renewal, opt-out": Meeting(first=renews_again, at=Row.BUDGET, second=opts_out),
    "revocation, renewal": Meeting(first=revokes, at=Row.CERTIFICATE, second=renews_again),
    "reminder, renewal": Meeting(
        first=follows_up, at=Row.BUDGET, second=renews_again, queued=WITHOUT_REMINDER
    ),
    "resend, reminder": Meeting(first=resends, at=Row.BUDGET, second=follows_up, queued=WITHOUT_REMINDER),
    # The first revocation of an issuer, which begins to count.
    "revocation, end of the issuer": Meeting(first=revokes, at=Row.ANNOUNCEMENTS, second=ends_the_issuer),
    "renewal, end of the issuer": Meeting(first=renews_again, at=Row.ANNOUNCEMENTS, second=ends_the_issuer),
    "mint, end of the issuer": Meeting(first=mints, at=Row.AUDIT_HEAD, second=ends_the_issuer),
    "end of the issuer, mint": Meeting(first=ends_the_issuer, at=Row.AUDIT_HEAD, second=mints),
    "end of the issuer, renewal": Meeting(first=ends_the_issuer, at=Row.AUDIT_HEAD, second=renews_again),
    "end of the issuer, revocation": Meeting(first=ends_the_issuer, at=Row.AUDIT_HEAD, second=revokes),
    "end of the issuer, end of what it issued": Meeting(
        first=ends_the_issuer, at=Row.AUDIT_HEAD, second=ends_what_it_issued
    ),
    "end of what it issued, end of the issuer": Meeting(
        first=ends_what_it_issued, at=Row.ANNOUNCEMENTS, second=ends_the_issuer
    ),
    "end of what it issued, mint": Meeting(first=ends_what_it_issued, at=Row.AUDIT_HEAD, second=mints),
    "end of what it issued, renewal": Meeting(
        first=ends_what_it_issued, at=Row.ANNOUNCEMENTS, second=renews_again
    ),
    "renewal, end of what it issued": Meeting(
        first=renews_again, at=Row.ANNOUNCEMENTS, second=ends_what_it_issued
    ),
    "end of what it issued, revocation": Meeting(
        first=ends_what_it_issued, at=Row.ANNOUNCEMENTS, second=revokes
    ),
    "revocation, end of what it issued": Meeting(
        first=revokes, at=Row.ANNOUNCEMENTS, second=ends_what_it_issued
    ),
    "end of what it issued, bounce": Meeting(
        first=ends_what_it_issued, at=Row.ANNOUNCEMENTS, second=bounces, renewed=True
    ),
    "bounce, end of what it issued": Meeting(
        first=bounces, at=Row.DELIVERY, second=ends_what_it_issued, renewed=True
    ),
    "proof of the renewal, end of what it issued": Meeting(
        first=proves_the_renewal, at=Row.ENROLMENT, second=ends_what_it_issued, renewed=True
    ),
    "bounce, bounce of the same domain": Meeting(
        first=bounces, at=Row.AUDIT_HEAD, second=gives_up(MailKind.REMINDER, OTHER), renewed=True
    ),
}


@pytest.mark.parametrize("meeting", [pytest.param(meeting, id=name) for name, meeting in MEETINGS.items()])
async def test_nobody_waits_for_somebody_who_waits_for_him(
    postgresql: Store, monkeypatch: pytest.MonkeyPatch, *, meeting: Meeting
) -> None:
    # Whatever comes back pauses its domain.
    monkeypatch.setattr("directory.store.undelivered.MOST_HARD_BOUNCES", 1)
    world = await a_world(postgresql, meeting)
    first, second = await meeting.first(world), await meeting.second(world)

    async with postgresql.opened_again() as another, asyncio.TaskGroup() as tasks, another.writing() as held:
        await held.run(partial(hold, row=meeting.at, whose=meeting.whose))
        one = tasks.create_task(first())
        await until_waiting(world, one, sessions=1)
        assert not one.done()
        two = tasks.create_task(second())
        await until_waiting(world, two, sessions=2)

    # The row is free again: both got through, one after the other.
    assert one.done()
    assert two.done()


@pytest.fixture
async def postgresql(databases: Databases) -> AsyncIterator[Store]:
    url = await databases.fresh("postgresql")
    # A deadlock is found all the same, by the server.
    database = open_database(url, limits=PATIENT)
    try:
        await populate(database)
        yield Store(url=url, database=database)
    finally:
        await database.close()
        databases.drop(url)


async def a_world(store: Store, meeting: Meeting) -> World:
    world = World(store)
    for enrolment_id, mailbox in WHOSE.items():
        await record(store.database, an_enrolment(a_reservation(enrolment_id, mailbox=mailbox)))
    # The key mails, and the mails that ask for a proof.
    for _ in range(2):
        await deliver(store.database, NOW)
    # Keys that are held for long, so that a proof ends that; and announcements, of which there are none yet.
    await store.sql(
        "UPDATE held_keys SET hold_until = '2028-01-01 00:00:00+00'",
        "UPDATE certificates SET not_after = not_after",
    )
    for enrolment_id in WHOSE:
        for kind in meeting.queued:
            await world.queue(kind, enrolment_id)
    if meeting.renewed:
        await record(store.database, an_enrolment(a_renewal(RENEWAL, at=LATER)))
    return world


def hold(connection: Connection, *, row: Row, whose: str) -> None:
    statement = text(f"{row.value} FOR NO KEY UPDATE")
    connection.execute(statement, {"whose": whose} if ":whose" in row.value else {}).close()


async def until_waiting(world: World, task: asyncio.Task[object], *, sessions: int) -> None:
    """Return when so many sessions wait for others, or the task has ended."""
    query = (
        "SELECT count(*) FROM pg_stat_activity"
        " WHERE datname = current_database() AND cardinality(pg_blocking_pids(pid)) > 0"
    )
    async with asyncio.timeout(10):
        while not task.done() and await world.store.rows(query) != [(sessions,)]:
            pass
