"""Responders' keys in a token: made, superseded and destroyed there, on both databases."""

import asyncio
import logging
from datetime import datetime, timedelta

import pytest

from ca.errors import SignerUnavailable, TokenKeyMissing
from ca.keys import KeyAlgorithm, generate, same_key
from ca.ocsp import Good, Period
from ca.ocsprequests import CertificateId
from ca.pkcs11 import TokenKey, TokenThread
from directory.errors import Unknown
from directory.ocsp_responders import ResponderKey, ResponderStanding, StoredResponder
from directory.sparekeys import GRACE, UNCLAIMED_AFTER
from tests.builders import NOW, Authority
from tests.contracts.sparekeys import DAY, MOMENT, House, signs
from tests.contracts.world import Store
from tests.directory.clocks import StoppedClock
from tests.directory.minting import found_authority, violations
from tests.faketoken import FakeToken
from tests.responders import a_mark


@pytest.fixture
async def house(store: Store, authority: Authority) -> House:
    await found_authority(store, authority)
    return House(store=store, token=FakeToken(), clock=StoppedClock(NOW))


async def test_its_key_is_made_in_the_token_and_others_sign_with_it_too(
    house: House, authority: Authority
) -> None:
    first, second = house.process("node-1"), house.process("node-2")

    await first.responders.refresh()
    await second.responders.refresh()

    ((_, key),) = house.token.keys.items()
    assert await house.in_use() == house.made
    assert await house.spare() == set()
    for process in (first, second):
        assert same_key(signs(process, authority).public_key(), key.public_key())
    assert await house.store.rows("SELECT key_wrapped_key FROM ocsp_responders") == [(None,)]
    ((detail,),) = await house.store.rows(
        "SELECT detail FROM audit_events WHERE kind = 'ocsp_responder.certified'"
    )
    assert '"kept":"token"' in str(detail).replace(" ", "")
    assert await violations(house.store.database) == []


async def test_what_stands_is_taken_up_without_a_key_and_the_first_round_that_makes_one_comes_at_once(
    house: House, authority: Authority
) -> None:
    process = house.process(uniform=lambda _shortest, _longest: 1_000_000)
    await process.responders.take_up()
    seat = process.responders.seat(a_mark(authority))
    assert seat is not None
    assert seat.responder is None
    assert house.token.calls == []

    task = asyncio.create_task(process.responders.run())
    assert await asyncio.to_thread(house.token.reached.wait, 60)
    process.responders.stop()
    await task

    assert await house.in_use() == house.made != set()


async def test_the_key_of_the_one_before_is_destroyed_when_nobody_can_need_it(house: House) -> None:
    process = house.process()
    await process.responders.refresh()
    (former,) = house.made
    house.clock.advance(21 * DAY)

    await process.responders.refresh()

    assert await house.spare() == {former}
    await process.spare.clear()
    assert former in house.made
    house.clock.advance(GRACE + MOMENT)
    await process.spare.clear()
    assert house.made == await house.in_use() != {former}
    assert await house.spare() == set()
    assert await house.store.rows(
        "SELECT actor, subject FROM audit_events WHERE kind = 'ocsp_responder.key_destroyed'"
    ) == [("service", former)]


async def test_of_a_process_that_ended_while_it_made_one_none_stays(house: House) -> None:
    process = house.process()
    (standing,) = await process.store.standings()
    place = process.workshop.place(standing)
    assert place is not None
    await process.store.announce(place, unclaimed_from=NOW + UNCLAIMED_AFTER)
    process.workshop.certify(standing, number=1, now=NOW, place=place)

    house.clock.advance(UNCLAIMED_AFTER - MOMENT)
    await process.spare.clear()
    assert house.made == {place.key_id}
    house.clock.advance(2 * MOMENT)
    await process.spare.clear()

    assert house.made == set()
    assert await house.spare() == set()


