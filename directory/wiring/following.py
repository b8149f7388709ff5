"""What follows with time, and on its own? The chores of `serve`, performed in the background."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta

from directory.escrowing import Escrowing
from directory.followup import Chore, FollowUp, FollowUpRules, GivingUp, ProofRequests, Reminders
from directory.holds import EndOfHolds
from directory.settings import Settings
from directory.store.escrows import SqlEscrows
from directory.store.followups import SqlFollowUps
from directory.store.holds import SqlHolds
from directory.store.suppressions import SqlSuppressions
from directory.suppression import OvertakenMints
from directory.wiring.channels import relay_chores
from directory.wiring.installation import Installation


@asynccontextmanager
async def following_up(follow_up: FollowUp) -> AsyncIterator[None]:
    """Perform the chores until the context ends."""
    stopped = asyncio.Event()
    task = asyncio.create_task(follow_up.run(stopped), name="follow-up")
    try:
        yield
    finally:
        stopped.set()
        await task


def follow_up(installation: Installation) -> FollowUp:
    """Return what performs the chores, not yet begun.

    Raises:
        ConfigurationRefused: the periods contradict each other.
    """
    return FollowUp(chores=chores(installation), clock=installation.clock)


def chores(installation: Installation) -> Sequence[Chore]:
    """Return what becomes due with time, in the order in which it is done."""
    database, node = installation.database, installation.node
    rules = follow_up_rules(installation.settings)
    grace = timedelta(days=installation.settings.delivery.hold_days)
    escrows = SqlEscrows(database, node=node)
    always: tuple[Chore, ...] = (
        OvertakenMints(store=SqlSuppressions(database, node=node)),
        *relay_chores(installation),
        EndOfHolds(
            store=SqlHolds(database, node=node),
            escrowing=Escrowing(store=escrows, sealer=installation.sealer, grace=grace),
            traces=database,
            grace=grace,
        ),
    )
    if not asks_for_proofs(installation.settings):
        # Nobody can prove anything, so nobody is reminded of it, and nothing counts as unproven.
        return always
    store = SqlFollowUps(database, node=node)
    # Given up first: who has had his time is not reminded in the same moment.
    return (
        *always,
        GivingUp(store=store, rules=rules),
        ProofRequests(store=store, rules=rules),
        Reminders(store=store, rules=rules),
    )


def asks_for_proofs(settings: Settings) -> bool:
    """Tell whether recipients can be asked to show that they can decrypt.

    That takes a page on which they confirm, and keys that a mail can be encrypted to.
    """
    return settings.pages.url is not None and settings.ca.key_algorithm.is_rsa


def follow_up_rules(settings: Settings) -> FollowUpRules:
    """Return how long recipients may take.

    Raises:
        ConfigurationRefused: the periods contradict each other.
    """
    return FollowUpRules(
        reminder_after=timedelta(days=settings.delivery.reminder_days),
        unproven_after=timedelta(days=settings.delivery.unproven_days),
        mail_lifetime=timedelta(days=settings.mint.delivery_days),
    )
