"""The contract of `EnrolmentReader`."""

from datetime import timedelta

import pytest

from ca.address import Mailbox
from ca.keypackage import KeyPackageFormat
from directory.audit import AuditKind
from directory.channels.jobs import WebhookAttempt
from directory.delivery.outbox import DeliveryState
from directory.errors import Unknown
from directory.relay import PasswordChannel, RelayState
from directory.status import ChannelState, ChannelStatus, EnrolmentStatus, KeyState
from directory.store.database import Database
from directory.store.enrolments import SqlEnrolmentReader
from directory.store.organizations import SqlOrganizations
from directory.store.outbox import SqlOutbox
from directory.store.relays import SqlRelayStore
from directory.store.webhooks import SqlWebhookJobs
from tests.contracts.world import (
    ANNA,
    NOW,
    YEAR,
    a_reservation,
    add_organization,
    an_enrolment,
    an_event,
    mint,
    record,
)
from tests.directory.builders import an_agent, an_organization
from tests.directory.channels.working import with_webhook
from tests.directory.delivery.builders import an_acceptance


async def test_a_fresh_enrolment_waits_for_everything(database: Database) -> None:
    enrolment = await mint(database)

    status = await SqlEnrolmentReader(database).enrolment("enrolment-1", "org-1")

    assert status == EnrolmentStatus(
        enrolment_id="enrolment-1",
        mailbox=ANNA,
        serial=enrolment.certificate.serial,
        minted_at=NOW,
        not_after=NOW + YEAR,
        live=True,
        key=KeyState.HELD,
        package_format=KeyPackageFormat.COMPATIBLE,
        delivery=DeliveryState.QUEUED,
        delivery_attempts=0,
        last_failure=None,
        accepted_at=None,
        relay=RelayState.WAITING,
        revealed_at=None,
        closed_at=None,
        expires_at=NOW + timedelta(days=30),
        released_through=None,
    )


async def test_it_shows_the_channels_that_bring_the_password(database: Database) -> None:
    await SqlOrganizations(database, node="setup").change(
        with_webhook("https://hooks.hospital.org/"), an_event()
    )
    desk = Mailbox.parse("desk@hospital.org")
    await record(database, an_enrolment(a_reservation(), tells_webhook=True, password_mail_to=desk))
    jobs = SqlWebhookJobs(database, node="node-1")
    (job,) = await jobs.claim_due(worker="w", now=NOW, lease_until=NOW + YEAR, most=1)
    attempt = WebhookAttempt(at=NOW, milliseconds=5, status=503)
    await jobs.record_retry(job, attempt, due_at=NOW + timedelta(minutes=1))

    status = await SqlEnrolmentReader(database).enrolment("enrolment-1", "org-1")

    assert sorted(status.channels, key=lambda one: one.channel) == [
        ChannelStatus(channel=PasswordChannel.MAIL, state=ChannelState.QUEUED, attempts=0, last_failure=None),
        ChannelStatus(
            channel=PasswordChannel.WEBHOOK,
            state=ChannelState.QUEUED,
            attempts=1,
            last_failure="status.503",
        ),
    ]
    (listed,) = await SqlEnrolmentReader(database).awaiting_relay("org-1", after=None, most=9)
    assert listed.channels == status.channels


