"""The contract of `RenewalStore`: what ends soon and may be renewed, and what is known of it."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

import pytest

from ca.address import Mailbox
from directory.audit import AuditKind
from directory.delivery.outbox import DeliveryState
from directory.errors import Unknown
from directory.organization import Renewal
from directory.relay import RelayOutcome, RelayState
from directory.renewal import Renewable
from directory.status import Place
from directory.store.database import Database
from directory.store.lookup import SqlDirectoryReader
from directory.store.organizations import SqlOrganizations
from directory.store.relays import SqlRelayStore
from directory.store.renewals import SqlRenewals
from tests.contracts.following import deliver_key, standing
from tests.contracts.renewing import DAY, ENDS, LEADS, NEW, OLD, RENEWS, prove, record_switches, renew
from tests.contracts.world import (
    ANNA,
    NOW,
    Store,
    a_reservation,
    add_organization,
    an_event,
    import_certificate,
    mint,
)
from tests.directory.builders import a_gateway, an_organization

BERTA = Mailbox.parse("berta@example.org")


async def ending(
    database: Database,
    *,
    now: datetime = RENEWS,
    until: datetime = ENDS,
    after: Renewable | None = None,
    most: int = 10,
) -> list[str]:
    found = await SqlRenewals(database).ending(now=now, until=until, after=after, most=most)
    return [one.enrolment_id for one in found]


@pytest.fixture
async def proven(store: Store) -> Store:
    """A store in which Anna has proven her key long ago."""
    await deliver_key(store.database)
    await prove(store.database, OLD, at=NOW)
    return store


async def test_what_is_known_of_an_enrolment(proven: Store) -> None:
    renewable = await SqlRenewals(proven.database).of_enrolment(OLD, RENEWS)

    assert renewable == Renewable(
        enrolment_id=OLD,
        mailbox=ANNA,
        gateway=a_gateway(),
        not_after=ENDS,
        live=True,
        place=Place.LEADING,
        delivery=DeliveryState.PROVEN,
        is_proven=True,
        language="en",
        package_format=renewable.package_format,
        is_renewed=False,
        has_own_certificate=False,
        has_room=True,
    )


async def test_what_stands_in_the_way_is_known(proven: Store) -> None:
    await renew(proven.database)
    await import_certificate(proven.database, not_after=ENDS)
    store = SqlRenewals(proven.database)

    assert (await store.of_enrolment(OLD, RENEWS)).is_renewed
    assert (await store.of_enrolment(OLD, RENEWS)).has_own_certificate
    assert not (await store.of_enrolment(OLD, ENDS)).has_own_certificate
    assert not (await store.of_enrolment(OLD, NOW)).has_room, "the three mails of that day"


async def fail_relay(database: Database, enrolment_id: str) -> None:
    relays = SqlRelayStore(database, node="node-1")
    await relays.record_outcome(
        await relays.relay(enrolment_id, "org-1"),
        state=RelayState.FAILED,
        outcome=RelayOutcome.FAILED,
        note="",
        event=an_event(AuditKind.RELAY_RECORDED, subject=enrolment_id),
    )


async def is_blocked(database: Database) -> bool:
    context = await SqlDirectoryReader(database).mint_context(ANNA.key, a_gateway())
    assert context is not None
    return context.bounced


async def test_a_renewal_whose_password_nobody_passed_on_is_not_repeated_and_blocks_nothing(
    proven: Store,
) -> None:
    await renew(proven.database)

    await fail_relay(proven.database, NEW)

    assert await standing(proven, NEW) == (False, "unrelayed")
    assert await ending(proven.database) == []
    assert not (await SqlRenewals(proven.database).of_enrolment(OLD, RENEWS)).is_renewed
    assert not await is_blocked(proven.database)


async def test_what_was_minted_for_a_lookup_and_not_passed_on_blocks_its_address(database: Database) -> None:
    await deliver_key(database)

    await fail_relay(database, OLD)

    assert await is_blocked(database)


async def test_there_is_no_other_enrolment(database: Database) -> None:
    with pytest.raises(Unknown):
        await SqlRenewals(database).of_enrolment("ffff", NOW)


async def test_what_leads_an_address_is_found_by_it(proven: Store) -> None:
    store = SqlRenewals(proven.database)

    async def leading() -> Sequence[str]:
        return [one.enrolment_id for one in await store.of_address(ANNA, RENEWS)]

    assert await store.of_address(BERTA, RENEWS) == []
    await renew(proven.database)
    assert await leading() == [OLD]
    await record_switches(proven.database, LEADS)
    assert await leading() == [NEW]


async def test_each_organization_that_shares_nothing_has_its_own(proven: Store) -> None:
    isolated = an_organization(organization_id="org-2", slug="clinic", domains=frozenset(), isolated=True)
    gateway = await add_organization(proven.database, isolated)
    await mint(proven.database, a_reservation("enrolment-2", gateway=gateway))

    found = await SqlRenewals(proven.database).of_address(ANNA, RENEWS)

    assert {one.enrolment_id for one in found} == {OLD, "enrolment-2"}


async def test_what_ends_within_the_period_is_found(proven: Store) -> None:
    assert await ending(proven.database, until=ENDS) == [OLD]
    assert await ending(proven.database, until=ENDS - DAY) == []
    assert await ending(proven.database, now=ENDS, until=ENDS + DAY) == []


async def test_the_soonest_comes_first_and_the_next_page_begins_behind_the_last(proven: Store) -> None:
    for number, days in enumerate((2, 1, 1)):
        name, mailbox = f"person-{number}", Mailbox.parse(f"person-{number}@example.org")
        await mint(proven.database, a_reservation(name, mailbox=mailbox), not_after=ENDS - days * DAY)
    await proven.sql("UPDATE deliveries SET proven_at = '2026-12-01 00:00:00.000000'")

    pages, after = [], None
    store = SqlRenewals(proven.database)
    while page := await store.ending(now=RENEWS, until=ENDS, after=after, most=1):
        pages += [one.enrolment_id for one in page]
        after = page[-1]

    assert pages == ["person-0", "person-1", "person-2", OLD]


@pytest.mark.parametrize(
    "obstacle",
    [
        "UPDATE deliveries SET proven_at = NULL",
        "UPDATE organizations SET renewal = 'none'",
        "UPDATE organizations SET disabled_at = '2026-12-01 00:00:00.000000'",
        "UPDATE gateways SET disabled_at = '2026-12-01 00:00:00.000000'",
        "UPDATE certificates SET withdrawn_at = '2026-12-01 00:00:00.000000'",
        "UPDATE certificates SET revoked_at = '2026-12-01 00:00:00.000000'",
        "UPDATE enrolments SET live = false",
        "UPDATE enrolments SET place = 'overtaken'",
        "INSERT INTO mail_pauses VALUES ('org-1', '2026-12-01 00:00:00.000000', 'operator')",
        "INSERT INTO mail_pauses VALUES ('*', '2026-12-01 00:00:00.000000', 'operator')",
        "INSERT INTO suppressions VALUES ('anna@example.org', 'A', 'operator', '2026-12-01 00:00:00.000000')",
        "UPDATE outgoing_mail SET created_at = '2027-10-22 00:00:00.000000'",
    ],
)
async def test_what_may_not_be_renewed_is_not_found(proven: Store, obstacle: str) -> None:
    await proven.sql("INSERT INTO mail_pauses VALUES ('org-2', '2026-12-01 00:00:00.000000', 'operator')")
    assert await ending(proven.database) == [OLD]
    # Three mails within a week of the renewal, where that is what stands in the way.
    await proven.sql(
        "UPDATE outgoing_mail SET state = 'accepted'",
        "INSERT INTO outgoing_mail (id, enrolment_id, organization_id, kind, recipient, recipient_key,"
        " recipient_base, message_id, bounce_token, state, created_at, due_at, give_up_at, attempts)"
        " SELECT 'third', enrolment_id, organization_id, 'reminder', recipient, recipient_key,"
        " recipient_base, 'third', 'third', state, created_at, due_at, give_up_at, attempts"
        " FROM outgoing_mail WHERE kind = 'key'",
    )

    await proven.sql(obstacle)

    assert await ending(proven.database) == []


async def test_what_is_renewed_or_not_needed_is_not_found(proven: Store) -> None:
    await renew(proven.database)
    assert await ending(proven.database) == []
    await record_switches(proven.database, LEADS)
    assert await ending(proven.database) == []
    assert await ending(proven.database, until=ENDS + 400 * DAY) == [], "nobody has proven the new key"


async def test_whoever_has_a_certificate_of_his_own_needs_none(proven: Store) -> None:
    await import_certificate(proven.database, not_after=ENDS - DAY)

    assert await ending(proven.database) == []
    assert await ending(proven.database, now=ENDS - DAY) == [OLD]


async def test_an_organization_may_want_all_renewed(store: Store) -> None:
    await deliver_key(store.database)
    assert await ending(store.database) == []

    organization = replace(an_organization(), renewal=Renewal.ALL)
    organizations = SqlOrganizations(store.database, node="setup")
    await organizations.change(organization, an_event())

    assert (await organizations.by_slug("hospital")).renewal is Renewal.ALL
    assert await ending(store.database) == [OLD]
