"""The contract of `BacklogReader`: what waits is counted, and what is done is not."""

from ca.keys import KeyAlgorithm
from directory.backlog import Backlog
from directory.store.backlog import SqlBacklog
from directory.store.database import Database
from directory.store.pooled_keys import SqlPooledKeys
from tests.contracts.test_pooled_keys import a_pooled_key
from tests.contracts.world import NOW, Store, an_event, mint


async def test_nothing_waits_where_nothing_was_minted(database: Database) -> None:
    assert await SqlBacklog(database).backlog() == Backlog(
        mails=0, oldest_mail_from=None, relays=0, pooled_keys={}
    )


async def test_a_mint_leaves_a_mail_and_a_relay(store: Store) -> None:
    await mint(store.database)

    assert await SqlBacklog(store.database).backlog() == Backlog(
        mails=1, oldest_mail_from=NOW, relays=1, pooled_keys={}
    )


async def test_what_is_done_does_not_wait(store: Store) -> None:
    await mint(store.database)
    await store.sql(
        "UPDATE outgoing_mail SET state = 'accepted'",
        "UPDATE relays SET state = 'relayed', closed_at = '2026-11-22 10:00:00.000000'",
    )

    assert await SqlBacklog(store.database).backlog() == Backlog(
        mails=0, oldest_mail_from=None, relays=0, pooled_keys={}
    )


async def test_stored_keys_are_counted_by_algorithm(store: Store) -> None:
    keys = [a_pooled_key("a1"), a_pooled_key("a2"), a_pooled_key("a3", algorithm=KeyAlgorithm.RSA_4096)]
    await SqlPooledKeys(store.database, node="node-1").add(keys, an_event())

    backlog = await SqlBacklog(store.database).backlog()

    assert backlog.pooled_keys == {KeyAlgorithm.RSA_2048: 2, KeyAlgorithm.RSA_4096: 1}
