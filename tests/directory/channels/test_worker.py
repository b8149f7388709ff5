"""The worker against a real receiver: told once, told again until it is answered, and told nobody else."""

import hashlib
import hmac
import json
import logging
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from ca.address import Mailbox
from directory.channels.jobs import CallFailure, WebhookState
from directory.channels.overview import WebhookDelivery
from directory.enrolmentsecrets import relay_password_identity
from directory.relay import PasswordChannel, RelayState
from directory.steps import Step
from directory.store.database import Database
from directory.store.opening import open_database
from directory.store.relays import SqlRelayStore
from tests.contracts.world import NOW, SEALER, Store, a_reservation, an_enrolment, populate, record
from tests.databases import PATIENT, Databases
from tests.directory.builders import an_agent
from tests.directory.channels.receiver import (
    Answer,
    Receiver,
    hang_up,
    receiving,
    say_nothing,
    send_without_end,
    status,
)
from tests.directory.channels.working import (
    SECRET,
    SETTINGS,
    WebhookWork,
    set_webhook,
    url_of,
    webhooks_at_work,
)
from tests.directory.delivery.tls import write_ca_file

PASSWORD = "CANAR-Y0CAN-ARYC4-N4RYC-AN4RY"


@pytest.fixture(scope="module")
def ca_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_ca_file(tmp_path_factory.mktemp("ca"))


@pytest.fixture
async def store(databases: Databases) -> AsyncIterator[Store]:
    url = await databases.fresh("sqlite")
    database = open_database(url, limits=PATIENT)
    try:
        await populate(database)
        yield Store(url=url, database=database)
    finally:
        await database.close()
        databases.drop(url)


@pytest.fixture
def database(store: Store) -> Database:
    return store.database


@pytest.fixture
async def receiver(database: Database) -> AsyncIterator[Receiver]:
    async with receiving() as listening:
        await set_webhook(database, url_of(listening))
        yield listening


async def enrolled(database: Database, name: str = "enrolment-1", address: str = "anna@example.org") -> None:
    enrolment = an_enrolment(a_reservation(name, mailbox=Mailbox.parse(address)), tells_webhook=True)
    password = SEALER.seal(PASSWORD.encode(), relay_password_identity(name, "org-1"))
    await record(database, replace(enrolment, sealed_password=password))


async def the_delivery(work: WebhookWork, enrolment_id: str = "enrolment-1") -> WebhookDelivery:
    (delivery,) = await work.overview.of_enrolment(enrolment_id)
    return delivery


async def relay_state(store: Store) -> tuple[object, ...]:
    (row,) = await store.rows("SELECT state, released_through FROM relays")
    return row


async def test_tells_the_password_and_how_it_is_said(
    store: Store, database: Database, receiver: Receiver, ca_file: Path
) -> None:
    await enrolled(database)
    async with webhooks_at_work(database, ca_file) as work:
        await work.steps.reached(Step.WEBHOOK_RECORDED)
        delivery = await the_delivery(work)

    (received,) = receiver.received
    document = json.loads(received.body)
    assert document["event"] == "password.ready"
    assert document["delivery_id"] == delivery.delivery_id == received.headers["pushpki-delivery"]
    assert (document["organization"], document["address"]) == ("hospital", "anna@example.org")
    assert document["password"] == PASSWORD
    assert "".join(one["symbol"] for group in document["spelling"] for one in group) == PASSWORD
    assert document["expires_at"] == "2026-12-22T09:30:15Z"
    assert delivery.state is WebhookState.DELIVERED
    assert await relay_state(store) == (RelayState.REVEALED, PasswordChannel.WEBHOOK)


async def test_signs_what_it_sends(database: Database, receiver: Receiver, ca_file: Path) -> None:
    await enrolled(database)
    async with webhooks_at_work(database, ca_file) as work:
        await work.steps.reached(Step.WEBHOOK_RECORDED)

    (received,) = receiver.received
    fields = dict(part.split("=", 1) for part in received.headers["pushpki-signature"].split(","))
    content = f"{fields['t']}.{received.headers['pushpki-delivery']}.".encode() + received.body
    assert fields["v1"] == hmac.new(SECRET.encode(), content, hashlib.sha256).hexdigest()
    assert int(fields["t"]) == int(NOW.timestamp())


