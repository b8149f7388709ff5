"""The contract of `RevocationStore`."""

import hashlib
from datetime import timedelta

import pytest
from sqlalchemy import select

from ca.address import Mailbox
from directory.audit import AuditKind
from directory.revocation import RevocationReason
from directory.store.database import Database
from directory.store.lookup import SqlDirectoryReader
from directory.store.revocations import SqlRevocationStore
from directory.store.tables import blocked_keys, certificates
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

BERTA = Mailbox.parse("berta@example.org")


@pytest.fixture
def revocations(database: Database) -> SqlRevocationStore:
    return SqlRevocationStore(database, node="node-1")


async def revoke_address(
    revocations: SqlRevocationStore, reason: RevocationReason = RevocationReason.KEY_COMPROMISE
) -> None:
    for certificate in await revocations.by_address(ANNA, NOW):
        event = an_event(AuditKind.CERTIFICATE_REVOKED, subject=certificate.certificate_id)
        await revocations.revoke(certificate, reason=reason, at=NOW, event=event)


async def test_a_certificate_is_found_by_its_serial_number(
    database: Database, revocations: SqlRevocationStore
) -> None:
    enrolment = await mint(database)

    (found,) = await revocations.by_serial(enrolment.certificate.serial, NOW)

    assert (found.enrolment_id, found.organization_id) == ("enrolment-1", "org-1")
    assert (found.mailbox, found.serial) == (ANNA, enrolment.certificate.serial)
    assert await revocations.by_serial(enrolment.certificate.serial + 1, NOW) == []


async def test_an_address_is_searched_in_every_scope(
    database: Database, revocations: SqlRevocationStore
) -> None:
    isolated = await add_organization(
        database, an_organization(organization_id="org-2", slug="firm", domains=frozenset(), isolated=True)
    )
    await mint(database)
    await mint(database, a_reservation("enrolment-2", gateway=isolated))
    await import_certificate(database)
    await mint(database, a_reservation("enrolment-3", mailbox=BERTA))

    found = await revocations.by_address(Mailbox.parse("ANNA@example.org"), NOW)

    assert {certificate.enrolment_id for certificate in found} == {"enrolment-1", "enrolment-2", None}


async def test_a_revoked_certificate_leaves_the_directory_and_its_enrolment_ends(
    store: Store, revocations: SqlRevocationStore
) -> None:
    await mint(store.database)
    await mint(store.database, a_reservation("enrolment-2", mailbox=BERTA))

    await revoke_address(revocations)

    reader = SqlDirectoryReader(store.database)
    assert await reader.best_certificate(ANNA.key, a_gateway(), NOW) is None
    assert await reader.best_certificate(BERTA.key, a_gateway(), NOW) is not None
    assert await store.rows("SELECT live, ended_because FROM enrolments ORDER BY id") == [
        (False, "revoked"),
        (True, None),
    ]


async def test_when_and_why_is_kept_with_the_event(store: Store, revocations: SqlRevocationStore) -> None:
    await mint(store.database)

    await revoke_address(revocations)

    columns = certificates.c.revoked_at, certificates.c.revocation_reason
    assert await store.select(certificates.select().with_only_columns(*columns)) == [(NOW, "keyCompromise")]
    events = await store.rows("SELECT kind FROM audit_events WHERE node = 'node-1' ORDER BY sequence")
    assert events == [("certificate.minted",), ("certificate.revoked",)]


async def test_a_revoked_address_is_free_for_a_successor(
    database: Database, revocations: SqlRevocationStore
) -> None:
    await mint(database)
    await revoke_address(revocations, RevocationReason.SUPERSEDED)

    successor = await mint(database, a_reservation("enrolment-2"))

    found = await SqlDirectoryReader(database).best_certificate(ANNA.key, a_gateway(), NOW)
    assert found == successor.certificate


async def test_what_was_revoked_or_has_expired_cannot_be_revoked(
    database: Database, revocations: SqlRevocationStore
) -> None:
    enrolment = await mint(database)

    assert await revocations.by_address(ANNA, NOW + YEAR) == []
    assert await revocations.by_serial(enrolment.certificate.serial, NOW + YEAR) == []
    await revoke_address(revocations)
    assert await revocations.by_address(ANNA, NOW) == []