async def test_it_shows_how_far_delivery_and_relay_have_come(database: Database) -> None:
    await mint(database)
    outbox, relays = SqlOutbox(database, node="node-1"), SqlRelayStore(database, node="node-1")
    lease_until = NOW + timedelta(minutes=5)
    (mail,) = await outbox.claim_due(worker="w", now=NOW, lease_until=lease_until, most=1)
    await outbox.record_retry(mail, due_at=NOW, failure="421 busy")
    relay = await relays.relay("enrolment-1", "org-1")
    await relays.mark_revealed(relay, an_agent(), an_event())

    status = await SqlEnrolmentReader(database).enrolment("enrolment-1", "org-1")

    assert (status.delivery_attempts, status.last_failure) == (1, "421 busy")
    assert (status.relay, status.revealed_at) == (RelayState.REVEALED, NOW)

    (mail,) = await outbox.claim_due(worker="w", now=NOW, lease_until=lease_until, most=1)
    await outbox.record_accepted(mail, an_acceptance(NOW), an_event())
    status = await SqlEnrolmentReader(database).enrolment("enrolment-1", "org-1")

    assert (status.delivery, status.accepted_at) == (DeliveryState.ACCEPTED, NOW)
    assert (status.delivery_attempts, status.last_failure) == (2, None)


async def test_another_organizations_enrolment_is_as_unknown_as_none(database: Database) -> None:
    await mint(database)
    await add_organization(
        database, an_organization(organization_id="org-2", slug="firm", domains=frozenset())
    )

    with pytest.raises(Unknown) as anothers:
        await SqlEnrolmentReader(database).enrolment("enrolment-1", "org-2")
    with pytest.raises(Unknown) as nobodys:
        await SqlEnrolmentReader(database).enrolment("enrolment-2", "org-2")

    assert (anothers.value.kind, nobodys.value.kind) == ("enrolment", "enrolment")


async def test_whom_no_key_mail_reached_stays_on_the_list(database: Database) -> None:
    enrolment = await mint(database)
    outbox = SqlOutbox(database, node="node-1")
    (mail,) = await outbox.claim_due(
        worker="w", now=NOW + timedelta(hours=1), lease_until=NOW + timedelta(hours=2), most=1
    )
    event = an_event(AuditKind.KEY_MAIL_GIVEN_UP, subject=mail.enrolment_id)
    await outbox.record_given_up(mail, at=NOW + timedelta(hours=1), failure="550 no such user", event=event)

    organization_id = enrolment.reservation.organization_id
    (listed,) = await SqlEnrolmentReader(database).awaiting_relay(organization_id, after=None, most=10)

    assert (listed.delivery, listed.relay, listed.live) == (DeliveryState.BOUNCED, RelayState.FAILED, False)


async def test_who_was_not_called_yet_comes_before_open_calls(database: Database) -> None:
    first = await mint(database)
    await mint(database, a_reservation("enrolment-2", mailbox=Mailbox.parse("bob@example.org")))
    relays = SqlRelayStore(database, node="node-1")
    organization_id = first.reservation.organization_id
    event = an_event(AuditKind.PASSWORD_REVEALED, subject="enrolment-1")
    await relays.mark_revealed(await relays.relay("enrolment-1", organization_id), an_agent(), event)

    listed = await SqlEnrolmentReader(database).awaiting_relay(organization_id, after=None, most=10)

    assert [one.enrolment_id for one in listed] == ["enrolment-2", "enrolment-1"]


async def test_a_long_list_is_read_in_pieces(database: Database) -> None:
    for number in range(5):
        mailbox = Mailbox.parse(f"p{number}@example.org")
        reservation = a_reservation(
            f"enrolment-{number}", mailbox=mailbox, minted_at=NOW - timedelta(hours=number // 2)
        )
        await mint(database, reservation)
    relays, reader = SqlRelayStore(database, node="node-1"), SqlEnrolmentReader(database)
    called = await relays.relay("enrolment-4", "org-1")
    event = an_event(AuditKind.PASSWORD_REVEALED, subject="enrolment-4")
    await relays.mark_revealed(called, an_agent(), event)

    pieces: list[EnrolmentStatus] = []
    while piece := await reader.awaiting_relay("org-1", after=pieces[-1].cursor if pieces else None, most=2):
        pieces += piece

    assert [one.enrolment_id for one in pieces] == [
        "enrolment-2",
        "enrolment-3",
        "enrolment-0",
        "enrolment-1",
        "enrolment-4",
    ]
