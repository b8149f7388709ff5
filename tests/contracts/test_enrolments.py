"""The contract of `EnrolmentReader`."""

from datetime import timedelta

import pytest

from directory.delivery.outbox import DeliveryState
from directory.errors import Unknown
from directory.relay import RelayState
from directory.status import EnrolmentStatus, KeyState
from directory.store.database import Database
from directory.store.enrolments import SqlEnrolmentReader
from directory.store.outbox import SqlOutbox
from directory.store.relays import SqlRelayStore
from tests.contracts.world import ANNA, NOW, YEAR, add_organization, an_event, mint
from tests.directory.builders import an_agent, an_organization


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
        delivery=DeliveryState.QUEUED,
        delivery_attempts=0,
        last_failure=None,
        accepted_at=None,
        relay=RelayState.WAITING,
        revealed_at=None,
        closed_at=None,
    )


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
    await outbox.record_accepted(mail, at=NOW, hold_until=NOW, event=an_event())
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
