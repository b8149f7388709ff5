"""The contract of `RecoveryStore`, through the desk: two people approve one release, else there is none."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import pytest
from sqlalchemy import select

from ca.address import Mailbox
from directory.audit import AuditKind
from directory.callers import Agent, RecoveryAgent
from directory.delivery.outbox import MailKind, MailState
from directory.errors import RecoveryRefused, Unknown
from directory.recovery import RecoveryDesk, RecoveryRules
from directory.recovery_requests import Recovery, RecoveryState, Requester
from directory.revocation import Revocation, RevocationReason
from directory.store.recoveries import SqlRecoveries
from directory.store.recovery_setup import SqlRecoverySetup
from directory.store.revocations import SqlRevocationStore
from directory.store.suppressions import SqlSuppressions
from directory.store.tables import audit_events
from directory.suppression import SuppressionDesk
from tests.contracts.escrowing import (
    ENVELOPE,
    OVER,
    add_recovery_agents,
    deliver_to_be_escrowed,
    escrow_key,
)
from tests.contracts.following import ENROLMENT, mails
from tests.contracts.world import ANNA, Store, an_event
from tests.directory.builders import a_recovery_agent
from tests.directory.clocks import StoppedClock

DAY = timedelta(days=1)
MOMENT = timedelta(microseconds=1)

ROSA, RALF, RITA = (a_recovery_agent(name) for name in ("rosa", "ralf", "rita"))
DESK = Agent(agent_id="agent-1", email="agent@hospital.org", organization_id="org-1")
COLLEAGUE = Agent(agent_id="agent-2", email="colleague@hospital.org", organization_id="org-1")
STRANGER = Agent(agent_id="agent-3", email="agent@clinic.example", organization_id="org-2")


@dataclass
class Office:
    """The desk of recovery, at a moment that moves."""

    store: Store
    clock: StoppedClock
    approvals: int = 2
    queued: list[str] = field(default_factory=list)

    @property
    def desk(self) -> RecoveryDesk:
        return RecoveryDesk(
            store=SqlRecoveries(self.store.database, node="node-1"),
            clock=self.clock,
            rules=RecoveryRules(approvals=self.approvals),
            on_queued=lambda: self.queued.append("mail"),
        )

    async def request(
        self, agent: Agent = DESK, *, enrolment_id: str = ENROLMENT, reason: str = "lost"
    ) -> str:
        requester = Requester.registration_agent(agent)
        return (await self.desk.request(enrolment_id, requester, reason)).recovery_id

    async def approve(self, recovery_id: str, *agents: RecoveryAgent) -> None:
        for agent in agents:
            await self.desk.approve(recovery_id, agent)

    async def fetch(self, recovery_id: str, agent: Agent = DESK) -> bytes:
        released = await self.desk.fetch(
            recovery_id, actor=f"agent:{agent.email}", organization_id=agent.organization_id
        )
        return released.envelope

    async def remove(self, agent: RecoveryAgent) -> None:
        register = SqlRecoverySetup(self.store.database, node="setup")
        await register.remove_agent(agent.name, an_event())

    async def add(self, *agents: RecoveryAgent) -> None:
        await add_recovery_agents(self.store.database, *agents)

    async def at(self, recovery_id: str) -> Recovery:
        return await self.desk.recovery(recovery_id, None)


@pytest.fixture
async def office(store: Store) -> Office:
    """A key in escrow, and three recovery agents."""
    await escrow_key(store.database)
    await add_recovery_agents(store.database, ROSA, RALF, RITA)
    return Office(store=store, clock=StoppedClock(OVER))


async def chain(store: Store) -> list[tuple[str, str, str]]:
    """Return what is on record about recoveries."""
    query = (
        select(audit_events.c.kind, audit_events.c.actor, audit_events.c.subject)
        .where(audit_events.c.kind.like("recovery.%"))
        .order_by(audit_events.c.sequence)
    )
    return [(kind, actor, subject) for kind, actor, subject in await store.select(query)]


async def test_two_approve_and_the_requester_fetches_the_envelope(office: Office) -> None:
    recovery_id = await office.request()
    assert (await office.at(recovery_id)).state_at(OVER) is RecoveryState.PENDING
    await office.approve(recovery_id, ROSA)
    assert (await office.at(recovery_id)).state_at(OVER) is RecoveryState.PENDING
    await office.approve(recovery_id, RITA)
    assert (await office.at(recovery_id)).state_at(OVER) is RecoveryState.APPROVED

    assert await office.fetch(recovery_id) == ENVELOPE

    recovery = await office.at(recovery_id)
    assert recovery.state_at(OVER + 9 * DAY) is RecoveryState.FETCHED
    assert (recovery.fetched_at, recovery.approved_by) == (OVER, 2)


async def test_request_approvals_and_release_are_on_record_under_one_name(
    office: Office, store: Store
) -> None:
    recovery_id = await office.request(reason="laptop lost")
    await office.approve(recovery_id, ROSA, RITA)
    await office.fetch(recovery_id)

    assert await chain(store) == [
        ("recovery.requested", "agent:agent@hospital.org", recovery_id),
        ("recovery.approved", "recovery_agent:rosa", recovery_id),
        ("recovery.approved", "recovery_agent:rita", recovery_id),
        ("recovery.fetched", "agent:agent@hospital.org", recovery_id),
    ]
    details = await store.select(
        select(audit_events.c.detail)
        .where(audit_events.c.subject == recovery_id)
        .order_by(audit_events.c.sequence)
    )
    assert all(f'"enrolment": "{ENROLMENT}"' in detail for (detail,) in details)
    assert '"reason": "laptop lost"' in details[0][0]
    assert '"approved_by": "rita rosa"' in details[-1][0]
    assert '"recipient_told": "yes"' in details[-1][0]


async def test_the_recipient_is_told_in_the_transaction_of_the_release(office: Office, store: Store) -> None:
    recovery_id = await office.request()
    await office.approve(recovery_id, ROSA, RITA)
    assert (MailKind.KEY_RECOVERED, MailState.QUEUED) not in await mails(store)

    await office.fetch(recovery_id)

    assert (MailKind.KEY_RECOVERED, MailState.QUEUED) in await mails(store)
    assert office.queued == ["mail"]


async def test_the_recipient_is_told_although_the_certificate_is_revoked_meanwhile(
    office: Office, store: Store
) -> None:
    recovery_id = await office.request()
    await office.approve(recovery_id, ROSA, RITA)
    await office.fetch(recovery_id)
    revocation = Revocation(store=SqlRevocationStore(store.database, node="desk"), clock=office.clock)
    await revocation.revoke_address(ANNA, RevocationReason.KEY_COMPROMISE, "operator:olga")

    assert (MailKind.KEY_RECOVERED, MailState.QUEUED) in await mails(store)


async def suppress(store: Store, clock: StoppedClock) -> None:
    desk = SuppressionDesk(
        store=SqlSuppressions(store.database, node="desk"), clock=clock, actor="operator:olga"
    )
    await desk.add(ANNA)


async def test_a_recipient_who_wants_no_mail_gets_none_and_the_requester_is_told_so(
    office: Office, store: Store
) -> None:
    recovery_id = await office.request()
    await office.approve(recovery_id, ROSA, RITA)
    await suppress(store, office.clock)

    released = await office.desk.fetch(recovery_id, actor="agent:agent@hospital.org", organization_id="org-1")

    assert not released.recipient_is_told
    assert MailKind.KEY_RECOVERED not in {kind for kind, _ in await mails(store)}
    ((detail,),) = await store.select(
        select(audit_events.c.detail).where(audit_events.c.kind == AuditKind.RECOVERY_FETCHED.value)
    )
    assert '"recipient_told": "no: suppressed"' in detail


async def test_a_notice_that_waits_is_stopped_with_all_other_mail(office: Office, store: Store) -> None:
    recovery_id = await office.request()
    await office.approve(recovery_id, ROSA, RITA)
    await office.fetch(recovery_id)
    await suppress(store, office.clock)

    assert (MailKind.KEY_RECOVERED, MailState.CANCELLED) in await mails(store)


async def test_an_operator_asks_in_his_own_name(office: Office) -> None:
    requester = Requester.operator("operator:olga", Mailbox.parse("olga@example.org"))
    recovery = await office.desk.request(ENROLMENT, requester, "court order")
    await office.approve(recovery.recovery_id, ROSA, RALF)

    released = await office.desk.fetch(recovery.recovery_id, actor="operator:olga", organization_id=None)

    assert released.envelope == ENVELOPE


async def test_after_a_request_has_expired_or_was_fetched_it_may_be_asked_again(office: Office) -> None:
    first = await office.request()
    office.clock.advance(DAY)
    second = await office.request()
    await office.approve(second, ROSA, RITA)
    await office.fetch(second)
    third = await office.request()

    assert len({first, second, third}) == 3
    assert [one.recovery_id for one in await office.desk.recoveries(None)][-1] == first


async def test_an_organization_sees_its_own_recoveries_only(office: Office) -> None:
    recovery_id = await office.request()

    assert [one.recovery_id for one in await office.desk.recoveries("org-1")] == [recovery_id]
    assert await office.desk.recoveries("org-2") == []
    with pytest.raises(Unknown):
        await office.desk.recovery(recovery_id, "org-2")


async def test_a_removed_agent_who_is_added_again_may_approve_again(office: Office) -> None:
    recovery_id = await office.request()
    await office.approve(recovery_id, ROSA)
    await office.remove(ROSA)
    again = a_recovery_agent("rosa-again", email="rosa@keepers.org")
    await office.add(again)
    await office.approve(recovery_id, again)

    assert (await office.at(recovery_id)).approved_by == 1
    await office.approve(recovery_id, RITA)
    assert await office.fetch(recovery_id) == ENVELOPE


async def test_of_two_who_fetch_at_once_one_gets_it(office: Office, store: Store) -> None:
    recovery_id = await office.request()
    await office.approve(recovery_id, ROSA, RITA)
    await office.fetch(recovery_id)

    async with store.opened_again() as elsewhere:
        again = RecoveryDesk(
            store=SqlRecoveries(elsewhere, node="node-2"), clock=office.clock, rules=RecoveryRules()
        )
        with pytest.raises(RecoveryRefused, match="fetched already"):
            await again.fetch(recovery_id, actor="agent:agent@hospital.org", organization_id="org-1")


# What is refused. Each case ends in one call that must change nothing.

Case = Callable[[Office], Awaitable[object]]


async def approved_twice_by_one_account(office: Office) -> None:
    recovery_id = await office.request()
    await office.approve(recovery_id, ROSA, ROSA)


def second_account(name: str, *, email: str, certificate: bytes | None = None) -> Case:
    """Return the case of one person with two accounts who approves with both."""

    async def case(office: Office) -> None:
        await office.add(a_recovery_agent(name, email=email, certificate_sha256=certificate))
        recovery_id = await office.request()
        await office.approve(
            recovery_id, ROSA, a_recovery_agent(name, email=email, certificate_sha256=certificate)
        )

    return case


async def two_accounts_with_one_certificate(office: Office) -> None:
    accounts = [
        a_recovery_agent(name, email=f"{name}@elsewhere.org", certificate_sha256=b"c" * 32)
        for name in ("one", "two")
    ]
    await office.add(*accounts)
    recovery_id = await office.request()
    await office.approve(recovery_id, *accounts)


async def a_third_account_that_joins_two(office: Office) -> None:
    """One shares the address with the first, the certificate with the second: it is each of them."""
    ends = [
        a_recovery_agent("one", email="one@elsewhere.org"),
        a_recovery_agent("two", email="two@elsewhere.org", certificate_sha256=b"c" * 32),
    ]
    middle = a_recovery_agent("three", email="one@elsewhere.org", certificate_sha256=b"c" * 32)
    await office.add(*ends, middle)
    recovery_id = await office.request()
    await office.approve(recovery_id, *ends, middle)


def own_request(email: str) -> Case:
    async def case(office: Office) -> None:
        recovery_id = await office.request()
        agent = a_recovery_agent("desk", email=email)
        await office.add(agent)
        await office.approve(recovery_id, agent)

    return case


async def operator_approves_as_recovery_agent_of_his_name(office: Office) -> None:
    requester = Requester.operator("operator:olga", Mailbox.parse("olga@example.org"))
    recovery = await office.desk.request(ENROLMENT, requester, "lost")
    agent = a_recovery_agent("olga", email="another@example.org")
    await office.add(agent)
    await office.approve(recovery.recovery_id, agent)


async def approved_by_a_removed_agent(office: Office) -> None:
    recovery_id = await office.request()
    await office.remove(ROSA)
    await office.approve(recovery_id, ROSA)


async def approved_by_nobody_we_know(office: Office) -> None:
    recovery_id = await office.request()
    await office.approve(recovery_id, a_recovery_agent("nobody"))


async def approved_a_moment_too_late(office: Office) -> None:
    recovery_id = await office.request()
    office.clock.advance(DAY)
    await office.approve(recovery_id, ROSA)


async def approved_before_it_was_asked(office: Office) -> None:
    recovery_id = await office.request()
    office.clock.advance(-MOMENT)
    await office.approve(recovery_id, ROSA)


async def approved_after_it_was_fetched(office: Office) -> None:
    recovery_id = await office.request()
    await office.approve(recovery_id, ROSA, RITA)
    await office.fetch(recovery_id)
    await office.approve(recovery_id, RALF)


async def approved_what_is_not_there(office: Office) -> None:
    await office.approve("0" * 32, ROSA)


async def fetched_without_an_approval(office: Office) -> None:
    await office.fetch(await office.request())


async def fetched_with_one_approval(office: Office) -> None:
    recovery_id = await office.request()
    await office.approve(recovery_id, ROSA)
    await office.fetch(recovery_id)


async def fetched_with_the_approvals_of_another_request(office: Office) -> None:
    """The colleague's request is approved; this one is not."""
    approved = await office.request(COLLEAGUE)
    await office.approve(approved, ROSA, RITA)
    await office.fetch(await office.request())


