"""Replacing the master key: whenever it is interrupted, whoever seals meanwhile, every secret still opens."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar

import pytest
from sqlalchemy import update

from ca.address import Mailbox
from ca.errors import MasterKeyUnusable, SealBroken
from ca.masterkey import create_master_key_file, load_master_keyring
from ca.sealing import MasterKeyring, Sealer
from directory.audit import AuditEvent, AuditKind
from directory.enrolment import Enroller
from directory.errors import ConfigurationRefused, StoreUnavailable
from directory.keyring import LiveSealer
from directory.lookup import Minted
from directory.rotation import MasterKeyRegister, MasterKeyRotation, Rotated
from directory.store.audit_log import read_chain
from directory.store.database import Database
from directory.store.master_keys import SqlMasterKeys
from directory.store.tables import held_keys
from tests.builders import Authority
from tests.contracts.world import MASTER_KEY, Store, an_event
from tests.directory.builders import a_mint_context
from tests.directory.clocks import StoppedClock
from tests.directory.minting import ReadyKeys, an_enroller, found_authority, violations
from tests.distinctkeys import distinct_keys

Result = TypeVar("Result")
SECRETS_OF_A_MINT = 2
SECRETS_OF_THE_AUTHORITY = 2
ALL_SECRETS = SECRETS_OF_THE_AUTHORITY + 2 * SECRETS_OF_A_MINT


@dataclass(frozen=True, slots=True, kw_only=True)
class House:
    """A store whose secrets are sealed under a master key file, and who mints in it."""

    store: Store
    path: Path
    authority: Authority
    keys: ReadyKeys

    def enroller(self, database: Database, sealer: Sealer) -> Enroller:
        return an_enroller(database, self.authority, self.keys, sealer=sealer)

    async def mint(self, *names: str, sealer: Sealer | None = None) -> None:
        enroller = self.enroller(self.store.database, sealer or LiveSealer(self.path, None))
        for name in names:
            answer = await enroller.mint(Mailbox.parse(f"{name}@example.org"), a_mint_context())
            assert isinstance(answer, Minted)

    def rotation(self, register: MasterKeyRegister, *, passphrase: bytes | None = None) -> MasterKeyRotation:
        return MasterKeyRotation(
            path=self.path,
            passphrase=passphrase,
            register=register,
            clock=StoppedClock(),
            actor="operator:olga",
        )

    def register(self, database: Database | None = None) -> SqlMasterKeys:
        return SqlMasterKeys(database or self.store.database, node="desk")

    async def rotate(self) -> Rotated:
        return await self.rotation(self.register()).rotate()

    def file(self) -> MasterKeyring:
        return load_master_keyring(self.path, None)

    async def is_sound_under_one_key(self) -> bool:
        """Whether every secret opens, and the one key they need is all that is left of master keys."""
        keyring = self.file()
        unsound = await violations(self.store.database, sealer=Sealer(keyring))
        known = await self.register().ids()
        return not unsound and not keyring.retired and known == [keyring.active.key_id]


@pytest.fixture
async def house(store: Store, authority: Authority, tmp_path: Path) -> House:
    await found_authority(store, authority)
    path = tmp_path / "master.key"
    keyring = create_master_key_file(path, None, created=StoppedClock().now())
    register = SqlMasterKeys(store.database, node="setup")
    await register.register(keyring.active.key_id, an_event())
    await register.rewrap(Sealer(MasterKeyring(active=keyring.active, retired=(MASTER_KEY,))))
    await register.drop(MASTER_KEY.key_id, an_event())
    house = House(store=store, path=path, authority=authority, keys=ReadyKeys(distinct_keys(100)))
    await house.mint("anna", "bert")
    return house


async def test_every_secret_is_wrapped_anew_and_the_old_key_goes(house: House) -> None:
    old = house.file().active

    rotated = await house.rotate()

    assert rotated == Rotated(active_key_id=house.file().active.key_id, rewrapped=ALL_SECRETS)
    assert rotated.active_key_id != old.key_id
    assert await house.is_sound_under_one_key()


async def test_a_stolen_old_key_opens_nothing_any_more(house: House) -> None:
    old = MasterKeyring(active=house.file().active)

    await house.rotate()

    found = {one.invariant for one in await violations(house.store.database, sealer=Sealer(old))}
    assert found == {"enrolment.key_opens", "enrolment.password_opens", "issuer.key_opens"}


async def test_rotating_twice_makes_two_new_keys(house: House) -> None:
    first = await house.rotate()
    second = await house.rotate()

    assert first.active_key_id != second.active_key_id
    assert second.rewrapped == ALL_SECRETS
    assert await house.is_sound_under_one_key()


async def test_the_audit_log_says_which_key_came_and_which_went(house: House) -> None:
    old = house.file().active.key_id

    rotated = await house.rotate()

    events = [chained.event async for chained in read_chain(house.store.database, "desk", 10)]
    assert {(event.kind, event.actor) for event in events} == {
        (AuditKind.MASTER_KEY_ROTATED, "operator:olga")
    }
    assert [(event.subject, event.detail["what"]) for event in events] == [
        (rotated.active_key_id, "registered"),
        (old, "dropped"),
    ]


async def test_a_running_service_goes_on_with_the_new_key(house: House) -> None:
    running = LiveSealer(house.path, None)
    await house.mint("carl", sealer=running)

    rotated = await house.rotate()
    await house.mint("dora", sealer=running)

    assert running.active_key_id == rotated.active_key_id
    assert await house.is_sound_under_one_key()


class PowerCutError(Exception):
    pass


class Interrupted:
    """The store's register of master keys, until the power goes: at the n-th call, done or not yet done."""

    def __init__(self, inside: MasterKeyRegister, *, at: int, moment: str) -> None:
        self._inside = inside
        self._left = at
        self._moment = moment

    async def ids(self) -> Sequence[str]:
        return await self._until_the_cut(self._inside.ids)

    async def register(self, key_id: str, event: AuditEvent) -> None:
        await self._until_the_cut(partial(self._inside.register, key_id, event))

    async def rewrap(self, sealer: Sealer) -> int:
        return await self._until_the_cut(partial(self._inside.rewrap, sealer))

    async def drop(self, key_id: str, event: AuditEvent) -> None:
        await self._until_the_cut(partial(self._inside.drop, key_id, event))

    async def _until_the_cut(self, call: Callable[[], Awaitable[Result]]) -> Result:
        self._left -= 1
        if self._left == 0 and self._moment == "before":
            raise PowerCutError
        result = await call()
        if self._left == 0:
            raise PowerCutError
        return result


