"""The port `ReconcilingStore` with the use case on it: what only a log knows, on both databases."""

from datetime import datetime, timedelta

import pytest

from ca.ocsp import Revoked
from ca.revocation import RevocationReason, RevokedCertificate
from directory.audit import AuditEvent, AuditKind
from directory.errors import Unknown
from directory.reconciling import LostCertificate, LostRevocation, Reconciliation
from directory.revocation import Revocation
from directory.store.crls import SqlCrlStore
from directory.store.database import Database
from directory.store.ocsp import SqlOcspReader
from directory.store.reconciling import SqlReconciling
from directory.store.revocations import SqlRevocationStore
from tests.contracts.following import events
from tests.contracts.test_crls import revoked as revoked_of
from tests.contracts.world import NOW, YEAR, Store, mint
from tests.directory.clocks import StoppedClock

LATER = NOW + timedelta(hours=1)
SERIAL = 0x4711


def a_reconciliation(database: Database, now: datetime = LATER) -> Reconciliation:
    clock = StoppedClock(now)
    return Reconciliation(
        store=SqlReconciling(database, node="node-1"),
        revoker=Revocation(store=SqlRevocationStore(database, node="node-1"), clock=clock),
        clock=clock,
        actor="operator:test",
    )


def told(kind: AuditKind = AuditKind.CERTIFICATE_MINTED, *, at: datetime = NOW, **detail: str) -> AuditEvent:
    if kind is not AuditKind.CERTIFICATE_REVOKED:
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


@pytest.mark.parametrize("kind", [AuditKind.CERTIFICATE_MINTED, AuditKind.PROXY_CERTIFIED])
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


async def test_an_issuer_that_was_lost_as_well_is_named(store: Store) -> None:
    await mint(store.database)
    reconciliation = a_reconciliation(store.database)
    losses = await reconciliation.losses([told(issuer="issuing-2")])

    with pytest.raises(Unknown) as unknown:
        await reconciliation.make_good(losses)

    assert (unknown.value.kind, unknown.value.name) == ("issuer", "issuing-2")


async def test_what_names_a_partition_is_listed_there_afterwards(store: Store) -> None:
    reconciliation = a_reconciliation(store.database)

    await reconciliation.make_good(await reconciliation.losses([told(crl_partition="7")]))

    crls = SqlCrlStore(store.database, node="node-1")
    assert [one.serial_number for one in await revoked_of(crls, partition=7)] == [SERIAL]
