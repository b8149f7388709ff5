"""Requests for issuing CAs are given up, at any moment and in any order with others, on both databases."""

import asyncio
import logging

import pytest
from sqlalchemy import text

from ca.errors import IssuerRefused, KeyRefused, SignerUnavailable, SigningRefused
from ca.issuerimport import ImportFlaw
from ca.keys import KeyAlgorithm, generate
from ca.linting import Linter
from ca.pkcs11 import TokenThread
from directory.audit import AuditKind
from directory.errors import ConfigurationRefused, Unknown
from directory.hierarchy import StoredIssuer
from directory.issuing_ports import Wish
from directory.store.issuing import SqlIssuing
from directory.wiring.signers import Signers
from tests.builders import Authority
from tests.ca.strangers import Stranger
from tests.contracts.requesting import (
    IN_TOKEN,
    PATIENT,
    SEALED,
    Ending,
    House,
    Meanwhile,
    PowerCut,
    key_of,
    until_waiting,
)
from tests.contracts.world import SEALER, Store
from tests.directory.issuerkeys import SealedKeys
from tests.directory.minting import found_authority, violations
from tests.faketoken import FakeToken

ONCE_MORE = 8


@pytest.fixture
async def house(store: Store, authority: Authority, linter: Linter) -> House:
    await found_authority(store, authority)
    token = FakeToken()
    thread = TokenThread(token, PATIENT)
    return House(
        store=store,
        token=token,
        thread=thread,
        keys=SealedKeys(linter, thread),
        root=Stranger("Stranger Root"),
    )


async def test_a_sealed_key_goes_with_its_request(house: House) -> None:
    pending = await house.requests().request(SEALED)

    withdrawn = await house.withdrawals().withdraw(pending.issuer_id[:8])

    assert (withdrawn.request, withdrawn.put_off) == (pending, None)
    assert await house.issuing.pending() == []
    assert await house.told(pending.issuer_id) == [
        AuditKind.ISSUER_KEY_MADE,
        AuditKind.ISSUER_REQUESTED,
        AuditKind.ISSUER_REQUEST_WITHDRAWN,
        AuditKind.ISSUER_KEY_DESTROYED,
    ]
    assert await house.destroyed() == [(pending.issuer_id, "operator:otto", "")]
    assert await house.spare() == []
    assert await violations(house.store.database) == []


async def test_a_key_in_the_token_is_destroyed_at_once_if_the_token_is_there(house: House) -> None:
    pending, other = [await house.requests().request(IN_TOKEN) for _ in range(2)]

    withdrawn = await house.withdrawals().withdraw(pending.issuer_id)

    assert withdrawn.put_off is None
    assert [key.hex() for key in house.token.keys] == [key_of(other)]
    assert await house.issuing.pending() == [other]
    assert await house.spare() == []
    assert await house.destroyed() == [(pending.issuer_id, "operator:otto", "yes")]
    assert await violations(house.store.database) == []


async def test_what_does_not_wait_is_not_withdrawn(house: House) -> None:
    pending = await house.requests().request(IN_TOKEN)
    await house.withdrawals().withdraw(pending.issuer_id)

    with pytest.raises(Unknown) as refused:
        await house.withdrawals().withdraw(pending.issuer_id)

    assert refused.value.kind == "request"


async def test_while_the_token_is_away_a_request_is_withdrawn_and_its_key_destroyed_later(
    house: House, caplog: pytest.LogCaptureFixture
) -> None:
    pending = await house.requests().request(IN_TOKEN)
    house.token.take_away()

    withdrawn = await house.withdrawals().withdraw(pending.issuer_id)

    assert isinstance(withdrawn.put_off, SignerUnavailable)
    assert await house.issuing.pending() == []
    assert await house.spare() == [(key_of(pending), pending.issuer_id)]
    assert await house.destroyed() == []
    with caplog.at_level(logging.WARNING):
        await house.service().clear()
    assert len(await house.spare()) == 1
    house.token.bring_back()
    await house.service().clear()
    assert house.token.keys == {}
    assert await house.spare() == []
    assert await house.destroyed() == [(pending.issuer_id, "service", "yes")]


async def test_a_request_whose_token_is_gone_for_good_can_be_withdrawn(house: House) -> None:
    pending = await house.requests().request(IN_TOKEN)

    withdrawn = await house.withdrawals(keys=Signers(SEALER)).withdraw(pending.issuer_id)

    assert isinstance(withdrawn.put_off, KeyRefused)
    assert await house.issuing.pending() == []
    assert await house.spare() == [(key_of(pending), pending.issuer_id)]


@pytest.mark.parametrize(("destroys", "found"), [(False, "yes"), (True, "no")])
async def test_what_a_process_that_ended_has_begun_a_service_brings_to_its_end(
    house: House, *, destroys: bool, found: str
) -> None:
    pending = await house.requests().request(IN_TOKEN)
    with pytest.raises(PowerCut):
        await house.withdrawals(keys=Ending(token=house.token, destroys=destroys)).withdraw(pending.issuer_id)

    with pytest.raises(IssuerRefused) as refused:
        await house.complete(pending)
    assert refused.value.code == ImportFlaw.KEY_MISMATCH
    for _ in range(2):
        await house.service().clear()

    assert house.token.keys == {}
    assert await house.spare() == []
    assert await house.destroyed() == [(pending.issuer_id, "service", found)]


