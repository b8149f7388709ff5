"""A webhook worker on a real database, towards a real receiver; time stands still until it is moved."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

from directory.channels.calling import Caller
from directory.channels.client import WebhookClient, WebhookRules
from directory.channels.worker import WebhookSettings, WebhookWorker
from directory.organization import Correspondence, Organization, Webhook, webhook_secret_identity
from directory.steps import Step
from directory.store.database import Database
from directory.store.organizations import SqlOrganizations
from directory.store.webhook_overview import SqlWebhookOverview
from directory.store.webhooks import SqlWebhookJobs
from tests.contracts.world import NOW, SEALER, an_event
from tests.directory.builders import an_organization
from tests.directory.channels.receiver import Receiver
from tests.directory.clocks import StoppedClock
from tests.directory.delivery.working import Steps, Waits

SECRET = "whsec_test"
SETTINGS = WebhookSettings(stopping=timedelta(seconds=2), slot_wait=timedelta(seconds=0.2))
_PATIENCE_SECONDS = 10


def with_webhook(url: str, organization: Organization | None = None) -> Organization:
    organization = organization or an_organization()
    identity = webhook_secret_identity(organization.organization_id)
    webhook = Webhook(url=url, sealed_secret=SEALER.seal(SECRET.encode(), identity))
    return replace(organization, correspondence=Correspondence(webhook=webhook, language="de"))


async def set_webhook(database: Database, url: str) -> None:
    await SqlOrganizations(database, node="setup").change(with_webhook(url), an_event())


def url_of(receiver: Receiver) -> str:
    return f"https://127.0.0.1:{receiver.port}/hook"


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookWork:
    """A worker, and what one may do to it."""

    worker: WebhookWorker
    running: asyncio.Task[None]
    steps: Steps
    clock: StoppedClock
    overview: SqlWebhookOverview

    def later(self, by: timedelta) -> None:
        """Let time pass, and the worker notice."""
        self.clock.advance(by)
        self.worker.notify()

    async def stop(self) -> None:
        self.worker.stop()
        async with asyncio.timeout(_PATIENCE_SECONDS):
            await self.running


@asynccontextmanager
async def webhooks_at_work(
    database: Database,
    ca_file: Path,
    *,
    name: str = "node-1",
    settings: WebhookSettings = SETTINGS,
    patience: timedelta = timedelta(seconds=5),
    allow_private: bool = True,
    on_step: Callable[[Step], None] = lambda _step: None,
) -> AsyncIterator[WebhookWork]:
    """Run a worker; it is stopped at the end, unless the test has done so."""
    clock, steps, waits = StoppedClock(NOW), Steps(on_step), Waits()
    rules = WebhookRules(timeout=patience, allow_private=allow_private, ca_file=ca_file)
    caller = Caller(
        client=WebhookClient(rules),
        sealer=SEALER,
        clock=clock,
        allow_private=allow_private,
        on_step=steps,
    )
    worker = WebhookWorker(
        name=name,
        jobs=SqlWebhookJobs(database, node=name),
        caller=caller,
        settings=settings,
        clock=clock,
        wait=waits,
        uniform=lambda lower, _upper: lower,
        on_step=steps,
    )
    work = WebhookWork(
        worker=worker,
        running=asyncio.create_task(worker.run()),
        steps=steps,
        clock=clock,
        overview=SqlWebhookOverview(database, node=name),
    )
    try:
        yield work
    finally:
        await work.stop()
