"""The contract of `HoldStore`: what has served is destroyed, with a record; what may yet serve is kept."""

from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from sqlalchemy import select

from ca.address import Mailbox
from ca.keypackage import KeyPackageFormat
from directory.audit import AuditKind
from directory.delivery.outbox import DueMail, MailKind, message_identity
from directory.errors import ResendRefused
from directory.expiry import RelayExpiry
from directory.holds import EndOfHolds, HoldEnd
from directory.links import LinkPurpose, issue_link
from directory.organization import KeyDelivery
from directory.proof import ProofDesk, Proven
from directory.relay import RelayDesk, RelayOutcome, RelayState
from directory.resending import KeyMailResender
from directory.revocation import Revocation, RevocationReason
from directory.status import KeyState
from directory.store.expiries import SqlExpiries
from directory.store.holds import SqlHolds
from directory.store.inspection import SqlStoreInspector
from directory.store.outbox import SqlOutbox
from directory.store.proofs import SqlProofStore
from directory.store.recipients import SqlRecipientStore
from directory.store.relays import SqlRelayStore
from directory.store.resends import SqlResendStore
from directory.store.revocations import SqlRevocationStore
from directory.store.suppressions import SqlSuppressions
from directory.store.tables import audit_events, enrolments, held_keys, recipient_links, relays
from directory.suppression import SuppressionDesk
from tests.contracts.following import ENROLMENT, a_link, accept, deliver, deliver_key
from tests.contracts.world import (
    ANNA,
    NOW,
    SEALER,
    YEAR,
    Store,
    a_reservation,
    an_enrolment,
    an_event,
    mint,
    record,
)
from tests.directory.builders import an_agent
from tests.directory.clocks import StoppedClock
from tests.directory.delivery.builders import an_acceptance

DAY = timedelta(days=1)
HOLD = 7 * DAY  # as the builders have it
GRACE = 7 * DAY
MOMENT = timedelta(microseconds=1)


class NoTraces:
    """For databases whose traces are not the point."""

    async def erase_traces(self) -> None:
        """Erase none."""


class NoEscrow:
    """For services that have no recovery certificate."""

    async def perform(self, now: datetime) -> int:
        """Escrow none."""
        del now
        return 0


@pytest.fixture
def holds(store: Store) -> SqlHolds:
    return SqlHolds(store.database, node="node-1")


def end_of(holds: SqlHolds, *, most: int = 100) -> EndOfHolds:
    return EndOfHolds(store=holds, escrowing=NoEscrow(), traces=NoTraces(), grace=GRACE, most=most)


async def ended(holds: SqlHolds, now: datetime) -> int:
    """Return how many keys and passwords were destroyed."""
    chore, destroyed = end_of(holds), 0
    while batch := await chore.perform(now):
        destroyed += batch
    return destroyed


async def key_of(store: Store, enrolment_id: str = ENROLMENT) -> tuple[object, ...]:
    """Return state and end of a hold, and how many columns of the sealed key are left."""
    columns = held_keys.c
    secret = (columns.key_master_key_id, columns.key_wrapped_key, columns.key_ciphertext)
    query = select(columns.state, columns.ended_at, *secret).where(columns.enrolment_id == enrolment_id)
    ((state, ended_at, *left),) = await store.select(query)
    return state, ended_at, sum(column is not None for column in left)


async def password_is_there(store: Store) -> bool:
    ((wrapped, ciphertext),) = await store.select(
        select(relays.c.password_wrapped_key, relays.c.password_ciphertext)
    )
    assert (wrapped is None) == (ciphertext is None)
    return wrapped is not None


async def records(store: Store, kind: AuditKind) -> list[tuple[str, str, str]]:
    query = (
        select(audit_events.c.actor, audit_events.c.subject, audit_events.c.detail)
        .where(audit_events.c.kind == kind.value)
        .order_by(audit_events.c.sequence)
    )
    return [(actor, subject, detail) for actor, subject, detail in await store.select(query)]


