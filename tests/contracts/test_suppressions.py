"""The port `SuppressionStore` with the use cases on it: who wants no mail gets none, from nobody."""

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest

from ca.address import Mailbox
from directory.audit import AuditKind
from directory.delivery.outbox import DeliveryState, MailKind, MailState
from directory.errors import ResendRefused, SlotTaken, Unknown
from directory.links import LinkPurpose
from directory.policy import MintPolicy, Refusal
from directory.proof import LinkRefused, ProofDesk, Proven
from directory.resending import KeyMailResender
from directory.store.database import Database
from directory.store.lookup import SqlDirectoryReader
from directory.store.outbox import SqlOutbox
from directory.store.proofs import SqlProofStore
from directory.store.relays import SqlRelayStore
from directory.store.resends import SqlResendStore
from directory.store.suppressions import SqlSuppressions
from directory.suppression import (
    AlreadyStopped,
    OptOut,
    OvertakenMints,
    Stopped,
    SuppressionDesk,
    SuppressionReason,
)
from tests.contracts.following import (
    ENROLMENT,
    a_link,
    deliver,
    deliver_key,
    delivery_state,
    events,
    hold_until,
    mails,
    standing,
)
from tests.contracts.world import (
    ANNA,
    NOW,
    Store,
    a_reservation,
    add_organization,
    an_enrolment,
    mint,
    record,
)
from tests.directory.builders import a_gateway, an_organization
from tests.directory.clocks import StoppedClock

LATER = NOW + timedelta(hours=3)
ANNAS_TAG = Mailbox.parse("Anna+news@example.org")
DOMAINS_OF_ANOTHER = frozenset({"clinic.example.net"})


def a_store(database: Database) -> SqlSuppressions:
    return SqlSuppressions(database, node="node-1")


@pytest.fixture
def clock() -> StoppedClock:
    return StoppedClock(LATER)


@pytest.fixture
def opt_out(database: Database, clock: StoppedClock) -> OptOut:
    return OptOut(store=a_store(database), clock=clock)


@pytest.fixture
def desk(database: Database, clock: StoppedClock) -> SuppressionDesk:
    return SuppressionDesk(store=a_store(database), clock=clock, actor="operator:test")


async def is_served(database: Database, mailbox: Mailbox = ANNA) -> bool:
    reader = SqlDirectoryReader(database)
    return await reader.best_certificate(mailbox.key, a_gateway(), LATER) is not None


async def why_not_minted(database: Database, mailbox: Mailbox = ANNA) -> Refusal | None:
    context = await SqlDirectoryReader(database).mint_context(mailbox.key, a_gateway())
    assert context is not None
    return MintPolicy().refusal(mailbox, context)


async def suppress_meanwhile(store: Store) -> None:
    """Suppress as if the mint had been committed at that very moment: neither saw the other."""
    row = f"('{ANNA.key}', '{ANNA}', 'recipient', '2026-11-22 10:00:00')"
    await store.sql(f"INSERT INTO suppressions VALUES {row}")  # noqa: S608 - written above


async def test_before_the_key_mail_is_accepted_everything_of_it_ends(store: Store, opt_out: OptOut) -> None:
    await mint(store.database)

    answer = await opt_out.stop(await a_link(store.database, LinkPurpose.STOP))

    assert answer == Stopped(address=str(ANNA), ended=1)
    assert await mails(store) == [(MailKind.KEY, MailState.CANCELLED)]
    assert await delivery_state(store) == DeliveryState.BOUNCED
    assert await standing(store) == (False, "opted_out")
    assert not await is_served(store.database)
    assert await hold_until(store) == LATER
    relay = await SqlRelayStore(store.database, node="node-1").relay(ENROLMENT, "org-1")
    assert relay.state == "failed"


async def test_what_was_accepted_and_not_proven_leaves_the_directory_too(
    store: Store, opt_out: OptOut
) -> None:
    await deliver_key(store.database)

    await opt_out.stop(await a_link(store.database, LinkPurpose.STOP))

    assert not await is_served(store.database)
    assert await standing(store) == (False, "opted_out")


async def test_what_is_proven_stays(store: Store, opt_out: OptOut, clock: StoppedClock) -> None:
    await deliver_key(store.database)
    proofs = ProofDesk(store=SqlProofStore(store.database, node="node-1"), clock=clock)
    await proofs.prove(await a_link(store.database, LinkPurpose.PROOF))

    answer = await opt_out.stop(await a_link(store.database, LinkPurpose.STOP))

    assert answer == Stopped(address=str(ANNA), ended=0)
    assert await is_served(store.database)
    assert await standing(store) == (True, None)
    assert await delivery_state(store) == DeliveryState.PROVEN