CALLS_OF_A_ROTATION = 7


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("call", range(1, CALLS_OF_A_ROTATION + 1))
async def test_an_interrupted_rotation_loses_nothing_and_is_finished_by_the_next(
    house: House, call: int, moment: str
) -> None:
    before = house.file().active.key_id
    with pytest.raises(PowerCutError):
        await house.rotation(Interrupted(house.register(), at=call, moment=moment)).rotate()

    assert await violations(house.store.database, sealer=Sealer(house.file())) == []

    rotated = await house.rotate()

    assert rotated.active_key_id != before
    assert await house.is_sound_under_one_key()
    await house.mint("carl")


async def test_the_calls_that_are_interrupted_are_all_there_are(house: House) -> None:
    await house.rotation(Interrupted(house.register(), at=CALLS_OF_A_ROTATION + 1, moment="before")).rotate()

    assert await house.is_sound_under_one_key()


async def test_a_rotation_begun_twice_and_interrupted_adds_one_key(house: House) -> None:
    for _ in range(3):
        with pytest.raises(PowerCutError):
            await house.rotation(Interrupted(house.register(), at=2, moment="before")).rotate()

    assert len(house.file().keys) == 2


async def test_nothing_sealed_while_the_key_is_replaced_is_lost(house: House) -> None:
    """A service mints on and on, as fast as it can, while the command rotates several times."""
    done = asyncio.Event()

    async def serve(database: Database) -> int:
        enroller = house.enroller(database, LiveSealer(house.path, None))
        minted = 0
        while not done.is_set():
            mailbox = Mailbox.parse(f"person-{minted}@example.org")
            try:
                await enroller.mint(mailbox, a_mint_context())
            except StoreUnavailable:
                continue  # between two steps of the rotation; asked again, as a gateway does
            minted += 1
        return minted

    async with house.store.opened_again() as another_process:
        serving = asyncio.create_task(serve(house.store.database))
        for _ in range(3):
            await house.rotation(house.register(another_process)).rotate()
        done.set()
        minted = await serving

    assert minted > 0
    assert await house.store.count("enrolments") == 2 + minted
    assert await house.is_sound_under_one_key()


class LateService:
    """The register, and a service that has sealed under the old key and commits when all seems done."""

    def __init__(self, house: House, *, mints: int) -> None:
        self._house = house
        self._register = house.register()
        self._old = Sealer(house.file())
        self._mints = mints
        self.ids = self._register.ids
        self.register = self._register.register
        self.drop = self._register.drop

    async def rewrap(self, sealer: Sealer) -> int:
        done = await self._register.rewrap(sealer)
        if self._mints:
            self._mints -= 1
            await self._house.mint(f"late-{self._mints}", sealer=self._old)
        return done


async def test_what_was_sealed_under_the_old_key_at_the_last_moment_is_wrapped_too(house: House) -> None:
    rotated = await house.rotation(LateService(house, mints=3)).rotate()

    assert rotated.rewrapped == ALL_SECRETS + 3 * SECRETS_OF_A_MINT
    assert await house.is_sound_under_one_key()


async def test_a_service_that_never_learns_of_the_new_key_keeps_the_old_one_alive(house: House) -> None:
    with pytest.raises(ConfigurationRefused) as refused:
        await house.rotation(LateService(house, mints=1000)).rotate()

    assert "still sealed" in refused.value.reason
    assert await violations(house.store.database, sealer=Sealer(house.file())) == []


async def test_a_secret_that_does_not_open_keeps_the_old_key(house: House) -> None:
    await house.store.database.write(
        lambda connection: connection.execute(update(held_keys).values(key_wrapped_key=b"junk")).close()
    )

    with pytest.raises(SealBroken):
        await house.rotate()

    assert len(house.file().keys) == 2
    assert len(await house.register().ids()) == 2


async def test_a_wrong_passphrase_changes_nothing(house: House) -> None:
    with pytest.raises(MasterKeyUnusable):
        await house.rotation(house.register(), passphrase=b"wrong").rotate()

    assert await house.is_sound_under_one_key()
