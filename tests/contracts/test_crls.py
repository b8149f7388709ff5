"""The contract of `CrlStore`, and that making CRLs on two processes at once publishes one."""

import asyncio
from datetime import datetime, timedelta

import pytest
from sqlalchemy import Connection, insert, select, update

from ca.address import Mailbox
from ca.revocation import RevocationReason, RevokedCertificate
from ca.sealing import SealedSecret
from directory.audit import AuditKind
from directory.crls import CrlRecord, StandingIssuer, StoredCrl
from directory.revocation import Revocation
from directory.store import crls as crls_module
from directory.store.crls import KEPT, SqlCrlStore
from directory.store.database import Database
from directory.store.issuers import SqlIssuers
from directory.store.revocations import SqlRevocationStore
from directory.store.tables import certificates, crls
from tests.contracts.world import (
    ANNA,
    NOW,
    YEAR,
    Store,
    a_reservation,
    an_event,
    an_issuer,
    import_certificate,
    mint,
)
from tests.directory.clocks import StoppedClock

DAY = timedelta(days=1)
BERTA = Mailbox.parse("berta@example.org")
MIDNIGHT = NOW.replace(hour=0, minute=0, second=0, microsecond=0)


@pytest.fixture
def crl_store(database: Database) -> SqlCrlStore:
    return SqlCrlStore(database, node="node-1")


def a_crl(
    number: int = 1,
    *,
    issuer_id: str = "issuing-1",
    der: bytes = b"a CRL",
    entries: int = 0,
    covers_from: datetime = NOW,
) -> StoredCrl:
    return StoredCrl(
        issuer_id=issuer_id,
        der=der,
        record=CrlRecord(
            number=number,
            this_update=MIDNIGHT,
            next_update=MIDNIGHT + 7 * DAY,
            covers_from=covers_from,
            entries=entries,
        ),
    )


async def publish(crl_store: SqlCrlStore, crl: StoredCrl, *, replaces: int | None = None) -> bool:
    event = an_event(AuditKind.CRL_ISSUED, subject=crl.issuer_id)
    return await crl_store.publish(crl, replaces=replaces, event=event)


async def standing(crl_store: SqlCrlStore, issuer_id: str = "issuing-1") -> StandingIssuer:
    (found,) = [one for one in await crl_store.issuers() if one.issuer_id == issuer_id]
    return found


async def revoke_anna(database: Database, reason: RevocationReason = RevocationReason.KEY_COMPROMISE) -> None:
    revocation = Revocation(store=SqlRevocationStore(database, node="desk"), clock=StoppedClock(NOW))
    await revocation.revoke_address(ANNA, reason, "operator:olga")


async def test_the_first_crl_follows_none(crl_store: SqlCrlStore) -> None:
    assert [one.latest for one in await crl_store.issuers()] == [None, None]
    assert await crl_store.latest("issuing-1") is None

    assert await publish(crl_store, a_crl())

    root, issuing = await standing(crl_store, "root-1"), await standing(crl_store)
    assert (root.is_root, root.latest) == (True, None)
    assert (issuing.is_root, issuing.latest) == (False, a_crl().record)
    assert await crl_store.latest("issuing-1") == a_crl()


async def test_an_issuer_stands_with_its_certificate_and_key(
    database: Database, crl_store: SqlCrlStore
) -> None:
    key = SealedSecret(master_key_id="master-1", wrapped_key=b"wrapped", ciphertext=b"sealed")
    await SqlIssuers(database, node="setup").add(an_issuer("issuing-2", sealed_key=key), an_event())

    assert (await standing(crl_store, "issuing-2")).sealed_key == key
    assert (await standing(crl_store)).sealed_key is None
    assert (await standing(crl_store)).certificate == b"certificate of issuing-1"


