"""The contract of `PooledKeys`: a key leaves the store once, and nothing of it stays."""

import asyncio
import hashlib
from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import partial

import pytest

from ca.keys import KeyAlgorithm
from directory.audit import AuditEvent, AuditKind
from directory.keyledger import Span
from directory.keystock import PooledKey, StockLevel, pooled_key_identity
from directory.store.audit_log import read_chain
from directory.store.database import Database
from directory.store.pooled_keys import SqlPooledKeys
from tests.contracts.world import NOW, SEALER, Store, an_event

RSA_2048, RSA_3072 = KeyAlgorithm.RSA_2048, KeyAlgorithm.RSA_3072
DAY = timedelta(days=1)
EVERYTHING = Span(after="", last="z")


def a_pooled_key(
    key_id: str, *, algorithm: KeyAlgorithm = RSA_2048, made_at: datetime = NOW, of: str | None = None
) -> PooledKey:
    secret = f"key {of or key_id}".encode()
    return PooledKey(
        key_id=key_id,
        algorithm=algorithm,
        sealed=SEALER.seal(secret, pooled_key_identity(key_id)),
        key_sha256=hashlib.sha256(secret).digest(),
        made_at=made_at,
    )


def pool(database: Database, node: str = "node-1") -> SqlPooledKeys:
    return SqlPooledKeys(database, node=node)


def an_event_about(keys: int, *, kind: AuditKind = AuditKind.KEY_POOL_USED) -> AuditEvent:
    return AuditEvent(kind=kind, at=NOW, actor="service", subject="rsa-2048", detail={"keys": str(keys)})


async def add(store: Store, *keys: PooledKey) -> None:
    await pool(store.database).add(keys, an_event(AuditKind.KEY_POOL_FILLED))


async def take(
    database: Database, most: int, *, span: Span = EVERYTHING, algorithm: KeyAlgorithm = RSA_2048
) -> Sequence[str]:
    taken = await pool(database).take(algorithm, span, most=most, event_of=an_event_about)
    return sorted(key.key_id for key in taken)


async def test_what_is_added_can_be_taken_as_it_was(store: Store) -> None:
    key = a_pooled_key("a1")
    await add(store, key)

    (taken,) = await pool(store.database).take(RSA_2048, EVERYTHING, most=5, event_of=an_event_about)

    assert taken == key
    assert SEALER.unseal(taken.sealed, pooled_key_identity("a1")) == b"key a1"


async def test_a_key_is_taken_once_and_the_first_ones_first(store: Store) -> None:
    await add(store, *(a_pooled_key(one) for one in ("a3", "a1", "a2")))

    assert await take(store.database, 2) == ["a1", "a2"]
    assert await take(store.database, 2) == ["a3"]
    assert await take(store.database, 2) == []
    assert await store.count("pooled_keys") == 0


async def test_takers_at_once_share_the_keys_out(store: Store) -> None:
    wanted = [f"a{number:02}" for number in range(40)]
    await add(store, *map(a_pooled_key, wanted))
    async with store.opened_again() as second:
        databases = [store.database, second] * 4
        taken = await asyncio.gather(*(take(database, 5) for database in databases))

    left = await take(store.database, 40)
    assert sorted([key for keys in taken for key in keys] + list(left)) == wanted


async def test_only_keys_of_the_algorithm_and_within_the_span_are_taken(store: Store) -> None:
    await add(store, *(a_pooled_key(one) for one in ("a1", "a2", "a3", "a4")))
    await add(store, a_pooled_key("a2b", algorithm=RSA_3072))
    span = Span(after="a1", last="a3")

    assert await pool(store.database).usable(RSA_2048, span) == 2
    assert await take(store.database, 10, span=span) == ["a2", "a3"]
    assert await pool(store.database).usable(RSA_2048, span) == 0
    assert await take(store.database, 10, span=span, algorithm=RSA_3072) == ["a2b"]


async def test_a_key_that_is_stored_already_is_left_out(store: Store) -> None:
    await add(store, a_pooled_key("a1", of="the same"), a_pooled_key("a2"))
    await add(store, a_pooled_key("a3", of="the same"), a_pooled_key("a4"))

    assert await take(store.database, 10) == ["a1", "a2", "a4"]


async def test_levels_are_told_by_algorithm(store: Store) -> None:
    await add(store, a_pooled_key("a1"), a_pooled_key("a2", made_at=NOW - DAY))
    await add(store, a_pooled_key("b1", algorithm=RSA_3072))

    assert await pool(store.database).levels() == {
        RSA_2048: StockLevel(keys=2, oldest=NOW - DAY),
        RSA_3072: StockLevel(keys=1, oldest=NOW),
    }


async def test_what_is_too_old_is_discarded(store: Store) -> None:
    await add(store, a_pooled_key("a1", made_at=NOW - 2 * DAY), a_pooled_key("a2", made_at=NOW))
    discard = partial(
        pool(store.database).discard,
        event_of=partial(an_event_about, kind=AuditKind.KEY_POOL_DISCARDED),
    )

    assert await discard(made_before=NOW - DAY) == 1
    assert await discard(made_before=NOW - DAY) == 0
    assert await take(store.database, 10) == ["a2"]


async def test_each_change_is_on_record_and_nothing_else(store: Store) -> None:
    await add(store, a_pooled_key("a1"), a_pooled_key("a2"))
    await take(store.database, 1)
    await take(store.database, 0)
    await pool(store.database).discard(
        made_before=NOW, event_of=partial(an_event_about, kind=AuditKind.KEY_POOL_DISCARDED)
    )

    events = [chained.event async for chained in read_chain(store.database, "node-1", 10)]
    assert [(event.kind, event.detail.get("keys")) for event in events] == [
        (AuditKind.KEY_POOL_FILLED, None),
        (AuditKind.KEY_POOL_USED, "1"),
        (AuditKind.KEY_POOL_DISCARDED, "1"),
    ]


async def test_a_taker_who_fails_leaves_the_keys_where_they_are(store: Store) -> None:
    await add(store, a_pooled_key("a1"))

    class GaveUpError(Exception):
        pass

    def give_up(_: int) -> AuditEvent:
        raise GaveUpError

    with pytest.raises(GaveUpError):
        await pool(store.database).take(RSA_2048, EVERYTHING, most=1, event_of=give_up)
    assert await take(store.database, 1) == ["a1"]
