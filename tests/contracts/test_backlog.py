"""The contract of `BacklogReader`: what waits is counted, and what is done is not."""

from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from ca.keys import KeyAlgorithm
from directory.backlog import Backlog
from directory.renewal import RenewalRules
from directory.store.backlog import SqlBacklog
from directory.store.database import Database
from directory.store.pooled_keys import SqlPooledKeys
from tests.contracts.test_pooled_keys import a_pooled_key
from tests.contracts.world import NOW, YEAR, Store, an_event, mint
from tests.directory.clocks import StoppedClock

DAY = timedelta(days=1)
NOTHING = Backlog(mails=0, oldest_mail_from=None, relays=0, renewals=0, late_renewals=0, pooled_keys={})
RULES = RenewalRules.of(before=30 * DAY, lead_before=3 * DAY, validity=YEAR, per_hour=600)


async def backlog(database: Database, now: datetime = NOW) -> Backlog:
    return await SqlBacklog(database, clock=StoppedClock(now), renewal=RULES).backlog()


async def test_nothing_waits_where_nothing_was_minted(database: Database) -> None:
    assert await backlog(database) == NOTHING


async def test_a_mint_leaves_a_mail_and_a_relay(store: Store) -> None:
    await mint(store.database)

    assert await backlog(store.database) == replace(NOTHING, mails=1, oldest_mail_from=NOW, relays=1)


async def test_what_is_done_does_not_wait(store: Store) -> None:
    await mint(store.database)
    await store.sql(
        "UPDATE outgoing_mail SET state = 'accepted'",
        "UPDATE relays SET state = 'relayed', closed_at = '2026-11-22 10:00:00.000000'",
    )

    assert await backlog(store.database) == NOTHING


async def test_stored_keys_are_counted_by_algorithm(store: Store) -> None:
    keys = [a_pooled_key("a1"), a_pooled_key("a2"), a_pooled_key("a3", algorithm=KeyAlgorithm.RSA_4096)]
    await SqlPooledKeys(store.database, node="node-1").add(keys, an_event())

    stored = (await backlog(store.database)).pooled_keys

    assert stored == {KeyAlgorithm.RSA_2048: 2, KeyAlgorithm.RSA_4096: 1}


@pytest.mark.parametrize(
    ("before_its_end", "counted"),
    [(31 * DAY, (0, 0)), (30 * DAY, (1, 0)), (3 * DAY, (1, 1)), (0 * DAY, (0, 0))],
)
async def test_a_proven_certificate_is_to_be_renewed_and_in_the_end_it_is_late(
    store: Store, before_its_end: timedelta, counted: tuple[int, int]
) -> None:
    await mint(store.database)
    await store.sql("UPDATE deliveries SET proven_at = '2026-11-22 10:00:00.000000'")

    waiting = await backlog(store.database, NOW + YEAR - before_its_end)
    assert (waiting.renewals, waiting.late_renewals) == counted
