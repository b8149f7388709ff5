"""The port `ProofStore` with the use case on it: who can read the mail, and says so, has proven his key."""

import asyncio
from collections import Counter
from datetime import timedelta

import pytest
from sqlalchemy import select

from directory.audit import AuditKind
from directory.delivery.outbox import DeliveryState, MailKind, MailState
from directory.links import LinkPurpose, PresentedLink, read_link
from directory.proof import AlreadyProven, LinkRefused, ProofDesk, Proven
from directory.resending import KeyMailResender
from directory.revocation import Revocation, RevocationReason
from directory.store.database import Database
from directory.store.outbox import SqlOutbox
from directory.store.proofs import SqlProofStore
from directory.store.resends import SqlResendStore
from directory.store.revocations import SqlRevocationStore
from directory.store.tables import deliveries
from tests.contracts.following import (
    ENROLMENT,
    a_link,
    deliver,
    deliver_key,
    delivery_state,
    events,
    hold_until,
    mails,
)
from tests.contracts.world import ANNA, NOW, Store, an_event, mint
from tests.directory.clocks import StoppedClock

LATER = timedelta(hours=3)


@pytest.fixture
def clock() -> StoppedClock:
    return StoppedClock(NOW + LATER)


@pytest.fixture
def desk(database: Database, clock: StoppedClock) -> ProofDesk:
    return ProofDesk(store=SqlProofStore(database, node="node-1"), clock=clock)


async def test_a_proof_makes_the_delivery_proven_and_ends_the_hold(store: Store, desk: ProofDesk) -> None:
    await deliver_key(store.database)
    link = await a_link(store.database, LinkPurpose.PROOF)

    assert await desk.prove(link) == Proven(enrolment_id=ENROLMENT)

    assert await delivery_state(store) == DeliveryState.PROVEN
    assert await store.select(select(deliveries.c.proven_at)) == [(NOW + LATER,)]
    assert await hold_until(store) == NOW + LATER
    assert await events(store, AuditKind.CERTIFICATE_PROVEN) == [("recipient", ENROLMENT)]


async def test_what_would_still_ask_or_remind_is_not_sent(store: Store, desk: ProofDesk) -> None:
    await mint(store.database)
    await deliver(store.database, kinds={MailKind.KEY})
    link = await a_link(store.database, LinkPurpose.PROOF)

    await desk.prove(link)

    assert await mails(store) == [
        (MailKind.KEY, MailState.ACCEPTED),
        (MailKind.PROOF, MailState.CANCELLED),
    ]


async def test_a_second_press_changes_nothing(store: Store, desk: ProofDesk) -> None:
    await deliver_key(store.database)
    link = await a_link(store.database, LinkPurpose.PROOF)
    await desk.prove(link)

    assert await desk.prove(link) == AlreadyProven(enrolment_id=ENROLMENT)
    assert len(await events(store, AuditKind.CERTIFICATE_PROVEN)) == 1


async def test_of_64_at_once_one_proves(store: Store, desk: ProofDesk) -> None:
    await deliver_key(store.database)
    link = await a_link(store.database, LinkPurpose.PROOF)

    answers = await asyncio.gather(*(desk.prove(link) for _ in range(64)))

    assert Counter(type(answer) for answer in answers) == {Proven: 1, AlreadyProven: 63}
    assert len(await events(store, AuditKind.CERTIFICATE_PROVEN)) == 1


async def test_of_two_links_at_once_one_proves(store: Store, desk: ProofDesk) -> None:
    await deliver_key(store.database)
    presented = [await a_link(store.database, LinkPurpose.PROOF) for _ in range(8)]

    answers = await asyncio.gather(*map(desk.prove, presented))

    assert Counter(type(answer) for answer in answers) == {Proven: 1, AlreadyProven: 7}


@pytest.mark.parametrize("purpose", [LinkPurpose.INSTALL, LinkPurpose.STOP])
async def test_a_link_for_something_else_proves_nothing(
    store: Store, desk: ProofDesk, purpose: LinkPurpose
) -> None:
    await deliver_key(store.database)

    assert await desk.prove(await a_link(store.database, purpose)) == LinkRefused()
    assert await delivery_state(store) == DeliveryState.ACCEPTED


async def test_a_link_with_another_secret_proves_nothing(store: Store, desk: ProofDesk) -> None:
    await deliver_key(store.database)
    link = await a_link(store.database, LinkPurpose.PROOF)
    guessed = PresentedLink(link_id=link.link_id, secret="a" * 32)

    assert await desk.prove(guessed) == LinkRefused()
    assert await desk.prove(read_link("b" * 48)) == LinkRefused()
    assert await desk.prove(None) == LinkRefused()
    assert await delivery_state(store) == DeliveryState.ACCEPTED


async def test_an_expired_link_proves_nothing(store: Store, desk: ProofDesk, clock: StoppedClock) -> None:
    await deliver_key(store.database)
    link = await a_link(store.database, LinkPurpose.PROOF, expires_at=clock.now() + timedelta(days=1))
    clock.advance(timedelta(days=1))

    assert await desk.prove(link) == LinkRefused()


async def test_what_bounced_is_not_proven(store: Store, desk: ProofDesk) -> None:
    await mint(store.database)
    outbox = SqlOutbox(store.database, node="node-1")
    (mail,) = await outbox.claim_due(worker="w", now=NOW, lease_until=NOW + LATER, most=1)
    event = an_event(AuditKind.KEY_MAIL_GIVEN_UP, subject=ENROLMENT)
    await outbox.record_given_up(mail, at=NOW, failure="550 no such user", event=event)
    link = await a_link(store.database, LinkPurpose.PROOF)

    assert await desk.prove(link) == LinkRefused()
    assert await delivery_state(store) == DeliveryState.BOUNCED
    assert await events(store, AuditKind.CERTIFICATE_PROVEN) == []


async def test_what_was_revoked_is_not_proven(store: Store, desk: ProofDesk, clock: StoppedClock) -> None:
    await deliver_key(store.database)
    link = await a_link(store.database, LinkPurpose.PROOF)
    revocation = Revocation(store=SqlRevocationStore(store.database, node="node-1"), clock=clock)
    await revocation.revoke_address(ANNA, RevocationReason.KEY_COMPROMISE, "operator:test")

    assert await desk.prove(link) == LinkRefused()
    assert await delivery_state(store) == DeliveryState.ACCEPTED


async def test_who_comes_late_has_proven_it_all_the_same(store: Store, desk: ProofDesk) -> None:
    await deliver_key(store.database)
    await store.sql("UPDATE deliveries SET state = 'unproven'")
    link = await a_link(store.database, LinkPurpose.PROOF)

    assert await desk.prove(link) == Proven(enrolment_id=ENROLMENT)
    assert await delivery_state(store) == DeliveryState.PROVEN


async def test_a_copy_asked_for_afterwards_takes_the_proof_not_back(
    store: Store, desk: ProofDesk, clock: StoppedClock
) -> None:
    await deliver_key(store.database)
    await desk.prove(await a_link(store.database, LinkPurpose.PROOF))
    resender = KeyMailResender(
        store=SqlResendStore(store.database, node="node-1"), clock=clock, lifetime=timedelta(days=5)
    )

    await resender.resend(ENROLMENT, None, "operator:test")
    assert await delivery_state(store) == DeliveryState.PROVEN
    await deliver(store.database, clock.now())

    assert await delivery_state(store) == DeliveryState.PROVEN
    assert [kind for kind, _ in await mails(store)].count(MailKind.PROOF) == 1
