"""What OCSP answers are made of, in both databases: what was issued, and who signs."""

from datetime import timedelta

import pytest

from ca.address import Mailbox
from ca.keys import KeyAlgorithm, PrivateKey, generate
from ca.ocsp import Good, Revoked
from ca.profiles import Purpose
from ca.revocation import RevocationReason
from ca.sealing import MasterKey, MasterKeyring, Sealer
from directory.lookup import Minted
from directory.ocsp_responders import OcspResponders
from directory.revocation import Revocation
from directory.store.database import Database
from directory.store.master_keys import SqlMasterKeys
from directory.store.ocsp import SqlOcspReader, SqlResponders
from directory.store.revocations import SqlRevocationStore
from directory.wiring.ocsp import KeptResponders
from directory.wiring.signers import Signers
from tests.builders import NOW, PUBLICATION, Authority, a_profile
from tests.contracts.world import MASTER_KEY, SEALER, Store, an_event
from tests.directory.builders import a_mint_context
from tests.directory.clocks import StoppedClock
from tests.directory.minting import ReadyKeys, an_enroller, found_authority
from tests.responders import a_mark

ANNA = Mailbox.parse("anna@example.org")
DAY = timedelta(days=1)


@pytest.fixture(scope="module")
def one_key() -> PrivateKey:
    return generate(KeyAlgorithm.RSA_2048)


def a_workshop(sealer: Sealer) -> KeptResponders:
    return KeptResponders(Signers(sealer), sealer, PUBLICATION, a_profile(Purpose.OCSP_RESPONDER))


@pytest.fixture(scope="module")
def workshop() -> KeptResponders:
    return a_workshop(SEALER)


@pytest.fixture
async def founded(store: Store, authority: Authority) -> Store:
    await found_authority(store, authority)
    return store


def node(database: Database, workshop: KeptResponders, clock: StoppedClock, name: str) -> OcspResponders:
    return OcspResponders(
        store=SqlResponders(database, node=name),
        workshop=workshop,
        renew_before=10 * DAY,
        clock=clock,
        uniform=lambda _shortest, longest: longest,
    )


async def serials(store: Store) -> list[tuple[object, ...]]:
    return await store.rows("SELECT number, key_ciphertext IS NULL FROM ocsp_responders ORDER BY number")


async def test_what_was_minted_is_issued_and_nothing_else(
    founded: Store, authority: Authority, one_key: PrivateKey
) -> None:
    reader = SqlOcspReader(founded.database)
    minter = an_enroller(founded.database, authority, ReadyKeys([one_key]))
    answer = await minter.mint(ANNA, a_mint_context())
    assert isinstance(answer, Minted)
    serial = answer.certificate.serial

    found = await reader.issued(authority.issuer.key_id, {serial, serial + 1})

    assert set(found) == {serial}
    assert (found[serial].status, found[serial].address_key) == (Good(), ANNA.key)
    assert await reader.issued(authority.root.key_id, {serial}) == {}


async def test_what_was_revoked_says_since_when_and_why(
    founded: Store, authority: Authority, one_key: PrivateKey
) -> None:
    minter = an_enroller(founded.database, authority, ReadyKeys([one_key]))
    answer = await minter.mint(ANNA, a_mint_context())
    assert isinstance(answer, Minted)
    desk = Revocation(store=SqlRevocationStore(founded.database, node="desk"), clock=StoppedClock(NOW))
    await desk.revoke_address(ANNA, RevocationReason.KEY_COMPROMISE, "operator:olga")

    reader = SqlOcspReader(founded.database)
    found = await reader.issued(authority.issuer.key_id, {answer.certificate.serial})

    status = found[answer.certificate.serial].status
    assert status == Revoked(at=NOW, reason=RevocationReason.KEY_COMPROMISE)


async def test_a_process_certifies_the_responder_that_others_take_up(
    founded: Store, authority: Authority, workshop: KeptResponders
) -> None:
    clock = StoppedClock(NOW)
    first, second = (node(founded.database, workshop, clock, name) for name in ("node-1", "node-2"))

    await first.refresh()
    await second.refresh()

    seats = [one.seat(a_mark(authority)) for one in (first, second)]
    certificates = {seat.responder.certificate for seat in seats if seat and seat.responder}
    assert len(certificates) == 1
    (certificate,) = certificates
    assert await serials(founded) == [(1, False)]
    events = await founded.rows("SELECT node FROM audit_events WHERE kind = 'ocsp_responder.certified'")
    assert events == [("node-1",)]
    # Its own certificate was issued as well, and whoever asks is told so.
    issued = await SqlOcspReader(founded.database).issued(
        authority.issuer.key_id, {certificate.serial_number}
    )
    assert [one.status for one in issued.values()] == [Good()]


