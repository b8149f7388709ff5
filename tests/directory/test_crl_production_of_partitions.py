"""Partitions: only what must be is made, each lists its share, and all are there before anybody asks."""

import json
import logging
from collections.abc import AsyncIterator, Sequence

import pytest
from cryptography import x509
from sqlalchemy import insert

from ca.keys import KeyAlgorithm, PrivateKey, generate
from ca.sealing import MasterKey, MasterKeyring, Sealer
from directory.audit import AuditKind
from directory.store.crl_partitions import SqlCrlPartitions
from directory.store.tables import certificates
from tests.builders import PUBLICATION, Authority
from tests.contracts.world import Store, an_event
from tests.directory.clocks import StoppedClock
from tests.directory.crlnodes import DAY, WEEK, Node, mint_anna, revoke_anna
from tests.directory.minting import found_authority


@pytest.fixture
def clock() -> StoppedClock:
    return StoppedClock()


@pytest.fixture
async def node(store: Store, authority: Authority, clock: StoppedClock) -> Node:
    await found_authority(store, authority)
    return Node(store.database, clock)


@pytest.fixture
async def second(store: Store, node: Node, clock: StoppedClock) -> AsyncIterator[Node]:
    """Another process on the same database."""
    assert node is not None
    async with store.opened_again() as database:
        yield Node(database, clock, name="node-2")


@pytest.fixture(scope="module")
def one_key() -> PrivateKey:
    return generate(KeyAlgorithm.RSA_2048)


@pytest.fixture
def stranger() -> Sealer:
    """A master key that sealed nothing here."""
    return Sealer(MasterKeyring(active=MasterKey(key_id="master-1", material=b"\x02" * 32)))


async def open_partitions(store: Store, authority: Authority, count: int) -> Sequence[int]:
    return await SqlCrlPartitions(store.database, node="node-1").usable(
        authority.issuer.key_id, PUBLICATION, count, an_event(AuditKind.CRL_PARTITIONED)
    )


def point(authority: Authority, partition: int | None) -> tuple[str, str | None]:
    """Which CRL of the issuing CA it is, in the words of what was built."""
    issuer_id = authority.issuer.key_id
    return issuer_id, None if partition is None else PUBLICATION.crl_url(issuer_id, partition)


async def test_every_partition_has_a_crl_before_anybody_asks(
    node: Node, store: Store, authority: Authority
) -> None:
    await open_partitions(store, authority, 20)

    await node.production.start()

    for partition in range(1, 21):
        crl = node.board.crl(authority.issuer.key_id, partition)
        assert crl is not None
        published = x509.load_der_x509_crl(crl.der)
        scope = published.extensions.get_extension_for_class(x509.IssuingDistributionPoint)
        (name,) = scope.value.full_name or []
        assert (scope.critical, name.value) == (True, PUBLICATION.crl_url(crl.issuer_id, partition))
        assert published.is_signature_valid(authority.issuer.certificate.public_key())  # type: ignore[arg-type]  # of ours
    assert [one.crl for one in node.board.current()] == [crl.der for crl in node.board.complete_crls()]


async def test_after_a_revocation_its_partition_and_the_complete_crl_are_made_and_no_other(
    node: Node, second: Node, store: Store, authority: Authority, clock: StoppedClock, one_key: PrivateKey
) -> None:
    await open_partitions(store, authority, 4)
    serial = await mint_anna(store, authority.with_partitions(3), one_key)
    await node.production.start()
    await second.production.start()
    node.builder.built.clear()

    await revoke_anna(store, clock)
    await node.production.refresh()
    await second.production.refresh()

    assert node.builder.built == [point(authority, None), point(authority, 3)]
    for partition, listed in ((None, {serial}), (1, set()), (2, set()), (3, {serial}), (4, set())):
        assert node.listed(authority.issuer.key_id, partition) == listed
        assert second.listed(authority.issuer.key_id, partition) == listed


async def test_each_partition_counts_for_itself(
    node: Node, store: Store, authority: Authority, clock: StoppedClock, one_key: PrivateKey
) -> None:
    await open_partitions(store, authority, 2)
    await mint_anna(store, authority.with_partitions(2), one_key)
    await node.production.start()
    await revoke_anna(store, clock)
    await node.production.refresh()

    crls = [node.board.crl(authority.issuer.key_id, partition) for partition in (None, 1, 2)]
    first = int(clock.now().timestamp())
    assert [crl.number for crl in crls if crl is not None] == [first + 1, first, first + 1]


