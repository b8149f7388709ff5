"""The port `FollowUpStore` with its chores on it: day by day, what becomes of a key that nobody proves."""

import asyncio
from collections.abc import Sequence
from datetime import datetime, timedelta

import pytest
from sqlalchemy import select

from ca.address import Mailbox
from directory.audit import AuditKind
from directory.delivery.outbox import DeliveryState, MailKind, MailState
from directory.followup import Chore, FollowUpRules, GivingUp, ProofRequests, Reminders
from directory.links import LinkPurpose
from directory.mailbudget import BUDGET_PERIOD, MOST_KEY_MAILS
from directory.proof import ProofDesk
from directory.resending import KeyMailResender
from directory.store.database import Database
from directory.store.followups import SqlFollowUps
from directory.store.proofs import SqlProofStore
from directory.store.resends import SqlResendStore
from directory.store.suppressions import SqlSuppressions
from directory.store.tables import deliveries
from directory.suppression import OptOut
from tests.contracts.following import (
    ENROLMENT,
    a_link,
    deliver,
    deliver_key,
    delivery_state,
    events,
    mails,
)
from tests.contracts.world import NOW, Store, a_reservation, mint
from tests.directory.clocks import StoppedClock

DAY = timedelta(days=1)
RULES = FollowUpRules()


def the_chores(database: Database, *, node: str = "node-1") -> Sequence[Chore]:
    store = SqlFollowUps(database, node=node)
    return (
        GivingUp(store=store, rules=RULES),
        ProofRequests(store=store, rules=RULES),
        Reminders(store=store, rules=RULES),
    )


async def follow_up(database: Database, now: datetime) -> int:
    done = 0
    for chore in the_chores(database):
        while count := await chore.perform(now):
            done += count
    return done


async def on_day(store: Store, day: float) -> None:
    """Follow up, and have delivered what that queued."""
    now = NOW + day * DAY
    await follow_up(store.database, now)
    await deliver(store.database, now)


async def kinds(store: Store, enrolment_id: str = ENROLMENT) -> list[MailKind]:
    return [kind for kind, _ in await mails(store, enrolment_id)]


async def test_day_by_day_one_reminder_and_then_silence(store: Store) -> None:
    await deliver_key(store.database)
    history: dict[int, tuple[str, int]] = {}
    for day in range(41):
        await on_day(store, day)
        history[day] = (await delivery_state(store), len(await mails(store)))

    assert {day for day, (_, count) in history.items() if count == 2} == set(range(7))
    assert {day for day, (_, count) in history.items() if count == 3} == set(range(7, 41))
    assert {day for day, (state, _) in history.items() if state == "accepted"} == set(range(30))
    assert {day for day, (state, _) in history.items() if state == "unproven"} == set(range(30, 41))
    assert await kinds(store) == [MailKind.KEY, MailKind.PROOF, MailKind.REMINDER]
    assert await events(store, AuditKind.REMINDER_QUEUED) == [("service", ENROLMENT)]
    assert await events(store, AuditKind.DELIVERY_UNPROVEN) == [("service", ENROLMENT)]


@pytest.mark.parametrize(
    ("moment", "reminded"),
    [(7 * DAY - timedelta(microseconds=1), False), (7 * DAY, True)],
)
async def test_the_reminder_comes_after_seven_days_not_before(
    store: Store, moment: timedelta, *, reminded: bool
) -> None:
    await deliver_key(store.database)

    await follow_up(store.database, NOW + moment)

    assert (MailKind.REMINDER in await kinds(store)) == reminded


async def test_who_has_proven_it_is_left_alone(store: Store) -> None:
    await deliver_key(store.database)
    desk = ProofDesk(store=SqlProofStore(store.database, node="node-1"), clock=StoppedClock(NOW + DAY))
    await desk.prove(await a_link(store.database, LinkPurpose.PROOF))

    for day in (7, 29, 30, 40):
        await on_day(store, day)

    assert await kinds(store) == [MailKind.KEY, MailKind.PROOF]
    assert await delivery_state(store) == DeliveryState.PROVEN


async def test_who_wants_no_mail_is_left_alone(store: Store) -> None:
    await deliver_key(store.database)
    opt_out = OptOut(store=SqlSuppressions(store.database, node="node-1"), clock=StoppedClock(NOW + 6 * DAY))
    await opt_out.stop(await a_link(store.database, LinkPurpose.STOP))

    await on_day(store, 7)

    assert await kinds(store) == [MailKind.KEY, MailKind.PROOF]


async def test_what_has_ended_is_not_reminded_of(store: Store) -> None:
    await deliver_key(store.database)
    await store.sql("UPDATE enrolments SET live = false")

    await on_day(store, 7)

    assert MailKind.REMINDER not in await kinds(store)


