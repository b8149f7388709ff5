"""The contract of `CrlStore`, and that making CRLs on two processes at once publishes one."""

import asyncio
from collections.abc import Sequence
from datetime import datetime, timedelta

import pytest
from sqlalchemy import Connection, insert, select, update

from ca.address import Mailbox
from ca.publication import Publication
from ca.revocation import RevocationReason, RevokedCertificate
from ca.sealing import SealedSecret
from directory.audit import AuditKind
from directory.crls import CrlRecord, StandingCrl, StandingIssuer, StoredCrl
from directory.revocation import Revocation
from directory.store import crls as crls_module
from directory.store.crl_partitions import SqlCrlPartitions
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
    an_enrolment,
    an_event,
    an_issuer,
    import_certificate,
    mint,
    record,
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
    partition: int | None = None,
    changes: int = 0,
) -> StoredCrl:
    return StoredCrl(
        issuer_id=issuer_id,
        partition=partition,
        der=der,
        record=CrlRecord(
            number=number,
            this_update=MIDNIGHT,
            next_update=MIDNIGHT + 7 * DAY,
            covers_from=covers_from,
            entries=entries,
            changes=changes,
        ),
    )


async def publish(crl_store: SqlCrlStore, crl: StoredCrl, *, replaces: int | None = None) -> bool:
    event = an_event(AuditKind.CRL_ISSUED, subject=crl.issuer_id)
    return await crl_store.publish(crl, replaces=replaces, event=event)


async def issuer(crl_store: SqlCrlStore, issuer_id: str = "issuing-1") -> StandingIssuer:
    (found,) = [one for one in await crl_store.issuers() if one.issuer_id == issuer_id]
    return found


async def standing(
    crl_store: SqlCrlStore, issuer_id: str = "issuing-1", partition: int | None = None
) -> StandingCrl:
    crls_of_issuer = (await issuer(crl_store, issuer_id)).crls
    (found,) = [one for one in crls_of_issuer if one.partition == partition]
    return found


async def revoked(
    crl_store: SqlCrlStore,
    issuer_id: str = "issuing-1",
    partition: int | None = None,
    *,
    covers_from: datetime = NOW,
) -> list[RevokedCertificate]:
    pages = crl_store.revoked(issuer_id, partition, covers_from)
    return [one async for page in pages for one in page]


async def open_partitions(
    database: Database, count: int, *, base_url: str = "http://pki.example.com", node: str = "node-1"
) -> list[int]:
    partitions = SqlCrlPartitions(database, node=node)
    event = an_event(AuditKind.CRL_PARTITIONED, subject="issuing-1")
    return list(await partitions.usable("issuing-1", Publication(base_url), count, event))


async def revoke_anna(database: Database, reason: RevocationReason = RevocationReason.KEY_COMPROMISE) -> None:
    revocation = Revocation(store=SqlRevocationStore(database, node="desk"), clock=StoppedClock(NOW))
    await revocation.revoke_address(ANNA, reason, "operator:olga")


async def test_the_first_crl_follows_none(crl_store: SqlCrlStore) -> None:
    assert [one.crls for one in await crl_store.issuers()] == [[StandingCrl()], [StandingCrl()]]
    assert await crl_store.latest("issuing-1", None) is None
    assert await crl_store.latest_number("issuing-1", None) is None

    assert await publish(crl_store, a_crl())

    assert (await issuer(crl_store, "root-1")).is_root
    assert not (await issuer(crl_store)).is_root
    assert (await standing(crl_store, "root-1")).latest is None
    assert (await standing(crl_store)).latest == a_crl().record
    assert await crl_store.latest("issuing-1", None) == a_crl()
    assert await crl_store.latest_number("issuing-1", None) == 1


