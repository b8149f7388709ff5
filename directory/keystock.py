"""How does a restart not begin without keys? What idle cores make is stored sealed, and used first.

A key is used once: its row is deleted, durably, and its number noted in a ledger that no restore of the
database touches, before anybody is given it. Where a process dies in between, the key is lost, which costs
nothing but the time to make another. Knows neither the database nor how keys are made.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final, Protocol

from ca.errors import CaError, KeyRefused, SealBroken
from ca.keys import KeyAlgorithm, PrivateKey, algorithm_of, key_hash, to_pkcs8, unsafe_from_sealed_pkcs8
from ca.sealing import SealedSecret, Sealer, SecretIdentity, SecretKind
from directory.audit import AuditEvent, AuditKind
from directory.clock import Clock
from directory.errors import ConfigurationRefused, StoreUnavailable
from directory.keyledger import Span

logger = logging.getLogger(__name__)

_AT_ONCE: Final = 64
"""How many keys are taken in one transaction at most: few enough that others get their turn."""
_STORED_AT_ONCE: Final = 32
_LOOK_SECONDS: Final = 15.0
"""How often it is looked whether somebody else has used keys."""
_CALM_SECONDS: Final = 5.0
"""How long after keys were brought none are made for the stock: what is going on may be a burst."""
_RETRY_SECONDS: Final = 5.0
_PASSING: Final = (CaError, StoreUnavailable, ConfigurationRefused)
"""What the next attempt may not meet any more, such as a master key file that is just being copied."""
_EVER: Final = datetime.max.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class PooledKey:
    """A key that is nobody's yet, as it is stored."""

    key_id: str
    algorithm: KeyAlgorithm
    sealed: SealedSecret
    key_sha256: bytes
    """Of its public half."""
    made_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class StockLevel:
    """What is stored of one algorithm."""

    keys: int
    oldest: datetime


class PooledKeys(Protocol):
    """Where the keys are stored."""

    async def levels(self) -> Mapping[KeyAlgorithm, StockLevel]:
        """Return what is stored, of all machines."""
        ...

    async def usable(self, algorithm: KeyAlgorithm, span: Span) -> int:
        """Count the keys within a span."""
        ...

    async def add(self, keys: Sequence[PooledKey], event: AuditEvent) -> None:
        """Store keys; one that is stored already is left out."""
        ...

    async def take(
        self, algorithm: KeyAlgorithm, span: Span, *, most: int, event_of: Callable[[int], AuditEvent]
    ) -> Sequence[PooledKey]:
        """Delete the first keys within the span that nobody else is just deleting, and return them.

        Raises:
            StoreUnavailable: none was deleted; or, if the connection broke in the very commit, all.
        """
        ...

    async def discard(self, *, made_before: datetime, event_of: Callable[[int], AuditEvent]) -> int:
        """Delete the keys that were made before a moment; return how many."""
        ...


class Ledger(Protocol):
    """Numbers keys and remembers which were used (`directory.keyledger`)."""

    def number(self, keys: int) -> Sequence[str]:
        """Return so many new identifiers, in order."""
        ...

    def usable(self, algorithm: KeyAlgorithm) -> Span:
        """Return which keys were not used yet."""
        ...

    def note_used(self, algorithm: KeyAlgorithm, last: str) -> None:
        """Let no key up to this identifier be used from now on."""
        ...


class Pool(Protocol):
    """Keeps keys in memory and makes them (`ca.keypool`)."""

    @property
    def levels(self) -> Mapping[KeyAlgorithm, int]:
        """How many keys of each algorithm in use are ready."""
        ...

    def wanted(self, algorithm: KeyAlgorithm) -> int:
        """How many keys that were made earlier it would take."""
        ...

    def bring(self, algorithm: KeyAlgorithm, made_earlier: Sequence[PrivateKey]) -> None:
        """Add keys that were made earlier."""
        ...

    def set_supplied(self, algorithm: KeyAlgorithm, *, supplied: bool) -> None:
        """Say whether somebody brings keys as they are wanted."""
        ...

    def spare(self, algorithm: KeyAlgorithm) -> Future[PrivateKey]:
        """Ask for a new key that nobody waits for."""
        ...

    def on_low(self, tell: Callable[[], None]) -> None:
        """Have this called when keys are wanted."""
        ...