async def test_one_that_was_never_made_leaves_no_event(house: House) -> None:
    process = house.process()
    await process.store.announce(TokenKey(token=house.token.label, key_id="0a"), unclaimed_from=NOW)

    await process.spare.clear()

    assert await house.spare() == set()
    assert await house.destroyed() == []


async def test_a_key_in_another_token_stays(house: House) -> None:
    process = house.process()
    await process.store.announce(TokenKey(token="another", key_id="0a"), unclaimed_from=NOW)

    await process.spare.clear()

    assert await house.spare() == {"0a"}


async def test_a_key_that_signs_for_somebody_is_never_destroyed(house: House) -> None:
    process = house.process()
    await process.responders.refresh()
    (in_use,) = house.made
    await process.store.announce(TokenKey(token=house.token.label, key_id=in_use), unclaimed_from=NOW)

    await process.spare.clear()

    assert house.made == {in_use}


async def test_a_token_that_is_away_is_cleared_on_its_return(
    house: House, caplog: pytest.LogCaptureFixture
) -> None:
    process = house.process()
    house.token.keys[b"\x0a"] = generate(KeyAlgorithm.P_256)
    await process.store.announce(TokenKey(token=house.token.label, key_id="0a"), unclaimed_from=NOW)
    house.token.take_away()

    with caplog.at_level(logging.WARNING):
        await process.spare.clear()
        await process.spare.clear()

    assert caplog.text.count("spare key 0a stays in the token for now") == 1
    assert await house.spare() == {"0a"}
    house.token.bring_back()
    thread = process.spare._token
    assert isinstance(thread, TokenThread)
    assert thread.check() is None
    await process.spare.clear()
    assert house.made == set()


async def test_while_the_token_is_away_no_place_is_written_down(house: House) -> None:
    process = house.process()
    house.token.take_away()

    await process.responders.refresh()
    assert len(await house.spare()) == 1
    for _ in range(3):
        await process.responders.refresh()
    assert len(await house.spare()) == 1
    house.token.bring_back()
    thread = process.spare._token
    assert isinstance(thread, TokenThread)
    assert thread.check() is None
    house.clock.advance(timedelta(minutes=1))
    await process.responders.refresh()

    assert await house.in_use() == house.made != set()


async def test_one_that_the_token_does_not_destroy_keeps_no_other_from_it(
    house: House, caplog: pytest.LogCaptureFixture
) -> None:
    process = house.process()
    for key_id in ("0a", "0b"):
        house.token.keys[bytes.fromhex(key_id)] = generate(KeyAlgorithm.P_256)
        await process.store.announce(TokenKey(token=house.token.label, key_id=key_id), unclaimed_from=NOW)
    house.token.undestroyable.add(b"\x0a")

    await process.spare.clear()
    await process.spare.clear()

    assert house.made == await house.spare() == {"0a"}
    assert await house.destroyed() == ["0b"]
    assert caplog.text.count("spare key 0a stays in the token for now") == 1


async def test_attempts_that_leave_keys_in_the_token_grow_rarer(house: House, authority: Authority) -> None:
    process = house.process()
    certify = process.workshop.certify

    def fail_at_the_end(
        standing: ResponderStanding, *, number: int, now: datetime, place: TokenKey | None = None
    ) -> StoredResponder:
        certify(standing, number=number, now=now, place=place)
        raise SignerUnavailable(house.token.label, "has not answered within 1.5 s")

    process.workshop.certify = fail_at_the_end  # type: ignore[method-assign]

    for _ in range(6 * 60):
        await process.responders.refresh()
        house.clock.advance(timedelta(seconds=10))

    assert len(house.made) == 6  # at 0, 1, 3, 7, 15, 31 minutes
    assert await house.in_use() == set()
    process.workshop.certify = certify  # type: ignore[method-assign]
    assert await process.responders.renew(authority.issuer.key_id, "operator:olga") is not None


async def test_the_key_of_one_that_has_ended_is_destroyed(house: House) -> None:
    process = house.process()
    await process.responders.refresh()
    (ended,) = house.made
    house.clock.advance(31 * DAY)

    await process.spare.clear()

    assert house.made == set()
    assert await house.destroyed() == [ended]


