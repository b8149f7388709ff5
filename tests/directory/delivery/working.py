"""A delivery worker at work, on a clock that stands still and with waits that end when the test says so."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta

from directory.delivery.composing import Composer
from directory.delivery.dkim import DkimSigner
from directory.delivery.outbox import DueMail, MailKind, Outbox
from directory.delivery.settings import DeliverySettings
from directory.delivery.smarthosts import SmartHosts
from directory.delivery.worker import DeliveryWorker
from directory.organization import Organization, SmartHost
from directory.steps import Step
from tests.directory.builders import an_organization
from tests.directory.clocks import StoppedClock
from tests.directory.delivery.builders import a_due_mail, a_key_mail_composer, a_sealer

SETTINGS = DeliverySettings(stopping=timedelta(seconds=2))
_PATIENCE_SECONDS = 10


@dataclass(slots=True)
class Steps:
    """Counts the steps taken, and does to the worker what the test wants done there."""

    on_step: Callable[[Step], None] = lambda _step: None
    taken: Counter[Step] = field(default_factory=Counter)
    _changed: asyncio.Event = field(default_factory=asyncio.Event)

    def __call__(self, step: Step) -> None:
        self.taken[step] += 1
        self._changed.set()
        self.on_step(step)

    async def reached(self, step: Step, times: int = 1) -> None:
        async with asyncio.timeout(_PATIENCE_SECONDS):
            while self.taken[step] < times:
                self._changed.clear()
                await self._changed.wait()


@dataclass(slots=True)
class Waits:
    """Stands in for waiting: time does not pass until the test lets it."""

    asked: list[timedelta] = field(default_factory=list)
    _begun: asyncio.Event = field(default_factory=asyncio.Event)
    _over: asyncio.Event = field(default_factory=asyncio.Event)

    async def __call__(self, event: asyncio.Event, longest: timedelta) -> None:
        self.asked.append(longest)
        self._begun.set()
        waiters = [asyncio.ensure_future(event.wait()), asyncio.ensure_future(self._over.wait())]
        try:
            await asyncio.wait(waiters, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for waiter in waiters:
                waiter.cancel()
            self._over.clear()

    async def begun(self, times: int = 1) -> None:
        async with asyncio.timeout(_PATIENCE_SECONDS):
            while len(self.asked) < times:
                self._begun.clear()
                await self._begun.wait()

    def end(self) -> None:
        """Let the time of the wait under way pass."""
        self._over.set()


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """A worker, and what one may do to it."""

    worker: DeliveryWorker
    running: asyncio.Task[None]
    steps: Steps
    waits: Waits
    clock: StoppedClock

    async def later(self, by: timedelta) -> None:
        """Let time pass, and the worker notice."""
        self.clock.advance(by)
        self.worker.notify()

    async def stop(self) -> None:
        self.worker.stop()
        async with asyncio.timeout(_PATIENCE_SECONDS):
            await self.running


@asynccontextmanager
async def at_work(
    outbox: Outbox,
    *,
    name: str = "node-1",
    settings: DeliverySettings = SETTINGS,
    composer: Composer | None = None,
    clock: StoppedClock | None = None,
    on_step: Callable[[Step], None] = lambda _step: None,
) -> AsyncIterator[Work]:
    """Run a worker; it is stopped at the end, unless the test has done so."""
    clock = clock or StoppedClock()
    steps, waits = Steps(on_step), Waits()
    worker = DeliveryWorker(
        name=name,
        outbox=outbox,
        sealer=a_sealer(),
        composers=dict.fromkeys(MailKind, composer or a_key_mail_composer()),
        signer=DkimSigner(a_sealer()),
        carriers=SmartHosts(sealer=a_sealer(), clock=clock, settings=settings),
        settings=settings,
        clock=clock,
        wait=waits,
        uniform=lambda lower, _upper: lower,
        on_step=steps,
    )
    work = Work(
        worker=worker, running=asyncio.create_task(worker.run()), steps=steps, waits=waits, clock=clock
    )
    try:
        yield work
    finally:
        await work.stop()


def an_organization_at(host: SmartHost, *, organization_id: str = "org-1") -> Organization:
    return replace(an_organization(organization_id=organization_id), smart_host=host)


def mails_for(organization: Organization, count: int = 1, *, prefix: str = "mail") -> list[DueMail]:
    return [
        a_due_mail(
            mail_id=f"{prefix}-{number}", address=f"{prefix}{number}@example.org", organization=organization
        )
        for number in range(count)
    ]