async def fetched_with_the_approvals_of_an_earlier_request(office: Office) -> None:
    earlier = await office.request()
    await office.approve(earlier, ROSA, RITA)
    await office.fetch(earlier)
    await office.fetch(await office.request())


async def fetched_with_an_approval_each_of_two_requests(office: Office) -> None:
    first, second = await office.request(), await office.request(COLLEAGUE)
    await office.approve(first, ROSA)
    await office.approve(second, RITA)
    await office.fetch(first)


async def fetched_after_an_approver_was_removed(office: Office) -> None:
    recovery_id = await office.request()
    await office.approve(recovery_id, ROSA, RITA)
    await office.remove(RITA)
    await office.fetch(recovery_id)


async def fetched_after_an_approver_was_removed_and_added_again(office: Office) -> None:
    recovery_id = await office.request()
    await office.approve(recovery_id, ROSA, RITA)
    await office.remove(RITA)
    await office.add(a_recovery_agent("rita-again", email="rita@keepers.org"))
    await office.fetch(recovery_id)


async def fetched_when_the_request_has_expired(office: Office) -> None:
    recovery_id = await office.request()
    await office.approve(recovery_id, ROSA, RITA)
    office.clock.advance(DAY)
    await office.fetch(recovery_id)


async def fetched_with_the_clock_set_back(office: Office) -> None:
    recovery_id = await office.request()
    await office.approve(recovery_id, ROSA, RITA)
    office.clock.advance(-DAY)
    await office.fetch(recovery_id)