async def test_by_a_clock_in_doubt_no_responder_gives_its_key_up_and_none_is_destroyed(house: House) -> None:
    process = house.process()
    await process.responders.refresh()
    await process.store.announce(TokenKey(token=house.token.label, key_id="0a"), unclaimed_from=NOW)
    house.token.keys[b"\x0a"] = generate(KeyAlgorithm.P_256)
    before = house.made

    house.clock.advance(31 * DAY)
    house.doubts.append("it has jumped")
    await process.spare.clear()

    assert house.made == before
    assert await house.in_use() == before - {"0a"}


async def test_what_a_clock_that_was_ahead_has_taken_from_a_responder_is_replaced_at_once(
    house: House,
) -> None:
    process = house.process()
    await process.responders.refresh()
    (first,) = house.made
    house.clock.advance(31 * DAY)
    await process.spare.clear()
    assert await house.in_use() == set()

    house.clock.advance(-31 * DAY)
    await process.responders.refresh()

    assert house.made == await house.in_use() != {first}


async def test_from_software_to_the_token_and_back(house: House, authority: Authority) -> None:
    await house.process(where=ResponderKey.SOFTWARE).responders.refresh()
    assert house.made == set()

    in_token = house.process()
    assert await in_token.responders.renew(authority.issuer.key_id, "operator:olga") is not None
    assert await house.in_use() == house.made != set()
    assert await house.store.rows("SELECT number FROM ocsp_responders WHERE key_wrapped_key IS NULL") == [
        (1,),
        (2,),
    ]

    software = house.process(where=ResponderKey.SOFTWARE)
    await software.responders.renew(authority.issuer.key_id, "operator:olga")
    house.clock.advance(GRACE + MOMENT)
    await software.spare.clear()
    assert house.made == set()


async def test_what_is_no_issuing_ca_has_none_to_renew(house: House, authority: Authority) -> None:
    with pytest.raises(Unknown):
        await house.process().responders.renew(authority.root.key_id, "operator:olga")


async def test_a_key_that_was_deleted_is_replaced_and_no_problem_of_the_token(
    house: House, authority: Authority
) -> None:
    process = house.process()
    await process.responders.refresh()
    house.token.keys.clear()
    thread = process.spare._token
    assert isinstance(thread, TokenThread)
    seat = process.responders.seat(a_mark(authority))
    assert seat is not None
    assert seat.responder is not None
    with pytest.raises(TokenKeyMissing):
        seat.responder.answer(
            CertificateId(issuer=a_mark(authority), serial_number=7),
            Good(),
            Period(this_update=NOW, next_update=NOW + DAY),
        )
    assert thread.problem is None
    await process.responders.refresh()
    await process.spare.clear()

    assert house.made == await house.in_use() != set()
    assert thread.problem is None


async def test_a_database_that_names_a_key_which_was_destroyed_since_gets_another_responder(
    house: House, authority: Authority, caplog: pytest.LogCaptureFixture
) -> None:
    await house.process().responders.refresh()
    house.token.keys.clear()
    restored = house.process()
    await restored.responders.take_up()

    await restored.responders.refresh()

    assert house.made == await house.in_use() != set()
    ((_, key),) = house.token.keys.items()
    assert same_key(signs(restored, authority).public_key(), key.public_key())
    assert "needs another OCSP responder: the key of the latest one is not in the token" in caplog.text


async def test_while_the_token_is_away_no_key_is_missed(house: House) -> None:
    await house.process().responders.refresh()
    house.token.take_away()
    process = house.process()

    await process.responders.take_up()
    await process.responders.refresh()
    house.token.bring_back()
    thread = process.spare._token
    assert isinstance(thread, TokenThread)
    assert thread.check() is None
    await process.responders.refresh()

    assert house.made == await house.in_use()
    assert await house.store.rows("SELECT number FROM ocsp_responders") == [(1,)]
