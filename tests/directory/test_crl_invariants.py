"""Of partitions too: what is revoked is on the CRL that its certificate names, and every break is found."""

from collections.abc import Sequence
from datetime import timedelta

import pytest
from sqlalchemy import ColumnElement, delete, func, select, update

from ca.keys import KeyAlgorithm, PrivateKey, generate
from directory.audit import AuditKind
from directory.crl_invariants import CRL_ENDS_SOON
from directory.lookup import Minted
from directory.store.crl_partitions import SqlCrlPartitions
from directory.store.tables import certificates, crls
from tests.builders import PUBLICATION, Authority
from tests.contracts.world import Store, an_event
from tests.directory.builders import a_mint_context
from tests.directory.clocks import StoppedClock
from tests.directory.minting import ReadyKeys, an_enroller, found_authority, violations
from tests.directory.test_verification import (
    ANNA,
    BERT,
    DAY,
    change,
    der_of,
    issue_crls,
    put_der,
    revoke_anna,
)


@pytest.fixture(scope="module")
def two_keys() -> Sequence[PrivateKey]:
    return [generate(KeyAlgorithm.RSA_2048) for _ in range(2)]


@pytest.fixture
async def partitioned(store: Store, authority: Authority, two_keys: Sequence[PrivateKey]) -> StoppedClock:
    """Two certificates in different partitions, one of them revoked; every partition has two CRLs."""
    await found_authority(store, authority)
    clock = StoppedClock()
    opened = await SqlCrlPartitions(store.database, node="node-1").usable(
        authority.issuer.key_id, PUBLICATION, 2, an_event(AuditKind.CRL_PARTITIONED)
    )
    for mailbox, key, partition in zip((ANNA, BERT), two_keys, opened, strict=True):
        enroller = an_enroller(store.database, authority.with_partitions(partition), ReadyKeys([key]))
        assert isinstance(await enroller.mint(mailbox, a_mint_context()), Minted)
    await issue_crls(store, clock)
    await revoke_anna(store, clock)
    await issue_crls(store, clock)
    clock.advance(timedelta(minutes=2))
    return clock


def of_partition(number: int) -> ColumnElement[bool]:
    return crls.c.partition == number


async def found(store: Store, clock: StoppedClock) -> list[tuple[str, str]]:
    return [(one.invariant, one.subject) for one in await violations(store.database, clock=clock)]


async def test_partitions_that_list_what_is_revoked_are_sound(
    store: Store, partitioned: StoppedClock
) -> None:
    assert await found(store, partitioned) == []


async def test_one_revoked_certificate_that_its_partition_leaves_off_is_found(
    store: Store, authority: Authority, partitioned: StoppedClock
) -> None:
    latest = select(func.max(crls.c.number)).where(of_partition(1)).scalar_subquery()
    await change(store, delete(crls).where(of_partition(1), crls.c.number == latest))

    assert await found(store, partitioned) == [("crl.lists_revoked", f"{authority.issuer.key_id}/1")]


async def test_a_revoked_certificate_that_only_the_complete_crl_leaves_off_is_found(
    store: Store, authority: Authority, partitioned: StoppedClock
) -> None:
    complete = of_partition(0) & (crls.c.issuer_id == authority.issuer.key_id)
    latest = select(func.max(crls.c.number)).where(complete).scalar_subquery()
    await change(store, delete(crls).where(complete, crls.c.number == latest))

    assert await found(store, partitioned) == [("crl.lists_revoked", authority.issuer.key_id)]


async def test_a_certificate_that_is_kept_for_another_crl_than_it_names_is_found(
    store: Store, partitioned: StoppedClock
) -> None:
    ((certificate_id,),) = await store.select(
        select(certificates.c.id).where(certificates.c.crl_partition == 2)
    )
    for wrong in (1, 0, 3):
        values = {"crl_partition": wrong}
        await change(store, update(certificates).where(certificates.c.id == certificate_id).values(values))

        assert await found(store, partitioned) == [("certificate.crl", certificate_id)]


async def test_a_lost_certificate_in_a_partition_without_url_is_found(
    store: Store, partitioned: StoppedClock
) -> None:
    ((certificate_id,),) = await store.select(
        select(certificates.c.id).where(certificates.c.crl_partition == 2)
    )
    values = {"crl_partition": 7, "origin": "lost", "der": b""}
    await change(store, update(certificates).where(certificates.c.id == certificate_id).values(values))

    assert ("certificate.crl", certificate_id) in await found(store, partitioned)


async def test_a_partition_without_crl_is_late(
    store: Store, authority: Authority, partitioned: StoppedClock
) -> None:
    await change(store, delete(crls).where(of_partition(2)))

    (violation,) = await violations(store.database, clock=partitioned)

    assert (violation.invariant, violation.subject) == ("crl.published", f"{authority.issuer.key_id}/2")
    assert violation.is_warning


async def test_the_crl_of_another_partition_is_found(
    store: Store, authority: Authority, partitioned: StoppedClock
) -> None:
    latest = select(func.max(crls.c.number)).where(of_partition(1)).scalar_subquery()
    is_latest = of_partition(1) & (crls.c.number == latest)
    ((number,),) = await store.select(select(crls.c.number).where(is_latest))
    await put_der(store, of_partition(2), await der_of(store, is_latest))
    await change(store, update(crls).where(of_partition(2)).values(number=number))

    assert await found(store, partitioned) == [("crl.scope", f"{authority.issuer.key_id}/2")]


async def test_a_crl_whose_number_does_not_grow_is_found(
    store: Store, authority: Authority, partitioned: StoppedClock
) -> None:
    first, second = (
        select(chosen(crls.c.number)).where(of_partition(1)).scalar_subquery()
        for chosen in (func.min, func.max)
    )
    der = await der_of(store, of_partition(1) & (crls.c.number == second))
    await put_der(store, of_partition(1) & (crls.c.number == first), der)

    assert await found(store, partitioned) == [("crl.number_grows", f"{authority.issuer.key_id}/1")]


async def test_a_partition_that_has_expired_is_found(
    store: Store, authority: Authority, partitioned: StoppedClock
) -> None:
    partitioned.advance(timedelta(days=6))
    late = await violations(store.database, clock=partitioned)
    partitioned.advance(DAY)

    assert {(one.invariant, one.is_warning) for one in late} == {(CRL_ENDS_SOON, True)}
    assert ("crl.current", f"{authority.issuer.key_id}/2") in await found(store, partitioned)