async def test_every_attempt_is_the_same_delivery_and_the_same_words(
    store: Store, database: Database, receiver: Receiver, ca_file: Path
) -> None:
    receiver.answers = [status(503), status(302, "Location: https://127.0.0.1:1/"), status(404), status(200)]
    await enrolled(database)
    async with webhooks_at_work(database, ca_file) as work:
        for number in range(1, 5):
            await work.steps.reached(Step.WEBHOOK_RECORDED, times=number)
            work.later(timedelta(hours=1))
        delivery = await the_delivery(work)
        _, attempts = await work.overview.history(delivery.delivery_id)

    assert len({(one.body, one.headers["pushpki-delivery"]) for one in receiver.received}) == 1
    assert len({one.headers["pushpki-signature"] for one in receiver.received}) == 4
    assert [attempt.status for attempt in attempts] == [503, 302, 404, 200]
    assert (delivery.state, delivery.attempts, delivery.last_failure) == (WebhookState.DELIVERED, 4, None)
    assert await relay_state(store) == (RelayState.REVEALED, PasswordChannel.WEBHOOK)


async def test_the_second_attempt_waits(database: Database, receiver: Receiver, ca_file: Path) -> None:
    receiver.answers = [status(500), status(200)]
    await enrolled(database)
    async with webhooks_at_work(database, ca_file) as work:
        await work.steps.reached(Step.WEBHOOK_RECORDED)
        delivery = await the_delivery(work)

    assert (delivery.state, delivery.last_failure) == (WebhookState.QUEUED, "status.500")
    assert delivery.due_at == NOW + timedelta(seconds=15)


