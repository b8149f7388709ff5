"""The contracts of `AuditKeyStore`, `NotaryStore` and `EvidenceReader`: what is signed is what is stored."""

import logging
from collections.abc import Sequence
from datetime import timedelta

import pytest
from sqlalchemy import insert

from ca.errors import SealBroken
from ca.sealing import MasterKey, MasterKeyring, Sealer
from directory.audit import ChainedEvent
from directory.errors import Unknown
from directory.evidence.checking import EvidenceCheck, KeptHeads
from directory.evidence.exporting import export_lines, signed_export_lines
from directory.evidence.following import Finding, Flaw
from directory.evidence.keys import AuditKey, AuditKeys
from directory.evidence.lines import ExportStart
from directory.evidence.lives import Circumstances, event_of_stop, events_of_start
from directory.evidence.statements import SignedHead
from directory.evidence.trust import TrustedKeys
from directory.store.audit_log import SqlAuditLog
from directory.store.database import Database
from directory.store.evidence import SqlAuditKeys, SqlEvidence
from directory.store.master_keys import SqlMasterKeys
from directory.store.tables import audit_signed_heads
from tests.contracts.world import MASTER_KEY, SEALER, Store
from tests.directory.clocks import StoppedClock
from tests.directory.evidence.builders import NOW, Deposit, a_notary, an_event, head_of

NODE = "node-1"
NEW_KEY = MasterKey(key_id="master-2", material=b"\x02" * 32)


@pytest.fixture
def clock() -> StoppedClock:
    return StoppedClock(NOW)


def keys_of(database: Database, clock: StoppedClock) -> AuditKeys:
    return AuditKeys(
        store=SqlAuditKeys(database, node=NODE), sealer=SEALER, clock=clock, actor="operator:olga"
    )


@pytest.fixture
async def keys(database: Database, clock: StoppedClock) -> AuditKeys:
    keys = keys_of(database, clock)
    await keys.ensure()
    return keys


async def write(database: Database, count: int, *, node: str = NODE) -> None:
    log = SqlAuditLog(database, node=node)
    for number in range(count):
        await log.append(an_event(number))


async def signed_heads(database: Database, node: str = NODE) -> list[tuple[int, str]]:
    items = [item async for item in SqlEvidence(database).chain(node, after=0, last=10_000)]
    return [(item.sequence, item.key_id) for item in items if isinstance(item, SignedHead)]


async def exported(
    database: Database, keys: AuditKeys, *, node: str | None = None, since: int = 0
) -> list[bytes]:
    """Export as the command does."""
    evidence = SqlEvidence(database)
    ends = {standing.head.node: standing.end for standing in await evidence.standings()}
    ends |= await a_notary(database, keys, StoppedClock(NOW)).sign()
    lines = export_lines(evidence, ExportStart(at=NOW, node=node, since=since), ends)
    return [line.encode() async for line in signed_export_lines(lines, await keys.signer(), NOW)]


def findings(lines: Sequence[bytes], *given: bytes, kept: Sequence[bytes] = ()) -> list[Finding]:
    trusted = TrustedKeys(given)
    heads = KeptHeads(trusted)
    found = list(heads.read(kept))
    check = EvidenceCheck(trusted, kept=heads)
    for line in lines:
        found += check.line(line)
    return found + check.end()


async def public_keys(keys: AuditKeys) -> list[bytes]:
    return [statement.public_key for statement in await keys.statements()]


async def test_the_first_key_is_made_once(database: Database, clock: StoppedClock, keys: AuditKeys) -> None:
    await keys_of(database, clock).ensure()

    (statement,) = await keys.statements()
    assert (await keys.signer()).key_id == statement.key_id


async def test_without_a_key_nothing_is_signed(database: Database, clock: StoppedClock) -> None:
    keys = keys_of(database, clock)
    with pytest.raises(Unknown):
        await keys.signer()
    with pytest.raises(Unknown):
        await keys.statements()
    with pytest.raises(Unknown):
        await keys.rotate()


async def test_a_rotation_erases_the_key_that_is_replaced(store: Store, keys: AuditKeys) -> None:
    former = await keys.signer()

    statement = await keys.rotate()

    assert (statement.number, statement.predecessor_id) == (2, former.key_id)
    assert (await keys.signer()).key_id == statement.key_id
    rows = await store.rows("SELECT number FROM audit_keys WHERE key_ciphertext IS NOT NULL")
    assert rows == [(2,)]
    events = await store.rows("SELECT kind FROM audit_events WHERE kind LIKE 'audit_key.%' ORDER BY sequence")
    assert events == [("audit_key.created",), ("audit_key.rotated",)]


