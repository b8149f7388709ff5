"""What keeps keys in the database? The stock put together, for `serve` and for the commands about it."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from ca.keypool import KeyPool
from ca.keys import KeyAlgorithm
from ca.keyshelf import Watermarks
from directory.errors import ConfigurationRefused
from directory.faults import log_failure
from directory.keyledger import SETTING, KeyLedger
from directory.keystock import KeyPoolAdministration, KeyStock, Pool, StockLevel
from directory.store.pooled_keys import SqlPooledKeys
from directory.wiring.installation import Installation
from directory.wiring.minting import key_threads


@asynccontextmanager
async def supplied(installation: Installation, keys: KeyPool) -> AsyncIterator[KeyPool]:
    """Run the pool until the context ends: with what is stored from the first moment, where that is wanted.

    Raises:
        ConfigurationRefused: the ledger cannot be used.
        StoreUnavailable: the database does not answer.
    """
    target = installation.settings.ca.key_pool_persisted
    if not target:
        with keys:
            yield keys
        return
    stock = key_stock(installation, keys, target=target, actor="service")
    await stock.supply()
    with keys:
        task = asyncio.create_task(stock.run(), name="stock of keys")
        task.add_done_callback(_ended)
        try:
            yield keys
        finally:
            task.cancel()
            await asyncio.wait([task])


def _ended(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        log_failure("the stock of keys", error)


def key_stock(installation: Installation, keys: Pool, *, target: int, actor: str) -> KeyStock:
    """Return what stores up to so many keys of each algorithm.

    Raises:
        ConfigurationRefused: there is no ledger to count them in.
    """
    settings = installation.settings
    if settings.ca.key_pool_ledger is None:
        raise ConfigurationRefused(
            key=SETTING,
            reason="keys cannot be stored without a ledger",
            remedy="name a file that no restore of the database touches",
        )
    return KeyStock(
        pool=keys,
        store=SqlPooledKeys(installation.database, node=installation.node),
        ledger=KeyLedger(settings.ca.key_pool_ledger),
        sealer=installation.sealer,
        clock=installation.clock,
        target=target,
        side_by_side=key_threads(settings),
        actor=actor,
    )


def key_pool_administration(installation: Installation, actor: str) -> KeyPoolAdministration:
    """Return the use cases about the stored keys."""
    return KeyPoolAdministration(
        store=SqlPooledKeys(installation.database, node=installation.node),
        clock=installation.clock,
        actor=actor,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownStock:
    """What is stored of one algorithm, and how much of it this machine may use."""

    algorithm: KeyAlgorithm
    stored: StockLevel
    usable: int


async def stock_levels(installation: Installation) -> Sequence[ShownStock]:
    """Return what is stored.

    Raises:
        ConfigurationRefused: the ledger cannot be used.
        StoreUnavailable: the database does not answer.
    """
    store = SqlPooledKeys(installation.database, node=installation.node)
    path = installation.settings.ca.key_pool_ledger
    ledger = None if path is None else KeyLedger(path)
    return [
        ShownStock(
            algorithm=algorithm,
            stored=level,
            usable=0 if ledger is None else await store.usable(algorithm, ledger.usable(algorithm)),
        )
        for algorithm, level in sorted((await store.levels()).items())
    ]


async def fill_stock(
    installation: Installation,
    algorithm: KeyAlgorithm,
    *,
    until: int,
    actor: str,
    on_stored: Callable[[int], None],
) -> int:
    """Store keys until there are so many that this machine may use; return how many were made.

    Raises:
        ConfigurationRefused: there is no ledger, or it cannot be used, or the algorithm needs no stock.
        StoreUnavailable: the database does not answer; what was stored stays.
    """
    if not algorithm.is_rsa:
        raise ConfigurationRefused(
            key="--algorithm", reason=f"a key for {algorithm} is made sooner than it is stored"
        )
    on_demand = Watermarks(low=0, high=0)
    made = 0
    with KeyPool(algorithm, marks=on_demand, threads=key_threads(installation.settings)) as keys:
        stock = key_stock(installation, keys, target=until, actor=actor)
        while some := await stock.store_some(algorithm):
            made += some
            on_stored(made)
    return made
