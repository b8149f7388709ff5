"""The contract of `KeyBlockStore`."""

import pytest

from directory.audit import AuditKind
from directory.errors import KeyBlocked, Unknown
from directory.store import blocked_keys
from directory.store.blocked_keys import SqlBlockedKeys
from tests.contracts.world import NOW, Store, an_event

KEYS = [bytes([number]) * 32 for number in range(3)]


async def is_blocked(store: Store, key: bytes) -> bool:
    try:
        await store.database.read(lambda connection: blocked_keys.refuse(connection, key))
    except KeyBlocked as blocked:
        assert blocked.key_sha256 == key.hex()  # noqa: PT017 - who was blocked is part of the answer
        return True
    return False


async def test_what_is_blocked_stays_blocked_however_often(store: Store) -> None:
    keys = SqlBlockedKeys(store.database, node="node-1")

    await keys.block(KEYS[:2], NOW, an_event(AuditKind.KEY_BLOCKED))
    await keys.block(KEYS[1:], NOW, an_event(AuditKind.KEY_BLOCKED))

    assert [await is_blocked(store, key) for key in (*KEYS, b"?" * 32)] == [True, True, True, False]
    events = await store.rows("SELECT kind FROM audit_events WHERE node = 'node-1'")
    assert events == [("key.blocked",), ("key.blocked",)]


async def test_a_block_is_lifted_from_one_key_alone(store: Store) -> None:
    keys = SqlBlockedKeys(store.database, node="node-1")
    await keys.block(KEYS, NOW, an_event(AuditKind.KEY_BLOCKED))

    await keys.lift(KEYS[1], an_event(AuditKind.KEY_UNBLOCKED))

    assert [await is_blocked(store, key) for key in KEYS] == [True, False, True]


async def test_what_is_not_blocked_cannot_be_lifted_and_leaves_no_event(store: Store) -> None:
    with pytest.raises(Unknown):
        await SqlBlockedKeys(store.database, node="node-1").lift(KEYS[0], an_event())

    assert await store.rows("SELECT kind FROM audit_events WHERE node = 'node-1'") == []
