"""Who watches the clock of the service?"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from directory.errors import ConfigurationRefused
from directory.store.moments import SqlMoments
from directory.timekeeping import ClockAcceptance, Timekeeper
from directory.wiring.installation import Installation


def timekeeper(installation: Installation) -> Timekeeper:
    """Return what watches the clock, before its first look."""
    return Timekeeper(
        node=installation.node,
        store=SqlMoments(installation.database, node=installation.node),
        log=installation.audit_log,
        clock=installation.clock,
    )


async def refuse_doubted_clock(installation: Installation) -> None:
    """Return if a command may sign by this machine's clock.

    Raises:
        ConfigurationRefused: something contradicts it.
        StoreUnavailable: the database does not answer.
    """
    keeper = timekeeper(installation)
    await keeper.compare()
    if (doubt := keeper.doubt()) is not None:
        raise ConfigurationRefused(
            key="clock", reason=doubt, remedy="put it right; see 'pushpki clock show' and 'accept'"
        )


def clock_acceptance(installation: Installation, actor: str) -> ClockAcceptance:
    """Return the use case of an operator who says that the clock is right."""
    return ClockAcceptance(
        node=installation.node,
        store=SqlMoments(installation.database, node=installation.node),
        clock=installation.clock,
        actor=actor,
    )


@asynccontextmanager
async def keeping_time(installation: Installation) -> AsyncIterator[Timekeeper]:
    """Watch the clock until the context ends; the first look is over when it begins.

    Raises:
        StoreUnavailable: the database does not answer.
    """
    keeper = timekeeper(installation)
    await keeper.look()
    stopped = asyncio.Event()
    task = asyncio.create_task(keeper.run(stopped), name="timekeeper")
    try:
        yield keeper
    finally:
        stopped.set()
        await task
