"""A partition has one URL for ever, its own CRLs, and the certificates that name it."""

import asyncio
import json
from collections.abc import Sequence

import pytest

from directory.crls import StandingCrl
from directory.store.crls import SqlCrlStore
from directory.store.database import Database
from tests.contracts.test_crls import a_crl, issuer, open_partitions, publish, revoke_anna, revoked, standing
from tests.contracts.world import (
    Store,
    a_reservation,
    an_enrolment,
    record,
)


@pytest.fixture
def crl_store(database: Database) -> SqlCrlStore:
    return SqlCrlStore(database, node="node-1")


async def test_a_new_issuer_has_no_partitions_and_gets_as_many_as_are_wanted(
    store: Store, crl_store: SqlCrlStore
) -> None:
    assert (await issuer(crl_store)).crls == [StandingCrl()]

    assert await open_partitions(store.database, 3) == [1, 2, 3]

    base = "http://pki.example.com/crl/issuing-1"
    assert (await issuer(crl_store)).crls == [
        StandingCrl(),
        *(StandingCrl(partition=n, distribution_point=f"{base}/{n}.crl") for n in (1, 2, 3)),
    ]
    assert (await issuer(crl_store, "root-1")).crls == [StandingCrl()]


async def test_each_opening_is_on_record_and_nothing_else(store: Store) -> None:
    for count in (2, 2, 4, 1):
        await open_partitions(store.database, count)

    rows = await store.rows(
        "SELECT detail FROM audit_events WHERE kind = 'crl.partitioned' ORDER BY sequence"
    )
    assert [json.loads(str(detail)) for (detail,) in rows] == [
        {"first": "1", "last": "2"},
        {"first": "3", "last": "4"},
    ]


@pytest.mark.parametrize(
    ("counts", "usable"), [((2, 4), [1, 2, 3, 4]), ((4, 2), [1, 2]), ((4, 2, 3), [1, 2, 3])]
)
async def test_another_number_of_partitions_closes_none(
    store: Store, crl_store: SqlCrlStore, counts: Sequence[int], usable: list[int]
) -> None:
    opened = [await open_partitions(store.database, count) for count in counts]

    assert opened[-1] == usable
    assert len((await issuer(crl_store)).crls) == 5


async def test_published_elsewhere_it_gets_others_and_the_url_of_none_changes(
    store: Store, crl_store: SqlCrlStore
) -> None:
    await open_partitions(store.database, 2)
    before = (await issuer(crl_store)).crls

    elsewhere = await open_partitions(store.database, 2, base_url="http://elsewhere.example.com")

    assert elsewhere == [3, 4]
    assert (await issuer(crl_store)).crls[:3] == before
    point = (await standing(crl_store, partition=3)).distribution_point
    assert point == "http://elsewhere.example.com/crl/issuing-1/3.crl"
    assert await open_partitions(store.database, 2) == [1, 2]


async def test_of_several_processes_at_once_all_use_the_same(store: Store) -> None:
    async with store.opened_again() as second:
        opened = await asyncio.gather(
            *(open_partitions(one, 8, node=f"node-{n}") for n, one in enumerate((store.database, second)))
        )

    assert opened == [list(range(1, 9))] * 2
    assert len(await store.rows("SELECT 1 FROM crl_scopes")) == 8


async def test_each_partition_has_crls_of_its_own(store: Store, crl_store: SqlCrlStore) -> None:
    await open_partitions(store.database, 2)

    assert await publish(crl_store, a_crl(5, partition=1, der=b"of 1", changes=3))
    assert await publish(crl_store, a_crl(3, partition=2, der=b"of 2"))
    assert not await publish(crl_store, a_crl(6, partition=1), replaces=3)
    assert await publish(crl_store, a_crl(4))

    assert (await standing(crl_store, partition=1)).latest == a_crl(5, changes=3).record
    assert await crl_store.latest("issuing-1", 2) == a_crl(3, partition=2, der=b"of 2")
    assert await crl_store.latest_number("issuing-1", None) == 4
    assert await crl_store.newest("issuing-1", 1, most=2) == [a_crl(5, partition=1, der=b"of 1", changes=3)]


async def test_a_certificate_is_kept_with_the_partition_that_it_names(
    store: Store, crl_store: SqlCrlStore
) -> None:
    await open_partitions(store.database, 2)
    enrolment = an_enrolment(a_reservation(), crl_partition=2)
    await record(store.database, enrolment)
    await revoke_anna(store.database)

    (entry,) = await revoked(crl_store, partition=2)

    assert entry.serial_number == enrolment.certificate.serial
    assert await revoked(crl_store, partition=1) == []
    assert await revoked(crl_store) == [entry]
