"""The contract of `DirectoryReader`: the best certificate an asker may see, and what the policy must know."""

from datetime import datetime, timedelta

import pytest

from ca.address import Mailbox, MailDomain
from directory.callers import Anonymous, Asker
from directory.delivery.outbox import DueMail
from directory.lookup import MOST_CERTIFICATES, Origin, PublishedCertificate
from directory.organization import SHARED_SCOPE
from directory.revocation import RevocationReason
from directory.store.callers import SqlCallerStore
from directory.store.database import Database
from directory.store.lookup import SqlDirectoryReader
from directory.store.outbox import SqlOutbox
from directory.store.revocations import SqlRevocationStore
from tests.contracts.world import (
    ANNA,
    NOW,
    YEAR,
    Store,
    a_reservation,
    add_organization,
    an_event,
    import_certificate,
    mint,
)
from tests.directory.builders import a_gateway, an_organization

ANYBODY = Anonymous(may_read=True)


async def best(
    database: Database, asker: Asker | None = None, *, mailbox: Mailbox = ANNA, now: datetime = NOW
) -> PublishedCertificate | None:
    return await SqlDirectoryReader(database).best_certificate(mailbox.key, asker or a_gateway(), now)


async def live(database: Database) -> list[bytes]:
    reader = SqlDirectoryReader(database)
    return [found.der for found in await reader.live_certificates(ANNA.key, a_gateway(), NOW)]


async def revoke(database: Database, reason: RevocationReason = RevocationReason.KEY_COMPROMISE) -> None:
    store = SqlRevocationStore(database, node="node-1")
    for certificate in await store.by_address(ANNA, NOW):
        await store.revoke(certificate, reason=reason, at=NOW, event=an_event())


async def give_up(database: Database) -> None:
    outbox = SqlOutbox(database, node="node-1")
    (mail,) = await claim(outbox)
    await outbox.record_given_up(mail, at=NOW, failure="550 no such user", event=an_event())


async def claim(outbox: SqlOutbox) -> list[DueMail]:
    return await outbox.claim_due(worker="worker-1", now=NOW, lease_until=NOW + timedelta(minutes=5), most=1)


async def test_there_is_none_for_an_address_nobody_asked_for(database: Database) -> None:
    assert await best(database) is None


async def test_an_address_is_found_in_whatever_case_it_was_minted(database: Database) -> None:
    enrolment = await mint(database, a_reservation(mailbox=Mailbox.parse("ANNA@example.org")))

    found = await best(database, mailbox=Mailbox.parse("anna@EXAMPLE.org"))

    assert found == enrolment.certificate
    assert str(found.mailbox) == "ANNA@example.org"


async def test_the_recipients_own_comes_before_a_minted_one(database: Database) -> None:
    await mint(database)
    await import_certificate(database)

    found = await best(database)

    assert found is not None
    assert (found.origin, found.der, found.serial) == (Origin.FOUND, b"own", 1)


async def test_an_own_one_that_expired_does_not_stand_before_a_minted_one(database: Database) -> None:
    enrolment = await mint(database)
    await import_certificate(database, not_after=NOW)

    assert await best(database) == enrolment.certificate


async def test_what_else_is_live_comes_after_the_best_the_newest_first(database: Database) -> None:
    enrolment = await mint(database)
    await import_certificate(database, der=b"old", not_before=NOW - 2 * YEAR)
    await import_certificate(database, der=b"new")
    await import_certificate(database, der=b"expired", not_after=NOW)

    assert await live(database) == [b"new", b"old", enrolment.certificate.der]


async def test_one_answer_holds_a_bounded_number_of_certificates(database: Database) -> None:
    for number in range(MOST_CERTIFICATES + 1):
        await import_certificate(database, der=str(number).encode())

    assert len(await live(database)) == MOST_CERTIFICATES


async def test_certificates_bound_to_a_domain_are_stored_under_the_domain(database: Database) -> None:
    domain = MailDomain.parse("example.org")
    await import_certificate(database, mailbox=domain)

    found = await SqlDirectoryReader(database).best_certificate(domain.key, a_gateway(), NOW)

    assert found is not None
    assert found.mailbox == domain
    assert await best(database) is None


async def test_a_certificate_is_served_until_the_moment_it_expires(database: Database) -> None:
    await mint(database)

    assert await best(database, now=NOW + YEAR - timedelta(microseconds=1)) is not None
    assert await best(database, now=NOW + YEAR) is None


async def test_of_two_minted_ones_the_newer_is_served(store: Store) -> None:
    await mint(store.database)
    await store.sql("UPDATE enrolments SET live = false")
    newer = await mint(store.database, a_reservation("enrolment-2", minted_at=NOW + timedelta(days=1)))

    assert await best(store.database) == newer.certificate


async def test_a_revoked_one_is_not_served(database: Database) -> None:
    await mint(database)
    await revoke(database)

    assert await best(database) is None


async def test_one_whose_key_mail_was_given_up_is_not_served(database: Database) -> None:
    await mint(database)
    await give_up(database)

    assert await best(database) is None


async def test_anybody_sees_what_is_shared(database: Database) -> None:
    enrolment = await mint(database)

    assert await best(database, ANYBODY) == enrolment.certificate