class KeyStock:
    """Stores up to `target` keys of each RSA algorithm in use, and brings them to the pool as it wants them.

    Keys on P-256 take less time to make than to store.
    """

    def __init__(
        self,
        *,
        pool: Pool,
        store: PooledKeys,
        ledger: Ledger,
        sealer: Sealer,
        clock: Clock,
        target: int,
        side_by_side: int,
        actor: str = "service",
    ) -> None:
        self._pool = pool
        self._store = store
        self._ledger = ledger
        self._sealer = sealer
        self._clock = clock
        self._target = target
        self._side_by_side = side_by_side
        self._actor = actor
        self._brought_at = float("-inf")
        # Where nothing was found: nobody looks again with each mint.
        self._empty_until: dict[KeyAlgorithm, float] = {}
        # Nobody else has them any more: they wait here for a master key that can be used.
        self._unopened: dict[KeyAlgorithm, Sequence[PooledKey]] = {}

    async def supply(self) -> None:
        """Bring the pool what it wants, as far as there is any.

        Raises:
            StoreUnavailable: the database does not answer.
            ConfigurationRefused: the ledger cannot be used.
            CaError: the master key cannot be used; what was taken already is opened by the next call.
        """
        loop = asyncio.get_running_loop()
        for algorithm in self._algorithms():
            if loop.time() < self._empty_until.get(algorithm, float("-inf")):
                continue
            try:
                while wanted := self._pool.wanted(algorithm):
                    rows = self._unopened.get(algorithm) or await self._taken(
                        algorithm, min(wanted, _AT_ONCE)
                    )
                    self._pool.set_supplied(algorithm, supplied=bool(rows))
                    if not rows:
                        self._empty_until[algorithm] = loop.time() + _LOOK_SECONDS
                        break
                    self._unopened[algorithm] = rows
                    self._pool.bring(algorithm, await asyncio.to_thread(self._opened, rows))
                    del self._unopened[algorithm]
                    self._brought_at = loop.time()
            except _PASSING:
                self._pool.set_supplied(algorithm, supplied=False)
                raise

    async def store_some(self, algorithm: KeyAlgorithm) -> int:
        """Store a few keys, if there is room for them and as soon as they are made; return how many.

        Raises:
            StoreUnavailable, ConfigurationRefused, CaError: as `supply`.
        """
        room = self._target - await self.level(algorithm)
        if room <= 0:
            return 0
        made = await self._made(algorithm, min(room, _STORED_AT_ONCE))
        key_ids = await asyncio.to_thread(self._ledger.number, len(made))
        await self._store.add(
            await asyncio.to_thread(self._sealed, algorithm, made, key_ids),
            self._event(AuditKind.KEY_POOL_FILLED, algorithm, len(made)),
        )
        self._empty_until.pop(algorithm, None)
        self._pool.set_supplied(algorithm, supplied=True)
        return len(made)

    async def level(self, algorithm: KeyAlgorithm) -> int:
        """Return how many keys of the algorithm are stored that this machine may use.

        Raises:
            StoreUnavailable, ConfigurationRefused: as `supply`.
        """
        return await self._store.usable(algorithm, await asyncio.to_thread(self._ledger.usable, algorithm))

    async def run(self) -> None:
        """Bring and store until cancelled; afterwards the pool makes all its keys itself."""
        try:
            await asyncio.gather(self._keep_supplying(), self._keep_storing())
        finally:
            for algorithm in self._algorithms():
                self._pool.set_supplied(algorithm, supplied=False)

    async def _keep_supplying(self) -> None:
        loop = asyncio.get_running_loop()
        low = asyncio.Event()

        def tell() -> None:
            # A taker may be in another thread.
            loop.call_soon_threadsafe(low.set)

        self._pool.on_low(tell)
        while True:
            low.clear()
            try:
                await self.supply()
            except _PASSING as error:
                _report(error)
                await asyncio.sleep(_RETRY_SECONDS)
            else:
                await low.wait()

    async def _keep_storing(self) -> None:
        while True:
            rest = self._seconds_to_calm()
            if rest > 0:
                await asyncio.sleep(rest)
                continue
            stored = 0
            for algorithm in self._algorithms():
                try:
                    stored += await self.store_some(algorithm)
                except _PASSING as error:
                    _report(error)
            if not stored:
                await asyncio.sleep(_LOOK_SECONDS)

    def _seconds_to_calm(self) -> float:
        """Return how long none are to be made for the stock, because keys were just brought."""
        return self._brought_at + _CALM_SECONDS - asyncio.get_running_loop().time()

    def _algorithms(self) -> list[KeyAlgorithm]:
        return [algorithm for algorithm in self._pool.levels if algorithm.is_rsa]

    async def _taken(self, algorithm: KeyAlgorithm, most: int) -> Sequence[PooledKey]:
        """Take keys out of the store so that nobody else, and no later self, will use them."""
        span = await asyncio.to_thread(self._ledger.usable, algorithm)
        rows = await self._store.take(
            algorithm,
            span,
            most=most,
            event_of=lambda keys: self._event(AuditKind.KEY_POOL_USED, algorithm, keys),
        )
        if rows:
            last = max(row.key_id for row in rows)
            await asyncio.to_thread(self._ledger.note_used, algorithm, last)
        return rows

    async def _made(self, algorithm: KeyAlgorithm, wanted: int) -> Sequence[PrivateKey]:
        """Wait for new keys, a few at a time, and for no more once a burst begins."""
        made: list[PrivateKey] = []
        while len(made) < wanted and not (made and self._seconds_to_calm() > 0):
            some = min(self._side_by_side, wanted - len(made))
            asked = [asyncio.wrap_future(self._pool.spare(algorithm)) for _ in range(some)]
            made += await asyncio.gather(*asked)
        return made

    def _sealed(
        self, algorithm: KeyAlgorithm, keys: Sequence[PrivateKey], key_ids: Sequence[str]
    ) -> Sequence[PooledKey]:
        made_at = self._clock.now()
        return [
            PooledKey(
                key_id=key_id,
                algorithm=algorithm,
                sealed=self._sealer.seal(to_pkcs8(key), pooled_key_identity(key_id)),
                key_sha256=key_hash(key.public_key()),
                made_at=made_at,
            )
            for key, key_id in zip(keys, key_ids, strict=True)
        ]

    def _opened(self, rows: Sequence[PooledKey]) -> Sequence[PrivateKey]:
        """Return the keys of these rows, but for what is not what it says."""
        keys = []
        for row in rows:
            try:
                keys.append(open_pooled_key(self._sealer, row))
            except (SealBroken, KeyRefused) as error:
                logger.error("a pooled key is not used: %s", error)  # noqa: TRY400 - no fault of a line
        return keys

    def _event(self, kind: AuditKind, algorithm: KeyAlgorithm, keys: int) -> AuditEvent:
        return AuditEvent(
            kind=kind,
            at=self._clock.now(),
            actor=self._actor,
            subject=algorithm.value,
            detail={"keys": str(keys)},
        )


