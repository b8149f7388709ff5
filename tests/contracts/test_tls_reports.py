"""The contract of `TlsTally`: sessions that went alike are counted together, day by day."""

from dataclasses import replace
from datetime import timedelta

from directory.delivery.exchanges.tls_reports import Policy, PolicyKind, TlsCount, TlsSession
from directory.delivery.tls_faults import TlsFault
from directory.store.database import Database
from directory.store.tls_reports import KEPT, SqlTlsTally
from tests.contracts.world import NOW

DAY = NOW.date()
STS = Policy(kind=PolicyKind.STS, lines=("version: STSv1", "mode: enforce", "mx: mx1.example.org"))
SESSION = TlsSession(domain="example.org", policy=STS, mx_host="mx1.example.org", fault=None)


def counted(session: TlsSession, sessions: int) -> TlsCount:
    return TlsCount(
        day=DAY,
        domain=session.domain,
        policy=session.policy,
        mx_host=session.mx_host,
        fault=session.fault,
        sessions=sessions,
    )


async def test_counts_what_went_alike_together(database: Database) -> None:
    tally = SqlTlsTally(database)
    failed = replace(SESSION, fault=TlsFault.EXPIRED)
    for session in (SESSION, failed, SESSION, SESSION):
        await tally.count(session, day=DAY)
    assert await tally.of_day(DAY) == [counted(failed, 1), counted(SESSION, 3)]


async def test_each_day_has_its_own_counts(database: Database) -> None:
    tally = SqlTlsTally(database)
    await tally.count(SESSION, day=DAY)
    assert await tally.of_day(DAY + timedelta(days=1)) == []


async def test_tells_the_policy_that_was_in_force_last(database: Database) -> None:
    tally = SqlTlsTally(database)
    changed = replace(SESSION, policy=replace(STS, lines=("version: STSv1", "mode: testing")))
    await tally.count(SESSION, day=DAY)
    await tally.count(changed, day=DAY)
    assert await tally.of_day(DAY) == [counted(changed, 2)]


async def test_old_days_are_forgotten(database: Database) -> None:
    tally = SqlTlsTally(database)
    await tally.count(SESSION, day=DAY - KEPT - timedelta(days=1))
    await tally.count(SESSION, day=DAY)
    assert await tally.of_day(DAY - KEPT - timedelta(days=1)) == []
