"""A renewal waits behind what it renews, and takes its place: when proven, when it is time, or when alone."""

import json
from collections.abc import Awaitable, Callable
from datetime import timedelta

import pytest
from sqlalchemy import select

from ca.address import Mailbox
from directory.audit import AuditKind
from directory.changes import Changes
from directory.delivery.outbox import GivenUp, MailKind, MailState
from directory.errors import LimitReached, SlotTaken
from directory.followup import AcceptedBetween, FollowUpRules, ProofRequests, Reminders
from directory.limits import Limit, Rate
from directory.links import LinkPurpose
from directory.proof import Proven
from directory.relay import RelayOutcome, RelayState
from directory.revocation import RevocationReason
from directory.status import Place
from directory.store.changes import SqlChangeLog
from directory.store.database import Database
from directory.store.enrolments import SqlEnrolmentReader
from directory.store.expiries import SqlExpiries
from directory.store.followups import SqlFollowUps
from directory.store.outbox import SqlOutbox
from directory.store.relays import SqlRelayStore
from directory.store.revocations import SqlRevocationStore
from directory.store.suppressions import SqlSuppressions
from directory.store.tables import audit_events
from directory.suppression import OptOut
from tests.contracts.following import a_link, deliver, deliver_key, events, mails, standing
from tests.contracts.renewing import (
    DAY,
    ENDS,
    LEADS,
    NEW,
    OLD,
    RENEWS,
    a_renewal,
    live,
    places,
    prove,
    record_switches,
    renew,
    renewed,
    served,
)
from tests.contracts.world import ANNA, NOW, YEAR, Store, a_reservation, an_event, import_certificate, mint
from tests.directory.clocks import StoppedClock

MOMENT = timedelta(microseconds=1)
LEAD_EVENT = [("service", NEW)]


async def test_the_old_certificate_is_served_alone_until_the_new_one_leads(database: Database) -> None:
    await renewed(database)

    assert await served(database, RENEWS) == [OLD]
    assert await served(database, LEADS - MOMENT) == [OLD]
    assert await served(database, LEADS) == [NEW, OLD]
    assert await served(database, ENDS - MOMENT) == [NEW, OLD]
    assert await served(database, ENDS) == [NEW]


async def test_an_answer_says_until_when_it_stands(database: Database) -> None:
    await deliver_key(database)
    assert [found.stands_until for found in await live(database, RENEWS)] == [None]

    await renew(database)

    assert [found.stands_until for found in await live(database, RENEWS)] == [LEADS]
    assert [found.stands_until for found in await live(database, LEADS)] == [None, None]


async def test_the_recipients_own_certificate_goes_before_both(database: Database) -> None:
    await renewed(database)
    await import_certificate(database, not_after=ENDS + YEAR)

    assert await served(database, RENEWS) == ["own", OLD]
    assert [found.stands_until for found in await live(database, RENEWS)] == [LEADS, LEADS]
    assert await served(database, LEADS) == ["own", NEW, OLD]


async def test_what_is_renewed_at_the_last_moment_is_served_at_once(database: Database) -> None:
    await deliver_key(database)
    await renew(database, a_renewal(at=ENDS - DAY))

    assert await served(database, ENDS - DAY) == [NEW, OLD]


async def test_there_is_one_renewal_at_a_time(store: Store) -> None:
    await renewed(store.database)

    with pytest.raises(SlotTaken):
        await renew(store.database, a_renewal("another"))

    assert await places(store) == {OLD: Place.LEADING, NEW: Place.WAITING}


async def test_a_lookup_cannot_take_the_place_that_leads_nor_a_renewal_that_of_nobody(store: Store) -> None:
    with pytest.raises(SlotTaken):
        await renew(store.database)
    await renewed(store.database)
    with pytest.raises(SlotTaken):
        await mint(store.database)

    assert await places(store) == {OLD: Place.LEADING, NEW: Place.WAITING}


