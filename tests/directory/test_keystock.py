"""A stock of keys on real databases and a real ledger, with a pool that does as it is told."""

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import pytest

from ca.errors import KeyRefused, MasterKeyUnusable, SealBroken
from ca.keypool import KeyPool
from ca.keys import KeyAlgorithm, PrivateKey, generate, key_hash
from ca.keyshelf import Watermarks
from ca.sealing import SealedSecret, Sealer, SecretIdentity
from directory.audit import AuditEvent, AuditKind
from directory.errors import ConfigurationRefused, StoreUnavailable
from directory.keyledger import KeyLedger, Span
from directory.keystock import KeyPoolAdministration, KeyStock, Pool, PooledKey, open_pooled_key
from directory.store.audit_log import read_chain
from directory.store.pooled_keys import SqlPooledKeys
from tests.contracts.world import SEALER, Store
from tests.directory.clocks import StoppedClock
from tests.directory.minting import violations
from tests.distinctkeys import distinct_keys

RSA_2048 = KeyAlgorithm.RSA_2048
PATIENCE = 60.0
"""Seconds after which a test gives up; reached only when something is wrong."""


@dataclass(kw_only=True)
class ToldPool:
    """Wants what it is told to want, and makes the keys that it was given."""

    wants: int = 0
    makes: list[PrivateKey] = field(default_factory=list)
    in_use: tuple[KeyAlgorithm, ...] = (RSA_2048,)
    brought: list[PrivateKey] = field(default_factory=list)
    is_supplied: bool = False
    tell: Callable[[], None] = lambda: None

    @property
    def levels(self) -> Mapping[KeyAlgorithm, int]:
        return dict.fromkeys(self.in_use, 0)

    def wanted(self, algorithm: KeyAlgorithm) -> int:
        assert algorithm.is_rsa
        return self.wants

    def bring(self, algorithm: KeyAlgorithm, made_earlier: Sequence[PrivateKey]) -> None:
        del algorithm
        self.brought += made_earlier
        self.wants -= len(made_earlier)

    def set_supplied(self, algorithm: KeyAlgorithm, *, supplied: bool) -> None:
        del algorithm
        self.is_supplied = supplied

    def spare(self, algorithm: KeyAlgorithm) -> Future[PrivateKey]:
        assert algorithm.is_rsa
        future: Future[PrivateKey] = Future()
        if self.makes:
            future.set_result(self.makes.pop(0))
        return future

    def on_low(self, tell: Callable[[], None]) -> None:
        self.tell = tell


@pytest.fixture
def ledger(tmp_path: Path) -> Path:
    return tmp_path / "pool.ledger"


@dataclass(kw_only=True)
class House:
    """Where the stocks of a test are: one database, and usually one ledger."""

    store: Store
    ledger: Path

    def stock(
        self,
        pool: Pool,
        *,
        target: int = 100,
        ledger: Path | None = None,
        keys: SqlPooledKeys | None = None,
        sealer: Sealer = SEALER,
    ) -> KeyStock:
        return KeyStock(
            pool=pool,
            store=keys or SqlPooledKeys(self.store.database, node="node-1"),
            ledger=KeyLedger(ledger or self.ledger),
            sealer=sealer,
            clock=StoppedClock(),
            target=target,
            side_by_side=2,
        )

    async def stored(self, keys: Sequence[PrivateKey], *, ledger: Path | None = None) -> None:
        """Store these, by a process that has ended since."""
        stock = self.stock(ToldPool(makes=list(keys)), target=len(keys), ledger=ledger)
        while await stock.store_some(RSA_2048):
            pass

    async def brought(self, wants: int, *, ledger: Path | None = None) -> list[PrivateKey]:
        """Return what a process that has just started brings."""
        pool = ToldPool(wants=wants)
        await self.stock(pool, ledger=ledger).supply()
        return pool.brought

    async def rows(self) -> int:
        return await self.store.count("pooled_keys")

    async def events(self) -> list[AuditEvent]:
        return [chained.event async for chained in read_chain(self.store.database, "node-1", 100)]


@pytest.fixture
def house(store: Store, ledger: Path) -> House:
    return House(store=store, ledger=ledger)


def hashes(keys: Sequence[PrivateKey]) -> list[bytes]:
    return sorted(key_hash(key.public_key()) for key in keys)


