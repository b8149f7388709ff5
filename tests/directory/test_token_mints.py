"""The mint while the issuing CA's key is in a token that is away, hangs, and comes back."""

import asyncio
from collections.abc import Iterator
from dataclasses import replace

import pytest

from ca.address import Mailbox
from ca.keys import KeyAlgorithm, generate
from ca.pkcs11 import TokenKey, TokenLimits, TokenSigner, TokenThread
from directory.enrolment import Enroller
from directory.lookup import Deferred, Minted
from directory.policy import Refusal
from tests.builders import Authority
from tests.contracts.world import Store
from tests.directory.builders import a_mint_context
from tests.directory.minting import ReadyKeys, an_enroller, found_authority, violations
from tests.faketoken import FakeToken

ANNA = Mailbox.parse("anna@example.org")
BERT = Mailbox.parse("bert@example.org")
PATIENT = TokenLimits(sign=60, connect=60)
ROWS_OF_A_MINT = ("enrolments", "certificates", "held_keys", "relays", "deliveries", "outgoing_mail")


@pytest.fixture
def fake(authority: Authority) -> Iterator[FakeToken]:
    token = FakeToken({b"\x0a": authority.issuing_key})
    yield token
    token.goes_on.set()


@pytest.fixture
def keys() -> ReadyKeys:
    return ReadyKeys([generate(KeyAlgorithm.RSA_2048) for _ in range(2)])


async def an_enroller_with(
    token: TokenThread, store: Store, authority: Authority, keys: ReadyKeys
) -> Enroller:
    await found_authority(store, authority)
    signer = TokenSigner(token, TokenKey(token="token-1", key_id="0a"), authority.issuing_key.public_key())
    return an_enroller(store.database, replace(authority, issuer=authority.issuer_with(signer)), keys)


async def rows(store: Store) -> dict[str, object]:
    return {
        table: (await store.rows(f"SELECT count(*) FROM {table}"))[0][0]  # noqa: S608 - names of tables
        for table in ROWS_OF_A_MINT
    }


async def test_the_token_signs_what_is_minted(
    store: Store, authority: Authority, keys: ReadyKeys, fake: FakeToken
) -> None:
    enroller = await an_enroller_with(TokenThread(fake, PATIENT), store, authority, keys)

    assert isinstance(await enroller.mint(ANNA, a_mint_context()), Minted)

    assert fake.calls == ["connect", "sign"]
    assert await violations(store.database) == []


async def test_without_the_token_a_mint_is_deferred_and_leaves_nothing(
    store: Store, authority: Authority, keys: ReadyKeys, fake: FakeToken
) -> None:
    enroller = await an_enroller_with(TokenThread(fake, PATIENT), store, authority, keys)
    fake.take_away()

    answer = await enroller.mint(ANNA, a_mint_context())

    assert isinstance(answer, Deferred)
    assert answer.refusal is Refusal.SIGNER_UNAVAILABLE
    assert set((await rows(store)).values()) == {0}
    assert await violations(store.database) == []


async def test_while_it_is_known_to_be_away_no_key_is_taken(
    store: Store, authority: Authority, keys: ReadyKeys, fake: FakeToken
) -> None:
    enroller = await an_enroller_with(TokenThread(fake, PATIENT), store, authority, keys)
    fake.take_away()
    await enroller.mint(ANNA, a_mint_context())
    taken = keys.taken

    answer = await enroller.mint(BERT, a_mint_context())

    assert isinstance(answer, Deferred)
    assert keys.taken == taken == 1


async def test_after_its_return_the_same_address_is_minted(
    store: Store, authority: Authority, keys: ReadyKeys, fake: FakeToken
) -> None:
    token = TokenThread(fake, PATIENT)
    enroller = await an_enroller_with(token, store, authority, keys)
    fake.take_away()
    await enroller.mint(ANNA, a_mint_context())

    fake.bring_back()
    assert token.check() is None

    assert isinstance(await enroller.mint(ANNA, a_mint_context()), Minted)
    assert await violations(store.database) == []


async def test_while_the_token_hangs_everybody_else_is_answered(
    store: Store, authority: Authority, keys: ReadyKeys, fake: FakeToken
) -> None:
    enroller = await an_enroller_with(TokenThread(fake, PATIENT), store, authority, keys)
    fake.goes_on.clear()

    minting = asyncio.create_task(enroller.mint(ANNA, a_mint_context()))
    await asyncio.to_thread(fake.reached.wait)
    assert await store.rows("SELECT count(*) FROM certificates") == [(0,)]
    assert not minting.done()

    fake.goes_on.set()
    assert isinstance(await minting, Minted)


async def test_a_token_that_hangs_is_waited_for_no_longer_than_its_limit(
    store: Store, authority: Authority, keys: ReadyKeys, fake: FakeToken
) -> None:
    limits = TokenLimits(sign=0.01, connect=60)
    enroller = await an_enroller_with(TokenThread(fake, limits), store, authority, keys)
    fake.goes_on.clear()

    answer = await enroller.mint(ANNA, a_mint_context())

    assert isinstance(answer, Deferred)
    assert answer.refusal is Refusal.SIGNER_UNAVAILABLE
    assert set((await rows(store)).values()) == {0}