async def test_a_renewal_counts_against_the_budget_of_mails(store: Store) -> None:
    await deliver_key(store.database, now=RENEWS - DAY)
    await store.sql("UPDATE deliveries SET reminded_at = NULL")
    await SqlFollowUps(store.database, node="node-1").remind(
        # A third mail within a week, the last there is room for.
        accepted=_everything(),
        now=RENEWS - DAY,
        give_up_at=RENEWS,
        event_of=lambda affected: an_event(subject=affected.enrolment_id),
        most=10,
    )

    with pytest.raises(LimitReached) as refused:
        await renew(store.database)

    assert refused.value.limit == "mail_budget"
    assert await places(store) == {OLD: Place.LEADING}
    await renew(store.database, a_renewal(at=RENEWS + 7 * DAY))


async def test_a_renewal_is_charged_what_it_is_told(store: Store) -> None:
    rate = Rate(burst=1, period=timedelta(minutes=1))
    limits = (Limit(name="renewal_minute", bucket="renewal_minute", rate=rate),)
    berta = Mailbox.parse("berta@example.org")
    await deliver_key(store.database)
    await deliver_key(store.database, "enrolment-2", mailbox=berta)

    await renew(store.database, a_renewal(limits=limits))
    with pytest.raises(LimitReached):
        await renew(store.database, a_renewal("b", of="enrolment-2", mailbox=berta, limits=limits))

    assert await places(store) == {OLD: Place.LEADING, "enrolment-2": Place.LEADING, NEW: Place.WAITING}


async def test_a_proven_renewal_leads_at_once(store: Store) -> None:
    await renewed(store.database)

    assert await prove(store.database) == Proven(enrolment_id=NEW)

    assert await served(store.database, RENEWS) == [NEW, OLD]
    assert await places(store) == {OLD: Place.OVERTAKEN, NEW: Place.LEADING}
    assert await details(store) == [{"renews": OLD, "because": "proven"}]
    assert await record_switches(store.database, LEADS) == 0


async def test_a_proof_of_the_old_key_changes_nothing_in_the_order(store: Store) -> None:
    await renewed(store.database)

    await prove(store.database, OLD)

    assert await served(store.database, RENEWS) == [OLD]
    assert await places(store) == {OLD: Place.LEADING, NEW: Place.WAITING}


async def test_a_switch_by_time_is_recorded_once_and_not_before(store: Store) -> None:
    await renewed(store.database)

    assert await record_switches(store.database, LEADS - MOMENT) == 0
    assert await places(store) == {OLD: Place.LEADING, NEW: Place.WAITING}
    assert await record_switches(store.database, LEADS) == 1
    assert await record_switches(store.database, LEADS) == 0

    assert await places(store) == {OLD: Place.OVERTAKEN, NEW: Place.LEADING}
    assert await details(store) == [{"renews": OLD, "because": "due"}]
    assert await served(store.database, LEADS) == [NEW, OLD]


