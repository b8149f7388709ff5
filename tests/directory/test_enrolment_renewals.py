"""A renewal on real databases, with a real authority: a mint like any other, whole or not at all."""

import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import select

from ca.address import Mailbox
from ca.keypackage import KeyPackageFormat
from ca.keys import KeyAlgorithm, PrivateKey, generate
from directory.enrolment import Enroller
from directory.lookup import Deferred, Found, Minted, PublishedCertificate
from directory.mint_ports import Renewed
from directory.policy import Refusal
from directory.steps import Step
from directory.store.tables import audit_events
from tests.builders import Authority
from tests.contracts.world import Store
from tests.directory.builders import a_mint_context
from tests.directory.minting import ReadyKeys, an_enroller, found_authority, violations

ANNA = Mailbox.parse("Anna@example.org")
ROWS_OF_A_MINT = ("enrolments", "certificates", "held_keys", "relays", "deliveries", "outgoing_mail")


@pytest.fixture(scope="session")
def some_keys() -> Sequence[PrivateKey]:
    return [generate(KeyAlgorithm.RSA_2048) for _ in range(4)]


@pytest.fixture
def keys(some_keys: Sequence[PrivateKey]) -> ReadyKeys:
    return ReadyKeys(some_keys)


@pytest.fixture
async def enroller(store: Store, authority: Authority, keys: ReadyKeys) -> Enroller:
    await found_authority(store, authority)
    return an_enroller(store.database, authority, keys)


async def mints(store: Store) -> int:
    """Return how many mints there are; all of each must be there."""
    counts = {await store.count(table) for table in ROWS_OF_A_MINT}
    assert len(counts) == 1
    assert await violations(store.database) == []
    return counts.pop()


class StoppedError(Exception):
    pass


async def minted(enroller: Enroller) -> Minted:
    answer = await enroller.mint(ANNA, a_mint_context())
    assert isinstance(answer, Minted)
    return answer


def a_renewed(first: Minted) -> Renewed:
    return Renewed(
        enrolment_id=first.enrolment_id,
        ends_at=first.certificate.not_after,
        leads_until=first.certificate.not_after - timedelta(days=3),
        package_format=KeyPackageFormat.MODERN,
    )


def standing(first: Minted) -> PublishedCertificate:
    """Return its certificate as it is served while a renewal waits."""
    return replace(first.certificate, stands_until=a_renewed(first).leads_until)


@pytest.mark.parametrize("step", [Step.MINT_RESERVED, Step.MINT_BEFORE_COMMIT])
async def test_a_renewal_that_stops_half_way_leaves_nothing_and_the_next_one_works(
    store: Store, authority: Authority, keys: ReadyKeys, enroller: Enroller, step: Step
) -> None:
    first = await minted(enroller)
    renewed = a_renewed(first)

    def stop(at: Step) -> None:
        if at is step:
            raise StoppedError

    with pytest.raises(StoppedError):
        await an_enroller(store.database, authority, keys, on_step=stop).renew(
            ANNA, a_mint_context(), renewed
        )
    assert await mints(store) == 1

    second = await enroller.renew(ANNA, a_mint_context(), renewed)
    assert isinstance(second, Minted)
    assert await mints(store) == 2
    assert await enroller.renew(ANNA, a_mint_context(), renewed) == Found(certificate=standing(first))


async def test_a_renewal_is_in_the_log_as_the_services_own(store: Store, enroller: Enroller) -> None:
    first = await minted(enroller)

    second = await enroller.renew(ANNA, a_mint_context(), a_renewed(first))
    assert isinstance(second, Minted)

    query = select(audit_events.c.actor, audit_events.c.detail).where(
        audit_events.c.subject == second.enrolment_id
    )
    ((actor, detail),) = await store.select(query)
    assert actor == "service"
    assert json.loads(detail)["renews"] == first.enrolment_id


async def test_nothing_is_renewed_by_a_clock_in_doubt(
    store: Store, authority: Authority, keys: ReadyKeys, enroller: Enroller
) -> None:
    first = await minted(enroller)
    doubting = an_enroller(store.database, authority, keys, doubt=lambda: "it ran ahead")

    answer = await doubting.renew(ANNA, a_mint_context(), a_renewed(first))

    assert isinstance(answer, Deferred)
    assert answer.refusal is Refusal.CLOCK_DOUBTED
    assert await mints(store) == 1