async def test_only_what_follows_the_latest_is_published(store: Store, crl_store: SqlCrlStore) -> None:
    assert await publish(crl_store, a_crl(7))

    assert not await publish(crl_store, a_crl(8, der=b"late"))
    assert not await publish(crl_store, a_crl(8, der=b"late"), replaces=6)
    assert await publish(crl_store, a_crl(9, der=b"next"), replaces=7)

    latest = await crl_store.latest("issuing-1")
    assert latest == a_crl(9, der=b"next")
    kinds = await store.rows("SELECT kind FROM audit_events WHERE node = 'node-1' ORDER BY sequence")
    assert kinds == [("crl.issued",)] * 2


async def test_of_several_processes_at_once_one_publishes(store: Store) -> None:
    async with store.opened_again() as second, store.opened_again() as third:
        stores = [SqlCrlStore(one, node=f"node-{n}") for n, one in enumerate((store.database, second, third))]
        for number in range(1, 6):
            replaces = number - 1 or None
            crl = a_crl(number)

            won = await asyncio.gather(*(publish(one, crl, replaces=replaces) for one in stores))

            assert sorted(won) == [False, False, True]


async def test_each_issuer_counts_for_itself(crl_store: SqlCrlStore) -> None:
    assert await publish(crl_store, a_crl(5))
    assert await publish(crl_store, a_crl(3, issuer_id="root-1"))
    assert await publish(crl_store, a_crl(4, issuer_id="root-1"), replaces=3)

    numbers = {one.issuer_id: one.latest.number for one in await crl_store.issuers() if one.latest}
    assert numbers == {"root-1": 4, "issuing-1": 5}


async def test_a_few_earlier_ones_are_kept(store: Store, crl_store: SqlCrlStore) -> None:
    await publish(crl_store, a_crl(1, issuer_id="root-1"))
    for number in range(1, KEPT + 3):
        assert await publish(crl_store, a_crl(number), replaces=number - 1 or None)

    numbers = await store.rows("SELECT number FROM crls WHERE issuer_id = 'issuing-1' ORDER BY number")
    assert [number for (number,) in numbers] == [3, 4, 5]
    assert await crl_store.latest("root-1") is not None


async def test_a_mint_does_not_wait_for_a_crl_that_is_being_published(store: Store) -> None:
    if not store.is_postgresql:
        pytest.skip("on SQLite there is one writer")

    def lock(connection: Connection) -> None:
        connection.execute(crls_module._LOCK, {"of_issuer": "issuing-1"}).close()

    async with store.opened_again() as other, other.writing() as publishing:
        await publishing.run(lock)
        minted = await mint(store.database)

    assert minted.issuer_id == "issuing-1"


async def test_lists_what_is_revoked_and_nothing_else(database: Database, crl_store: SqlCrlStore) -> None:
    enrolment = await mint(database)
    await mint(database, a_reservation("enrolment-2", mailbox=BERTA))
    await import_certificate(database)
    await revoke_anna(database)

    (revoked,) = await crl_store.revoked("issuing-1", NOW)

    assert revoked == RevokedCertificate(
        serial_number=enrolment.certificate.serial, revoked_at=NOW, reason=RevocationReason.KEY_COMPROMISE
    )
    assert await crl_store.revoked("root-1", NOW) == []


@pytest.mark.parametrize(("later", "entries"), [(YEAR, 1), (YEAR + timedelta(seconds=1), 0)])
async def test_lists_what_had_not_expired_at_a_moment(
    database: Database, crl_store: SqlCrlStore, later: timedelta, entries: int
) -> None:
    await mint(database)
    await revoke_anna(database)
    await publish(crl_store, a_crl(covers_from=NOW + later))

    assert len(await crl_store.revoked("issuing-1", NOW + later)) == entries
    assert (await standing(crl_store)).revoked == entries


async def test_counts_what_was_revoked_since_the_latest(database: Database, crl_store: SqlCrlStore) -> None:
    await mint(database)
    await publish(crl_store, a_crl())

    before = (await standing(crl_store)).revoked
    await revoke_anna(database)

    assert (before, (await standing(crl_store)).revoked) == (0, 1)