async def test_what_an_isolated_organization_minted_only_its_own_gateways_see(database: Database) -> None:
    isolated = await add_organization(
        database, an_organization(organization_id="org-2", slug="firm", domains=frozenset(), isolated=True)
    )
    enrolment = await mint(database, a_reservation(gateway=isolated))

    assert await best(database, isolated) == enrolment.certificate
    assert await best(database) is None
    assert await best(database, ANYBODY) is None


async def test_an_isolated_organization_does_not_see_what_others_minted(database: Database) -> None:
    isolated = await add_organization(
        database, an_organization(organization_id="org-2", slug="firm", domains=frozenset(), isolated=True)
    )
    await mint(database)

    assert await best(database, isolated) is None


async def test_an_isolated_organization_sees_recipients_own_certificates(database: Database) -> None:
    isolated = await add_organization(
        database, an_organization(organization_id="org-2", slug="firm", domains=frozenset(), isolated=True)
    )
    await import_certificate(database)

    found = await best(database, isolated)

    assert found is not None
    assert found.origin is Origin.FOUND


async def test_isolating_an_organization_takes_effect_with_the_next_question(store: Store) -> None:
    await mint(store.database)
    authenticated_before = a_gateway(scope=SHARED_SCOPE)
    await store.sql("UPDATE organizations SET isolated = true")

    context = await SqlDirectoryReader(store.database).mint_context(ANNA.key, authenticated_before)

    assert await best(store.database, authenticated_before) is None
    assert context is not None
    assert context.gateway.scope == context.organization.scope == "org-1"


async def test_a_gateway_disabled_since_it_authenticated_sees_nothing(database: Database) -> None:
    await mint(database)
    await SqlCallerStore(database, node="node-1").disable_gateway("gw", "org-1", an_event())

    assert await best(database) is None
    assert await SqlDirectoryReader(database).mint_context(ANNA.key, a_gateway()) is None


async def test_a_gateway_of_a_disabled_organization_sees_nothing(store: Store) -> None:
    await mint(store.database)
    await store.sql("UPDATE organizations SET disabled_at = '2026-11-01 00:00:00'")

    assert await best(store.database) is None
    assert await SqlDirectoryReader(store.database).mint_context(ANNA.key, a_gateway()) is None


async def test_the_context_holds_gateway_and_organization_as_stored(database: Database) -> None:
    organization = an_organization(
        organization_id="org-2", slug="firm", domains=frozenset({"firm.org", "firm.net"})
    )
    gateway = await add_organization(database, organization)

    context = await SqlDirectoryReader(database).mint_context(ANNA.key, gateway)

    assert context is not None
    assert (context.gateway, context.organization) == (gateway, organization)
    assert not context.revoked
    assert not context.bounced


async def test_an_organization_without_domains_has_none_in_the_context(database: Database) -> None:
    gateway = await add_organization(
        database, an_organization(organization_id="org-2", slug="firm", domains=frozenset())
    )

    context = await SqlDirectoryReader(database).mint_context(ANNA.key, gateway)

    assert context is not None
    assert context.organization.domains == frozenset()


@pytest.mark.parametrize(
    ("reason", "forbidden"),
    [
        (RevocationReason.KEY_COMPROMISE, True),
        (RevocationReason.PRIVILEGE_WITHDRAWN, True),
        (RevocationReason.SUPERSEDED, False),
    ],
)
async def test_a_revocation_forbids_a_successor_unless_it_was_for_one(
    database: Database, reason: RevocationReason, *, forbidden: bool
) -> None:
    await mint(database)
    await revoke(database, reason)

    context = await SqlDirectoryReader(database).mint_context(ANNA.key, a_gateway())

    assert context is not None
    assert context.revoked is forbidden


async def test_a_bounce_is_remembered(database: Database) -> None:
    await mint(database)
    await give_up(database)

    context = await SqlDirectoryReader(database).mint_context(ANNA.key, a_gateway())

    assert context is not None
    assert (context.bounced, context.revoked) == (True, False)


async def test_an_operator_clears_a_bounce_by_revoking_for_a_successor(database: Database) -> None:
    await mint(database)
    await give_up(database)
    await revoke(database, RevocationReason.SUPERSEDED)

    context = await SqlDirectoryReader(database).mint_context(ANNA.key, a_gateway())

    assert context is not None
    assert (context.bounced, context.revoked) == (False, False)


async def test_only_the_latest_enrolment_of_an_address_speaks(database: Database) -> None:
    await mint(database)
    await revoke(database)
    await mint(database, a_reservation("enrolment-2", minted_at=NOW + timedelta(days=1)))

    context = await SqlDirectoryReader(database).mint_context(ANNA.key, a_gateway())

    assert context is not None
    assert not context.revoked


async def test_what_happened_in_an_isolated_organization_is_not_known_in_others(database: Database) -> None:
    isolated = await add_organization(
        database, an_organization(organization_id="org-2", slug="firm", domains=frozenset(), isolated=True)
    )
    await mint(database, a_reservation(gateway=isolated))
    await revoke(database)

    context = await SqlDirectoryReader(database).mint_context(ANNA.key, a_gateway())

    assert context is not None
    assert not context.revoked