HELD = ("held", None, 3)


async def test_a_key_is_destroyed_when_its_hold_is_over_and_not_before(store: Store, holds: SqlHolds) -> None:
    await deliver_key(store.database)
    ((serial,),) = await store.rows("SELECT serial FROM certificates WHERE origin = 'minted'")

    assert await ended(holds, NOW + HOLD - MOMENT) == 0
    assert await key_of(store) == HELD
    assert [await ended(holds, NOW + HOLD) for _ in range(2)] == [1, 0]

    assert await key_of(store) == ("destroyed", NOW + HOLD, 0)
    detail = f'{{"because": "hold_over", "serial": "{serial}"}}'
    assert await records(store, AuditKind.KEY_DESTROYED) == [("service", ENROLMENT, detail)]


async def test_the_certificate_is_served_on_and_the_password_waits_on(store: Store, holds: SqlHolds) -> None:
    await deliver_key(store.database)

    await ended(holds, NOW + HOLD)

    assert await store.select(select(enrolments.c.live)) == [(True,)]
    assert await password_is_there(store)


async def test_a_key_whose_mail_was_never_accepted_is_kept(store: Store, holds: SqlHolds) -> None:
    await mint(store.database)

    assert await ended(holds, NOW + 20 * DAY) == 0
    assert await key_of(store) == HELD


async def test_a_key_that_is_being_sent_again_is_kept_until_that_mail_is_accepted(
    store: Store, holds: SqlHolds
) -> None:
    await deliver_key(store.database)
    await resend(store, NOW + DAY)

    assert await ended(holds, NOW + HOLD) == 0
    await deliver(store.database, NOW + HOLD)
    assert await ended(holds, NOW + 2 * HOLD - MOMENT) == 0
    assert await ended(holds, NOW + 2 * HOLD) == 1


async def resend(store: Store, now: datetime) -> None:
    clock = StoppedClock(now)
    resender = KeyMailResender(store=SqlResendStore(store.database, node="node-1"), clock=clock, lifetime=DAY)
    await resender.resend(ENROLMENT, KeyPackageFormat.MODERN, "operator:olga")


async def test_a_proven_key_is_destroyed_at_once(store: Store, holds: SqlHolds) -> None:
    await deliver_key(store.database)
    await prove(store, NOW + DAY)

    assert await ended(holds, NOW + DAY) == 1
    ((_, _, detail),) = await records(store, AuditKind.KEY_DESTROYED)
    assert f'"because": "{HoldEnd.PROVEN}"' in detail


async def prove(store: Store, now: datetime) -> None:
    presented = await a_link(store.database, LinkPurpose.PROOF)
    desk = ProofDesk(store=SqlProofStore(store.database, node="node-1"), clock=StoppedClock(now))
    assert isinstance(await desk.prove(presented), Proven)


async def test_a_proven_key_that_is_being_sent_again_is_kept(store: Store, holds: SqlHolds) -> None:
    await deliver_key(store.database)
    await prove(store, NOW + DAY)
    await resend(store, NOW + DAY)

    assert await ended(holds, NOW + HOLD) == 0
    await deliver(store.database, NOW + HOLD)
    assert await ended(holds, NOW + HOLD) == 1


async def test_the_key_of_a_mail_that_was_given_up_is_kept_for_the_grace(
    store: Store, holds: SqlHolds
) -> None:
    await mint(store.database)
    (mail,) = await claimed(store, NOW)
    await SqlOutbox(store.database, node="node-1").record_given_up(
        mail, at=NOW + DAY, failure="gone", event=an_event()
    )

    assert await ended(holds, NOW + DAY + GRACE - MOMENT) == 0
    assert await ended(holds, NOW + DAY + GRACE) == 2  # the password too: nobody will pass it on
    ((_, _, detail),) = await records(store, AuditKind.KEY_DESTROYED)
    assert f'"because": "{HoldEnd.BOUNCED}"' in detail


