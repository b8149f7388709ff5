"""What renews certificates? The chores of `serve`, and an operator's command, over one set of rules."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta

from directory.followup import Chore, FollowUp
from directory.overtaking import DueSwitches
from directory.renewal import RenewalDesk, RenewalRules, Renewals, Renewer, Successors
from directory.settings import Settings
from directory.store.lookup import SqlDirectoryReader
from directory.store.overtaking import SqlOvertaking
from directory.store.renewals import SqlRenewals
from directory.timekeeping import Doubt
from directory.wiring.installation import Installation
from directory.wiring.minting import mint_policy

_INTERVAL = timedelta(minutes=1)
"""In each of them so many are renewed as the rules allow."""


@asynccontextmanager
async def renewing(installation: Installation, minter: Successors, doubt: Doubt) -> AsyncIterator[None]:
    """Renew what ends soon, and record what is overtaken, until the context ends."""
    stopped = asyncio.Event()
    chores = renewal_chores(installation, minter, doubt)
    task = asyncio.create_task(
        FollowUp(chores=chores, clock=installation.clock, interval=_INTERVAL).run(stopped), name="renewals"
    )
    try:
        yield
    finally:
        stopped.set()
        await task


def renewal_chores(installation: Installation, minter: Successors, doubt: Doubt) -> Sequence[Chore]:
    """Return what becomes due of renewals; none is begun where they are switched off."""
    store = SqlOvertaking(installation.database, node=installation.node)
    switches = DueSwitches(store=store, doubt=doubt)
    if not installation.settings.renewal.days_before:
        return (switches,)
    renewals = Renewals(
        store=SqlRenewals(installation.database),
        renewer=_renewer(installation, minter),
        rules=renewal_rules(installation.settings),
    )
    return switches, renewals


def renewal_desk(installation: Installation, minter: Successors) -> RenewalDesk:
    """Return the use case that renews a certificate now."""
    return RenewalDesk(
        store=SqlRenewals(installation.database),
        renewer=_renewer(installation, minter),
        clock=installation.clock,
    )


def renewal_rules(settings: Settings) -> RenewalRules:
    """Return when certificates are renewed."""
    return RenewalRules.of(
        before=timedelta(days=settings.renewal.days_before),
        lead_before=timedelta(days=settings.renewal.lead_days_before),
        validity=timedelta(days=settings.ca.validity_days),
        per_hour=settings.renewal.per_hour,
    )


def _renewer(installation: Installation, minter: Successors) -> Renewer:
    return Renewer(
        contexts=SqlDirectoryReader(installation.database),
        policy=mint_policy(installation.settings),
        minter=minter,
        rules=renewal_rules(installation.settings),
        clock=installation.clock,
    )
