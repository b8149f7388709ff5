"""What is said to one webhook, and may it be said there? One call, the password unsealed for it alone."""

from datetime import datetime

from ca.passwords import Password
from ca.sealing import Sealer
from directory.channels.client import CallResult, WebhookClient
from directory.channels.documents import document
from directory.channels.jobs import CallFailure, WebhookAttempt, WebhookEvent, WebhookJob
from directory.channels.signing import SignedCall, signed
from directory.channels.targets import WebhookTarget, parse_target
from directory.clock import Clock
from directory.enrolmentsecrets import relay_password_identity
from directory.errors import ConfigurationRefused
from directory.faults import log_failure
from directory.organization import Webhook, webhook_secret_identity
from directory.separation import shares_channel
from directory.steps import Step, StepListener, ignore_step


class Caller:
    """Makes one call of one job; every way it may go wrong is an attempt, and none an exception."""

    def __init__(
        self,
        *,
        client: WebhookClient,
        sealer: Sealer,
        clock: Clock,
        allow_private: bool,
        on_step: StepListener = ignore_step,
    ) -> None:
        self._client = client
        self._sealer = sealer
        self._clock = clock
        self._allow_private = allow_private
        self._on_step = on_step

    async def call(self, job: WebhookJob) -> WebhookAttempt:
        """Judge where the call would go, write it, sign it, make it."""
        at = self._clock.now()
        webhook = job.organization.correspondence.webhook
        if webhook is None:
            raise AssertionError("claimed a job without a webhook, which the store ends instead")
        try:
            target = parse_target(webhook.url, allow_private=self._allow_private)
        except ConfigurationRefused:
            return _attempt(at, CallFailure.ADDRESS_REFUSED)
        if _shares_channel(job, target):
            return _attempt(at, CallFailure.SHARED_CHANNEL)
        try:
            body = document(job, self._password(job))
            call = self._signed(job, webhook, body, at)
        except Exception as error:  # noqa: BLE001 - a seal that does not open concerns this job only
            log_failure(f"webhook {job.delivery_id}", error)
            return _attempt(at, CallFailure.FAULT)
        self._on_step(Step.WEBHOOK_BEFORE_CALL)
        return _answered(at, await self._client.call(target, body, call.headers))

    def _password(self, job: WebhookJob) -> Password | None:
        if job.event is not WebhookEvent.PASSWORD_READY:
            return None
        if job.sealed_password is None:
            raise AssertionError("claimed a password job without a password, which the store ends instead")
        identity = relay_password_identity(job.enrolment_id, job.organization.organization_id)
        return Password(self._sealer.unseal(job.sealed_password, identity).decode())

    def _signed(self, job: WebhookJob, webhook: Webhook, body: bytes, at: datetime) -> SignedCall:
        identity = webhook_secret_identity(job.organization.organization_id)
        secret = self._sealer.unseal(webhook.sealed_secret, identity).decode()
        return signed(body, delivery_id=job.delivery_id, secret=secret, at=at)


def _shares_channel(job: WebhookJob, target: WebhookTarget) -> bool:
    """Whether the password would go to a machine in the recipient's domain."""
    brings_password = job.event is WebhookEvent.PASSWORD_READY
    return brings_password and target.address is None and shares_channel(job.mailbox, target.host)


def _attempt(at: datetime, failure: CallFailure) -> WebhookAttempt:
    return WebhookAttempt(at=at, milliseconds=0, failure=failure)


def _answered(at: datetime, result: CallResult) -> WebhookAttempt:
    return WebhookAttempt(
        at=at, milliseconds=result.milliseconds, status=result.status, failure=result.failure
    )
