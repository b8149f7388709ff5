"""The port `ReconcilingStore` with the use case on it: what only a log knows, on both databases."""

from datetime import datetime, timedelta

import pytest

from ca.ocsp import Revoked
from ca.revocation import RevocationReason, RevokedCertificate
from directory.audit import AuditEvent, AuditKind
from directory.issuer_revocation import IssuerRevocation
from directory.reconciling import (
    LostCertificate,
    LostIssuerRevocation,
    LostRevocation,
    Reconciliation,
)
from directory.revocation import Revocation
from directory.store.crls import SqlCrlStore
from directory.store.database import Database
from directory.store.issuer_revocations import SqlIssuerRevocations
from directory.store.ocsp import SqlOcspReader
from directory.store.reconciling import SqlReconciling
from directory.store.revocations import SqlRevocationStore
from tests.builders import PUBLICATION
from tests.contracts.following import events
from tests.contracts.test_crls import open_partitions, standing
from tests.contracts.test_crls import revoked as revoked_of
from tests.contracts.world import NOW, YEAR, Store, an_issuer, mint
from tests.directory.clocks import StoppedClock

LATER = NOW + timedelta(hours=1)
SERIAL = 0x4711
ISSUED = (AuditKind.CERTIFICATE_MINTED, AuditKind.PROXY_CERTIFIED)


def a_reconciliation(database: Database, now: datetime = LATER) -> Reconciliation:
    clock = StoppedClock(now)
    return Reconciliation(
        store=SqlReconciling(database, node="node-1", publication=PUBLICATION),
        revoker=Revocation(store=SqlRevocationStore(database, node="node-1"), clock=clock),
        issuer_revoker=IssuerRevocation(
            store=SqlIssuerRevocations(database, node="node-1"), clock=clock, actor="operator:test"
        ),
        clock=clock,
        actor="operator:test",
    )


def told(kind: AuditKind = AuditKind.CERTIFICATE_MINTED, *, at: datetime = NOW, **detail: str) -> AuditEvent:
    if kind in ISSUED:
        detail = {"issuer": "issuing-1", "not_after": (NOW + YEAR).isoformat()} | detail
    return AuditEvent(
        kind=kind,
        at=at,
        actor="gateway:gw",
        subject="enrolment-lost",
        organization_id="org-1",
        detail={"serial": f"{SERIAL:x}"} | detail,
    )


async def test_what_is_known_was_not_lost(database: Database) -> None:
    minted = await mint(database)

    losses = await a_reconciliation(database).losses([told(serial=f"{minted.certificate.serial:x}")])

    assert not losses


@pytest.mark.parametrize("kind", ISSUED)
async def test_what_only_the_log_knows_was_lost(database: Database, kind: AuditKind) -> None:
    losses = await a_reconciliation(database).losses([told(kind)])

    assert losses.certificates == [
        LostCertificate(
            crl_partition=None,
            serial=f"{SERIAL:x}",
            issuer_id="issuing-1",
            issued_at=NOW,
            not_after=NOW + YEAR,
            subject="enrolment-lost",
            organization_id="org-1",
            revoked_at=None,
            reason=RevocationReason.SUPERSEDED,
        )
    ]


async def test_what_has_expired_meanwhile_is_let_go(database: Database) -> None:
    assert not await a_reconciliation(database, NOW + YEAR).losses([told()])


async def test_it_is_on_crls_and_in_ocsp_afterwards(store: Store) -> None:
    await mint(store.database)
    reconciliation = a_reconciliation(store.database)

    await reconciliation.make_good(await reconciliation.losses([told()]))

    listed = await revoked_of(SqlCrlStore(store.database, node="node-1"))
    assert listed == [
        RevokedCertificate(serial_number=SERIAL, revoked_at=LATER, reason=RevocationReason.SUPERSEDED)
    ]
    issued = await SqlOcspReader(store.database).issued("issuing-1", [SERIAL])
    assert issued[SERIAL].status == Revoked(at=LATER, reason=RevocationReason.SUPERSEDED)
    assert await events(store, AuditKind.CERTIFICATE_REVOKED) == [("operator:test", "enrolment-lost")]
    assert not await reconciliation.losses([told()])


async def test_what_was_revoked_keeps_its_reason_and_its_moment(store: Store) -> None:
    await mint(store.database)
    reconciliation = a_reconciliation(store.database)
    revoked = told(AuditKind.CERTIFICATE_REVOKED, at=NOW + timedelta(minutes=1), reason="keyCompromise")

    await reconciliation.make_good(await reconciliation.losses([told(), revoked]))

    (listed,) = await revoked_of(SqlCrlStore(store.database, node="node-1"))
    assert (listed.reason, listed.revoked_at) == (RevocationReason.KEY_COMPROMISE, revoked.at)


async def test_what_is_known_and_was_revoked_is_revoked_once_more(store: Store) -> None:
    minted = await mint(store.database)
    serial = f"{minted.certificate.serial:x}"
    reconciliation = a_reconciliation(store.database)
    revoked = told(AuditKind.CERTIFICATE_REVOKED, serial=serial, reason="superseded")

    losses = await reconciliation.losses([revoked])
    await reconciliation.make_good(losses)

    assert losses.revocations == [LostRevocation(serial=serial, reason=RevocationReason.SUPERSEDED)]
    (listed,) = await revoked_of(SqlCrlStore(store.database, node="node-1"))
    assert listed.serial_number == minted.certificate.serial
    assert not await reconciliation.losses([revoked])