async def test_an_issuer_stands_with_its_certificate_and_key(
    database: Database, crl_store: SqlCrlStore
) -> None:
    key = SealedSecret(master_key_id="master-1", wrapped_key=b"wrapped", ciphertext=b"sealed")
    await SqlIssuers(database, node="setup").add(an_issuer("issuing-2", sealed_key=key), an_event())

    assert (await issuer(crl_store, "issuing-2")).sealed_key == key
    assert (await issuer(crl_store)).sealed_key is None
    assert (await issuer(crl_store)).certificate == b"certificate of issuing-1"


async def test_only_what_follows_the_latest_is_published(store: Store, crl_store: SqlCrlStore) -> None:
    assert await publish(crl_store, a_crl(7))

    assert not await publish(crl_store, a_crl(8, der=b"late"))
    assert not await publish(crl_store, a_crl(8, der=b"late"), replaces=6)
    assert await publish(crl_store, a_crl(9, der=b"next"), replaces=7)

    latest = await crl_store.latest("issuing-1", None)
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

    numbers = [await crl_store.latest_number(one, None) for one in ("root-1", "issuing-1")]
    assert numbers == [4, 5]


async def test_a_few_earlier_ones_are_kept(store: Store, crl_store: SqlCrlStore) -> None:
    await publish(crl_store, a_crl(1, issuer_id="root-1"))
    for number in range(1, KEPT + 3):
        assert await publish(crl_store, a_crl(number), replaces=number - 1 or None)

    numbers = await store.rows("SELECT number FROM crls WHERE issuer_id = 'issuing-1' ORDER BY number")
    assert [number for (number,) in numbers] == [3, 4, 5]
    assert await crl_store.latest("root-1", None) is not None


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

    (entry,) = await revoked(crl_store)

    assert entry == RevokedCertificate(
        serial_number=enrolment.certificate.serial, revoked_at=NOW, reason=RevocationReason.KEY_COMPROMISE
    )
    assert await revoked(crl_store, "root-1") == []


@pytest.mark.parametrize(("later", "entries"), [(YEAR, 1), (YEAR + timedelta(seconds=1), 0)])
async def test_lists_what_had_not_expired_at_a_moment(
    database: Database, crl_store: SqlCrlStore, later: timedelta, entries: int
) -> None:
    await mint(database)
    await revoke_anna(database)

    assert len(await revoked(crl_store, covers_from=NOW + later)) == entries


@pytest.mark.parametrize("partition", [None, 7])
async def test_each_change_of_what_must_be_listed_is_counted_whoever_makes_it(
    store: Store, crl_store: SqlCrlStore, partition: int | None
) -> None:
    await open_partitions(store.database, 7)
    await record(store.database, an_enrolment(a_reservation(), crl_partition=partition))
    counts = []
    for sql in (
        "UPDATE certificates SET withdrawn_at = published_at",
        "UPDATE certificates SET revoked_at = published_at",
        "UPDATE certificates SET revocation_reason = 'superseded'",
        "UPDATE certificates SET serial = 'abc'",
        "UPDATE certificates SET revoked_at = NULL",
        "UPDATE certificates SET withdrawn_at = NULL",
    ):
        await store.sql(sql)
        counts.append([(await standing(crl_store, partition=one)).changes for one in (partition, None, 1)])

    assert counts == [[0, 0, 0], [1, 1, 0], [2, 2, 0], [3, 3, 0], [4, 4, 0], [4, 4, 0]]


async def test_a_certificate_that_moves_is_counted_where_it_was_and_where_it_is(
    store: Store, crl_store: SqlCrlStore
) -> None:
    await open_partitions(store.database, 3)
    await store.database.write(lambda connection: _add_revoked(connection, 1, partitions=[1]))
    await store.sql("UPDATE certificates SET crl_partition = 2")
    await store.sql("DELETE FROM certificates")

    counts = [(await standing(crl_store, partition=one)).changes for one in (None, 1, 2, 3)]
    assert counts == [3, 2, 2, 0]