async def test_by_a_clock_in_doubt_none_is_certified(founded: Store, workshop: KeptResponders) -> None:
    doubts: list[str | None] = ["it has jumped"]
    responders = OcspResponders(
        store=SqlResponders(founded.database, node="node-1"),
        workshop=workshop,
        renew_before=10 * DAY,
        clock=StoppedClock(NOW),
        uniform=lambda _shortest, longest: longest,
        doubt=lambda: doubts[-1],
    )
    await responders.refresh()
    assert await serials(founded) == []

    doubts.append(None)
    await responders.refresh()
    assert await serials(founded) == [(1, False)]


async def test_of_two_that_find_it_due_at_once_one_certifies(
    founded: Store, workshop: KeptResponders
) -> None:
    keeper = SqlResponders(founded.database, node="node-1")
    (standing,) = await keeper.standings()
    made = [workshop.certify(standing, number=1, now=NOW) for _ in range(2)]
    event = node(founded.database, workshop, StoppedClock(NOW), "node-1")._event

    kept = [await keeper.succeed(one, event=event(one)) for one in made]

    assert kept == [True, False]
    (standing,) = await keeper.standings()
    assert standing.latest is not None
    assert standing.latest.responder_id == made[0].responder_id


async def test_before_it_ends_another_takes_its_place_and_its_key_is_erased(
    founded: Store, authority: Authority, workshop: KeptResponders
) -> None:
    clock = StoppedClock(NOW)
    responders = node(founded.database, workshop, clock, "node-1")
    await responders.refresh()
    clock.advance(19 * DAY)
    await responders.refresh()
    assert await serials(founded) == [(1, False)]

    clock.advance(2 * DAY)
    await responders.refresh()

    assert await serials(founded) == [(1, True), (2, False)]
    seat = responders.seat(a_mark(authority))
    assert seat is not None
    assert seat.responder is not None
    assert seat.responder.certificate.not_valid_after_utc > NOW + 50 * DAY


async def test_where_the_issuers_key_is_not_here_the_last_responder_goes_on_until_it_ends(
    founded: Store,
    authority: Authority,
    workshop: KeptResponders,
    caplog: pytest.LogCaptureFixture,
) -> None:
    clock = StoppedClock(NOW)
    responders = node(founded.database, workshop, clock, "node-1")
    await responders.refresh()
    await founded.sql(
        "UPDATE issuers SET key_master_key_id = NULL, key_wrapped_key = NULL, key_ciphertext = NULL"
    )

    clock.advance(25 * DAY)
    await responders.refresh()
    seat = responders.seat(a_mark(authority))
    assert seat is not None
    assert seat.responder is not None
    assert "has no new OCSP responder" in caplog.text

    clock.advance(6 * DAY)
    await responders.refresh()
    seat = responders.seat(a_mark(authority))
    assert seat is not None
    assert seat.responder is None


async def test_a_root_has_no_responder(founded: Store, authority: Authority) -> None:
    standings = await SqlResponders(founded.database, node="node-1").standings()

    assert [one.issuer_id for one in standings] == [authority.issuer.key_id]


async def test_its_key_moves_with_the_master_key_and_opens_afterwards(
    founded: Store, authority: Authority, workshop: KeptResponders
) -> None:
    await node(founded.database, workshop, StoppedClock(NOW), "node-1").refresh()
    successor = MasterKey(key_id="master-2", material=b"\x02" * 32)
    master_keys = SqlMasterKeys(founded.database, node="node-1")
    await master_keys.register(successor.key_id, an_event())

    rotated = Sealer(MasterKeyring(active=successor, retired=(MASTER_KEY,)))
    await master_keys.rewrap(rotated)

    assert await founded.rows("SELECT key_master_key_id FROM ocsp_responders") == [("master-2",)]
    alone = Sealer(MasterKeyring(active=successor))
    responders = node(founded.database, a_workshop(alone), StoppedClock(NOW), "node-2")
    await responders.refresh()
    seat = responders.seat(a_mark(authority))
    assert seat is not None
    assert seat.responder is not None
