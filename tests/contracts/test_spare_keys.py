"""Responders' keys in a token: made, superseded and destroyed there, on both databases."""

import asyncio
import logging
import threading
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

import pytest
from cryptography import x509

from ca.errors import SignerUnavailable, TokenKeyMissing
from ca.keys import KeyAlgorithm, generate, same_key
from ca.ocsp import Good, Period
from ca.ocsprequests import CertificateId
from ca.pkcs11 import TokenKey, TokenLimits, TokenThread
from ca.profiles import Purpose
from directory.audit import AuditEvent
from directory.errors import Unknown
from directory.ocsp_responders import OcspResponders, ResponderKey, ResponderStanding, StoredResponder
from directory.rounds import Uniform
from directory.sparekeys import GRACE, UNCLAIMED_AFTER, SpareKeys
from directory.store.ocsp import SqlResponders
from directory.store.spare_keys import SqlSpareKeys
from directory.wiring.ocsp import KeptResponders
from directory.wiring.signers import Signers
from tests.builders import NOW, PUBLICATION, Authority, a_profile
from tests.contracts.world import SEALER, Store
from tests.directory.clocks import StoppedClock
from tests.directory.minting import found_authority, violations
from tests.faketoken import FakeToken
from tests.responders import a_mark

DAY = timedelta(days=1)
MOMENT = timedelta(seconds=1)
PATIENT = TokenLimits(sign=60, connect=60)


class Interrupted(TokenThread):
    """A token whose user is interrupted when it has destroyed a key: he has to wait, or ends."""

    def __init__(self, driver: FakeToken, limits: TokenLimits) -> None:
        super().__init__(driver, limits)
        self.destroyed = threading.Event()
        self.goes_on = threading.Event()
        self.goes_on.set()
        self.ends = False

    def destroy(self, key_id: bytes) -> bool:
        was_there = super().destroy(key_id)
        self.destroyed.set()
        self.goes_on.wait(60)
        if self.ends:
            raise ProcessLookupError
        return was_there


@dataclass(frozen=True, slots=True, kw_only=True)
class Process:
    """One of several that share database and token."""

    responders: OcspResponders
    workshop: KeptResponders
    spare: SpareKeys
    store: SqlResponders


@dataclass(frozen=True, slots=True, kw_only=True)
class House:
    """A token and a database, and the processes that use them."""

    store: Store
    token: FakeToken
    clock: StoppedClock
    doubts: list[str] = field(default_factory=list)
    """Not empty, the clock is in doubt."""

    def process(
        self,
        name: str = "node-1",
        where: ResponderKey = ResponderKey.TOKEN,
        uniform: Uniform = lambda _shortest, longest: longest,
    ) -> Process:
        thread = TokenThread(self.token, PATIENT)
        store = SqlResponders(self.store.database, node=name)
        profile = a_profile(Purpose.OCSP_RESPONDER, key_algorithm=KeyAlgorithm.P_256)
        workshop = KeptResponders(Signers(SEALER, thread), SEALER, PUBLICATION, profile, where=where)
        return Process(
            responders=OcspResponders(
                store=store,
                workshop=workshop,
                renew_before=10 * DAY,
                clock=self.clock,
                uniform=uniform,
            ),
            workshop=workshop,
            spare=self.clearing(thread, name),
            store=store,
        )

    def clearing(self, token: TokenThread, node: str) -> SpareKeys:
        return SpareKeys(
            store=SqlSpareKeys(self.store.database, node=node),
            token=token,
            clock=self.clock,
            uniform=lambda _shortest, longest: longest,
            doubt=lambda: next(iter(self.doubts), None),
        )

    async def left_over(self) -> TokenKey:
        """Return where in the token a key is that may be destroyed now."""
        place = TokenKey(token=self.token.label, key_id="0a")
        self.token.keys[bytes.fromhex(place.key_id)] = generate(KeyAlgorithm.P_256)
        await SqlResponders(self.store.database, node="node-1").announce(place, unclaimed_from=NOW)
        return place

    async def certified(self, process: Process) -> tuple[StoredResponder, AuditEvent]:
        """Return a responder that is made, but not kept yet, and the event with which it is."""
        (standing,) = await process.store.standings()
        place = process.workshop.place(standing)
        assert place is not None
        await process.store.announce(place, unclaimed_from=NOW + UNCLAIMED_AFTER)
        made = process.workshop.certify(standing, number=1, now=NOW, place=place)
        return made, process.responders._event(made)

    @property
    def made(self) -> set[str]:
        return {key_id.hex() for key_id in self.token.keys}

    async def in_use(self) -> set[object]:
        rows = await self.store.rows("SELECT token_key FROM ocsp_responders WHERE token_key IS NOT NULL")
        return {key for (key,) in rows}

    async def spare(self) -> set[object]:
        return {key for (key,) in await self.store.rows("SELECT token_key FROM spare_token_keys")}

    async def destroyed(self) -> list[object]:
        rows = await self.store.rows(
            "SELECT subject FROM audit_events WHERE kind = 'ocsp_responder.key_destroyed' ORDER BY sequence"
        )
        return [subject for (subject,) in rows]


@pytest.fixture
async def house(store: Store, authority: Authority) -> House:
    await found_authority(store, authority)
    return House(store=store, token=FakeToken(), clock=StoppedClock(NOW))


