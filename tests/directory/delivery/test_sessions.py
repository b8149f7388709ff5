from dataclasses import replace
from datetime import timedelta

import pytest

from directory.delivery.replies import Accepted, Failure, Outcome, Permanent, Phase, Transient
from directory.delivery.sessions import Opened, SessionPool
from directory.delivery.settings import DeliverySettings
from directory.delivery.smtp import SmtpSession, tls_context
from tests.directory.clocks import StoppedClock
from tests.directory.delivery.exchanges.world import an_envelope
from tests.directory.delivery.sink import SmtpSink, smtp_sink

SETTINGS = DeliverySettings()
GONE = Failure(phase=Phase.ROUTE, reason="gone")


class Connecting:
    """Connects to a sink, or answers what it was told to; counts how often it was asked."""

    def __init__(self, to: SmtpSink | Transient | Permanent) -> None:
        self._to = to
        self.asked = 0

    async def __call__(self) -> Opened:
        self.asked += 1
        if not isinstance(self._to, SmtpSink):
            return self._to
        host = self._to.smart_host()
        return await SmtpSession.open(host, password=None, tls=tls_context(None), settings=SETTINGS)


async def send(pool: SessionPool[str], connecting: Connecting, *, account: str = "a") -> Outcome:
    async with pool.lend(account, destination="there", connect=connecting) as session:
        return await session.submit(an_envelope()) if isinstance(session, SmtpSession) else session


async def test_what_is_open_is_lent_again_to_the_same_account_only() -> None:
    async with smtp_sink() as sink:
        pool: SessionPool[str] = SessionPool(clock=StoppedClock(), settings=SETTINGS)
        connecting = Connecting(sink)
        for account in ("a", "a", "b"):
            assert isinstance(await send(pool, connecting, account=account), Accepted)
        await pool.close()
    assert connecting.asked == 2


async def test_a_failure_rests_and_a_verdict_does_not() -> None:
    clock = StoppedClock()
    pool: SessionPool[str] = SessionPool(clock=clock, settings=SETTINGS)
    failing, refusing = Connecting(Transient(failure=GONE)), Connecting(Permanent(failure=GONE))
    for _ in range(3):
        assert await send(pool, failing) == Transient(failure=GONE)
        assert await send(pool, refusing, account="b") == Permanent(failure=GONE)
    assert (failing.asked, refusing.asked) == (1, 3)
    clock.advance(SETTINGS.host_rest)
    await send(pool, failing)
    assert failing.asked == 2
    await pool.close()


async def test_places_are_shared_by_accounts_of_one_destination() -> None:
    narrow = replace(SETTINGS, connections_per_host=1, connection_wait=timedelta(milliseconds=20))
    async with smtp_sink() as sink:
        pool: SessionPool[str] = SessionPool(clock=StoppedClock(), settings=narrow)
        connecting = Connecting(sink)
        async with pool.lend("a", destination="there", connect=connecting):
            outcome = await send(pool, connecting, account="b")
            assert isinstance(outcome, Transient)
            assert outcome.failure.phase is Phase.WAIT
            async with pool.lend("b", destination="elsewhere", connect=connecting) as session:
                assert isinstance(session, SmtpSession)
        assert isinstance(await send(pool, connecting, account="b"), Accepted)
        await pool.close()


async def test_nothing_is_remembered_of_a_thousand_destinations_that_are_done() -> None:
    clock = StoppedClock()
    pool: SessionPool[str] = SessionPool(clock=clock, settings=SETTINGS)
    for number in range(3000):
        await send(pool, Connecting(Transient(failure=GONE)), account=f"domain-{number}")
        clock.advance(timedelta(seconds=1))
    assert len(pool._resting) <= 1024
    assert pool._slots == {}
    assert dict(pool._idle) == {}
    await pool.close()


@pytest.mark.parametrize("idle", [timedelta(0), timedelta(minutes=1)])
async def test_closing_hangs_up_whatever_is_open(idle: timedelta) -> None:
    async with smtp_sink() as sink:
        pool: SessionPool[str] = SessionPool(
            clock=StoppedClock(), settings=replace(SETTINGS, connection_idle=idle)
        )
        await send(pool, Connecting(sink))
        await pool.close()
        await sink.left()
    assert sink.commands[-1] == b"QUIT"
