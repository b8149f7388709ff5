"""What tells the organizations' webhooks, until they have answered? A loop over due jobs, beside the mails.

One organization whose webhook hangs must not keep the others waiting: it has so many calls at a time, and
rests after one that found nobody.
"""

import asyncio
import logging
import random
from collections import defaultdict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TypeAlias

from directory.audit import AuditEvent, AuditKind
from directory.channels.calling import Caller
from directory.channels.jobs import CallFailure, WebhookAttempt, WebhookEvent, WebhookJob, WebhookJobs
from directory.clock import Clock
from directory.delivery.retry import Backoff, Uniform
from directory.errors import StoreUnavailable
from directory.faults import log_failure
from directory.steps import Step, StepListener, ignore_step

logger = logging.getLogger(__name__)

Wait: TypeAlias = Callable[[asyncio.Event, timedelta], Awaitable[None]]
"""Returns when the event is set, or the period is over."""

_UNIFORM = random.SystemRandom().uniform
_SHORTEST_PAUSE = timedelta(milliseconds=100)
_GONE = 410
_SUCCESS = range(200, 300)
_NOBODY_THERE = frozenset(
    {
        CallFailure.NAME_NOT_RESOLVED,
        CallFailure.UNREACHABLE,
        CallFailure.TLS_FAILED,
        CallFailure.TIMED_OUT,
        CallFailure.CONNECTION_LOST,
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookSettings:
    """The operator's numbers for webhooks."""

    backoff: Backoff = field(
        default_factory=lambda: Backoff(shortest=timedelta(seconds=15), longest=timedelta(hours=1))
    )
    poll: timedelta = timedelta(seconds=30)
    """How often due jobs are looked for when nobody notifies."""
    lease: timedelta = timedelta(minutes=2)
    """How long a claim lasts; longer than the wait for a slot, a call and its record together."""
    stopping: timedelta = timedelta(seconds=10)
    """How long calls in flight may take to finish when the service stops."""
    in_flight: int = 32
    calls_per_organization: int = 4
    slot_wait: timedelta = timedelta(seconds=5)
    """How long a claimed job waits for one of its organization's calls to end."""
    rest: timedelta = timedelta(seconds=10)
    """How long a webhook that did not answer is left alone; below the shortest back-off."""


class WebhookWorker:
    """Makes the calls that are due. `name` is its own among all that work on the same database."""

    def __init__(
        self,
        *,
        name: str,
        jobs: WebhookJobs,
        caller: Caller,
        settings: WebhookSettings,
        clock: Clock,
        wait: Wait,
        uniform: Uniform = _UNIFORM,
        on_step: StepListener = ignore_step,
    ) -> None:
        self._name = name
        self._jobs = jobs
        self._caller = caller
        self._settings = settings
        self._clock = clock
        self._wait = wait
        self._uniform = uniform
        self._on_step = on_step
        self._wake = asyncio.Event()
        self._stopping = asyncio.Event()
        self._in_flight: set[asyncio.Task[None]] = set()
        self._former_claims_released = False
        self._slots: defaultdict[str, asyncio.Semaphore] = defaultdict(
            lambda: asyncio.Semaphore(settings.calls_per_organization)
        )
        self._resting: dict[str, tuple[datetime, CallFailure]] = {}

    def notify(self) -> None:
        """Say that there may be a due job; called on the event loop."""
        self._wake.set()

    def stop(self) -> None:
        """Let `run` return: nothing more is claimed, what is in flight may finish."""
        self._stopping.set()
        self._wake.set()

    async def run(self) -> None:
        """Make the calls that are due, until told to stop. Runs once."""
        try:
            while not self._stopping.is_set():
                self._wake.clear()
                pause = await self._guarded_round()
                await self._wait(self._wake, pause)
        finally:
            await self._finish()

    async def _guarded_round(self) -> timedelta:
        """Claim what there is room for; whatever goes wrong with it, the loop goes on."""
        try:
            return await self._claim_and_call()
        except StoreUnavailable as error:
            logger.warning("the webhook jobs are unavailable: %s", error.reason)
        except Exception as error:  # noqa: BLE001 - the top loop
            log_failure("the webhook worker", error)
        return self._settings.poll

    async def _claim_and_call(self) -> timedelta:
        if not self._former_claims_released:
            await self._jobs.release_claims(worker=self._name)
            self._former_claims_released = True
        room = self._settings.in_flight - len(self._in_flight)
        if room < 1:
            return self._settings.poll
        now = self._clock.now()
        claimed = await self._jobs.claim_due(
            worker=self._name, now=now, lease_until=now + self._settings.lease, most=room
        )
        for job in claimed:
            task = asyncio.create_task(self._deliver(job), name="webhook")
            self._in_flight.add(task)
            task.add_done_callback(self._landed)
        if len(claimed) == room:
            return self._settings.poll
        due = await self._jobs.next_due()
        until_due = self._settings.poll if due is None else due - self._clock.now()
        return max(_SHORTEST_PAUSE, min(until_due, self._settings.poll))

    def _landed(self, task: asyncio.Task[None]) -> None:
        self._in_flight.discard(task)
        self._wake.set()
        if not task.cancelled() and (error := task.exception()) is not None:
            log_failure("a webhook delivery", error)

    async def _deliver(self, job: WebhookJob) -> None:
        """See one job through to its record; what goes wrong on the way concerns this job only."""
        try:
            attempt = await self._attempt(job)
            self._on_step(Step.WEBHOOK_AFTER_CALL)
            await self._record(job, attempt)
            self._on_step(Step.WEBHOOK_RECORDED)
        except StoreUnavailable as error:
            # The claim runs out, and the job is due again: told twice rather than never.
            logger.warning("webhook %s: not recorded: %s", job.delivery_id, error.reason)
        except Exception as error:  # noqa: BLE001 - the top loop of one job
            log_failure(f"webhook {job.delivery_id}", error)

    async def _attempt(self, job: WebhookJob) -> WebhookAttempt:
        organization_id = job.organization.organization_id
        slot = self._slots[organization_id]
        begun = self._clock.now()
        try:
            async with asyncio.timeout(self._settings.slot_wait.total_seconds()):
                await slot.acquire()
        except TimeoutError:
            return _not_called(begun, CallFailure.BUSY)
        try:
            if self._stopping.is_set():
                return _not_called(begun, CallFailure.STOPPED)
            until, failure = self._resting.get(organization_id, (begun, CallFailure.FAULT))
            if begun < until:
                return _not_called(begun, failure)
            attempt = await self._caller.call(job)
            if attempt.failure in _NOBODY_THERE:
                self._resting[organization_id] = (begun + self._settings.rest, attempt.failure)
            return attempt
        finally:
            slot.release()

    async def _record(self, job: WebhookJob, attempt: WebhookAttempt) -> None:
        if attempt.status in _SUCCESS:
            released = job.event is WebhookEvent.PASSWORD_READY
            event = _event(AuditKind.PASSWORD_RELEASED, job, attempt, through="webhook") if released else None
            await self._jobs.record_delivered(job, attempt, event)
            return
        now = self._clock.now()
        due_at = self._settings.backoff.next_attempt(
            attempts=job.attempts, now=now, give_up_at=job.give_up_at, uniform=self._uniform
        )
        if attempt.status == _GONE or attempt.failure is CallFailure.SHARED_CHANNEL or due_at is None:
            event = _event(AuditKind.WEBHOOK_GIVEN_UP, job, attempt, failure=attempt.code)
            await self._jobs.record_given_up(job, attempt, event)
            logger.warning("webhook %s of enrolment %s was given up: %s", *_named(job, attempt))
        else:
            await self._jobs.record_retry(job, attempt, due_at=due_at)

    async def _finish(self) -> None:
        """Let what is in flight finish within bounds, cut the rest off, and leave nothing claimed."""
        if self._in_flight:
            await asyncio.wait(self._in_flight, timeout=self._settings.stopping.total_seconds())
        for task in self._in_flight:
            task.cancel()
        await asyncio.gather(*self._in_flight, return_exceptions=True)
        try:
            await self._jobs.release_claims(worker=self._name)
        except StoreUnavailable as error:
            logger.warning("the webhook claims stay until they run out: %s", error.reason)


def _not_called(at: datetime, failure: CallFailure) -> WebhookAttempt:
    return WebhookAttempt(at=at, milliseconds=0, failure=failure)


def _named(job: WebhookJob, attempt: WebhookAttempt) -> tuple[str, str, str]:
    return job.delivery_id, job.enrolment_id, attempt.code


def _event(kind: AuditKind, job: WebhookJob, attempt: WebhookAttempt, **detail: str) -> AuditEvent:
    return AuditEvent(
        kind=kind,
        at=attempt.at,
        actor="service",
        subject=job.enrolment_id,
        organization_id=job.organization.organization_id,
        detail={"event": job.event.value, "attempt": str(job.attempts + 1), **detail},
    )