def signs(process: Process, authority: Authority) -> x509.Certificate:
    seat = process.responders.seat(a_mark(authority))
    assert seat is not None
    assert seat.responder is not None
    return seat.responder.certificate


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
    assert await house.destroyed() == [former]


async def test_of_two_that_find_it_due_at_once_the_others_key_does_not_stay(house: House) -> None:
    one, other = house.process("node-1"), house.process("node-2")
    (standing,) = await one.store.standings()
    await one.responders._certify(standing)

    assert await other.responders._certify(standing) is None

    assert len(house.made) == 2
    house.clock.advance(UNCLAIMED_AFTER + MOMENT)
    await one.spare.clear()
    assert house.made == await house.in_use()


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


async def test_one_that_took_too_long_is_not_kept(house: House) -> None:
    process = house.process()
    (standing,) = await process.store.standings()
    place = process.workshop.place(standing)
    made = process.workshop.certify(standing, number=1, now=NOW, place=place)

    assert not await process.store.succeed(made, event=process.responders._event(made))


async def test_one_that_was_never_made_leaves_no_event(house: House) -> None:
    process = house.process()
    await process.store.announce(TokenKey(token=house.token.label, key_id="0a"), unclaimed_from=NOW)

    await process.spare.clear()

    assert await house.spare() == set()
    assert await house.destroyed() == []


async def test_two_processes_that_clear_at_once_tell_of_it_once(house: House) -> None:
    place = await house.left_over()
    looked = threading.Barrier(2)

    class Both(Interrupted):
        def has_key(self, key_id: bytes) -> bool:
            found = super().has_key(key_id)
            looked.wait(60)
            return found

    one = house.clearing(Both(house.token, PATIENT), "node-1")
    other = house.clearing(Both(house.token, PATIENT), "node-2")

    await asyncio.gather(one.clear(), other.clear())

    assert house.made == set()
    assert await house.destroyed() == [place.key_id]


async def test_the_event_is_not_lost_when_who_finds_nothing_is_first_to_say_so(house: House) -> None:
    place = await house.left_over()
    token = Interrupted(house.token, PATIENT)
    token.goes_on.clear()
    one, other = house.clearing(token, "node-1"), house.process("node-2").spare
    slow = asyncio.create_task(one.clear())
    assert await asyncio.to_thread(token.destroyed.wait, 60)

    await other.clear()

    assert await house.destroyed() == [place.key_id]
    token.goes_on.set()
    await slow
    assert await house.destroyed() == [place.key_id]
    assert await house.spare() == set()


async def test_the_event_is_not_lost_with_the_process_that_has_destroyed_it(house: House) -> None:
    place = await house.left_over()
    token = Interrupted(house.token, PATIENT)
    token.ends = True

    with pytest.raises(ProcessLookupError):
        await house.clearing(token, "node-1").clear()
    assert (house.made, await house.destroyed()) == (set(), [])
    await house.process("node-2").spare.clear()

    assert await house.destroyed() == [place.key_id]
    assert await house.spare() == set()


async def test_one_that_is_about_to_be_destroyed_becomes_nobodys_responder(house: House) -> None:
    process = house.process("node-1")
    made, kept = await house.certified(process)
    house.clock.advance(UNCLAIMED_AFTER)
    house.token.is_protected = True
    await house.process("node-2").spare.clear()
    assert len(house.made) == 1

    assert not await process.store.succeed(made, event=kept)  # by a clock that is behind

    house.token.is_protected = False
    await house.process("node-3").spare.clear()
    assert house.made == await house.in_use() == set()


async def test_one_that_may_be_destroyed_becomes_nobodys_responder(house: House) -> None:
    process = house.process()
    made, kept = await house.certified(process)

    late = replace(kept, at=kept.at + UNCLAIMED_AFTER)

    assert not await process.store.succeed(made, event=late)


async def test_one_that_became_somebodys_since_it_was_found_is_not_destroyed(house: House) -> None:
    process = house.process("node-1")
    made, kept = await house.certified(process)
    house.clock.advance(UNCLAIMED_AFTER)
    looked, goes_on = threading.Event(), threading.Event()

    class Slow(Interrupted):
        def has_key(self, key_id: bytes) -> bool:
            found = super().has_key(key_id)
            looked.set()
            goes_on.wait(60)
            return found

    clearing = asyncio.create_task(house.clearing(Slow(house.token, PATIENT), "node-2").clear())
    assert await asyncio.to_thread(looked.wait, 60)
    assert await process.store.succeed(made, event=kept)  # by a clock that is behind
    goes_on.set()
    await clearing

    assert house.made == await house.in_use() != set()


async def test_one_that_was_made_when_its_place_was_forgotten_does_not_stay(house: House) -> None:
    process = house.process()
    (standing,) = await process.store.standings()
    place = process.workshop.place(standing)
    assert place is not None
    await process.store.announce(place, unclaimed_from=NOW)
    await process.spare.clear()
    made = process.workshop.certify(standing, number=1, now=NOW, place=place)

    assert not await process.store.succeed(made, event=process.responders._event(made))

    await process.spare.clear()
    assert house.made == set()
    assert await house.destroyed() == [place.key_id]


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