async def fetched_twice(office: Office) -> None:
    recovery_id = await office.request()
    await office.approve(recovery_id, ROSA, RITA)
    await office.fetch(recovery_id)
    await office.fetch(recovery_id)


async def fetched_by_a_colleague(office: Office) -> None:
    recovery_id = await office.request()
    await office.approve(recovery_id, ROSA, RITA)
    await office.fetch(recovery_id, COLLEAGUE)


async def fetched_by_an_operator_who_did_not_ask(office: Office) -> None:
    recovery_id = await office.request()
    await office.approve(recovery_id, ROSA, RITA)
    await office.desk.fetch(recovery_id, actor="operator:olga", organization_id=None)


async def fetched_by_a_recovery_agent(office: Office) -> None:
    recovery_id = await office.request()
    await office.approve(recovery_id, ROSA, RITA)
    await office.desk.fetch(recovery_id, actor="recovery_agent:rosa", organization_id=None)


async def fetched_by_another_organization(office: Office) -> None:
    recovery_id = await office.request()
    await office.approve(recovery_id, ROSA, RITA)
    await office.fetch(recovery_id, STRANGER)


async def fetched_by_who_has_become_a_recovery_agent(office: Office) -> None:
    recovery_id = await office.request()
    await office.approve(recovery_id, ROSA, RITA)
    await office.add(a_recovery_agent("desk", email="agent@hospital.org"))
    await office.fetch(recovery_id)


