"""A CRL of any length goes into the database and comes out again, and leaves nothing behind."""

import random
from datetime import timedelta

import pytest
from sqlalchemy import select

from directory.store.crl_pieces import PIECE, add
from directory.store.crls import KEPT, SqlCrlStore
from directory.store.database import Database
from directory.store.tables import crl_pieces
from tests.contracts.test_crls import a_crl, publish
from tests.contracts.world import (
    NOW,
    Store,
)


@pytest.fixture
def crl_store(database: Database) -> SqlCrlStore:
    return SqlCrlStore(database, node="node-1")


@pytest.mark.parametrize("size", [0, 1, PIECE - 1, PIECE, PIECE + 1, 3 * PIECE])
async def test_a_crl_of_any_length_is_kept_in_pieces(store: Store, crl_store: SqlCrlStore, size: int) -> None:
    der = random.Random(size).randbytes(size)  # noqa: S311 - octets like any others

    assert await publish(crl_store, a_crl(1, der=der))

    stored = await crl_store.latest("issuing-1", None)
    assert stored is not None
    assert stored.der == der
    pieces = await store.select(select(crl_pieces.c.piece).order_by(crl_pieces.c.piece))
    assert pieces == [(n,) for n in range(max(1, -(-size // PIECE)))]


async def test_pieces_go_with_the_crl_that_they_are_of(store: Store, crl_store: SqlCrlStore) -> None:
    for number in range(1, KEPT + 3):
        der = bytes([number]) * (2 * PIECE)
        assert await publish(crl_store, a_crl(number, der=der), replaces=number - 1 or None)

    assert len(await store.select(select(crl_pieces.c.piece))) == 2 * KEPT
    newest = await crl_store.newest("issuing-1", None, most=KEPT)
    assert [crl.der[0] for crl in newest] == [5, 4, 3]


async def test_whoever_was_not_first_leaves_no_pieces(store: Store, crl_store: SqlCrlStore) -> None:
    assert await publish(crl_store, a_crl(1, der=b"first"))

    assert not await publish(crl_store, a_crl(2, der=bytes(3 * PIECE)))

    assert len(await store.select(select(crl_pieces.c.piece))) == 1


@pytest.mark.parametrize(("age", "left"), [(timedelta(minutes=59), 2), (timedelta(minutes=61), 1)])
async def test_what_a_process_left_behind_that_ended_is_deleted_an_hour_later(
    store: Store, crl_store: SqlCrlStore, age: timedelta, left: int
) -> None:
    await store.database.write(lambda connection: add(connection, "left", 0, b"octets", NOW - age))

    assert await publish(crl_store, a_crl(1))

    assert len(await store.select(select(crl_pieces.c.piece))) == left


async def test_a_crl_whose_pieces_somebody_took_for_abandoned_is_not_published(
    crl_store: SqlCrlStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lost(*_: object, **__: object) -> None:
        return

    monkeypatch.setattr("directory.store.crl_pieces.add", lost)

    assert not await publish(crl_store, a_crl(1, der=bytes(2 * PIECE)))
    assert await crl_store.latest("issuing-1", None) is None