async def test_who_is_gone_is_told_no_more(
    store: Store,
    database: Database,
    receiver: Receiver,
    ca_file: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    receiver.answers = [status(410)]
    await enrolled(database)
    async with webhooks_at_work(database, ca_file) as work:
        await work.steps.reached(Step.WEBHOOK_RECORDED)
        delivery = await the_delivery(work)

    assert (delivery.state, delivery.last_failure) == (WebhookState.GIVEN_UP, "status.410")
    assert await relay_state(store) == (RelayState.WAITING, None)
    events = await store.rows(
        "SELECT actor, subject, detail FROM audit_events WHERE kind = 'webhook.given_up'"
    )
    assert [(actor, subject) for actor, subject, _ in events] == [("service", "enrolment-1")]
    assert "was given up: status.410" in caplog.text


async def test_gives_up_after_the_days_of_a_delivery(
    database: Database, receiver: Receiver, ca_file: Path
) -> None:
    receiver.answers = [status(500)]
    await enrolled(database)
    async with webhooks_at_work(database, ca_file) as work:
        await work.steps.reached(Step.WEBHOOK_RECORDED)
        work.later(timedelta(days=5))
        await work.steps.reached(Step.WEBHOOK_RECORDED, times=2)
        delivery = await the_delivery(work)

    assert delivery.state is WebhookState.GIVEN_UP


@pytest.mark.parametrize(
    ("answer", "failure"),
    [(hang_up, CallFailure.CONNECTION_LOST), (say_nothing, CallFailure.TIMED_OUT)],
)
async def test_who_does_not_answer_is_told_again(
    database: Database, receiver: Receiver, ca_file: Path, answer: Answer, failure: CallFailure
) -> None:
    receiver.answers = [answer, status(200)]
    await enrolled(database)
    async with webhooks_at_work(database, ca_file, patience=timedelta(seconds=1)) as work:
        await work.steps.reached(Step.WEBHOOK_RECORDED)
        assert (await the_delivery(work)).last_failure == failure
        work.later(timedelta(minutes=1))
        await work.steps.reached(Step.WEBHOOK_RECORDED, times=2)
        assert (await the_delivery(work)).state is WebhookState.DELIVERED


async def test_an_answer_without_end_counts_by_its_status(
    database: Database, receiver: Receiver, ca_file: Path
) -> None:
    receiver.answers = [send_without_end]
    await enrolled(database)
    async with webhooks_at_work(database, ca_file) as work:
        await work.steps.reached(Step.WEBHOOK_RECORDED)
        assert (await the_delivery(work)).state is WebhookState.DELIVERED


async def test_a_webhook_that_hangs_rests_and_keeps_nobody_waiting(
    database: Database, receiver: Receiver, ca_file: Path
) -> None:
    receiver.answers = [say_nothing]
    for number in range(8):
        await enrolled(database, f"enrolment-{number}", f"p{number}@example.org")
    async with webhooks_at_work(database, ca_file, patience=timedelta(seconds=1)) as work:
        await work.steps.reached(Step.WEBHOOK_RECORDED, times=8)
        failures = [(await the_delivery(work, f"enrolment-{number}")).last_failure for number in range(8)]

    assert sorted(str(failure) for failure in failures) == ["busy"] * 4 + ["timed_out"] * 4
    assert len(receiver.received) == 4


async def test_an_agent_who_was_faster_ends_the_delivery(
    store: Store, database: Database, receiver: Receiver, ca_file: Path
) -> None:
    await enrolled(database)
    relays = SqlRelayStore(database, node="node-1")
    relay = await relays.relay("enrolment-1", "org-1")
    await relays.mark_revealed(relay, an_agent(), an_enrolment(a_reservation()).event)
    async with webhooks_at_work(database, ca_file) as work:
        await enrolled(database, "enrolment-2", "ben@example.org")
        work.worker.notify()
        await work.steps.reached(Step.WEBHOOK_RECORDED)
        delivery = await the_delivery(work)

    assert delivery.state is WebhookState.OBSOLETE
    assert [json.loads(one.body)["enrolment_id"] for one in receiver.received] == ["enrolment-2"]
    rows = await store.rows("SELECT released_through FROM relays ORDER BY enrolment_id")
    assert rows == [("agent",), ("webhook",)]


@pytest.mark.parametrize("address", ["anna@hooks.example.org", "anna@example.org"])
async def test_no_password_goes_into_the_recipients_domain(
    database: Database, ca_file: Path, address: str
) -> None:
    await set_webhook(database, "https://hooks.example.org/")
    await enrolled(database, address=address)
    async with webhooks_at_work(database, ca_file) as work:
        await work.steps.reached(Step.WEBHOOK_RECORDED)
        delivery = await the_delivery(work)

    assert (delivery.state, delivery.last_failure) == (WebhookState.GIVEN_UP, "shared_channel")


async def test_nothing_is_sent_to_a_private_network_unless_allowed(
    database: Database, receiver: Receiver, ca_file: Path
) -> None:
    await enrolled(database)
    async with webhooks_at_work(database, ca_file, allow_private=False) as work:
        await work.steps.reached(Step.WEBHOOK_RECORDED)
        delivery = await the_delivery(work)

    assert (delivery.last_failure, receiver.connections) == ("address_refused", 0)


def dying_once_at(step: Step) -> Callable[[Step], None]:
    left = [step]

    def listen(taken: Step) -> None:
        if taken in left:
            left.remove(taken)
            raise RuntimeError("died")

    return listen


@pytest.mark.parametrize(
    ("step", "copies"),
    [(Step.WEBHOOK_BEFORE_CALL, 1), (Step.WEBHOOK_AFTER_CALL, 2), (Step.WEBHOOK_RECORDED, 1)],
)
async def test_a_call_that_dies_is_made_again(
    store: Store, database: Database, receiver: Receiver, ca_file: Path, step: Step, copies: int
) -> None:
    await enrolled(database)
    async with webhooks_at_work(database, ca_file, on_step=dying_once_at(step)) as work:
        await work.steps.reached(step)
        if step is not Step.WEBHOOK_RECORDED:
            work.later(SETTINGS.lease)
            await work.steps.reached(Step.WEBHOOK_RECORDED)
        delivery = await the_delivery(work)

    assert delivery.state is WebhookState.DELIVERED
    assert len(receiver.received) == copies
    assert len({one.body for one in receiver.received}) == 1
    assert await relay_state(store) == (RelayState.REVEALED, PasswordChannel.WEBHOOK)
    assert await store.rows("SELECT count(*) FROM audit_events WHERE kind = 'password.released'") == [(1,)]


async def test_neither_log_nor_database_tells_the_password(
    store: Store, receiver: Receiver, ca_file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    receiver.answers = [status(500), hang_up, status(410)]
    await enrolled(store.database)
    with caplog.at_level(logging.DEBUG):
        async with webhooks_at_work(store.database, ca_file) as work:
            for number in range(1, 4):
                await work.steps.reached(Step.WEBHOOK_RECORDED, times=number)
                work.later(timedelta(hours=1))

    written = caplog.text + str(await _everything(store))
    assert "webhook.given_up" in written
    assert [one for one in (SECRET, PASSWORD, PASSWORD[:5], "Aachen", "/hook") if one in written] == []


async def _everything(store: Store) -> Sequence[object]:
    tables = ("webhook_deliveries", "webhook_attempts", "audit_events", "relays")
    return [await store.rows(f"SELECT * FROM {table}") for table in tables]  # noqa: S608 - names of ours