async def claimed(store: Store, now: datetime) -> list[DueMail]:
    return await SqlOutbox(store.database, node="node-1").claim_due(
        worker="w", now=now, lease_until=now + MOMENT, most=10
    )


async def test_the_key_of_a_revoked_certificate_is_kept_while_its_mail_waits_and_then_for_the_grace(
    store: Store, holds: SqlHolds
) -> None:
    await mint(store.database)
    await revoke(store, NOW)

    assert await ended(holds, NOW + 4 * GRACE) == 0
    await deliver(store.database, NOW + 4 * GRACE, kinds=[MailKind.KEY])
    assert await ended(holds, NOW + 4 * GRACE) == 1
    ((_, _, detail),) = await records(store, AuditKind.KEY_DESTROYED)
    assert f'"because": "{HoldEnd.REVOKED}"' in detail


async def revoke(store: Store, now: datetime) -> None:
    revocation = Revocation(store=SqlRevocationStore(store.database, node="node-1"), clock=StoppedClock(now))
    await revocation.revoke_address(ANNA, RevocationReason.SUPERSEDED, "operator:olga")


async def test_a_key_that_nobody_has_fetched_is_kept_until_its_certificate_has_expired(
    store: Store, holds: SqlHolds
) -> None:
    await accept(store.database, await deliver_as(store, KeyDelivery.LINK))

    assert await ended(holds, NOW + YEAR - MOMENT) == 0
    assert await ended(holds, NOW + YEAR) == 1
    ((_, _, detail),) = await records(store, AuditKind.KEY_DESTROYED)
    assert f'"because": "{HoldEnd.EXPIRED}"' in detail


async def test_the_key_goes_with_a_password_that_nobody_passed_on(store: Store, holds: SqlHolds) -> None:
    await mint(store.database)
    end = NOW + 30 * DAY
    assert await RelayExpiry(store=SqlExpiries(store.database, node="node-1")).perform(end) == 1

    assert await ended(holds, end + GRACE - MOMENT) == 0
    assert await ended(holds, end + GRACE) == 1
    ((_, _, detail),) = await records(store, AuditKind.KEY_DESTROYED)
    assert f'"because": "{HoldEnd.UNRELAYED}"' in detail


async def test_the_key_of_a_recipient_who_wants_no_mail_is_destroyed_at_once(
    store: Store, holds: SqlHolds
) -> None:
    await deliver_key(store.database)
    suppressions = SqlSuppressions(store.database, node="node-1")
    await SuppressionDesk(store=suppressions, clock=StoppedClock(NOW), actor="operator:olga").add(ANNA)

    assert await ended(holds, NOW) == 2  # the password too
    assert await key_of(store) == ("destroyed", NOW, 0)
    ((_, _, detail),) = await records(store, AuditKind.KEY_DESTROYED)
    assert f'"because": "{HoldEnd.OPTED_OUT}"' in detail


async def test_what_was_destroyed_cannot_be_sent_again(store: Store, holds: SqlHolds) -> None:
    await deliver_key(store.database)
    await ended(holds, NOW + HOLD)

    with pytest.raises(ResendRefused, match="no longer has the key"):
        await resend(store, NOW + HOLD)


async def test_a_batch_is_no_larger_than_wanted_and_takes_the_longest_overdue_first(
    store: Store, holds: SqlHolds
) -> None:
    for number in range(3):
        mailbox = Mailbox.parse(f"person{number}@example.org")
        await deliver_key(
            store.database, f"enrolment-{number}", mailbox=mailbox, now=NOW + number * timedelta(hours=1)
        )

    assert await end_of(holds, most=2).perform(NOW + HOLD + DAY) == 2
    assert [(await key_of(store, f"enrolment-{number}"))[0] for number in range(3)] == [
        "destroyed",
        "destroyed",
        "held",
    ]
    assert await ended(holds, NOW + HOLD + DAY) == 1