async def test_what_another_issuer_has_issued_is_no_change(store: Store, crl_store: SqlCrlStore) -> None:
    await import_certificate(store.database)
    await store.sql("UPDATE certificates SET revoked_at = published_at")

    assert [one.crls for one in await crl_store.issuers()] == [[StandingCrl()], [StandingCrl()]]


async def test_a_withdrawn_certificate_is_not_revoked(store: Store, crl_store: SqlCrlStore) -> None:
    await mint(store.database)
    await store.database.write(
        lambda connection: connection.execute(update(certificates).values(withdrawn_at=NOW)).close()
    )

    assert await revoked(crl_store) == []


@pytest.mark.parametrize("reason", [None, "", "onAWhim"])
async def test_a_reason_that_nobody_knows_keeps_no_certificate_off_the_list(
    store: Store, crl_store: SqlCrlStore, reason: str | None
) -> None:
    await mint(store.database)
    await revoke_anna(store.database)
    await store.database.write(
        lambda connection: connection.execute(update(certificates).values(revocation_reason=reason)).close()
    )

    (entry,) = await revoked(crl_store)

    assert entry.reason is RevocationReason.UNSPECIFIED


async def test_many_are_listed_page_by_page_each_once(
    store: Store, crl_store: SqlCrlStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(crls_module, "_PAGE", 7)
    await open_partitions(store.database, 3)
    await store.database.write(lambda connection: _add_revoked(connection, 50, partitions=[0, 1, 2, 9]))

    listed = {
        partition: sorted(one.serial_number for one in await revoked(crl_store, partition=partition))
        for partition in (None, 1, 2, 3)
    }

    # Also what is in a partition that nobody has opened: on the complete one nothing is left out.
    assert listed == {
        None: list(range(1, 51)),
        1: [n for n in range(1, 51) if n % 4 == 1],
        2: [n for n in range(1, 51) if n % 4 == 2],
        3: [],
    }


async def test_what_a_crl_lists_is_read_from_its_index_alone(store: Store) -> None:
    await store.database.write(lambda connection: _add_revoked(connection, 50, partitions=[1, 2]))
    wanted = {"of_issuer": "issuing-1", "of_partition": 1, "after_not_after": NOW, "after_serial": ""}
    explain = "EXPLAIN" if store.is_postgresql else "EXPLAIN QUERY PLAN"

    def plan(connection: Connection) -> str:
        if store.is_postgresql:  # which would rather scan or sort so few rows
            for other_way in ("enable_seqscan", "enable_bitmapscan", "enable_sort"):
                connection.exec_driver_sql(f"SET LOCAL {other_way} = off").close()
        statement = crls_module._PAGE_OF_REVOKED.limit(5000).params(wanted)
        compiled = statement.compile(connection, compile_kwargs={"literal_binds": True})
        return str(connection.exec_driver_sql(f"{explain} {compiled}").fetchall())

    found = await store.database.write(plan)
    only = "Index Only Scan using" if store.is_postgresql else "USING COVERING INDEX"
    assert f"{only} ix_certificates_revoked" in found
    assert "crl_partition = 1" in found or "crl_partition=?" in found


def _add_revoked(connection: Connection, count: int, *, partitions: Sequence[int]) -> None:
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
                "crl_partition": partitions[n % len(partitions)],
            }
            for n in range(1, count + 1)
        ],
    )


async def test_what_is_stored_is_what_was_given(store: Store, crl_store: SqlCrlStore) -> None:
    await publish(crl_store, a_crl(2**40, der=bytes(range(256)), entries=3))

    columns = crls.c.number, crls.c.size, crls.c.this_update, crls.c.next_update, crls.c.entries
    assert await store.select(select(*columns)) == [(2**40, 256, MIDNIGHT, MIDNIGHT + 7 * DAY, 3)]
    stored = await crl_store.latest("issuing-1", None)
    assert stored is not None
    assert stored.der == bytes(range(256))