@pytest.mark.parametrize("wish", [SEALED, IN_TOKEN])
async def test_whoever_withdraws_what_is_completed_meanwhile_destroys_nothing(
    house: House, wish: Wish
) -> None:
    pending = await house.requests().request(wish)
    slow = Meanwhile(house.store.database, lambda: house.complete(pending))

    with pytest.raises(ConfigurationRefused, match="does not wait any more"):
        await house.withdrawals(slow).withdraw(pending.issuer_id)

    assert await house.spare() == []
    assert await house.destroyed() == []
    await house.service().clear()
    issuers = (await house.issuing.hierarchy()).issuers
    house.keys.try_key(next(one for one in issuers if one.issuer_id == pending.issuer_id))
    assert await violations(house.store.database) == []


@pytest.mark.parametrize("wish", [SEALED, IN_TOKEN])
async def test_whoever_completes_what_is_withdrawn_meanwhile_takes_nothing_in(
    house: House, wish: Wish
) -> None:
    before = await house.issuers()
    pending = await house.requests().request(wish)
    slow = Meanwhile(house.store.database, lambda: house.withdrawals().withdraw(pending.issuer_id))

    with pytest.raises(ConfigurationRefused, match="does not wait any more"):
        await house.complete(pending, slow)

    assert await house.issuers() == before
    assert house.token.keys == {}
    assert len(await house.destroyed()) == 1
    assert await violations(house.store.database) == []


async def test_of_two_at_once_one_succeeds_and_no_issuing_ca_is_without_its_key(house: House) -> None:
    async with house.store.opened_again() as database:
        for _ in range(ONCE_MORE):
            pending = await house.requests().request(IN_TOKEN)
            completed, withdrawn = await asyncio.gather(
                house.complete(pending),
                house.withdrawals(SqlIssuing(database, node="other")).withdraw(pending.issuer_id),
                return_exceptions=True,
            )

            await house.service().clear()
            came_in = isinstance(completed, StoredIssuer)
            assert came_in == isinstance(withdrawn, Exception)
            assert came_in == (bytes.fromhex(key_of(pending)) in house.token.keys)
            assert came_in == (pending.issuer_id in await house.issuers())


@pytest.mark.parametrize("completed_first", [True, False])
async def test_whoever_waits_for_the_other_one_finds_that_nothing_waits_any_more(
    house: House, *, completed_first: bool
) -> None:
    if not house.store.is_postgresql:
        pytest.skip("SQLite has one writer, who waits for nobody")
    pending = await house.requests().request(IN_TOKEN)
    row = text(f"SELECT 1 FROM pending_issuers WHERE id = '{pending.issuer_id}' FOR UPDATE")  # noqa: S608

    async with house.store.opened_again() as another, house.store.opened_again() as third:
        completing = house.complete(pending)
        withdrawing = house.withdrawals(SqlIssuing(third, node="third")).withdraw(pending.issuer_id)
        async with another.writing() as held:
            await held.run(lambda connection: connection.execute(row).close())
            tasks: list[asyncio.Task[object]] = []
            for work in (completing, withdrawing) if completed_first else (withdrawing, completing):
                tasks.append(asyncio.create_task(work))
                await until_waiting(house.store, sessions=len(tasks))
        outcomes = await asyncio.gather(*tasks, return_exceptions=True)

    assert [isinstance(one, ConfigurationRefused) for one in outcomes] == [False, True]
    await house.service().clear()
    assert (pending.issuer_id in await house.issuers()) == completed_first
    assert (bytes.fromhex(key_of(pending)) in house.token.keys) == completed_first
    assert await violations(house.store.database) == []


async def test_a_certificate_whose_key_is_not_in_the_token_any_more_is_refused(house: House) -> None:
    before = await house.issuers()
    pending = await house.requests().request(IN_TOKEN)
    house.token.keys.clear()

    with pytest.raises(KeyRefused, match="is lost: token 'token-1' has no private key"):
        await house.complete(pending)

    assert await house.issuers() == before
    assert await house.issuing.pending() == [pending]
    await house.withdrawals().withdraw(pending.issuer_id)
    assert await house.destroyed() == [(pending.issuer_id, "operator:otto", "no")]


async def test_a_certificate_in_whose_place_another_key_signs_is_refused(house: House) -> None:
    pending = await house.requests().request(IN_TOKEN)
    house.token.keys[bytes.fromhex(key_of(pending))] = generate(KeyAlgorithm.P_256)

    with pytest.raises(SigningRefused, match="does not verify"):
        await house.complete(pending)

    assert await house.issuing.pending() == [pending]


async def test_while_its_token_is_away_a_certificate_waits_outside(house: House) -> None:
    pending = await house.requests().request(IN_TOKEN)
    house.token.take_away()

    with pytest.raises(SignerUnavailable):
        await house.complete(pending)

    house.token.bring_back()
    assert house.thread.check() is None
    assert (await house.complete(pending)).token_key == pending.token_key
    assert await house.issuing.pending() == []


async def test_a_damaged_record_is_withdrawn_like_any_other(house: House) -> None:
    damaged, keyless = [await house.requests().request(wish) for wish in (IN_TOKEN, SEALED)]
    await house.store.sql(
        f"UPDATE pending_issuers SET request = '' WHERE id = '{damaged.issuer_id}'",  # noqa: S608
        "UPDATE pending_issuers SET key_master_key_id = NULL, key_wrapped_key = NULL, key_ciphertext = NULL"  # noqa: S608
        f" WHERE id = '{keyless.issuer_id}'",
    )

    for one in (damaged, keyless):
        await house.withdrawals().withdraw(one.issuer_id)

    assert await house.issuing.pending() == []
    assert house.token.keys == {}