@pytest.mark.parametrize("store", ["postgresql"], indirect=True)
async def test_what_another_has_in_hand_is_passed_over(store: Store, holds: SqlHolds) -> None:
    await deliver_key(store.database)

    async with store.database.writing() as another:
        await another.run(lambda connection: connection.execute(select(held_keys).with_for_update()).close())
        assert await ended(holds, NOW + HOLD) == 0

    assert await ended(holds, NOW + HOLD) == 1


# A service that holds no keys.


async def test_without_a_hold_the_key_goes_in_the_moment_its_mail_is_accepted(store: Store) -> None:
    await mint(store.database)
    (mail,) = await claimed(store, NOW)

    await accepted_without_hold(store, mail)

    assert await key_of(store) == ("destroyed", NOW, 0)
    kinds = await store.select(
        select(audit_events.c.kind).where(audit_events.c.node == "node-1").order_by(audit_events.c.sequence)
    )
    assert kinds[-2:] == [("key_mail.accepted",), ("key.destroyed",)]
    assert await password_is_there(store)


async def accepted_without_hold(store: Store, mail: DueMail) -> None:
    event = an_event(AuditKind.KEY_MAIL_ACCEPTED, subject=mail.enrolment_id)
    await SqlOutbox(store.database, node="node-1").record_accepted(
        mail, an_acceptance(NOW, hold_until=NOW), event
    )


# What was offered by a link.


async def deliver_as(store: Store, key_delivery: KeyDelivery) -> DueMail:
    """Mint, and compose the key mail, with a link, as an organization of that preference does."""
    await mint(store.database)
    (mail,) = await claimed(store, NOW)
    letters = replace(mail.organization.correspondence, key_delivery=key_delivery)
    mail = replace(mail, organization=replace(mail.organization, correspondence=letters))
    _, link = issue_link(LinkPurpose.INSTALL, NOW + 12 * DAY)
    message = SEALER.seal(b"message", message_identity(mail.mail_id, "org-1"))
    outbox = SqlOutbox(store.database, node="node-1")
    assert await outbox.record_composed(mail, message=message, links=[link], at=NOW)
    return mail


async def fetch(store: Store) -> None:
    ((link_id,),) = await store.select(select(recipient_links.c.id))
    event = an_event(AuditKind.KEY_PACKAGE_DOWNLOADED, subject=ENROLMENT)
    recipients = SqlRecipientStore(store.database, node="node-1")
    assert await recipients.record_download(str(link_id), event, most=20)


async def test_a_key_that_nobody_has_fetched_is_kept(store: Store, holds: SqlHolds) -> None:
    await accept(store.database, await deliver_as(store, KeyDelivery.LINK))

    assert await ended(holds, NOW + 20 * DAY) == 0
    assert await key_of(store) == HELD
    await fetch(store)
    assert await ended(holds, NOW + 20 * DAY) == 1


async def test_without_a_hold_a_key_that_nobody_has_fetched_is_kept_too(
    store: Store, holds: SqlHolds
) -> None:
    await accepted_without_hold(store, await deliver_as(store, KeyDelivery.LINK))

    assert await key_of(store) == HELD
    await fetch(store)
    assert await ended(holds, NOW) == 1


async def test_a_key_that_was_attached_as_well_need_not_be_fetched(store: Store, holds: SqlHolds) -> None:
    await accept(store.database, await deliver_as(store, KeyDelivery.BOTH))

    assert await ended(holds, NOW + HOLD) == 1


async def test_a_key_that_nobody_has_fetched_goes_with_its_enrolment(store: Store, holds: SqlHolds) -> None:
    await accept(store.database, await deliver_as(store, KeyDelivery.LINK))
    await revoke(store, NOW + DAY)

    assert await ended(holds, NOW + HOLD) == 1


