"""The port `MomentStore`: what is on record about the time, on both databases."""

from datetime import UTC, datetime, timedelta

from sqlalchemy import insert, select

from directory.audit import AuditKind, ChainHead
from directory.limits import Rate
from directory.store.audit_log import SqlAuditLog, read_chain
from directory.store.database import Database
from directory.store.moments import SqlMoments
from directory.store.tables import limit_buckets
from tests.chains import broken_links
from tests.contracts.world import NOW, Store, an_event

HOUR = timedelta(hours=1)


def moments(database: Database, node: str = "node-1") -> SqlMoments:
    return SqlMoments(database, node=node)


async def put_on_record(database: Database, node: str, at: datetime) -> None:
    await SqlAuditLog(database, node=node).append(an_event(at=at))


async def on_record(database: Database, node: str = "node-1") -> datetime | None:
    return (await moments(database, node).moments()).on_record


async def test_before_anything_happened_nothing_is_on_record(database: Database) -> None:
    assert await on_record(database) is None


async def test_the_latest_moment_counts_not_the_last_event(database: Database) -> None:
    await put_on_record(database, "node-1", NOW + HOUR)
    await put_on_record(database, "node-1", NOW)

    assert await on_record(database) == NOW + HOUR


async def test_the_chain_is_whole_although_its_moments_go_back(database: Database) -> None:
    for at in (NOW, NOW + HOUR, NOW - HOUR):
        await put_on_record(database, "node-1", at)

    chained = [one async for one in read_chain(database, "node-1", 3)]

    head = ChainHead(node="node-1", sequence=3, hash=chained[-1].hash)
    assert [one.event.at for one in chained] == [NOW, NOW + HOUR, NOW - HOUR]
    assert broken_links(chained, head) == []


async def test_a_machine_goes_by_all_its_workers_and_by_no_other_machine(database: Database) -> None:
    await put_on_record(database, "node-1", NOW)
    await put_on_record(database, "node-1/2", NOW + HOUR)
    await put_on_record(database, "node-10", NOW + 2 * HOUR)
    await put_on_record(database, "node-10/1", NOW + 3 * HOUR)

    assert await on_record(database) == NOW + HOUR
    assert await on_record(database, "node-1/7") == NOW + HOUR
    assert await on_record(database, "node-10") == NOW + 3 * HOUR


async def test_an_operators_word_counts_more_on_every_machine(database: Database) -> None:
    await put_on_record(database, "node-1", NOW + HOUR)
    await put_on_record(database, "node-2", NOW + HOUR)

    await moments(database).accept(an_event(AuditKind.CLOCK_ACCEPTED, at=NOW))

    assert await on_record(database) == NOW
    assert await on_record(database, "node-2") == NOW


async def test_what_happens_after_it_counts_again(database: Database) -> None:
    await put_on_record(database, "node-1", NOW + HOUR)
    await moments(database).accept(an_event(AuditKind.CLOCK_ACCEPTED, at=NOW))

    await put_on_record(database, "node-1", NOW + HOUR / 2)

    assert await on_record(database) == NOW + HOUR / 2


async def test_limits_that_were_charged_ahead_of_it_are_free_again(store: Store) -> None:
    rate = Rate(burst=1, period=timedelta(days=1))
    rows = [
        {"bucket": "a", "arrival": NOW + 5 * rate.period},
        {"bucket": "b", "arrival": NOW - HOUR},
    ]
    await store.database.write(lambda connection: connection.execute(insert(limit_buckets), rows).close())

    await moments(store.database).accept(an_event(AuditKind.CLOCK_ACCEPTED, at=NOW))

    assert await store.select(select(limit_buckets.c.bucket)) == [("b",)]


async def test_the_database_tells_the_time_where_it_has_a_clock_of_its_own(store: Store) -> None:
    shown = (await moments(store.database).moments()).of_database

    if store.is_postgresql:
        assert shown is not None
        # The server is on this machine.
        assert abs(shown - datetime.now(UTC)) < timedelta(minutes=1)
    else:
        assert shown is None