async def test_of_two_rotations_at_once_one_is_refused(
    database: Database, clock: StoppedClock, keys: AuditKeys
) -> None:
    class Late(SqlAuditKeys):
        async def keys(self) -> Sequence[AuditKey]:
            return before

    before = await SqlAuditKeys(database, node=NODE).keys()
    await keys.rotate()
    late = AuditKeys(store=Late(database, node=NODE), sealer=SEALER, clock=clock, actor="operator:otto")

    with pytest.raises(Unknown):
        await late.rotate()

    assert len(await keys.statements()) == 2


async def test_a_key_does_not_open_as_another(store: Store, keys: AuditKeys) -> None:
    await store.sql("UPDATE audit_keys SET id = 'another', public_key = key_ciphertext")

    with pytest.raises(SealBroken):
        await keys.signer()


async def test_a_head_is_signed_when_it_has_moved(
    database: Database, clock: StoppedClock, keys: AuditKeys
) -> None:
    deposit = Deposit()
    notary = a_notary(database, keys, clock, deposit=deposit)
    await write(database, 3)

    assert (await notary.sign())[NODE] == 4
    await notary.sign()
    await write(database, 2)
    await notary.sign()

    key_id = (await keys.signer()).key_id
    assert await signed_heads(database) == [(4, key_id), (6, key_id)]
    assert [head.sequence for head in deposit.heads if head.node == NODE] == [4, 6]


async def test_an_export_is_whole_and_says_all(database: Database, keys: AuditKeys) -> None:
    await write(database, 30)
    await write(database, 10, node="node-2")
    lines = await exported(database, keys)

    assert findings(lines, *await public_keys(keys)) == []
    told = [line for line in lines if line.startswith(b'{"type":"event"')]
    stored = await SqlEvidence(database).standings()
    assert len(told) == sum(standing.last for standing in stored)


async def test_parts_of_a_log_are_checked_together(database: Database, keys: AuditKeys) -> None:
    await write(database, 5)
    first = await exported(database, keys, node=NODE)
    await write(database, 5)
    second = await exported(database, keys, node=NODE, since=6)
    given = await public_keys(keys)

    assert findings([*first, *second], *given) == []
    assert findings(second, *given) == []
    assert Flaw.OUT_OF_PLACE in {one.flaw for one in findings([*second, *first], *given)}
    assert Flaw.OUT_OF_PLACE in {one.flaw for one in findings([*first, *first], *given)}


async def test_after_a_rotation_whoever_has_either_key_can_check(
    database: Database, clock: StoppedClock, keys: AuditKeys
) -> None:
    deposit = Deposit()
    await write(database, 3)
    await a_notary(database, keys, clock, deposit=deposit).sign()
    await keys.rotate()
    clock.advance(timedelta(hours=1))
    await write(database, 3)
    lines = await exported(database, keys)

    former, current = await public_keys(keys)
    assert findings(lines, former) == []
    assert findings(lines, current) == []
    assert findings(lines, former, kept=deposit.lines()) == []


async def test_a_key_that_was_replaced_proves_nothing_to_be_whole(
    database: Database, keys: AuditKeys
) -> None:
    """As by whoever got hold of it, and cuts the log back to when it was in force."""
    stolen = await keys.signer()
    await write(database, 3)
    before = await exported(database, keys)
    await keys.rotate()
    _, current = await public_keys(keys)
    statements = [line for line in await exported(database, keys) if line.startswith(b'{"type":"key"')]
    forged = [before[0], *statements, *before[2:-1]]

    assert stolen.key_id.encode() in b"".join(forged)
    assert {one.flaw for one in findings(forged, current)} >= {Flaw.UNSIGNED, Flaw.EXPORT_UNFINISHED}


FORGERIES = {
    "an edit": ("UPDATE audit_events SET actor = 'nobody' WHERE node = 'node-1' AND sequence = 5",),
    "a deletion": ("DELETE FROM audit_events WHERE node = 'node-1' AND sequence = 5",),
    "a cut": ("DELETE FROM audit_events WHERE node = 'node-1' AND sequence > 5",),
    "a cut with its head": (
        "DELETE FROM audit_events WHERE node = 'node-1' AND sequence > 3",
        "UPDATE audit_heads SET sequence = 3 WHERE node = 'node-1'",
    ),
    "a deleted head": ("DELETE FROM audit_heads WHERE node = 'node-1'",),
    "a signature that is gone": ("DELETE FROM audit_signed_heads WHERE node = 'node-1'",),
    "a signature that is not ours": ("UPDATE audit_signed_heads SET sequence = 5 WHERE node = 'node-1'",),
}