async def test_a_long_one_is_built_outside_and_published_like_the_others(
    node: Node, store: Store, authority: Authority
) -> None:
    await open_partitions(store, authority, 1)
    await add_revoked(store, authority.issuer.key_id, 120, partition=1)

    await node.production.start()

    for partition in (None, 1):
        assert node.listed(authority.issuer.key_id, partition) == set(range(1, 121))
        crl = node.board.crl(authority.issuer.key_id, partition)
        assert crl is not None
        assert crl.entries == 120


async def test_on_schedule_some_are_made_at_each_look_until_all_are(
    node: Node, store: Store, authority: Authority, clock: StoppedClock
) -> None:
    await open_partitions(store, authority, 40)
    await node.production.start()
    node.builder.built.clear()
    clock.advance(DAY)

    made = []
    for _ in range(4):
        await node.production.refresh()
        made.append(len(node.builder.built))

    assert made == [16, 32, 42, 42]
    assert len(set(node.builder.built)) == 42


async def test_what_is_revoked_does_not_wait_for_what_is_scheduled(
    node: Node, store: Store, authority: Authority, clock: StoppedClock, one_key: PrivateKey
) -> None:
    await open_partitions(store, authority, 40)
    serial = await mint_anna(store, authority.with_partitions(40), one_key)
    await node.production.start()
    clock.advance(DAY)
    await revoke_anna(store, clock)
    node.builder.built.clear()

    await node.production.refresh()

    assert node.builder.built[:2] == [point(authority, None), point(authority, 40)]
    assert node.listed(authority.issuer.key_id, 40) == {serial}


async def test_after_days_without_service_all_are_made_before_anybody_asks(
    node: Node, store: Store, authority: Authority, clock: StoppedClock
) -> None:
    await open_partitions(store, authority, 40)
    await node.production.start()
    clock.advance(WEEK)

    await node.production.start()

    assert {crl.this_update for crl in node.board.crls()} == {clock.now()}


async def test_what_another_process_has_made_meanwhile_is_not_made_again(
    node: Node, second: Node, store: Store, authority: Authority, clock: StoppedClock
) -> None:
    await open_partitions(store, authority, 8)
    await node.production.start()
    await second.production.start()
    clock.advance(DAY)

    async def all_the_others() -> None:
        node.builder.meanwhile = None
        await second.production.refresh()

    node.builder.built.clear()
    second.builder.built.clear()
    node.builder.meanwhile = all_the_others
    await node.production.refresh()

    assert len(node.builder.built) == 1
    assert len(second.builder.built) == 10
    assert node.numbers() == second.numbers()


async def test_an_issuer_that_fails_is_tried_once_a_look_however_many_partitions_it_has(
    node: Node, store: Store, authority: Authority, caplog: pytest.LogCaptureFixture, stranger: Sealer
) -> None:
    caplog.set_level(logging.ERROR)
    await open_partitions(store, authority, 8)

    failed = await Node(store.database, StoppedClock(), sealer=stranger).production.refresh()

    assert set(failed) == {authority.root.key_id, authority.issuer.key_id}
    assert len(caplog.records) == 2
    assert node.builder.built == []


async def test_a_command_makes_every_partition(node: Node, store: Store, authority: Authority) -> None:
    await open_partitions(store, authority, 3)

    issued = await node.production.issue_now()

    assert [(crl.issuer_id, crl.partition) for crl in issued] == [
        (authority.root.key_id, None),
        *((authority.issuer.key_id, partition) for partition in (None, 1, 2, 3)),
    ]


async def test_the_record_of_a_partitions_crl_names_the_partition(
    node: Node, store: Store, authority: Authority
) -> None:
    await open_partitions(store, authority, 1)
    await node.production.start()

    details = [
        json.loads(str(detail))
        for (detail,) in await store.rows("SELECT detail FROM audit_events WHERE kind = 'crl.issued'")
    ]

    assert sorted(detail.get("partition", "") for detail in details) == ["", "", "1"]


async def add_revoked(store: Store, issuer_id: str, count: int, *, partition: int) -> None:
    rows = [
        {
            "id": f"certificate-{n}",
            "issuer_id": issuer_id,
            "serial": f"{n:x}",
            "scope": "shared",
            "address": f"r{n}@example.org",
            "address_key": f"r{n}@example.org",
            "origin": "found",
            "der": b"",
            "key_sha256": b"",
            "not_before": StoppedClock().now() - DAY,
            "not_after": StoppedClock().now() + 365 * DAY,
            "published_at": StoppedClock().now(),
            "revoked_at": StoppedClock().now(),
            "revocation_reason": "superseded",
            "crl_partition": partition,
        }
        for n in range(1, count + 1)
    ]
    await store.database.write(lambda connection: connection.execute(insert(certificates), rows).close())