async def test_what_has_ended_by_itself_is_not_revoked_once_more(database: Database) -> None:
    minted = await mint(database)
    revoked = told(
        AuditKind.CERTIFICATE_REVOKED, serial=f"{minted.certificate.serial:x}", reason="superseded"
    )

    assert not await a_reconciliation(database, NOW + 2 * YEAR).losses([revoked])


async def test_what_was_revoked_because_its_mail_came_back_is_revoked_once_more(store: Store) -> None:
    minted = await mint(store.database)
    reconciliation = a_reconciliation(store.database)
    cleared = told(AuditKind.BOUNCE_CLEARED, serial=f"{minted.certificate.serial:x}", revoked="superseded")

    await reconciliation.make_good(await reconciliation.losses([cleared]))

    (listed,) = await revoked_of(SqlCrlStore(store.database, node="node-1"))
    assert (listed.serial_number, listed.reason) == (
        minted.certificate.serial,
        RevocationReason.SUPERSEDED,
    )


def told_of_issuer(kind: AuditKind, issuer_id: str, **detail: str) -> AuditEvent:
    return AuditEvent(kind=kind, at=NOW, actor="operator:test", subject=issuer_id, detail=detail)


async def test_a_revoked_issuer_is_revoked_once_more_with_what_it_issued(store: Store) -> None:
    minted = await mint(store.database)
    serial = an_issuer().serial
    reconciliation = a_reconciliation(store.database)
    revoked = told_of_issuer(
        AuditKind.ISSUER_REVOKED, "issuing-1", serial=f"{serial:x}", reason="cACompromise"
    )
    losses = await reconciliation.losses([revoked])
    assert losses.issuer_revocations == [
        LostIssuerRevocation(issuer_id="issuing-1", reason=RevocationReason.CA_COMPROMISE)
    ]

    await reconciliation.make_good(losses)

    crls = SqlCrlStore(store.database, node="node-1")
    (of_root,) = await revoked_of(crls, "root-1")
    assert (of_root.serial_number, of_root.reason) == (serial, RevocationReason.CA_COMPROMISE)
    assert [one.serial_number for one in await revoked_of(crls)] == [minted.certificate.serial]
    assert not await reconciliation.losses([revoked])


async def test_each_certificate_of_a_revoked_issuer_keeps_its_own_reason(store: Store) -> None:
    minted = await mint(store.database)
    reconciliation = a_reconciliation(store.database)
    log = [
        told_of_issuer(AuditKind.ISSUER_REVOKED, "issuing-1", serial="17", reason="cACompromise"),
        told(AuditKind.CERTIFICATE_REVOKED, serial=f"{minted.certificate.serial:x}", reason="keyCompromise"),
    ]

    await reconciliation.make_good(await reconciliation.losses(log))

    (listed,) = await revoked_of(SqlCrlStore(store.database, node="node-1"))
    assert listed.reason is RevocationReason.KEY_COMPROMISE


async def test_a_lost_issuer_stops_nothing_and_is_on_the_crl_of_its_root(store: Store) -> None:
    await mint(store.database)
    reconciliation = a_reconciliation(store.database)
    end = (NOW + YEAR).isoformat()
    losses = await reconciliation.losses(
        [
            told_of_issuer(
                AuditKind.ISSUER_CREATED, "issuing-2", certified_by="root-1", serial="42", not_after=end
            ),
            told(serial="43", issuer="issuing-2"),
            told(),
        ]
    )
    assert losses.beyond_help == {"issuing-2": 1}

    await reconciliation.make_good(losses)

    crls = SqlCrlStore(store.database, node="node-1")
    (of_root,) = await revoked_of(crls, "root-1")
    assert (of_root.serial_number, of_root.reason) == (0x42, RevocationReason.CESSATION_OF_OPERATION)
    assert [one.serial_number for one in await revoked_of(crls)] == [SERIAL]
    assert ("operator:test", "issuing-2") in await events(store, AuditKind.ISSUER_REVOKED)


async def test_what_somebody_else_must_revoke_is_named(store: Store) -> None:
    await store.sql("UPDATE issuers SET is_foreign = TRUE WHERE id = 'root-1'")
    created = told_of_issuer(
        AuditKind.ISSUER_CREATED,
        "issuing-2",
        certified_by="root-1",
        serial="42",
        not_after=(NOW + YEAR).isoformat(),
    )

    losses = await a_reconciliation(store.database).losses([created])

    assert (losses.certificates, losses.beyond_help) == ([], {"root-1": 1})


async def test_what_names_a_partition_is_listed_there_afterwards(store: Store) -> None:
    reconciliation = a_reconciliation(store.database)

    await reconciliation.make_good(await reconciliation.losses([told(crl_partition="7")]))

    crls = SqlCrlStore(store.database, node="node-1")
    assert [one.serial_number for one in await revoked_of(crls, partition=7)] == [SERIAL]
    url = PUBLICATION.crl_url("issuing-1", 7)
    assert (await standing(crls, partition=7)).distribution_point == url
    assert await open_partitions(store.database, 2, base_url=PUBLICATION.base_url) == [7, 8]


async def test_a_partition_that_is_still_known_stays_where_it_is(store: Store) -> None:
    assert await open_partitions(store.database, 1, base_url="http://before.example.com") == [1]
    reconciliation = a_reconciliation(store.database)

    await reconciliation.make_good(await reconciliation.losses([told(crl_partition="1")]))

    crls = SqlCrlStore(store.database, node="node-1")
    url = "http://before.example.com/crl/issuing-1/1.crl"
    assert (await standing(crls, partition=1)).distribution_point == url