async def test_who_was_not_asked_is_not_reminded_and_not_called_unproven(store: Store) -> None:
    await deliver_key(store.database)
    # As when the service had no pages: the mail was never made.
    await store.sql("DELETE FROM outgoing_mail WHERE kind = 'proof'")
    store_of = SqlFollowUps(store.database, node="node-1")

    for day in (7, 30, 40):
        assert await Reminders(store=store_of, rules=RULES).perform(NOW + day * DAY) == 0
        assert await GivingUp(store=store_of, rules=RULES).perform(NOW + day * DAY) == 0

    assert await delivery_state(store) == DeliveryState.ACCEPTED


async def test_who_could_not_be_asked_at_once_is_asked_later(store: Store) -> None:
    await deliver_key(store.database)
    await store.sql("DELETE FROM outgoing_mail WHERE kind = 'proof'", "UPDATE deliveries SET asked_at = NULL")

    assert await follow_up(store.database, NOW + DAY) == 1
    assert await follow_up(store.database, NOW + DAY) == 0

    assert await kinds(store) == [MailKind.KEY, MailKind.PROOF]


async def test_a_spent_budget_puts_the_reminder_off(store: Store) -> None:
    await deliver_key(store.database)
    # Three mints under other spellings of the same address; of their mails the first days are full.
    for number, address in enumerate(("a.nna@example.org", "anna+x@example.org", "ANNA+y@example.org")):
        mailbox, minted_at = Mailbox.parse(address), NOW + 6 * DAY
        await mint(store.database, a_reservation(f"other-{number}", mailbox=mailbox, minted_at=minted_at))

    await follow_up(store.database, NOW + 8 * DAY)
    assert MailKind.REMINDER not in await kinds(store)

    await follow_up(store.database, NOW + 6 * DAY + BUDGET_PERIOD)
    assert MailKind.REMINDER in await kinds(store)


async def test_two_who_may_be_one_person_share_the_budget(store: Store) -> None:
    await deliver_key(store.database, "enrolment-1", mailbox=Mailbox.parse("anna@example.org"))
    await deliver_key(store.database, "enrolment-2", mailbox=Mailbox.parse("anna+2@example.org"))

    sent = [*await mails(store, "enrolment-1"), *await mails(store, "enrolment-2")]

    assert len(sent) == MOST_KEY_MAILS
    assert [kind for kind, _ in sent].count(MailKind.KEY) == 2


async def test_many_are_reminded_each_once_by_two_nodes_at_once(store: Store) -> None:
    for name in (f"person{number}" for number in range(60)):
        await mint(store.database, a_reservation(name, mailbox=Mailbox.parse(f"{name}@example.org")))
    await deliver(store.database)

    async with store.opened_again() as other:
        rounds = [
            Reminders(store=SqlFollowUps(database, node=node), rules=RULES)
            for database, node in ((store.database, "node-1"), (other, "node-2"))
            for _ in range(2)
        ]
        counts = await asyncio.gather(*(chore.perform(NOW + 7 * DAY) for chore in rounds))

    assert sum(counts) == 60
    assert len({subject for _, subject in await events(store, AuditKind.REMINDER_QUEUED)}) == 60


async def test_more_than_a_batch_is_done_batch_by_batch(store: Store) -> None:
    for number in range(3):
        mailbox = Mailbox.parse(f"person{number}@example.org")
        await mint(store.database, a_reservation(f"enrolment-{number}", mailbox=mailbox))
    await deliver(store.database)
    chore = Reminders(store=SqlFollowUps(store.database, node="node-1"), rules=RULES, most=2)

    assert [await chore.perform(NOW + 7 * DAY) for _ in range(3)] == [2, 1, 0]


async def test_at_the_end_what_is_still_queued_is_cancelled(store: Store) -> None:
    await deliver_key(store.database)
    await follow_up(store.database, NOW + 29 * DAY)
    assert (await mails(store))[-1] == (MailKind.REMINDER, MailState.QUEUED)

    await follow_up(store.database, NOW + 30 * DAY)

    assert (await mails(store))[-1] == (MailKind.REMINDER, MailState.CANCELLED)
    assert await delivery_state(store) == DeliveryState.UNPROVEN


async def test_a_key_mail_that_is_sent_again_begins_anew(store: Store) -> None:
    await deliver_key(store.database)
    await on_day(store, 7)
    await on_day(store, 30)
    resender = KeyMailResender(
        store=SqlResendStore(store.database, node="node-1"),
        clock=StoppedClock(NOW + 31 * DAY),
        lifetime=5 * DAY,
    )

    await resender.resend(ENROLMENT, None, "operator:test")
    await on_day(store, 31)
    assert await delivery_state(store) == DeliveryState.ACCEPTED
    await on_day(store, 61)

    assert await delivery_state(store) == DeliveryState.UNPROVEN
    assert (await kinds(store)).count(MailKind.REMINDER) == 1


async def test_a_delivery_says_when_its_recipient_was_asked_and_reminded(store: Store) -> None:
    """So that what is due is found without a look at the mails of half a million others."""
    when = select(deliveries.c.asked_at, deliveries.c.reminded_at)
    await deliver_key(store.database)
    assert await store.select(when) == [(NOW, None)]

    await on_day(store, 7)
    assert await store.select(when) == [(NOW, NOW + 7 * DAY)]