async def test_what_was_stored_is_brought_after_a_restart_the_oldest_first(house: House) -> None:
    keys = distinct_keys(40)
    await house.stored(keys)
    assert await house.rows() == 40

    brought = await house.brought(10)

    assert hashes(brought) == hashes(keys[:10])
    assert await house.rows() == 30


async def test_the_stored_rows_keep_every_invariant(house: House) -> None:
    await house.stored(distinct_keys(3))

    broken = await violations(house.store.database)
    assert [one for one in broken if one.invariant.startswith("pool.")] == []


async def test_no_more_is_stored_than_wanted(house: House) -> None:
    stock = house.stock(ToldPool(makes=distinct_keys(5)), target=3)

    assert await stock.store_some(RSA_2048) == 3
    assert await stock.store_some(RSA_2048) == 0
    assert await stock.level(RSA_2048) == await house.rows() == 3


async def test_a_burst_ends_the_making_of_keys_for_the_stock(house: House) -> None:
    await house.stored(distinct_keys(1))
    pool = ToldPool(wants=1, makes=distinct_keys(9)[1:])
    stock = house.stock(pool, target=8)

    await stock.supply()

    assert await stock.store_some(RSA_2048) == 2, "one round, and then the cores are the lookups'"


async def test_two_processes_never_bring_the_same_key(house: House) -> None:
    keys = distinct_keys(30)
    await house.stored(keys)
    pools = [ToldPool(wants=10) for _ in range(3)]

    await asyncio.gather(*(house.stock(pool).supply() for pool in pools))

    assert hashes([key for pool in pools for key in pool.brought]) == hashes(keys)


async def test_a_restored_database_gives_no_key_out_again(house: House) -> None:
    keys = distinct_keys(6)
    await house.stored(keys[:4])
    backup = await house.store.rows("SELECT id FROM pooled_keys ORDER BY id")
    await house.store.sql("CREATE TABLE kept AS SELECT * FROM pooled_keys")
    assert len(await house.brought(3)) == 3

    await house.store.sql("DELETE FROM pooled_keys", "INSERT INTO pooled_keys SELECT * FROM kept")
    assert len(backup) == await house.rows() == 4

    assert hashes(await house.brought(10)) == hashes(keys[3:4])
    await house.stored(keys[4:])
    assert hashes(await house.brought(10)) == hashes(keys[4:])


