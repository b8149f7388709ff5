"""The contract of `WebhookJobs` and of the overview: told once, whatever races; again only with sense."""

import asyncio
from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from ca.address import Mailbox
from directory.audit import AuditEvent, AuditKind
from directory.channels.jobs import (
    CallFailure,
    WebhookAttempt,
    WebhookEvent,
    WebhookJob,
    WebhookState,
)
from directory.channels.overview import Redeliveries, WebhookDelivery
from directory.delivery.outbox import GivenUp
from directory.errors import RedeliveryRefused, Unknown
from directory.relay import PasswordChannel, RelayState
from directory.store.database import Database
from directory.store.organizations import SqlOrganizations
from directory.store.outbox import SqlOutbox
from directory.store.relays import SqlRelayStore
from directory.store.webhook_overview import SqlWebhookOverview
from directory.store.webhooks import SqlWebhookJobs
from tests.contracts.world import NOW, Store, a_reservation, an_enrolment, an_event, record
from tests.directory.builders import an_agent, an_organization
from tests.directory.channels.working import set_webhook
from tests.directory.clocks import StoppedClock

LEASE = timedelta(minutes=2)
DESTROYED = """UPDATE relays SET
    password_master_key_id = NULL, password_wrapped_key = NULL, password_ciphertext = NULL"""
DELIVERED = WebhookAttempt(at=NOW, milliseconds=12, status=204)
FAILED = WebhookAttempt(at=NOW, milliseconds=10_000, failure=CallFailure.TIMED_OUT)
RELEASED = AuditEvent(
    kind=AuditKind.PASSWORD_RELEASED, at=NOW, actor="service", subject="enrolment-1", organization_id="org-1"
)


@pytest.fixture
async def jobs(database: Database) -> SqlWebhookJobs:
    await set_webhook(database, "https://hooks.hospital.org/")
    return SqlWebhookJobs(database, node="node-1")


@pytest.fixture
def overview(database: Database) -> SqlWebhookOverview:
    return SqlWebhookOverview(database, node="node-1")


async def enrolled(database: Database, number: int = 1) -> None:
    reservation = a_reservation(
        f"enrolment-{number}", mailbox=Mailbox.parse(f"p{number}@example.org"), minted_at=NOW
    )
    await record(database, an_enrolment(reservation, tells_webhook=True))


async def claim(
    jobs: SqlWebhookJobs, *, now: datetime = NOW, worker: str = "node-1", most: int = 10
) -> list[WebhookJob]:
    return list(await jobs.claim_due(worker=worker, now=now, lease_until=now + LEASE, most=most))


async def the_delivery(overview: SqlWebhookOverview) -> WebhookDelivery:
    (delivery,) = await overview.of_enrolment("enrolment-1")
    return delivery


async def relay_of(store: Store) -> tuple[object, ...]:
    (row,) = await store.rows("SELECT state, released_through FROM relays WHERE enrolment_id = 'enrolment-1'")
    return row


async def test_a_mint_queues_what_its_webhook_is_told(database: Database, jobs: SqlWebhookJobs) -> None:
    await enrolled(database)

    (job,) = await claim(jobs)

    assert (job.event, job.enrolment_id, str(job.mailbox)) == (
        WebhookEvent.PASSWORD_READY,
        "enrolment-1",
        "p1@example.org",
    )
    assert (job.attempts, job.give_up_at) == (0, NOW + timedelta(days=5))
    assert job.sealed_password is not None
    assert job.organization.correspondence.webhook is not None


async def test_without_a_webhook_nothing_is_queued(database: Database) -> None:
    await enrolled(database)

    assert await SqlWebhookJobs(database, node="node-1").next_due() is None


async def test_each_job_goes_to_one_worker(database: Database, jobs: SqlWebhookJobs) -> None:
    for number in range(6):
        await enrolled(database, number)

    claimed = await asyncio.gather(*(claim(jobs, worker=f"w{number}", most=3) for number in range(4)))

    told = [job.delivery_id for one in claimed for job in one]
    assert len(told) == len(set(told)) == 6