async def test_nothing_more_is_minted_for_the_address_by_anybody(store: Store, opt_out: OptOut) -> None:
    await deliver_key(store.database)
    assert await why_not_minted(store.database) is None

    await opt_out.stop(await a_link(store.database, LinkPurpose.STOP))

    assert await why_not_minted(store.database) is Refusal.SUPPRESSED
    assert await why_not_minted(store.database, ANNAS_TAG) is None


async def test_it_holds_for_every_organization(store: Store, opt_out: OptOut) -> None:
    isolated = an_organization(
        organization_id="org-2", slug="clinic", domains=DOMAINS_OF_ANOTHER, isolated=True
    )
    gateway = await add_organization(store.database, isolated)
    await mint(store.database)
    await mint(store.database, a_reservation("enrolment-2", gateway=gateway))

    answer = await opt_out.stop(await a_link(store.database, LinkPurpose.STOP))

    assert answer == Stopped(address=str(ANNA), ended=2)
    assert await standing(store, "enrolment-2") == (False, "opted_out")
    assert await mails(store, "enrolment-2") == [(MailKind.KEY, MailState.CANCELLED)]
    assert await events(store, AuditKind.RECIPIENT_OPTED_OUT) == [
        ("recipient", ENROLMENT),
        ("recipient", "enrolment-2"),
    ]


async def test_other_addresses_keep_their_mail(store: Store, opt_out: OptOut) -> None:
    await mint(store.database)
    await mint(store.database, a_reservation("enrolment-2", mailbox=Mailbox.parse("bert@example.org")))

    await opt_out.stop(await a_link(store.database, LinkPurpose.STOP))

    assert await mails(store, "enrolment-2") == [(MailKind.KEY, MailState.QUEUED)]


async def test_the_key_mail_is_not_sent_again(store: Store, opt_out: OptOut, clock: StoppedClock) -> None:
    await deliver_key(store.database)
    proofs = ProofDesk(store=SqlProofStore(store.database, node="node-1"), clock=clock)
    assert isinstance(await proofs.prove(await a_link(store.database, LinkPurpose.PROOF)), Proven)
    await opt_out.stop(await a_link(store.database, LinkPurpose.STOP))
    resender = KeyMailResender(
        store=SqlResendStore(store.database, node="node-1"), clock=clock, lifetime=timedelta(days=5)
    )

    with pytest.raises(ResendRefused) as refused:
        await resender.resend(ENROLMENT, None, "operator:test")

    assert refused.value.code == "resend.suppressed"


async def test_pressing_again_changes_nothing(store: Store, opt_out: OptOut) -> None:
    await deliver_key(store.database)
    link = await a_link(store.database, LinkPurpose.STOP)
    await opt_out.stop(link)

    assert await opt_out.stop(link) == AlreadyStopped(address=str(ANNA))
    assert len(await events(store, AuditKind.RECIPIENT_OPTED_OUT)) == 1


async def test_of_many_at_once_one_stops_it(store: Store, opt_out: OptOut) -> None:
    await deliver_key(store.database)
    link = await a_link(store.database, LinkPurpose.STOP)

    answers = await asyncio.gather(*(opt_out.stop(link) for _ in range(16)))

    assert [answer for answer in answers if isinstance(answer, Stopped)] == [
        Stopped(address=str(ANNA), ended=1)
    ]


@pytest.mark.parametrize("purpose", [LinkPurpose.INSTALL, LinkPurpose.PROOF])
async def test_a_link_for_something_else_stops_nothing(
    store: Store, opt_out: OptOut, purpose: LinkPurpose
) -> None:
    await deliver_key(store.database)

    assert await opt_out.stop(await a_link(store.database, purpose)) == LinkRefused()
    assert await opt_out.stop(None) == LinkRefused()
    assert await store.count("suppressions") == 0


async def test_an_operator_can_stop_an_address_nobody_has_asked_for(
    store: Store, desk: SuppressionDesk
) -> None:
    assert await desk.add(ANNA) == Stopped(address=str(ANNA), ended=0)
    assert await desk.add(Mailbox.parse("ANNA@example.org")) == AlreadyStopped(address="ANNA@example.org")

    assert await why_not_minted(store.database) is Refusal.SUPPRESSED
    (listed,) = await desk.all()
    assert (listed.address, listed.since, listed.reason) == (str(ANNA), LATER, SuppressionReason.OPERATOR)
    assert await events(store, AuditKind.SUPPRESSION_ADDED) == [("operator:test", "address:anna@example.org")]