async def test_a_link_leads_to_no_key_any_more(store: Store, holds: SqlHolds) -> None:
    await deliver_key(store.database)
    presented = await a_link(store.database, LinkPurpose.INSTALL)
    recipients = SqlRecipientStore(store.database, node="node-1")
    before = await recipients.linked(presented, LinkPurpose.INSTALL, NOW + HOLD)
    assert before is not None
    assert before.has_key

    await ended(holds, NOW + HOLD)

    after = await recipients.linked(presented, LinkPurpose.INSTALL, NOW + HOLD)
    assert after is not None
    assert (after.has_key, after.sealed_key) == (False, None)


# The password.


async def record_relay(store: Store, *outcomes: RelayOutcome, now: datetime = NOW) -> None:
    """Have the password revealed, and what came of it recorded."""
    desk = RelayDesk(
        store=SqlRelayStore(store.database, node="node-1"), sealer=SEALER, clock=StoppedClock(now)
    )
    await desk.reveal(ENROLMENT, an_agent())
    for outcome in outcomes:
        await desk.record(ENROLMENT, an_agent(), outcome, "")


async def test_the_password_of_a_held_key_is_kept(store: Store, holds: SqlHolds) -> None:
    await deliver_key(store.database)
    await record_relay(store, RelayOutcome.RELAYED)

    assert await ended(holds, NOW + HOLD - MOMENT) == 0
    assert await password_is_there(store)


@pytest.mark.parametrize("outcome", [RelayOutcome.RELAYED, RelayOutcome.FAILED])
async def test_the_password_goes_with_the_key_once_its_relay_is_closed(
    store: Store, holds: SqlHolds, outcome: RelayOutcome
) -> None:
    await deliver_key(store.database)
    await record_relay(store, outcome)

    assert [await ended(holds, NOW + HOLD) for _ in range(2)] == [2, 0]
    assert not await password_is_there(store)
    assert await records(store, AuditKind.PASSWORD_DESTROYED) == [("service", ENROLMENT, "{}")]


async def test_a_password_that_is_relayed_after_the_hold_goes_then(store: Store, holds: SqlHolds) -> None:
    await deliver_key(store.database)
    await ended(holds, NOW + HOLD)

    await record_relay(store, RelayOutcome.NO_ANSWER, RelayOutcome.RELAYED, now=NOW + HOLD + DAY)

    assert await ended(holds, NOW + HOLD + DAY) == 1
    assert not await password_is_there(store)


async def test_a_revealed_password_is_kept_as_long_as_one_that_waits(store: Store, holds: SqlHolds) -> None:
    await deliver_key(store.database)
    await record_relay(store)
    end = NOW + 30 * DAY  # as the builders have it

    assert await ended(holds, end - MOMENT) == 1  # the key
    assert await password_is_there(store)
    assert await ended(holds, end) == 1
    assert not await password_is_there(store)


async def test_a_password_that_is_still_to_be_mailed_is_kept(store: Store, holds: SqlHolds) -> None:
    desk = Mailbox.parse("desk@hospital.org")
    await record(store.database, an_enrolment(a_reservation(), password_mail_to=desk))
    await deliver(store.database, kinds=[MailKind.KEY])
    await record_relay(store, RelayOutcome.RELAYED)

    assert await ended(holds, NOW + HOLD) == 1  # the key
    assert await password_is_there(store)
    await deliver(store.database, NOW + HOLD)
    assert await ended(holds, NOW + HOLD) == 1
    assert not await password_is_there(store)


async def test_a_store_whose_holds_have_ended_is_sound(store: Store, holds: SqlHolds) -> None:
    await deliver_key(store.database)
    await record_relay(store, RelayOutcome.RELAYED)
    overdue = SqlStoreInspector(store.database)

    (before,) = [enrolment async for enrolment in overdue.enrolments()]
    await ended(holds, NOW + HOLD)
    (after,) = [enrolment async for enrolment in overdue.enrolments()]

    assert (before.key_state, before.hold_until) == (KeyState.HELD, NOW + HOLD)
    assert (after.key_state, after.hold_until, after.sealed_key, after.sealed_password) == (
        KeyState.DESTROYED,
        None,
        None,
        None,
    )
    assert after.relay_state is RelayState.RELAYED
