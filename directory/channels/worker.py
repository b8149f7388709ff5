"""What tells the organizations' webhooks, until they have answered? A loop over due jobs, beside the mails.

One organization whose webhook hangs must not keep the others waiting: it has so many calls at a time, and
rests after one that found nobody.
"""

import asyncio
import logging
import random
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from directory.audit import AuditEvent, AuditKind
from directory.channels.calling import Caller
from directory.channels.jobs import CallFailure, WebhookAttempt, WebhookEvent, WebhookJob, WebhookJobs
from directory.claiming import ClaimLoop, Wait, wait_until_set
from directory.clock import Clock
from directory.delivery.retry import Backoff, Uniform
from directory.errors import StoreUnavailable
from directory.faults import log_failure
from directory.steps import Step, StepListener, ignore_step

logger = logging.getLogger(__name__)

_UNIFORM = random.SystemRandom().uniform
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
        wait: Wait = wait_until_set,
        uniform: Uniform = _UNIFORM,
        on_step: StepListener = ignore_step,
    ) -> None:
        self._jobs = jobs
        self._caller = caller
        self._settings = settings
        self._clock = clock
        self._uniform = uniform
        self._on_step = on_step
        self._loop = ClaimLoop(
            worker=name,
            name="the webhook worker",
            source="the list of webhook calls",
            claims=jobs,
            begin=self._deliver,
            # After each: what became of it may be due again before anything else.
            looks_again=lambda _in_flight: True,
            pace=settings,
            clock=clock,
            wait=wait,
        )
        self._slots: defaultdict[str, asyncio.Semaphore] = defaultdict(
            lambda: asyncio.Semaphore(settings.calls_per_organization)
        )
        self._resting: dict[str, tuple[datetime, CallFailure]] = {}

    def notify(self) -> None:
        """Say that there may be a due job; called on the event loop."""
        self._loop.notify()

    def stop(self) -> None:
        """Let `run` return: nothing more is claimed, what is in flight may finish."""
        self._loop.stop()

    async def run(self) -> None:
        """Make the calls that are due, until told to stop. Runs once."""
        await self._loop.run()

    async def _deliver(self, job: WebhookJob, _lease_until: datetime) -> None:
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
            if self._loop.is_stopping:
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