async def test_a_claim_runs_out(database: Database, jobs: SqlWebhookJobs) -> None:
    await enrolled(database)
    await claim(jobs)

    assert await jobs.next_due() == NOW + LEASE
    assert await claim(jobs, now=NOW + LEASE - timedelta(seconds=1)) == []
    (again,) = await claim(jobs, now=NOW + LEASE, worker="node-2")
    assert again.attempts == 1


async def test_claims_are_given_up_by_name(database: Database, jobs: SqlWebhookJobs) -> None:
    await enrolled(database)
    await claim(jobs)

    await jobs.release_claims(worker="node-2")
    assert await claim(jobs) == []
    await jobs.release_claims(worker="node-1")
    assert len(await claim(jobs)) == 1


async def test_what_was_delivered_reveals_the_password_and_is_on_record(
    store: Store, database: Database, jobs: SqlWebhookJobs, overview: SqlWebhookOverview
) -> None:
    await enrolled(database)
    (job,) = await claim(jobs)

    for _ in range(2):
        await jobs.record_delivered(job, DELIVERED, RELEASED)

    delivery, history = await overview.history(job.delivery_id)
    assert (delivery.state, delivery.ended_at, history) == (WebhookState.DELIVERED, NOW, [DELIVERED])
    assert await relay_of(store) == (RelayState.REVEALED, PasswordChannel.WEBHOOK)
    assert await store.rows("SELECT count(*) FROM audit_events WHERE kind = 'password.released'") == [(1,)]
    assert await jobs.next_due() is None


async def test_a_worker_whose_lease_ran_out_changes_nothing_but_a_delivery(
    store: Store, database: Database, jobs: SqlWebhookJobs, overview: SqlWebhookOverview
) -> None:
    await enrolled(database)
    (late,) = await claim(jobs)
    await claim(jobs, now=NOW + LEASE, worker="node-2")

    await jobs.record_retry(late, FAILED, due_at=NOW)
    await jobs.record_given_up(late, FAILED, an_event(AuditKind.WEBHOOK_GIVEN_UP))
    delivery, history = await overview.history(late.delivery_id)
    assert (delivery.state, history) == (WebhookState.QUEUED, [])
    assert await store.rows("SELECT count(*) FROM audit_events WHERE kind = 'webhook.given_up'") == [(0,)]

    await jobs.record_delivered(late, DELIVERED, RELEASED)
    assert (await the_delivery(overview)).state is WebhookState.DELIVERED


async def test_keeps_the_history_of_attempts(
    database: Database, jobs: SqlWebhookJobs, overview: SqlWebhookOverview
) -> None:
    await enrolled(database)
    (job,) = await claim(jobs)
    later = NOW + timedelta(minutes=1)
    await jobs.record_retry(job, FAILED, due_at=later)
    assert (await the_delivery(overview)).last_failure == "timed_out"

    (again,) = await claim(jobs, now=later)
    await jobs.record_given_up(again, replace(FAILED, at=later), an_event(AuditKind.WEBHOOK_GIVEN_UP))

    delivery, history = await overview.history(job.delivery_id)
    assert (delivery.state, delivery.attempts, delivery.ended_at) == (WebhookState.GIVEN_UP, 2, later)
    assert history == [FAILED, replace(FAILED, at=later)]


async def test_a_password_that_an_agent_has_is_not_told(
    database: Database, jobs: SqlWebhookJobs, overview: SqlWebhookOverview
) -> None:
    await enrolled(database)
    relays = SqlRelayStore(database, node="node-1")
    await relays.mark_revealed(await relays.relay("enrolment-1", "org-1"), an_agent(), an_event())

    assert await claim(jobs) == []
    assert (await the_delivery(overview)).state is WebhookState.OBSOLETE