async def test_a_key_that_was_lost_with_its_process_is_never_used(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    await house.stored(distinct_keys(2))

    def die(*_: object) -> None:
        raise ConfigurationRefused(key="ca.key_pool_ledger", reason="the disk is full")

    pool = ToldPool(wants=1)
    with monkeypatch.context() as patched:
        patched.setattr(KeyLedger, "note_used", die)
        with pytest.raises(ConfigurationRefused):
            await house.stock(pool).supply()

    assert pool.brought == []
    assert await house.rows() == 1
    assert hashes(await house.brought(5)) == hashes(distinct_keys(2)[1:])


async def test_each_machine_uses_what_it_has_numbered(house: House, tmp_path: Path) -> None:
    other = tmp_path / "other.ledger"
    await house.stored(distinct_keys(4)[:2])
    await house.stored(distinct_keys(4)[2:], ledger=other)

    assert hashes(await house.brought(5)) == hashes(distinct_keys(4)[:2])
    assert hashes(await house.brought(5, ledger=other)) == hashes(distinct_keys(4)[2:])


async def test_a_row_that_was_tampered_with_is_passed_over(
    house: House, caplog: pytest.LogCaptureFixture
) -> None:
    keys = distinct_keys(3)
    await house.stored(keys)
    await house.store.sql(
        "UPDATE pooled_keys SET key_ciphertext = (SELECT max(key_ciphertext) FROM pooled_keys)"
    )

    assert len(await house.brought(3)) == 1
    assert [record.levelname for record in caplog.records] == ["ERROR", "ERROR"]
    assert await house.rows() == 0


async def test_a_row_cannot_be_moved_to_another_number(house: House) -> None:
    await house.stored(distinct_keys(1))
    (taken,) = await SqlPooledKeys(house.store.database, node="n").take(
        RSA_2048, Span(after="", last="z"), most=1, event_of=an_event
    )

    with pytest.raises(SealBroken):
        open_pooled_key(SEALER, replaced(taken, key_id=f"{int(taken.key_id, 16) + 1:032x}"))
    with pytest.raises(KeyRefused):
        open_pooled_key(SEALER, replaced(taken, algorithm=KeyAlgorithm.RSA_3072))
    with pytest.raises(KeyRefused):
        open_pooled_key(SEALER, replaced(taken, key_sha256=bytes(32)))


def an_event(keys: int) -> AuditEvent:
    return AuditEvent(kind=AuditKind.KEY_POOL_USED, at=StoppedClock().now(), actor="a", subject=str(keys))


def replaced(
    row: PooledKey,
    *,
    key_id: str | None = None,
    algorithm: KeyAlgorithm | None = None,
    key_sha256: bytes | None = None,
) -> PooledKey:
    return PooledKey(
        key_id=key_id or row.key_id,
        algorithm=algorithm or row.algorithm,
        sealed=row.sealed,
        key_sha256=key_sha256 or row.key_sha256,
        made_at=row.made_at,
    )


async def test_the_pool_is_told_whether_keys_will_be_brought(house: House) -> None:
    pool = ToldPool(wants=3, makes=distinct_keys(4)[2:])
    stock = house.stock(pool, target=2)
    await house.stored(distinct_keys(4)[:2])

    await stock.supply()
    assert (len(pool.brought), pool.is_supplied) == (2, False)

    await stock.store_some(RSA_2048)
    assert pool.is_supplied

    await stock.supply()
    assert len(pool.brought) == 3
    assert pool.is_supplied


async def test_an_empty_store_is_not_looked_at_with_each_mint(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = SqlPooledKeys(house.store.database, node="node-1")
    looks: list[int] = []
    take = keys.take

    async def counted(
        algorithm: KeyAlgorithm, span: Span, *, most: int, event_of: Callable[[int], AuditEvent]
    ) -> Sequence[PooledKey]:
        looks.append(most)
        return await take(algorithm, span, most=most, event_of=event_of)

    monkeypatch.setattr(keys, "take", counted)
    pool = ToldPool(wants=2, makes=distinct_keys(2))
    stock = house.stock(pool, target=2, keys=keys)

    for _ in range(5):
        await stock.supply()
    assert looks == [2]

    await stock.store_some(RSA_2048)
    await stock.supply()
    assert looks == [2, 2]
    assert len(pool.brought) == 2


class _DeadStore(SqlPooledKeys):
    async def take(
        self, algorithm: KeyAlgorithm, span: Span, *, most: int, event_of: Callable[[int], AuditEvent]
    ) -> Sequence[PooledKey]:
        del algorithm, span, most, event_of
        raise StoreUnavailable(reason="gone")


async def test_a_database_that_is_away_leaves_it_to_the_pool_to_make_keys(house: House) -> None:
    pool = ToldPool(wants=1, is_supplied=True)
    stock = house.stock(pool, keys=_DeadStore(house.store.database, node="node-1"))

    with pytest.raises(StoreUnavailable):
        await stock.supply()

    assert not pool.is_supplied


async def test_keys_that_are_made_in_no_time_are_not_stored(house: House) -> None:
    pool = ToldPool(wants=5, in_use=(KeyAlgorithm.P_256,))

    await house.stock(pool).supply()

    assert not pool.is_supplied


async def test_everything_is_on_record(house: House) -> None:
    await house.stored(distinct_keys(3))
    await house.brought(2)
    administration = KeyPoolAdministration(
        store=SqlPooledKeys(house.store.database, node="node-1"), clock=StoppedClock(), actor="operator:olga"
    )
    assert await administration.discard(older_than=timedelta(days=1)) == 0
    await house.store.sql("UPDATE pooled_keys SET made_at = '2999-01-01 00:00:00.000000+00:00'")
    assert await administration.discard() == 1

    assert [
        (event.kind, event.actor, event.subject, event.detail["keys"]) for event in await house.events()
    ] == [
        (AuditKind.KEY_POOL_FILLED, "service", "rsa-2048", "3"),
        (AuditKind.KEY_POOL_USED, "service", "rsa-2048", "2"),
        (AuditKind.KEY_POOL_DISCARDED, "operator:olga", "key pool", "1"),
    ]


async def test_a_stock_that_runs_keeps_a_real_pool_supplied(house: House) -> None:
    keys = distinct_keys(20)
    await house.stored(keys)
    made_now: list[PrivateKey] = []

    def make(algorithm: KeyAlgorithm) -> PrivateKey:
        made_now.append(generate(algorithm))
        return made_now[-1]

    pool = KeyPool(RSA_2048, marks=Watermarks(low=2, high=4), threads=1, generate=make)
    stock = house.stock(pool, target=20)
    running = asyncio.create_task(stock.run())
    try:
        async with asyncio.timeout(PATIENCE):
            # Nobody makes keys yet: all of them come from the stock.
            taken = [await asyncio.wrap_future(pool.take(RSA_2048)) for _ in range(20)]
            pool.start()
            last = await asyncio.wrap_future(pool.take(RSA_2048))
    finally:
        running.cancel()
        await asyncio.wait([running])
        pool.close()
    assert hashes(taken) == hashes(keys)
    assert last in made_now


async def test_a_stock_that_runs_goes_on_when_the_database_is_back(
    house: House, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("directory.keystock._RETRY_SECONDS", 0)
    await house.stored(distinct_keys(1))
    store = SqlPooledKeys(house.store.database, node="node-1")
    failures = [StoreUnavailable(reason="gone")]
    take = store.take

    async def take_or_fail(
        algorithm: KeyAlgorithm, span: Span, *, most: int, event_of: Callable[[int], AuditEvent]
    ) -> Sequence[PooledKey]:
        if failures:
            raise failures.pop()
        return await take(algorithm, span, most=most, event_of=event_of)

    monkeypatch.setattr(store, "take", take_or_fail)
    pool = KeyPool(RSA_2048, marks=Watermarks(low=0, high=1), threads=1)
    running = asyncio.create_task(house.stock(pool, keys=store, target=1).run())
    try:
        async with asyncio.timeout(PATIENCE):
            key = await asyncio.wrap_future(pool.take(RSA_2048))
    finally:
        running.cancel()
        await asyncio.wait([running])
        pool.close()
    assert hashes([key]) == hashes(distinct_keys(1))
    assert [record.levelno for record in caplog.records] == [logging.WARNING]


class HalfCopied(Sealer):
    """Cannot read the master key file a few times, as while it is being copied."""

    def __init__(self, times: int) -> None:
        self._times = times

    def unseal(self, sealed: SealedSecret, identity: SecretIdentity) -> bytes:
        self._look()
        return SEALER.unseal(sealed, identity)

    def seal(self, secret: bytes, identity: SecretIdentity) -> SealedSecret:
        self._look()
        return SEALER.seal(secret, identity)

    def _look(self) -> None:
        if self._times:
            self._times -= 1
            raise MasterKeyUnusable(Path("master.key"), "is malformed")


async def test_what_was_taken_waits_for_a_master_key_that_can_be_used(house: House) -> None:
    await house.stored(distinct_keys(3))
    pool = ToldPool(wants=3, is_supplied=True)
    stock = house.stock(pool, sealer=HalfCopied(2))

    for _ in range(2):
        with pytest.raises(MasterKeyUnusable):
            await stock.supply()
        assert not pool.is_supplied
    await stock.supply()

    assert hashes(pool.brought) == hashes(distinct_keys(3))


async def test_a_stock_that_runs_brings_keys_when_the_master_key_is_whole(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("directory.keystock._RETRY_SECONDS", 0)
    await house.stored(distinct_keys(1))
    pool = KeyPool(RSA_2048, marks=Watermarks(low=0, high=1), threads=1)
    running = asyncio.create_task(house.stock(pool, sealer=HalfCopied(2)).run())
    try:
        async with asyncio.timeout(PATIENCE):
            key = await asyncio.wrap_future(pool.take(RSA_2048))
    finally:
        running.cancel()
        await asyncio.wait([running])
        pool.close()
    assert hashes([key]) == hashes(distinct_keys(1))


async def test_a_stock_that_runs_stores_keys_when_the_master_key_is_whole(
    house: House, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("directory.keystock._LOOK_SECONDS", 0)
    pool = ToldPool(makes=list(distinct_keys(2)))
    running = asyncio.create_task(house.stock(pool, sealer=HalfCopied(1), target=1).run())
    try:
        async with asyncio.timeout(PATIENCE):
            while not await house.rows():
                assert not running.done()
    finally:
        running.cancel()
        await asyncio.wait([running])
    assert "the stock of keys has to wait: master key master.key: is malformed" in caplog.text