async def fetched_what_is_not_there(office: Office) -> None:
    await office.fetch("0" * 32)


async def asked_by_a_recovery_agent(office: Office) -> None:
    await office.add(a_recovery_agent("desk", email="Agent@Hospital.org"))
    await office.request()


async def asked_by_an_operator_who_is_a_recovery_agent(office: Office) -> None:
    requester = Requester.operator("operator:rosa", Mailbox.parse("another@example.org"))
    await office.desk.request(ENROLMENT, requester, "lost")


async def asked_by_an_operator_with_a_recovery_agents_address(office: Office) -> None:
    requester = Requester.operator("operator:olga", Mailbox.parse("Rosa+keys@Keepers.org"))
    await office.desk.request(ENROLMENT, requester, "lost")


async def asked_twice(office: Office) -> None:
    await office.request()
    await office.request()


async def asked_by_another_organization(office: Office) -> None:
    await office.request(STRANGER)


async def asked_for_what_is_not_there(office: Office) -> None:
    await office.request(enrolment_id="nothing")


async def asked_with_too_few_people_to_approve(office: Office) -> None:
    await office.remove(RALF)
    await office.remove(RITA)
    await office.add(a_recovery_agent("rosa-two", email="ROSA@keepers.org"))
    await office.request()


def asked_because_of(reason: str) -> Case:
    async def case(office: Office) -> None:
        await office.request(reason=reason)

    return case