async def test_an_operator_ends_what_is_not_proven_like_the_recipient(
    store: Store, desk: SuppressionDesk
) -> None:
    await deliver_key(store.database)

    assert await desk.add(ANNA) == Stopped(address=str(ANNA), ended=1)
    assert await events(store, AuditKind.RECIPIENT_OPTED_OUT) == [("operator:test", ENROLMENT)]


async def test_a_lifted_address_is_minted_for_again(
    store: Store, opt_out: OptOut, desk: SuppressionDesk
) -> None:
    await deliver_key(store.database)
    link = await a_link(store.database, LinkPurpose.STOP)
    await opt_out.stop(link)

    await desk.lift(ANNA)

    assert await why_not_minted(store.database) is None
    await mint(store.database, a_reservation("enrolment-2"))
    assert await events(store, AuditKind.SUPPRESSION_LIFTED) == [
        ("operator:test", "address:anna@example.org")
    ]
    # The old link still is the recipient's word.
    assert await opt_out.stop(link) == Stopped(address=str(ANNA), ended=1)


async def test_what_is_not_suppressed_cannot_be_lifted(store: Store, desk: SuppressionDesk) -> None:
    with pytest.raises(Unknown):
        await desk.lift(ANNA)
    assert await events(store, AuditKind.SUPPRESSION_LIFTED) == []


async def test_a_queued_mail_to_a_suppressed_address_is_not_claimed(store: Store) -> None:
    await mint(store.database)
    await suppress_meanwhile(store)

    claimed = await SqlOutbox(store.database, node="node-1").claim_due(
        worker="w", now=LATER, lease_until=LATER + timedelta(minutes=1), most=10
    )

    assert claimed == []


async def test_a_mint_under_way_when_its_address_is_stopped_does_not_happen(
    store: Store, desk: SuppressionDesk
) -> None:
    context = await SqlDirectoryReader(store.database).mint_context(ANNA.key, a_gateway())
    assert context is not None
    assert not context.suppressed

    await desk.add(ANNA)

    with pytest.raises(SlotTaken):
        await mint(store.database)
    assert await store.count("enrolments") == await store.count("certificates") == 0


async def test_a_mint_that_was_overtaken_ends(store: Store, clock: StoppedClock) -> None:
    await mint(store.database)
    await suppress_meanwhile(store)
    assert await is_served(store.database)

    chore = OvertakenMints(store=a_store(store.database))
    assert await chore.perform(clock.now()) == 1
    assert await chore.perform(clock.now()) == 0

    assert not await is_served(store.database)
    assert await standing(store) == (False, "opted_out")
    assert await mails(store) == [(MailKind.KEY, MailState.CANCELLED)]
    assert await events(store, AuditKind.RECIPIENT_OPTED_OUT) == [("service", ENROLMENT)]


async def test_a_stop_and_a_proof_at_once_leave_one_of_two_worlds(
    store: Store, opt_out: OptOut, clock: StoppedClock
) -> None:
    proofs = ProofDesk(store=SqlProofStore(store.database, node="node-1"), clock=clock)
    for number in range(8):
        mailbox = replace(ANNA, local_part=f"anna{number}")
        enrolment_id = f"enrolment-{number}"
        await mint(store.database, a_reservation(enrolment_id, mailbox=mailbox))
        await deliver(store.database)
        proof = await a_link(store.database, LinkPurpose.PROOF, enrolment_id=enrolment_id)
        stop = await a_link(store.database, LinkPurpose.STOP, enrolment_id=enrolment_id)

        proven, stopped = await asyncio.gather(proofs.prove(proof), opt_out.stop(stop))

        assert isinstance(stopped, Stopped)
        live, _ = await standing(store, enrolment_id)
        assert live == isinstance(proven, Proven) == (stopped.ended == 0)


async def test_an_organizations_own_mail_goes_on(store: Store, desk: SuppressionDesk) -> None:
    """Another organization's key mail came to the mailbox for passwords, and somebody there stopped those."""
    mailbox = Mailbox.parse("desk@hospital.org")
    await record(store.database, an_enrolment(a_reservation(), password_mail_to=mailbox))
    await desk.add(mailbox)

    claimed = await SqlOutbox(store.database, node="node-1").claim_due(
        worker="w", now=LATER, lease_until=LATER + timedelta(minutes=1), most=10
    )

    assert (MailKind.PASSWORD, mailbox) in {(mail.kind, mail.recipient) for mail in claimed}