async def test_a_certificate_is_revoked_once(store: Store, revocations: SqlRevocationStore) -> None:
    await mint(store.database)
    (certificate,) = await revocations.by_address(ANNA, NOW)
    later = NOW + timedelta(hours=1)

    for reason, at in ((RevocationReason.KEY_COMPROMISE, NOW), (RevocationReason.SUPERSEDED, later)):
        await revocations.revoke(certificate, reason=reason, at=at, event=an_event())

    assert await store.rows("SELECT revocation_reason FROM certificates") == [("keyCompromise",)]
    assert len(await store.rows("SELECT 1 FROM audit_events WHERE node = 'node-1'")) == 2


async def test_an_own_certificate_is_revoked_without_an_enrolment(
    database: Database, revocations: SqlRevocationStore
) -> None:
    await import_certificate(database)

    await revoke_address(revocations)

    assert await SqlDirectoryReader(database).best_certificate(ANNA.key, a_gateway(), NOW) is None


async def test_a_key_is_found_whoever_issued_its_certificates(
    store: Store, revocations: SqlRevocationStore
) -> None:
    await mint(store.database)
    await mint(store.database, a_reservation("enrolment-2", mailbox=BERTA))
    await import_certificate(store.database, der=b"own")
    minted, imported = hashlib.sha256(b"key of enrolment-1").digest(), hashlib.sha256(b"own").digest()

    assert [one.enrolment_id for one in await revocations.by_key(minted, NOW)] == ["enrolment-1"]
    assert [one.enrolment_id for one in await revocations.by_key(imported, NOW)] == [None]
    assert await revocations.by_key(bytes(32), NOW) == []


async def test_what_an_issuer_issued_is_found_and_nothing_from_elsewhere(
    store: Store, revocations: SqlRevocationStore
) -> None:
    await mint(store.database)
    await mint(store.database, a_reservation("enrolment-2", mailbox=BERTA))
    await import_certificate(store.database)

    found = await revocations.by_issuer("issuing-1", NOW)

    assert {one.enrolment_id for one in found} == {"enrolment-1", "enrolment-2"}
    assert await revocations.by_issuer("root-1", NOW) == []


async def test_what_an_organization_minted_is_found_and_nothing_of_others(
    store: Store, revocations: SqlRevocationStore
) -> None:
    other = await add_organization(
        store.database, an_organization(organization_id="org-2", slug="firm", domains=frozenset())
    )
    await mint(store.database)
    await mint(store.database, a_reservation("enrolment-2", mailbox=BERTA, gateway=other))

    assert [one.enrolment_id for one in await revocations.by_organization("org-2", NOW)] == ["enrolment-2"]


@pytest.mark.parametrize("reason", RevocationReason)
async def test_a_compromised_key_is_blocked_and_no_other(
    store: Store, revocations: SqlRevocationStore, reason: RevocationReason
) -> None:
    await mint(store.database)

    await revoke_address(revocations, reason)

    blocked = await store.select(select(blocked_keys.c.key_sha256, blocked_keys.c.blocked_at))
    compromised = reason is RevocationReason.KEY_COMPROMISE
    assert blocked == ([(hashlib.sha256(b"key of enrolment-1").digest(), NOW)] if compromised else [])


async def test_a_key_that_is_compromised_twice_is_blocked_once(
    store: Store, revocations: SqlRevocationStore
) -> None:
    await import_certificate(store.database)
    await import_certificate(store.database, mailbox=BERTA, der=b"of berta")
    await store.sql("UPDATE certificates SET key_sha256 = (SELECT key_sha256 FROM certificates LIMIT 1)")

    await revoke_address(revocations)
    (berta,) = await revocations.by_address(BERTA, NOW)
    await revocations.revoke(berta, reason=RevocationReason.KEY_COMPROMISE, at=NOW, event=an_event())

    assert await store.count("blocked_keys") == 1
