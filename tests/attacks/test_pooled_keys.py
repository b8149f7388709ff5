"""Whoever takes the disk, and the master key with it, finds no key that somebody was given from the pool."""

from pathlib import Path

import pytest
from sqlalchemy import select
from sqlalchemy.engine import make_url

from ca.keys import KeyAlgorithm, key_hash, to_pkcs8
from directory.keystock import KeyPoolAdministration, PooledKey, pooled_key_identity
from directory.store.pooled_keys import SqlPooledKeys
from directory.store.tables import pooled_keys
from tests.contracts.test_pooled_keys import EVERYTHING, an_event_about
from tests.contracts.world import NOW, SEALER, Store, an_event
from tests.directory.clocks import StoppedClock
from tests.distinctkeys import distinct_keys

RSA_2048 = KeyAlgorithm.RSA_2048
KEYS = 8


async def add_keys(store: Store) -> list[PooledKey]:
    rows = [
        PooledKey(
            key_id=f"{number:032x}",
            algorithm=RSA_2048,
            sealed=SEALER.seal(to_pkcs8(key), pooled_key_identity(f"{number:032x}")),
            key_sha256=key_hash(key.public_key()),
            made_at=NOW,
        )
        for number, key in enumerate(distinct_keys(KEYS))
    ]
    await SqlPooledKeys(store.database, node="node-1").add(rows, an_event())
    return rows


def files_of(store: Store) -> list[Path]:
    database = make_url(store.url).database
    assert database is not None
    return sorted(Path(database).parent.glob(f"{Path(database).name}*"))


def found(store: Store, pieces: list[bytes]) -> int:
    contents = [file.read_bytes() for file in files_of(store)]
    return sum(any(piece in content for content in contents) for piece in pieces)


def sealed_pieces(rows: list[PooledKey]) -> list[bytes]:
    # Part of each: a longer one is spread over pages, with their headers between.
    return [
        piece[:40]
        for row in rows
        for piece in (row.sealed.wrapped_key, row.sealed.ciphertext, row.sealed.ciphertext[-40:])
    ]


@pytest.mark.parametrize("store", ["sqlite"], indirect=True)
async def test_no_key_is_stored_in_clear(store: Store) -> None:
    await add_keys(store)

    # The inner half of PKCS#8 is the primes and what is computed of them: nothing of it is public.
    assert found(store, [to_pkcs8(key)[600:640] for key in distinct_keys(KEYS)]) == 0


@pytest.mark.parametrize("store", ["sqlite"], indirect=True)
async def test_neither_file_nor_log_holds_a_piece_of_a_key_that_was_taken_or_discarded(store: Store) -> None:
    rows = await add_keys(store)
    assert found(store, sealed_pieces(rows)) == len(sealed_pieces(rows))
    pool = SqlPooledKeys(store.database, node="node-1")

    taken = await pool.take(RSA_2048, EVERYTHING, most=KEYS // 2, event_of=an_event_about)
    await store.database.erase_traces()
    assert found(store, sealed_pieces(list(taken))) == 0
    assert found(store, sealed_pieces(rows)) == len(sealed_pieces(rows)) // 2

    await KeyPoolAdministration(store=pool, clock=StoppedClock()).discard()
    await store.database.erase_traces()
    assert found(store, sealed_pieces(rows)) == 0


async def test_a_row_says_nothing_of_the_key_but_its_public_hash(store: Store) -> None:
    rows = await add_keys(store)

    stored = await store.select(select(pooled_keys))

    assert sorted(stored) == sorted(
        (
            row.key_id,
            row.algorithm.value,
            row.sealed.master_key_id,
            row.sealed.wrapped_key,
            row.sealed.ciphertext,
            row.key_sha256,
            row.made_at,
        )
        for row in rows
    )
