"""Whoever takes the disk after the hold, and the master key with it, must not find a key to open."""

from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import select
from sqlalchemy.engine import make_url

from ca.address import Mailbox
from ca.errors import SealBroken
from ca.keys import PrivateKey, to_pkcs8
from ca.sealing import MasterKey, MasterKeyring, SealedSecret, Sealer
from directory.enrolmentsecrets import recipient_key_identity, relay_password_identity
from directory.holds import EndOfHolds
from directory.relay import RelayDesk, RelayOutcome
from directory.store import sqlite
from directory.store.holds import SqlHolds
from directory.store.relays import SqlRelayStore
from directory.store.sqlite import SqliteDatabase
from directory.store.tables import held_keys
from tests.contracts.following import deliver
from tests.contracts.test_holds import NoEscrow
from tests.contracts.world import MASTER_KEY, NOW, SEALER, Store, a_reservation, an_enrolment, record
from tests.databases import PATIENT, Databases
from tests.directory.builders import an_agent
from tests.directory.clocks import StoppedClock

HOLD = timedelta(days=7)  # as the builders have it
MINTS = 20
PASSWORD = b"4K7QX-M2V9H-8RTZD-C6WNE-J3Y5P"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sealed:
    """What was stored of one enrolment."""

    enrolment_id: str
    key: SealedSecret
    password: SealedSecret

    @property
    def pieces(self) -> tuple[bytes, ...]:
        # Part of each: a longer one is spread over pages, with their headers between.
        return tuple(
            piece[:40]
            for piece in (
                self.key.wrapped_key,
                self.key.ciphertext,
                self.key.ciphertext[-40:],
                self.password.wrapped_key,
                self.password.ciphertext,
            )
        )


async def mint_and_deliver(store: Store, key: PrivateKey) -> list[Sealed]:
    """Mint for several, have their key mails accepted and their passwords passed on."""
    desk = RelayDesk(
        store=SqlRelayStore(store.database, node="node-1"), sealer=SEALER, clock=StoppedClock(NOW)
    )
    stored = []
    for number in range(MINTS):
        enrolment_id = f"enrolment-{number}"
        mailbox = Mailbox.parse(f"person{number}@example.org")
        sealed = Sealed(
            enrolment_id=enrolment_id,
            key=SEALER.seal(to_pkcs8(key), recipient_key_identity(enrolment_id, "org-1")),
            password=SEALER.seal(PASSWORD, relay_password_identity(enrolment_id, "org-1")),
        )
        mint = an_enrolment(a_reservation(enrolment_id, mailbox=mailbox))
        await record(store.database, replace(mint, sealed_key=sealed.key, sealed_password=sealed.password))
        await desk.reveal(enrolment_id, an_agent())
        await desk.record(enrolment_id, an_agent(), RelayOutcome.RELAYED, "")
        stored.append(sealed)
    await deliver(store.database)
    return stored


async def end_the_holds(store: Store) -> None:
    chore = EndOfHolds(
        store=SqlHolds(store.database, node="node-1"),
        escrowing=NoEscrow(),
        traces=store.database,
        grace=timedelta(days=7),
    )
    while await chore.perform(NOW + HOLD):
        pass


def found(files: list[Path], stored: list[Sealed]) -> int:
    """Count the pieces of secrets that are anywhere in the files."""
    contents = [file.read_bytes() for file in files]
    return sum(any(piece in content for content in contents) for one in stored for piece in one.pieces)


@pytest.mark.parametrize("store", ["sqlite"], indirect=True)
async def test_neither_file_nor_journal_nor_free_pages_hold_a_piece_of_it(
    store: Store, recipient_key: PrivateKey
) -> None:
    stored = await mint_and_deliver(store, recipient_key)
    assert found(files_of(store), stored) == MINTS * len(stored[0].pieces)

    await end_the_holds(store)

    assert found(files_of(store), stored) == 0


def files_of(store: Store) -> list[Path]:
    database = make_url(store.url).database
    assert database is not None
    return sorted(Path(database).parent.glob(f"{Path(database).name}*"))


@pytest.mark.parametrize("store", ["sqlite"], indirect=True)
async def test_nor_does_the_log_of_write_ahead_mode(
    store: Store, recipient_key: PrivateKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite, "journal_mode", lambda _version: "wal")
    file = files_of(store)[0]
    database = SqliteDatabase(file, readers=2, limits=PATIENT)
    in_wal_mode = Store(url=store.url, database=database)
    stored = await mint_and_deliver(in_wal_mode, recipient_key)
    log = file.with_name(f"{file.name}-wal")
    assert found([log], stored) > 0

    await end_the_holds(in_wal_mode)

    assert found(files_of(in_wal_mode), stored) == 0
    await database.close()


@pytest.mark.parametrize("store", ["postgresql"], indirect=True)
async def test_no_table_of_the_server_holds_a_piece_of_it_once_it_was_rewritten(
    store: Store, recipient_key: PrivateKey, databases: Databases
) -> None:
    """A plain VACUUM gives the space back for use, but leaves the octets in it until it is used."""
    stored = await mint_and_deliver(store, recipient_key)
    name = make_url(store.url).database
    assert name is not None
    databases.server.sql("CHECKPOINT")
    assert found(tables_of(databases), stored) == MINTS * len(stored[0].pieces)

    await end_the_holds(store)
    for table in ("held_keys", "relays"):
        databases.server.sql(f"VACUUM (FULL) {table}", name)
    databases.server.sql("CHECKPOINT")

    assert found(tables_of(databases), stored) == 0


def tables_of(databases: Databases) -> list[Path]:
    base = databases.server.folder / "data" / "base"
    return [file for file in base.rglob("*") if file.is_file()]


async def test_what_a_backup_keeps_does_not_open_once_the_master_key_has_been_replaced(
    store: Store, recipient_key: PrivateKey
) -> None:
    stored = await mint_and_deliver(store, recipient_key)
    await end_the_holds(store)
    ((left,),) = await store.select(select(held_keys.c.key_wrapped_key).distinct())
    assert left is None
    after_rotation = Sealer(MasterKeyring(active=MasterKey(key_id="master-2", material=b"\x02" * 32)))

    for one in stored:
        identity = recipient_key_identity(one.enrolment_id, "org-1")
        assert SEALER.unseal(one.key, identity) == to_pkcs8(recipient_key)
        with pytest.raises(SealBroken):
            after_rotation.unseal(one.key, identity)
        with pytest.raises(SealBroken):
            after_rotation.unseal(replace(one.key, master_key_id="master-2"), identity)
    assert MASTER_KEY.key_id != after_rotation.active_key_id