async def test_counts_again_only_when_something_was_taken_away(
    store: Store, crl_store: SqlCrlStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    counted = []
    counts = crls_module._counts

    def counting(connection: Connection) -> dict[str, int]:
        counted.append(connection)
        return counts(connection)

    monkeypatch.setattr(crls_module, "_counts", counting)
    await mint(store.database)
    for _ in range(3):
        await crl_store.issuers()
    before = len(counted)
    await publish(crl_store, a_crl())
    await revoke_anna(store.database)
    for _ in range(3):
        await crl_store.issuers()

    assert (before, len(counted)) == (1, 2)
    assert (await standing(crl_store)).revoked == 1


async def test_a_withdrawn_certificate_is_not_revoked(store: Store, crl_store: SqlCrlStore) -> None:
    await mint(store.database)
    await store.database.write(
        lambda connection: connection.execute(update(certificates).values(withdrawn_at=NOW)).close()
    )

    assert await crl_store.revoked("issuing-1", NOW) == []


@pytest.mark.parametrize("reason", [None, "", "onAWhim"])
async def test_a_reason_that_nobody_knows_keeps_no_certificate_off_the_list(
    store: Store, crl_store: SqlCrlStore, reason: str | None
) -> None:
    await mint(store.database)
    await revoke_anna(store.database)
    await store.database.write(
        lambda connection: connection.execute(update(certificates).values(revocation_reason=reason)).close()
    )

    (revoked,) = await crl_store.revoked("issuing-1", NOW)

    assert revoked.reason is RevocationReason.UNSPECIFIED


async def test_many_are_listed_page_by_page_each_once(
    store: Store, crl_store: SqlCrlStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(crls_module, "_PAGE", 7)
    await store.database.write(lambda connection: _add_revoked(connection, 50))

    revoked = await crl_store.revoked("issuing-1", NOW)

    assert sorted(one.serial_number for one in revoked) == list(range(1, 51))


async def test_the_list_is_read_along_its_index(store: Store) -> None:
    await store.database.write(lambda connection: _add_revoked(connection, 50))
    wanted = {"of_issuer": "issuing-1", "after_not_after": NOW, "after_serial": ""}
    explain = "EXPLAIN" if store.is_postgresql else "EXPLAIN QUERY PLAN"

    def plan(connection: Connection) -> str:
        if store.is_postgresql:  # which would rather scan so few rows
            connection.exec_driver_sql("SET LOCAL enable_seqscan = off").close()
        statement = crls_module._PAGE_OF_REVOKED.limit(5000).params(wanted)
        compiled = statement.compile(connection, compile_kwargs={"literal_binds": True})
        return str(connection.exec_driver_sql(f"{explain} {compiled}").fetchall())

    assert "ix_certificates_revoked" in await store.database.write(plan)


def _add_revoked(connection: Connection, count: int) -> None:
    connection.execute(
        insert(certificates),
        [
            {
                "id": f"certificate-{n}",
                "issuer_id": "issuing-1",
                "serial": f"{n:x}",
                "scope": "shared",
                "address": f"r{n}@example.org",
                "address_key": f"r{n}@example.org",
                "origin": "found",
                "der": b"",
                "key_sha256": b"",
                "not_before": NOW - YEAR,
                "not_after": NOW + YEAR + timedelta(days=n % 3),
                "published_at": NOW,
                "revoked_at": NOW,
                "revocation_reason": "superseded",
            }
            for n in range(1, count + 1)
        ],
    )


async def test_what_is_stored_is_what_was_given(store: Store, crl_store: SqlCrlStore) -> None:
    await publish(crl_store, a_crl(2**40, der=bytes(range(256)), entries=3))

    columns = crls.c.number, crls.c.der, crls.c.this_update, crls.c.next_update, crls.c.entries
    assert await store.select(select(*columns)) == [
        (2**40, bytes(range(256)), MIDNIGHT, MIDNIGHT + 7 * DAY, 3)
    ]