REFUSED: dict[str, tuple[Case, str]] = {
    "one account twice": (approved_twice_by_one_account, "already_approved"),
    "same address in capitals": (
        second_account("two", email="ROSA@KEEPERS.ORG"),
        "already_approved",
    ),
    "same address with a tag": (second_account("two", email="rosa+2@keepers.org"), "already_approved"),
    "same address with a dot": (second_account("two", email="ro.sa@keepers.org"), "already_approved"),
    "same certificate": (two_accounts_with_one_certificate, "already_approved"),
    "an account between two": (a_third_account_that_joins_two, "already_approved"),
    "the requester himself": (own_request("agent@hospital.org"), "own_request"),
    "the requester in capitals": (own_request("AGENT@HOSPITAL.ORG"), "own_request"),
    "the requester with a tag": (own_request("agent+keys@hospital.org"), "own_request"),
    "the operator by his name": (operator_approves_as_recovery_agent_of_his_name, "own_request"),
    "a removed agent": (approved_by_a_removed_agent, "agent_removed"),
    "nobody we know": (approved_by_nobody_we_know, "agent_removed"),
    "too late": (approved_a_moment_too_late, "expired"),
    "before it was asked": (approved_before_it_was_asked, "expired"),
    "after it was fetched": (approved_after_it_was_fetched, "fetched"),
    "no such request to approve": (approved_what_is_not_there, "unknown"),
    "no approval": (fetched_without_an_approval, "not_approved"),
    "one approval": (fetched_with_one_approval, "not_approved"),
    "approvals of a colleague's request": (fetched_with_the_approvals_of_another_request, "not_approved"),
    "approvals of an earlier request": (fetched_with_the_approvals_of_an_earlier_request, "not_approved"),
    "one approval each of two requests": (fetched_with_an_approval_each_of_two_requests, "not_approved"),
    "an approver was removed": (fetched_after_an_approver_was_removed, "not_approved"),
    "an approver was removed and is back": (
        fetched_after_an_approver_was_removed_and_added_again,
        "not_approved",
    ),
    "the request has expired": (fetched_when_the_request_has_expired, "expired"),
    "the clock is set back": (fetched_with_the_clock_set_back, "expired"),
    "twice": (fetched_twice, "fetched"),
    "by a colleague": (fetched_by_a_colleague, "not_requester"),
    "by an operator": (fetched_by_an_operator_who_did_not_ask, "not_requester"),
    "by a recovery agent": (fetched_by_a_recovery_agent, "not_requester"),
    "by another organization": (fetched_by_another_organization, "unknown"),
    "by who has become a recovery agent": (
        fetched_by_who_has_become_a_recovery_agent,
        "requester_is_agent",
    ),
    "no such request to fetch": (fetched_what_is_not_there, "unknown"),
    "a recovery agent asks": (asked_by_a_recovery_agent, "requester_is_agent"),
    "an operator who is one asks": (asked_by_an_operator_who_is_a_recovery_agent, "requester_is_agent"),
    "an operator with his address asks": (
        asked_by_an_operator_with_a_recovery_agents_address,
        "requester_is_agent",
    ),
    "asked twice": (asked_twice, "under_way"),
    "asked by another organization": (asked_by_another_organization, "unknown"),
    "asked for nothing": (asked_for_what_is_not_there, "unknown"),
    "too few people": (asked_with_too_few_people_to_approve, "too_few_agents"),
    "no reason": (asked_because_of(" \t"), "reason_missing"),
    "a reason without end": (asked_because_of("x" * 501), "reason_unusable"),
    "a reason of two lines": (asked_because_of("one\ntwo"), "reason_unusable"),
}