async def test_a_webhook_that_was_taken_away_is_told_nothing(
    database: Database, jobs: SqlWebhookJobs, overview: SqlWebhookOverview
) -> None:
    await enrolled(database)
    await SqlOrganizations(database, node="setup").change(an_organization(), an_event())

    assert await claim(jobs) == []
    assert (await the_delivery(overview)).state is WebhookState.OBSOLETE


def redeliveries(overview: SqlWebhookOverview) -> Redeliveries:
    clock = StoppedClock(NOW + timedelta(hours=1))
    return Redeliveries(store=overview, clock=clock, lifetime=timedelta(days=5), actor="operator:test")


async def test_what_was_delivered_can_be_told_again_under_another_name(
    store: Store, database: Database, jobs: SqlWebhookJobs, overview: SqlWebhookOverview
) -> None:
    await enrolled(database)
    (job,) = await claim(jobs)
    await jobs.record_delivered(job, DELIVERED, RELEASED)

    new_id = await redeliveries(overview).redeliver(job.delivery_id)

    (again,) = await claim(jobs, now=NOW + timedelta(hours=1))
    assert again.delivery_id == new_id != job.delivery_id
    assert again.event is WebhookEvent.PASSWORD_READY
    assert await store.rows("SELECT actor FROM audit_events WHERE kind = 'webhook.redelivered'") == [
        ("operator:test",)
    ]
    assert [one.delivery_id for one in await overview.deliveries(organization_id="org-1", most=5)] == [
        new_id,
        job.delivery_id,
    ]
    assert await overview.deliveries(organization_id="org-2", most=5) == []
    assert len(await overview.deliveries(organization_id=None, most=1)) == 1


async def test_what_is_under_way_is_not_told_again(
    database: Database, jobs: SqlWebhookJobs, overview: SqlWebhookOverview
) -> None:
    await enrolled(database)
    (job,) = await claim(jobs)

    with pytest.raises(RedeliveryRefused) as refused:
        await redeliveries(overview).redeliver(job.delivery_id)

    assert refused.value.code == "redelivery.under_way"


@pytest.mark.parametrize(
    ("statement", "code"),
    [
        ("UPDATE relays SET state = 'relayed'", "redelivery.not_releasable"),
        ("UPDATE relays SET released_through = 'agent'", "redelivery.not_releasable"),
        (DESTROYED, "redelivery.not_releasable"),
        ("UPDATE organizations SET webhook_url = NULL", "redelivery.no_webhook"),
    ],
)
async def test_what_makes_no_sense_is_not_told_again(
    store: Store,
    database: Database,
    jobs: SqlWebhookJobs,
    overview: SqlWebhookOverview,
    statement: str,
    code: str,
) -> None:
    await enrolled(database)
    (job,) = await claim(jobs)
    await jobs.record_delivered(job, DELIVERED, RELEASED)
    await store.sql(statement)

    with pytest.raises(RedeliveryRefused) as refused:
        await redeliveries(overview).redeliver(job.delivery_id)

    assert refused.value.code == code


async def test_an_unknown_delivery_is_unknown(overview: SqlWebhookOverview) -> None:
    with pytest.raises(Unknown):
        await overview.history("f" * 32)


async def test_a_key_mail_that_is_refused_is_told_to_the_webhook(
    database: Database, jobs: SqlWebhookJobs
) -> None:
    await enrolled(database)
    outbox = SqlOutbox(database, node="node-1")
    (mail,) = await outbox.claim_due(worker="w", now=NOW, lease_until=NOW + LEASE, most=1)
    given_up = an_event(AuditKind.KEY_MAIL_GIVEN_UP)
    await outbox.record_given_up(mail, at=NOW, failure="550", event=given_up, because=GivenUp.REFUSED)

    told = await claim(jobs)

    # The password of an enrolment that failed is not told any more.
    assert [job.event for job in told] == [WebhookEvent.KEY_MAIL_BOUNCED]
