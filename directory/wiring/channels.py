"""By which ways do passwords go to the organizations, and what if nobody passes them on? For `serve`.

A web desk will be one more way: it shows what `SqlEnrolments` lists, and hands out through `RelayDesk`.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractContextManager, asynccontextmanager
from datetime import datetime, timedelta
from typing import Self

from directory.channels.calling import Caller
from directory.channels.client import WebhookClient, WebhookRules
from directory.channels.worker import WebhookSettings, WebhookWorker
from directory.deskwatch import DeskCertificates
from directory.expiry import RelayExpiry, RelayWarnings
from directory.followup import Chore
from directory.mint_ports import FreshEnrolment, MailClaim, Postman
from directory.steps import StepListener, ignore_step
from directory.store.expiries import SqlExpiries
from directory.store.webhooks import SqlWebhookJobs
from directory.wiring.installation import Installation


def _webhook_rules(installation: Installation) -> WebhookRules:
    """Return the operator's rules for webhook calls."""
    section = installation.settings.webhook
    return WebhookRules(
        timeout=timedelta(seconds=section.timeout_seconds),
        allow_private=section.allow_private,
        ca_file=section.ca_file,
    )


def relay_chores(installation: Installation) -> tuple[Chore, ...]:
    """Return what becomes due for passwords that wait, and for the certificates that some are sent to."""
    store = SqlExpiries(installation.database, node=installation.node)
    return (
        RelayWarnings(store=store),
        RelayExpiry(store=store),
        DeskCertificates(organizations=installation.organizations),
    )


class Webhooks:
    """The webhook worker as a task, from `begin` to the end of the context."""

    def __init__(self, worker: WebhookWorker) -> None:
        self._worker = worker
        self._task: asyncio.Task[None] | None = None

    @classmethod
    def of(cls, installation: Installation, on_step: StepListener = ignore_step) -> Self:
        """Put the worker of an installation together.

        Raises:
            ConfigurationRefused: the file of additional CA certificates cannot be used.
        """
        rules = _webhook_rules(installation)
        caller = Caller(
            client=WebhookClient(rules),
            sealer=installation.sealer,
            clock=installation.clock,
            allow_private=rules.allow_private,
            on_step=on_step,
        )
        worker = WebhookWorker(
            name=installation.node,
            jobs=SqlWebhookJobs(installation.database, node=installation.node),
            caller=caller,
            settings=WebhookSettings(poll=timedelta(seconds=installation.settings.delivery.poll_seconds)),
            clock=installation.clock,
            on_step=on_step,
        )
        return cls(worker)

    def begin(self) -> None:
        """Take up what is due."""
        self._task = asyncio.create_task(self._worker.run(), name="webhook worker")

    def notify(self) -> None:
        """Say that there may be a due job; called on the event loop."""
        self._worker.notify()

    @asynccontextmanager
    async def stopped_at_the_end(self) -> AsyncIterator[Self]:
        """Let the calls in flight finish when the context ends."""
        try:
            yield self
        finally:
            if self._task is not None:
                self._worker.stop()
                await self._task


class TellingPostman:
    """Sends the key mails as another postman does, and has the webhook told of the password at once."""

    def __init__(self, postman: Postman, webhooks: Webhooks) -> None:
        self._postman = postman
        self._webhooks = webhooks

    def room(self, now: datetime) -> AbstractContextManager[MailClaim | None]:
        """Keep room for one more mail, so that it can be born claimed; None if it has to wait its turn."""
        return self._postman.room(now)

    def enrolled(self, enrolment: FreshEnrolment) -> None:
        """Send what was claimed, and wake whoever tells the webhook."""
        self._postman.enrolled(enrolment)
        if enrolment.record.tells_webhook:
            self._webhooks.notify()
