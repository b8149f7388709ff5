"""The port `ResendStore` with the use case on it: the key mail once more, on both databases."""

from datetime import timedelta

import pytest

from ca.keypackage import KeyPackageFormat
from directory.audit import AuditKind
from directory.delivery.outbox import DeliveryState
from directory.errors import ResendRefused, Unknown
from directory.mailbudget import BUDGET_PERIOD
from directory.relay import RelayState
from directory.resending import KeyMailResender
from directory.store.database import Database
from directory.store.enrolments import SqlEnrolmentReader
from directory.store.outbox import SqlOutbox
from directory.store.resends import SqlResendStore
from tests.contracts.following import events
from tests.contracts.world import NOW, Store, an_event, mint
from tests.directory.clocks import StoppedClock
from tests.directory.delivery.builders import an_acceptance

WEEK = timedelta(days=7)
ENROLMENT = "enrolment-1"


def a_resender(database: Database, clock: StoppedClock) -> KeyMailResender:
    return KeyMailResender(
        store=SqlResendStore(database, node="node-1"), clock=clock, lifetime=timedelta(days=5)
    )


async def accept_all(database: Database, clock: StoppedClock) -> list[tuple[str, KeyPackageFormat]]:
    """Deliver what is due; return Message-IDs and formats."""
    outbox = SqlOutbox(database, node="node-1")
    claimed = await outbox.claim_due(
        worker="w", now=clock.now(), lease_until=clock.now() + timedelta(hours=1), most=10
    )
    for mail in claimed:
        event = an_event(AuditKind.KEY_MAIL_ACCEPTED, subject=mail.enrolment_id)
        await outbox.record_accepted(mail, an_acceptance(clock.now()), event)
    return [(mail.message_id, mail.package_format) for mail in claimed]


async def refusal(database: Database, clock: StoppedClock) -> str:
    with pytest.raises(ResendRefused) as refused:
        await a_resender(database, clock).resend(ENROLMENT, None, "operator:test")
    return refused.value.code


@pytest.fixture
def clock() -> StoppedClock:
    return StoppedClock(NOW + timedelta(hours=1))


async def test_it_is_sent_again_in_the_other_format_under_another_message_id(
    store: Store, database: Database, clock: StoppedClock
) -> None:
    await mint(database)
    ((first, _),) = await accept_all(database, clock)

    await a_resender(database, clock).resend(ENROLMENT, KeyPackageFormat.MODERN, "operator:test")
    ((second, package_format),) = await accept_all(database, clock)

    assert await events(store, AuditKind.KEY_MAIL_RESENT) == [("operator:test", ENROLMENT)]
    assert package_format is KeyPackageFormat.MODERN
    assert first != second
    assert second.endswith(".key@hospital.org>")


async def test_it_is_the_same_key_under_the_same_password_and_shown_in_its_format(
    database: Database, clock: StoppedClock
) -> None:
    minted = await mint(database)
    await accept_all(database, clock)

    await a_resender(database, clock).resend(ENROLMENT, KeyPackageFormat.MODERN, "operator:test")

    status = await SqlEnrolmentReader(database).enrolment(ENROLMENT, minted.reservation.organization_id)
    assert status.package_format is KeyPackageFormat.MODERN
    (mail,) = await SqlOutbox(database, node="node-1").claim_due(
        worker="w", now=clock.now(), lease_until=clock.now() + timedelta(hours=1), most=10
    )
    assert (mail.sealed_key, mail.sealed_password) == (minted.sealed_key, minted.sealed_password)
    assert mail.sealed_message is None


async def test_without_a_format_it_stays_as_it_was(database: Database, clock: StoppedClock) -> None:
    await mint(database)
    await accept_all(database, clock)

    await a_resender(database, clock).resend(ENROLMENT, None, "operator:test")

    assert [package_format for _, package_format in await accept_all(database, clock)] == [
        KeyPackageFormat.COMPATIBLE
    ]


async def test_while_a_mail_is_under_way_none_is_added(database: Database, clock: StoppedClock) -> None:
    await mint(database)

    assert await refusal(database, clock) == "resend.under_way"


async def test_nobody_gets_more_than_three_key_mails_in_a_week(
    database: Database, clock: StoppedClock
) -> None:
    await mint(database)
    await accept_all(database, clock)
    for _ in range(2):
        await a_resender(database, clock).resend(ENROLMENT, None, "operator:test")
        await accept_all(database, clock)

    assert await refusal(database, clock) == "resend.budget_spent"
    clock.advance(BUDGET_PERIOD)
    await a_resender(database, clock).resend(ENROLMENT, None, "operator:test")


async def test_one_that_was_given_up_is_not_sent_again(database: Database, clock: StoppedClock) -> None:
    await mint(database)
    outbox = SqlOutbox(database, node="node-1")
    (mail,) = await outbox.claim_due(
        worker="w", now=clock.now(), lease_until=clock.now() + timedelta(hours=1), most=1
    )
    event = an_event(AuditKind.KEY_MAIL_GIVEN_UP, subject=ENROLMENT)
    await outbox.record_given_up(mail, at=clock.now(), failure="550 no such user", event=event)

    assert await refusal(database, clock) == "resend.not_live"


async def test_a_copy_that_is_given_up_takes_nothing_back(database: Database, clock: StoppedClock) -> None:
    enrolment = await mint(database)
    await accept_all(database, clock)
    await a_resender(database, clock).resend(ENROLMENT, None, "operator:test")
    outbox = SqlOutbox(database, node="node-1")
    (mail,) = await outbox.claim_due(
        worker="w", now=clock.now(), lease_until=clock.now() + timedelta(hours=1), most=1
    )

    event = an_event(AuditKind.KEY_MAIL_GIVEN_UP, subject=ENROLMENT)
    await outbox.record_given_up(mail, at=clock.now(), failure="550 mailbox full", event=event)

    status = await SqlEnrolmentReader(database).enrolment(ENROLMENT, enrolment.reservation.organization_id)
    assert (status.live, status.delivery, status.relay) == (
        True,
        DeliveryState.ACCEPTED,
        RelayState.WAITING,
    )


async def test_an_unknown_enrolment_is_unknown(database: Database, clock: StoppedClock) -> None:
    with pytest.raises(Unknown):
        await a_resender(database, clock).resend("nothing", None, "operator:test")