@pytest.mark.parametrize("name", REFUSED)
async def test_refuses(office: Office, store: Store, name: str) -> None:
    case, code = REFUSED[name]

    with pytest.raises((RecoveryRefused, Unknown)) as refused:
        await case(office)

    error = refused.value
    assert (error.code.removeprefix("recovery.") if isinstance(error, RecoveryRefused) else "unknown") == code
    released = [kind for kind, _, _ in await chain(store) if kind == "recovery.fetched"]
    fetched_before = {"after it was fetched", "approvals of an earlier request", "twice"}
    assert len(released) == (1 if name in fetched_before else 0)


async def test_a_key_that_is_held_still_is_not_asked_for(store: Store) -> None:
    await deliver_to_be_escrowed(store.database)
    await add_recovery_agents(store.database, ROSA, RITA)
    office = Office(store=store, clock=StoppedClock(OVER))

    with pytest.raises(RecoveryRefused, match="not in escrow"):
        await office.request()


async def test_how_many_have_to_approve_is_settled_by_the_request(office: Office) -> None:
    office.approvals = 3
    recovery_id = await office.request()
    office.approvals = 2
    await office.approve(recovery_id, ROSA, RITA)

    with pytest.raises(RecoveryRefused, match="2 of 3"):
        await office.fetch(recovery_id)
    await office.approve(recovery_id, RALF)
    assert await office.fetch(recovery_id) == ENVELOPE


@pytest.mark.parametrize(
    ("approvals", "lifetime"), [(1, DAY), (0, DAY), (2, DAY + MOMENT), (2, timedelta(0))]
)
def test_rules_that_protect_nothing_cannot_be_made(approvals: int, lifetime: timedelta) -> None:
    with pytest.raises(ValueError, match="two people"):
        RecoveryRules(approvals=approvals, lifetime=lifetime)


def test_the_moment_of_the_request_is_the_first_and_that_of_its_end_the_first_too_late() -> None:
    recovery = Recovery(
        recovery_id="r",
        enrolment_id="e",
        organization_id="o",
        mailbox=ANNA,
        requested_by="operator:olga",
        requester_person="olga@example.org",
        reason="lost",
        approvals_needed=2,
        requested_at=OVER,
        expires_at=OVER + DAY,
    )

    def state(now: datetime) -> RecoveryState:
        return recovery.state_at(now)

    assert state(OVER) is state(OVER + DAY - MOMENT) is RecoveryState.PENDING
    assert state(OVER - MOMENT) is state(OVER + DAY) is RecoveryState.EXPIRED
