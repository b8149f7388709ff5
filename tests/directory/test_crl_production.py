"""CRLs from a real authority, in a real store: made when due, by whoever is first, and seen by everybody."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

import pytest
from cryptography import x509
from sqlalchemy import update

from ca.errors import SealBroken
from ca.keys import KeyAlgorithm, PrivateKey, generate
from ca.pkcs11 import TokenLimits, TokenThread
from ca.sealing import MasterKey, MasterKeyring, Sealer
from directory.crl_production import POLL
from directory.errors import StoreUnavailable
from directory.store.tables import issuers
from tests.builders import Authority
from tests.contracts.world import Store
from tests.directory.clocks import StoppedClock
from tests.directory.crlnodes import DAY, WEEK, Node, mint_anna, revoke_anna
from tests.directory.minting import found_authority
from tests.faketoken import FakeToken


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


@asynccontextmanager
async def away(store: Store) -> AsyncIterator[None]:
    """Take away what is asked for."""
    await store.sql("ALTER TABLE crls RENAME TO lost")
    yield
    await store.sql("ALTER TABLE lost RENAME TO crls")


async def take_key_away(store: Store, issuer_id: str, **elsewhere: str) -> None:
    nothing = dict.fromkeys(("key_master_key_id", "key_wrapped_key", "key_ciphertext"))
    await store.database.write(
        lambda connection: connection.execute(
            update(issuers).where(issuers.c.id == issuer_id).values({**nothing, **elsewhere})
        ).close()
    )


async def test_every_issuer_has_a_crl_before_anybody_asks(node: Node, authority: Authority) -> None:
    await node.production.start()

    for issuer, crl in zip((authority.root, authority.issuer), node.board.crls(), strict=True):
        published = x509.load_der_x509_crl(crl.der)
        assert crl.issuer_id == issuer.key_id
        assert published.is_signature_valid(issuer.certificate.public_key())  # type: ignore[arg-type]  # of ours
        assert published.next_update_utc == published.last_update_utc + WEEK
    shown = node.board.current()
    assert [one.is_root for one in shown] == [True, False]
    assert [one.crl for one in shown] == [crl.der for crl in node.board.crls()]


async def test_a_stop_waits_for_no_more_than_the_crl_that_is_being_made(node: Node, store: Store) -> None:
    async def stop() -> None:
        node.production.stop()

    node.builder.meanwhile = stop

    await node.production.refresh()

    assert await store.count("crls") == 1


async def test_each_crl_is_on_record_with_its_hash(node: Node, store: Store, authority: Authority) -> None:
    await node.production.start()

    rows = await store.rows("SELECT subject, detail FROM audit_events WHERE kind = 'crl.issued'")

    assert {subject for subject, _ in rows} == {authority.root.key_id, authority.issuer.key_id}
    assert all('"occasion": "first"' in str(detail) and '"sha256": ' in str(detail) for _, detail in rows)


async def test_nothing_is_made_while_nothing_is_due(node: Node, clock: StoppedClock) -> None:
    await node.production.refresh()
    before, shown = node.numbers(), node.board.current()

    clock.advance(DAY - timedelta(seconds=1))
    await node.production.refresh()

    assert node.numbers() == before
    assert node.board.current() is shown


async def test_a_day_later_it_is_made_anew(node: Node, clock: StoppedClock) -> None:
    await node.production.refresh()
    before = node.numbers()

    clock.advance(DAY)
    await node.production.refresh()

    assert [after - number for after, number in zip(node.numbers(), before, strict=True)] == [86_400] * 2


async def test_a_revocation_is_on_the_next_crl_and_every_node_shows_it(
    node: Node, second: Node, store: Store, authority: Authority, clock: StoppedClock, one_key: PrivateKey
) -> None:
    serial = await mint_anna(store, authority, one_key)
    await node.production.refresh()
    await second.production.refresh()
    assert node.listed(authority.issuer.key_id) == set()

    await revoke_anna(store, clock)
    await second.production.refresh()
    await node.production.refresh()

    assert node.listed(authority.issuer.key_id) == second.listed(authority.issuer.key_id) == {serial}
    assert node.numbers() == second.numbers()
    assert node.listed(authority.root.key_id) == set()
    assert len(await store.rows("SELECT 1 FROM crls")) == 3


async def test_a_revocation_that_is_committed_while_a_crl_is_signed_is_on_the_one_after(
    node: Node, store: Store, authority: Authority, clock: StoppedClock, one_key: PrivateKey
) -> None:
    serial = await mint_anna(store, authority, one_key)

    async def revoke_anna_once() -> None:
        node.builder.meanwhile = None
        await revoke_anna(store, clock)

    node.builder.meanwhile = revoke_anna_once
    await node.production.refresh()
    await node.production.refresh()

    assert node.listed(authority.issuer.key_id) == {serial}


async def test_an_entry_leaves_after_one_crl_beyond_its_certificate(
    node: Node, store: Store, authority: Authority, clock: StoppedClock, one_key: PrivateKey
) -> None:
    serial = await mint_anna(store, authority, one_key)
    await revoke_anna(store, clock)
    listed = []
    for pause in (timedelta(days=824), DAY / 2, DAY, DAY, DAY):
        clock.advance(pause)
        await node.production.refresh()
        listed.append(node.listed(authority.issuer.key_id))

    # It expires in the 825th day: on that day's CRL, on the first one after it, then no more.
    assert listed == [{serial}, {serial}, {serial}, set(), set()]


async def test_of_two_nodes_at_once_one_publishes_and_both_show_it(
    node: Node, second: Node, store: Store, clock: StoppedClock
) -> None:
    for _ in range(3):
        await asyncio.gather(node.production.refresh(), second.production.refresh())

        assert node.numbers() == second.numbers()
        assert [crl.der for crl in node.board.crls()] == [crl.der for crl in second.board.crls()]
        clock.advance(DAY)
    assert len(await store.rows("SELECT 1 FROM audit_events WHERE kind = 'crl.issued'")) == 6


async def test_a_clock_that_was_ahead_is_made_good(node: Node, clock: StoppedClock) -> None:
    clock.advance(365 * DAY)
    await node.production.refresh()
    before = node.numbers()

    clock.advance(-365 * DAY)
    await node.production.refresh()

    assert all(after == number + 1 for after, number in zip(node.numbers(), before, strict=True))
    assert {crl.this_update for crl in node.board.crls()} == {clock.now()}


async def test_by_a_clock_in_doubt_none_is_made_and_what_holds_is_shown(
    node: Node, clock: StoppedClock
) -> None:
    await node.production.refresh()
    before = node.numbers()

    node.doubt = "it has jumped"
    clock.advance(-365 * DAY)
    await node.production.refresh()
    assert node.numbers() == before

    node.doubt = None
    await node.production.refresh()
    assert all(after == number + 1 for after, number in zip(node.numbers(), before, strict=True))


async def test_a_command_makes_every_crl_due_or_not(node: Node, authority: Authority) -> None:
    await node.production.refresh()
    before = node.numbers()

    issued = await node.production.issue_now()

    assert {crl.issuer_id for crl in issued} == {authority.root.key_id, authority.issuer.key_id}
    assert [crl.number for crl in issued] == [number + 1 for number in before]


async def test_an_issuer_whose_key_is_elsewhere_shows_what_was_published(
    node: Node, second: Node, store: Store, authority: Authority, clock: StoppedClock
) -> None:
    await node.production.refresh()
    (before, _) = node.numbers()
    await take_key_away(store, authority.root.key_id)
    clock.advance(2 * DAY)

    assert await second.production.refresh() == {}

    (after, issuing) = second.numbers()
    assert (after, issuing - after) == (before, 2 * 86_400)


async def put_key_into_token(store: Store, issuer_id: str) -> None:
    await take_key_away(store, issuer_id, token="token-1", token_key="0a")


async def test_a_token_that_is_away_keeps_nobody_from_starting_and_makes_the_crl_when_it_is_back(
    node: Node, store: Store, authority: Authority, clock: StoppedClock
) -> None:
    assert node.board.current() == ()
    await put_key_into_token(store, authority.issuer.key_id)
    fake = FakeToken({b"\x0a": authority.issuing_key})
    token = TokenThread(fake, TokenLimits(sign=60, connect=60))
    holder = Node(store.database, clock, token=token)
    fake.take_away()

    await holder.production.start()
    assert [crl.issuer_id for crl in holder.board.crls()] == [authority.root.key_id]

    fake.bring_back()
    assert token.check() is None
    assert await holder.production.refresh() == {}
    assert {crl.issuer_id for crl in holder.board.crls()} == {authority.root.key_id, authority.issuer.key_id}


async def test_an_issuer_whose_token_is_not_configured_is_left_to_whoever_has_it(
    node: Node, store: Store, authority: Authority
) -> None:
    await put_key_into_token(store, authority.issuer.key_id)

    await node.production.start()

    assert [crl.issuer_id for crl in node.board.crls()] == [authority.root.key_id]


async def test_an_issuer_without_key_and_crl_is_shown_without(
    node: Node, store: Store, authority: Authority
) -> None:
    await take_key_away(store, authority.root.key_id)

    await node.production.start()

    root, issuing = node.board.current()
    assert (root.crl, issuing.crl is None) == (None, False)
    assert node.board.crl(authority.root.key_id) is None
    assert node.production.problem() is None


async def test_an_issuer_that_has_expired_makes_no_crl_and_is_no_alarm(
    node: Node, clock: StoppedClock
) -> None:
    await node.production.refresh()
    before = node.numbers()

    clock.advance(30 * 365 * DAY)
    await node.production.refresh()

    assert node.numbers() == before
    assert node.production.problem() is None


@pytest.fixture
def stranger() -> Sealer:
    """A master key that sealed nothing here."""
    return Sealer(MasterKeyring(active=MasterKey(key_id="master-1", material=b"\x02" * 32)))


async def test_a_key_that_does_not_open_keeps_the_service_from_starting(
    node: Node, store: Store, clock: StoppedClock, stranger: Sealer
) -> None:
    assert node.board.current() == ()
    with pytest.raises(SealBroken):
        await Node(store.database, clock, sealer=stranger).production.start()


async def test_it_does_not_while_the_crl_of_another_day_still_holds(
    node: Node, store: Store, authority: Authority, clock: StoppedClock, stranger: Sealer
) -> None:
    await node.production.refresh()
    clock.advance(2 * DAY)
    weak = Node(store.database, clock, sealer=stranger)

    await weak.production.start()

    assert set(await weak.production.refresh()) == {authority.root.key_id, authority.issuer.key_id}
    assert weak.numbers() == node.numbers()


async def test_an_issuer_that_fails_does_not_keep_the_others_from_theirs(
    node: Node, store: Store, authority: Authority, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.ERROR)
    values = {"key_ciphertext": b"junk"}
    of_root = issuers.c.id == authority.root.key_id
    await store.database.write(
        lambda connection: connection.execute(update(issuers).where(of_root).values(values)).close()
    )

    failed = await node.production.refresh()
    assert await node.production.refresh() is not failed

    (said,) = caplog.records
    assert said.message.startswith(f"issuer {authority.root.key_id} could not make its CRL: ")
    assert list(failed) == [authority.root.key_id]
    assert isinstance(failed[authority.root.key_id], SealBroken)
    assert [crl.issuer_id for crl in node.board.crls()] == [authority.issuer.key_id]


async def test_what_has_expired_fails_the_readiness_check(
    node: Node, authority: Authority, clock: StoppedClock
) -> None:
    await node.production.refresh()
    assert node.production.problem() is None

    clock.advance(WEEK)

    problem = node.production.problem()
    assert problem is not None
    assert authority.root.key_id in problem
    assert authority.issuer.key_id in problem


async def test_while_the_database_is_away_the_last_crl_is_shown(node: Node, store: Store) -> None:
    await node.production.refresh()
    shown = node.numbers()

    async with away(store):
        with pytest.raises(StoreUnavailable):
            await node.production.refresh()

    assert node.numbers() == shown


async def test_goes_on_by_itself_until_stopped(
    node: Node, store: Store, authority: Authority, clock: StoppedClock, one_key: PrivateKey
) -> None:
    serial = await mint_anna(store, authority, one_key)
    await node.production.start()
    await revoke_anna(store, clock)

    await node.run(lambda: node.listed(authority.issuer.key_id) == {serial})

    assert timedelta(seconds=60) > 2 * POLL


async def test_an_expired_crl_is_an_error_in_the_log_and_not_in_every_line(
    node: Node, store: Store, authority: Authority, clock: StoppedClock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    await node.production.start()
    clock.advance(WEEK)

    async with away(store):
        await node.run(lambda: sum("have to wait" in one.message for one in caplog.records) > 5)

    expired = [one for one in caplog.records if "has expired" in one.message]
    assert {one.levelname for one in expired} == {"ERROR"}
    assert len(expired) == 2
    assert {authority.root.key_id, authority.issuer.key_id} == {one.message.split()[4] for one in expired}


async def test_a_crl_without_a_successor_is_called_for_in_time(
    node: Node, store: Store, authority: Authority, clock: StoppedClock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    await node.production.start()
    await take_key_away(store, authority.root.key_id)
    clock.advance(WEEK * 3 / 4 + timedelta(seconds=1))

    await node.run(lambda: bool(caplog.records))

    (reminder,) = caplog.records
    assert reminder.message == f"the CRL of issuer {authority.root.key_id} ends soon, and has no successor"


async def test_an_issuer_without_crl_is_called_for(
    node: Node, store: Store, authority: Authority, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    await take_key_away(store, authority.root.key_id)

    await node.run(lambda: bool(caplog.records))

    assert caplog.records[0].message == f"issuer {authority.root.key_id} has no CRL"