class KeyPoolAdministration:
    """What an operator, or time, does to the keys that are stored."""

    def __init__(self, *, store: PooledKeys, clock: Clock, actor: str = "service") -> None:
        self._store = store
        self._clock = clock
        self._actor = actor

    async def discard(self, *, older_than: timedelta | None = None) -> int:
        """Destroy the stored keys of that age, or all, whatever clock they were made by; return how many.

        Raises:
            StoreUnavailable: the database does not answer.
        """
        now = self._clock.now()

        def event_of(keys: int) -> AuditEvent:
            return AuditEvent(
                kind=AuditKind.KEY_POOL_DISCARDED,
                at=now,
                actor=self._actor,
                subject="key pool",
                detail={"keys": str(keys)},
            )

        made_before = _EVER if older_than is None else now - older_than
        return await self._store.discard(made_before=made_before, event_of=event_of)


def _report(error: CaError | StoreUnavailable | ConfigurationRefused) -> None:
    """Log what the next attempt may not meet any more."""
    logger.warning("the stock of keys has to wait: %s", error)


def pooled_key_identity(key_id: str) -> SecretIdentity:
    """Return what a pooled key is bound to, which is also its number in the ledger."""
    return SecretIdentity(kind=SecretKind.POOLED_KEY, record_id=key_id, organization_id=None)


def open_pooled_key(sealer: Sealer, row: PooledKey) -> PrivateKey:
    """Return the key of a row.

    Raises:
        SealBroken: it is another row's, or was altered.
        KeyRefused: it is not the key that the row says.
    """
    key = unsafe_from_sealed_pkcs8(sealer.unseal(row.sealed, pooled_key_identity(row.key_id)))
    public = key.public_key()
    if algorithm_of(public) is not row.algorithm or key_hash(public) != row.key_sha256:
        raise KeyRefused(f"pooled key {row.key_id} is another one than its row says")
    return key