async def test_one_that_cannot_lead_keeps_no_other_from_it(
    store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    berta = Mailbox.parse("berta@example.org")
    await renewed(store.database)
    await deliver_key(store.database, "enrolment-2", mailbox=berta)
    await renew(store.database, a_renewal("b", of="enrolment-2", mailbox=berta, leads_until=LEADS + MOMENT))
    # Somebody has repaired by hand: a third leads in the place of what is renewed.
    await store.sql("UPDATE enrolments SET live = FALSE WHERE id = 'enrolment-1'")
    await mint(store.database, a_reservation("third"))

    assert await record_switches(store.database, LEADS + MOMENT) == 1

    assert await places(store) == {
        OLD: None,
        NEW: Place.WAITING,
        "third": Place.LEADING,
        "enrolment-2": Place.OVERTAKEN,
        "b": Place.LEADING,
    }
    assert caplog.messages == ["renewal a-renewal cannot lead: another does"]


async def test_what_leads_can_be_renewed_in_its_turn(store: Store) -> None:
    await renewed(store.database)
    await prove(store.database)

    await renew(store.database, a_renewal("third", of=NEW, at=RENEWS + YEAR, leads_until=LEADS + YEAR))
    with pytest.raises(SlotTaken):
        await renew(store.database, a_renewal("fourth", of=OLD, at=RENEWS + YEAR))

    assert await places(store) == {OLD: Place.OVERTAKEN, NEW: Place.LEADING, "third": Place.WAITING}
    assert await served(store.database, RENEWS + YEAR - DAY) == [NEW]


async def revoke(database: Database) -> None:
    revocations = SqlRevocationStore(database, node="node-1")
    for found in await revocations.by_address(ANNA, RENEWS):
        if found.enrolment_id == OLD:
            reason = RevocationReason.KEY_COMPROMISE
            await revocations.revoke(found, reason=reason, at=RENEWS, event=an_event())


async def fail_relay(database: Database) -> None:
    relays = SqlRelayStore(database, node="node-1")
    relay = await relays.relay(OLD, "org-1")
    await relays.record_outcome(
        relay,
        state=RelayState.FAILED,
        outcome=RelayOutcome.FAILED,
        note="",
        event=an_event(AuditKind.RELAY_RECORDED, subject=OLD),
    )


async def expire(database: Database) -> None:
    # The new password has as long again.
    await SqlExpiries(database, node="node-1").expire(
        now=RENEWS,
        notice_until=RENEWS,
        event_of=lambda relay: an_event(AuditKind.PASSWORD_EXPIRED, subject=relay.enrolment_id),
        most=10,
    )


async def bounce(database: Database) -> None:
    """Have the old key sent again, and refused, as if it had never been accepted."""
    await database.write(
        lambda connection: connection.exec_driver_sql(
            "UPDATE outgoing_mail SET state = 'queued', attempts = 0 WHERE kind = 'key'"
            " AND enrolment_id = 'enrolment-1'"
        ).close()
    )
    await give_up(database, OLD)


async def give_up(database: Database, enrolment_id: str) -> None:
    outbox = SqlOutbox(database, node="node-1")
    claimed = await outbox.claim_due(worker="w", now=RENEWS, lease_until=RENEWS + DAY, most=10)
    (mail,) = (one for one in claimed if (one.enrolment_id, one.kind) == (enrolment_id, MailKind.KEY))
    event = an_event(AuditKind.KEY_MAIL_GIVEN_UP, subject=enrolment_id)
    await outbox.record_given_up(mail, at=RENEWS, failure="550", event=event, because=GivenUp.REFUSED)


@pytest.mark.parametrize("end", [revoke, fail_relay, expire, bounce])
async def test_a_renewal_leads_as_soon_as_it_is_alone(
    store: Store, end: Callable[[Database], Awaitable[None]]
) -> None:
    await renewed(store.database)

    await end(store.database)

    assert await served(store.database, RENEWS) == [NEW]
    assert await places(store) == {OLD: None, NEW: Place.LEADING}
    assert await details(store) == [{"renews": OLD, "because": "alone"}]
    assert await events(store, AuditKind.CERTIFICATE_LEADS) == LEAD_EVENT


async def test_a_renewal_whose_mail_comes_back_leaves_the_old_certificate_leading(store: Store) -> None:
    await renewed(store.database)

    await give_up(store.database, NEW)

    assert await standing(store, NEW) == (False, "bounced")
    assert await places(store) == {OLD: Place.LEADING, NEW: None}
    assert await served(store.database, RENEWS) == [OLD]
    assert await served(store.database, LEADS) == [OLD]
    assert await record_switches(store.database, LEADS) == 0
    assert [found.stands_until for found in await live(store.database, RENEWS)] == [None]


async def test_a_renewal_that_comes_back_after_the_switch_leaves_the_old_one_until_its_end(
    store: Store,
) -> None:
    await renewed(store.database)
    await record_switches(store.database, LEADS)

    await give_up(store.database, NEW)

    assert await served(store.database, LEADS) == [OLD]
    assert await places(store) == {OLD: Place.OVERTAKEN, NEW: None}


@pytest.mark.parametrize("is_proven", [False, True])
async def test_whoever_wants_no_mail_keeps_only_what_he_has_proven(store: Store, *, is_proven: bool) -> None:
    await deliver_key(store.database)
    if is_proven:
        await prove(store.database, OLD)
    await renew(store.database)

    link = await a_link(store.database, LinkPurpose.STOP, expires_at=ENDS)
    store_of_suppressions = SqlSuppressions(store.database, node="node-1")
    await OptOut(store=store_of_suppressions, clock=StoppedClock(RENEWS)).stop(link)

    assert await standing(store, NEW) == (False, "opted_out")
    assert await served(store.database, LEADS) == ([OLD] if is_proven else [])
    assert await events(store, AuditKind.CERTIFICATE_LEADS) == []
    with pytest.raises(SlotTaken):
        await renew(store.database, a_renewal("another"))


async def test_who_has_the_next_key_is_not_reminded_of_the_last(store: Store) -> None:
    await deliver_key(store.database, now=RENEWS - DAY)
    await renew(store.database)
    await record_switches(store.database, LEADS)
    follow_ups, rules = SqlFollowUps(store.database, node="node-1"), FollowUpRules()

    later = RENEWS + 10 * DAY
    for chore in (ProofRequests, Reminders):
        await chore(store=follow_ups, rules=rules).perform(later)

    assert MailKind.REMINDER not in {kind for kind, _ in await mails(store, OLD)}


async def test_a_switch_cancels_what_asks_for_the_last_key(store: Store) -> None:
    await mint(store.database)
    await deliver(store.database, kinds={MailKind.KEY})
    await renew(store.database)

    await record_switches(store.database, LEADS)

    assert await mails(store, OLD) == [
        (MailKind.KEY, MailState.ACCEPTED),
        (MailKind.PROOF, MailState.CANCELLED),
    ]


async def test_a_renewal_is_asked_for_its_own_proof_and_reminded(store: Store) -> None:
    await renewed(store.database)
    await deliver(store.database, RENEWS)

    reminders = Reminders(store=SqlFollowUps(store.database, node="node-1"), rules=FollowUpRules())
    await reminders.perform(RENEWS + 8 * DAY)

    assert [kind for kind, _ in await mails(store, NEW)] == [MailKind.KEY, MailKind.PROOF, MailKind.REMINDER]


async def test_the_key_mail_knows_what_it_renews(store: Store) -> None:
    await mint(store.database)
    await renew(store.database)

    outbox = SqlOutbox(store.database, node="node-1")
    claimed = await outbox.claim_due(worker="w", now=RENEWS, lease_until=ENDS, most=10)

    assert {mail.enrolment_id: mail.renews_until for mail in claimed} == {OLD: None, NEW: ENDS}


async def test_enrolments_say_which_renews_which(store: Store) -> None:
    await renewed(store.database)
    reader = SqlEnrolmentReader(store.database)

    old, new = [await reader.enrolment(name, "org-1") for name in (OLD, NEW)]

    assert (old.place, old.renews, old.renewed_by) == (Place.LEADING, None, NEW)
    assert (new.place, new.renews, new.renewed_by) == (Place.WAITING, OLD, None)


async def test_a_renewal_and_its_proof_are_announced(store: Store) -> None:
    await deliver_key(store.database)
    log = SqlChangeLog(store.database)
    before = (await log.since(None)).generation

    await renew(store.database)
    announced = await log.since(before)
    assert announced == Changes(generation=before + 1, address_keys=frozenset({ANNA.key}))

    await prove(store.database)
    assert (await log.since(announced.generation)).address_keys == frozenset({ANNA.key})


async def test_a_switch_by_time_needs_no_announcement(store: Store) -> None:
    await renewed(store.database)
    log = SqlChangeLog(store.database)
    before = (await log.since(None)).generation

    await record_switches(store.database, LEADS)

    assert (await log.since(before)).generation == before


async def details(store: Store) -> list[dict[str, str]]:
    """Return what the events of switches say."""
    query = select(audit_events.c.detail).where(audit_events.c.kind == AuditKind.CERTIFICATE_LEADS.value)
    return [json.loads(detail) for (detail,) in await store.select(query)]


def _everything() -> AcceptedBetween:
    return AcceptedBetween(after=NOW, until=ENDS)