@pytest.mark.parametrize("forgery", FORGERIES)
async def test_what_was_changed_between_two_signatures_is_not_signed(
    store: Store, clock: StoppedClock, keys: AuditKeys, forgery: str, caplog: pytest.LogCaptureFixture
) -> None:
    database = store.database
    notary = a_notary(database, keys, clock)
    await write(database, 3)
    await notary.sign()
    await write(database, 5)
    await store.sql(*FORGERIES[forgery])

    with caplog.at_level(logging.ERROR):
        signed = await notary.sign()

    assert NODE not in signed
    assert (9, (await keys.signer()).key_id) not in await signed_heads(database)
    assert "the audit log is not whole, so its head is not signed" in caplog.text
    given = await public_keys(keys)
    if forgery != "a signature that is gone":  # that alone shows only where heads are kept elsewhere
        assert findings(await exported(database, keys), *given)


async def test_another_nodes_head_is_signed_only_if_that_node_does_not(
    database: Database, clock: StoppedClock, keys: AuditKeys
) -> None:
    notary = a_notary(database, keys, clock)
    await write(database, 2, node="node-2")

    await notary.attempt()
    assert await signed_heads(database, "node-2") == []
    clock.advance(timedelta(minutes=3))
    await notary.attempt()

    assert [sequence for sequence, _ in await signed_heads(database, "node-2")] == [2]


async def test_what_keeps_heads_from_being_signed_is_logged_and_stops_nothing(
    store: Store, clock: StoppedClock, keys: AuditKeys, caplog: pytest.LogCaptureFixture
) -> None:
    await store.sql("UPDATE audit_keys SET key_wrapped_key = key_ciphertext")

    await a_notary(store.database, keys, clock).attempt()

    assert "audit heads are not signed just now" in caplog.text


async def test_pages_of_heads_and_events_come_in_one_order(database: Database, keys: AuditKeys) -> None:
    """More than a page of each."""
    signer = await keys.signer()
    evidence = SqlEvidence(database)
    await SqlAuditLog(database, node="long").append(*(an_event(number) for number in range(2100)))
    events = [item async for item in evidence.events("long", after=0, last=2100)]
    heads = [signer.head(head_of(event), NOW) for event in events[::2]]
    rows = [{name: getattr(head, name) for name in audit_signed_heads.c.keys()} for head in heads]  # noqa: SIM118 - the names, not the columns
    await database.write(lambda connection: connection.execute(insert(audit_signed_heads), rows).close())

    items = [item async for item in evidence.chain("long", after=0, last=2100)]

    assert [item.sequence for item in items if isinstance(item, ChainedEvent)] == list(range(1, 2101))
    assert [item.sequence for item in items if isinstance(item, SignedHead)] == list(range(1, 2101, 2))
    assert [item.sequence for item in items] == sorted(item.sequence for item in items)
    assert [item.sequence async for item in evidence.chain("long", after=2097, last=2099)] == [
        *(2098, 2099, 2099)
    ]


async def test_a_rotation_of_the_master_key_takes_the_audit_key_along(
    database: Database, clock: StoppedClock, keys: AuditKeys
) -> None:
    before = await keys.signer()
    master_keys = SqlMasterKeys(database, node=NODE)
    await master_keys.register(NEW_KEY.key_id, an_event(1))

    assert await master_keys.rewrap(Sealer(MasterKeyring(active=NEW_KEY, retired=(MASTER_KEY,)))) == 1
    await master_keys.drop(MASTER_KEY.key_id, an_event(2))

    alone = Sealer(MasterKeyring(active=NEW_KEY))
    again = AuditKeys(
        store=SqlAuditKeys(database, node=NODE), sealer=alone, clock=clock, actor="operator:olga"
    )
    assert (await again.signer()).key_id == before.key_id


async def test_how_the_service_has_lived_before_is_told_by_its_own_chain(database: Database) -> None:
    log = SqlAuditLog(database, node=NODE)
    assert await log.former_life() is None
    circumstances = Circumstances(
        node=NODE, version="1", settings={"ca": "x"}, profiles="p", master_key_id="k"
    )

    await log.append(*events_of_start(None, circumstances, NOW))
    alive = await log.former_life()
    await log.append(event_of_stop(NODE, NOW))
    stopped = await log.former_life()

    assert alive is not None
    assert stopped is not None
    assert (alive.stopped_in_order, stopped.stopped_in_order) == (False, True)
    assert alive.detail == {"version": "1", "profiles": "p", "settings.ca": "x"}
    assert alive.started_at == NOW
    assert await SqlAuditLog(database, node="node-2").former_life() is None
