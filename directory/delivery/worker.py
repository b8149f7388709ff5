"""Who sees to it that every key mail is sent? The worker: claims what is due, hands it over, records it.

A mail is recorded as accepted only after the smart host said so; until then it stays due. So a crash at any
moment, a lost database, a dead smart host or a fault of ours costs time, at worst a second copy of the same
mail, never the mail.
"""

import asyncio
import logging
import random
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager, contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Protocol

from ca.address import Mailbox
from ca.sealing import Sealer, SecretIdentity
from directory.audit import AuditEvent, AuditKind
from directory.claiming import ClaimLoop, Wait, wait_until_set
from directory.clock import Clock
from directory.delivery.composing import Composed, Composer
from directory.delivery.outbox import (
    Acceptance,
    DueMail,
    GivenUp,
    MailKind,
    Outbox,
    due_mail_of,
    message_identity,
)
from directory.delivery.replies import Accepted, Failure, Outcome, Permanent, Phase, Transient
from directory.delivery.retry import Uniform
from directory.delivery.returnpath import return_path
from directory.delivery.settings import DeliverySettings
from directory.delivery.smtp import Envelope, SmtpSession
from directory.errors import MailRefused, StoreUnavailable
from directory.faults import log_failure
from directory.mint_ports import FreshEnrolment, MailClaim
from directory.organization import Organization
from directory.steps import Step, StepListener, ignore_step

logger = logging.getLogger(__name__)

_UNIFORM = random.SystemRandom().uniform
_TURN = timedelta(seconds=10)
"""How long a mail stands back, at least, that found all connections to its destination in use."""
_RECORD_AGAIN = timedelta(seconds=2)
_GATEWAY_FIRST_SECONDS = 0.02

_ACCEPTED = {
    MailKind.KEY: AuditKind.KEY_MAIL_ACCEPTED,
    # The password left for the organization, as it does through a webhook.
    MailKind.PASSWORD: AuditKind.PASSWORD_RELEASED,
}
_GIVEN_UP = {True: AuditKind.KEY_MAIL_GIVEN_UP, False: AuditKind.MAIL_GIVEN_UP}


class Signer(Protocol):
    """Signs mails for their organization."""

    def sign(self, organization: Organization, message: bytes) -> bytes:
        """Return the message with a signature; as it is where the organization has no key for it."""
        ...


class Carriers(Protocol):
    """Whoever takes mails: an organization's smart host, or the mail exchangers of the recipient."""

    def session(
        self, organization: Organization, recipient: Mailbox
    ) -> AbstractAsyncContextManager[SmtpSession | Transient | Permanent]:
        """Lend a session to whoever takes this mail, or say why there is none."""
        ...

    async def close(self) -> None:
        """Hang up everywhere."""
        ...


class DeliveryWorker:
    """Sends the mails of the outbox.

    `name` is this worker's own among all that work on the same database, and the same after a restart.
    """

    def __init__(
        self,
        *,
        name: str,
        outbox: Outbox,
        sealer: Sealer,
        composers: Mapping[MailKind, Composer],
        carriers: Carriers,
        signer: Signer,
        settings: DeliverySettings,
        clock: Clock,
        wait: Wait = wait_until_set,
        uniform: Uniform = _UNIFORM,
        on_step: StepListener = ignore_step,
    ) -> None:
        self._name = name
        self._outbox = outbox
        self._sealer = sealer
        self._composers = composers
        self._carriers = carriers
        self._signer = signer
        self._settings = settings
        self._clock = clock
        self._uniform = uniform
        self._on_step = on_step
        self._loop = ClaimLoop(
            worker=name,
            name="the delivery worker",
            source="the outbox",
            claims=outbox,
            begin=self._deliver,
            # When there is room for a fair number: each look is a transaction.
            looks_again=lambda in_flight: in_flight == settings.in_flight // 2,
            pace=settings,
            clock=clock,
            wait=wait,
        )
        # One thread: the arithmetic of a key package holds the interpreter lock, so a second would only take
        # turns with it. A thread of its own: a thousand due mails must not queue before the next mint.
        self._composing = ThreadPoolExecutor(max_workers=1, thread_name_prefix="key-mail")

    def notify(self) -> None:
        """Say that there may be due mail; called on the event loop."""
        self._loop.notify()

    @contextmanager
    def room(self, now: datetime) -> Iterator[MailClaim | None]:
        """Keep room for one more mail, so that it can be born claimed; None if it has to wait its turn.

        It saves the transaction of a claim. If the database was lost in the very commit, a mail may stand
        there that is claimed and in nobody's hands: it is due again when the claim runs out.
        """
        with self._loop.room(now) as until:
            yield None if until is None else MailClaim(worker=self._name, until=until)

    def enrolled(self, enrolment: FreshEnrolment) -> None:
        """Send what was claimed; look into the outbox for what was not. Called on the event loop."""
        claim = enrolment.record.claim
        if claim is None:
            self.notify()
        else:
            self._loop.take_up(self._deliver_fresh(due_mail_of(enrolment), claim.until))

    def stop(self) -> None:
        """Let `run` return: nothing more is claimed, what is in flight may finish."""
        self._loop.stop()

    async def run(self) -> None:
        """Send what is due, until told to stop. Runs once."""
        try:
            await self._loop.run()
        finally:
            await self._carriers.close()
            self._composing.shutdown(wait=False, cancel_futures=True)

    async def _deliver_fresh(self, mail: DueMail, lease_until: datetime) -> None:
        # The gateway waits for its answer, and composing would take the interpreter from it.
        await asyncio.sleep(_GATEWAY_FIRST_SECONDS)
        await self._deliver(mail, lease_until)

    async def _deliver(self, mail: DueMail, lease_until: datetime) -> None:
        """See one mail through to its record; what goes wrong on the way concerns this mail only."""
        self._on_step(Step.MAIL_CLAIMED)
        try:
            outcome = await self._attempt(mail)
            if isinstance(outcome, Accepted):
                self._on_step(Step.MAIL_AFTER_DATA)
            await self._record(mail, outcome, lease_until)
            self._on_step(Step.MAIL_RECORDED)
        except StoreUnavailable as error:
            # The claim runs out, and the mail is due again.
            logger.warning("mail %s: its outcome could not be recorded: %s", mail.mail_id, error.reason)
        except Exception as error:  # noqa: BLE001 - the top loop of one mail
            log_failure(f"the record of mail {mail.mail_id}", error)

    async def _attempt(self, mail: DueMail) -> Outcome:
        longest = self._settings.longest_attempt.total_seconds()
        try:
            async with asyncio.timeout(longest):
                return await self._hand_over(mail)
        except TimeoutError:
            return _transient(Phase.ATTEMPT, f"not finished within {longest:.0f} s")
        except MailRefused as error:
            return Permanent(failure=Failure(phase=Phase.SERVICE, reason=str(error)))
        except Exception as error:  # noqa: BLE001 - a fault of ours, or in this mail; the others go on
            log_failure(f"mail {mail.mail_id}", error)
            return _transient(Phase.SERVICE, f"a fault in the service: {type(error).__name__}")

    async def _hand_over(self, mail: DueMail) -> Outcome:
        async with self._carriers.session(mail.organization, mail.recipient) as session:
            if isinstance(session, Transient | Permanent):
                return session
            if self._loop.is_stopping:
                return _transient(Phase.WAIT, "the service was stopped")
            # Only now are the secrets opened: there is somebody to hand the mail to.
            message = await self._message(mail)
            if message is None:
                return _transient(Phase.WAIT, "it is not to be sent now")
            self._on_step(Step.MAIL_BEFORE_SEND)
            return await session.submit(
                Envelope(
                    envelope_id=mail.bounce_token,
                    sender=return_path(mail.organization, mail.bounce_token),
                    recipient=mail.recipient,
                    message=message,
                )
            )

    async def _message(self, mail: DueMail) -> bytes | None:
        """Return the mail as it was composed once; None if it is not to be sent by us any more.

        What an attempt sends is stored before it is sent: should the acceptance be lost, the mail comes a
        second time as it came the first.
        """
        loop = asyncio.get_running_loop()
        now = self._clock.now()
        if mail.sealed_message is not None:
            return self._sealer.unseal(mail.sealed_message, _message_identity(mail))
        composed = await loop.run_in_executor(self._composing, self._compose, mail, now)
        sealed = self._sealer.seal(composed.message, _message_identity(mail))
        kept = await self._outbox.record_composed(mail, message=sealed, links=composed.links, at=now)
        self._on_step(Step.MAIL_COMPOSED)
        return composed.message if kept else None

    def _compose(self, mail: DueMail, now: datetime) -> Composed:
        composer = self._composers.get(mail.kind)
        if composer is None:
            # Queued when the service was configured otherwise: it had pages for recipients then.
            raise MailRefused(
                code="mail.not_configured", reason=f"nobody writes mails of the kind {mail.kind}"
            )
        composed = composer.compose(mail, now=now)
        return replace(composed, message=self._signer.sign(mail.organization, composed.message))

    async def _record(self, mail: DueMail, outcome: Outcome, lease_until: datetime) -> None:
        """Record the outcome; insist while the store is away, for the mail may have been accepted.

        Raises:
            StoreUnavailable: it did not come back before the claim ran out or the service stopped.
        """
        while True:
            try:
                return await self._record_once(mail, outcome)
            except StoreUnavailable:
                if self._loop.is_stopping or self._clock.now() + _RECORD_AGAIN >= lease_until:
                    raise
                await self._loop.wait_for_stop(_RECORD_AGAIN)

    async def _record_once(self, mail: DueMail, outcome: Outcome) -> None:
        now = self._clock.now()
        match outcome:
            case Accepted(response=response, host=host):
                event = _event(
                    _ACCEPTED.get(mail.kind, AuditKind.MAIL_ACCEPTED),
                    mail,
                    now,
                    smart_host=host,
                    response=response,
                )
                await self._outbox.record_accepted(mail, self._acceptance(mail, now), event)
            case Permanent(failure=failure):
                # What we refuse ourselves, or what the next server does not offer, is no refusal of the
                # recipient's domain.
                before = failure.phase in {Phase.SERVICE, Phase.EHLO}
                await self._give_up(mail, now, failure, GivenUp.OUT_OF_TIME if before else GivenUp.REFUSED)
            case Transient(failure=failure) if failure.phase is Phase.WAIT:
                await self._postpone(mail, now, failure)
            case Transient(failure=failure):
                due_at = self._settings.backoff.next_attempt(
                    attempts=mail.attempts, now=now, give_up_at=mail.give_up_at, uniform=self._uniform
                )
                if due_at is None:
                    await self._give_up(mail, now, failure, GivenUp.OUT_OF_TIME)
                else:
                    await self._outbox.record_retry(mail, due_at=due_at, failure=str(failure))

    def _acceptance(self, mail: DueMail, now: datetime) -> Acceptance:
        return Acceptance(
            at=now,
            hold_until=now + self._settings.hold,
            asks_for_proof=MailKind.PROOF in self._composers,
            give_up_at=now + (mail.give_up_at - mail.created_at),
        )

    async def _postpone(self, mail: DueMail, now: datetime, failure: Failure) -> None:
        """Let others have their turn: it was not tried, so neither its patience nor its time is used up."""
        pause = timedelta(0) if self._loop.is_stopping else _TURN * self._uniform(1.0, 2.0)
        await self._outbox.record_postponed(mail, due_at=now + pause, reason=str(failure))

    async def _give_up(self, mail: DueMail, now: datetime, failure: Failure, because: GivenUp) -> None:
        event = _event(_GIVEN_UP[mail.kind is MailKind.KEY], mail, now, failure=failure.code)
        await self._outbox.record_given_up(mail, at=now, failure=str(failure), event=event, because=because)
        logger.warning("mail %s (%s) was given up: %s", mail.mail_id, mail.kind, failure.code)


def _event(kind: AuditKind, mail: DueMail, now: datetime, **detail: str) -> AuditEvent:
    return AuditEvent(
        kind=kind,
        at=now,
        actor="service",
        subject=mail.enrolment_id,
        organization_id=mail.organization.organization_id,
        detail={"mail": mail.kind.value, "attempt": str(mail.attempts + 1), **detail},
    )


def _message_identity(mail: DueMail) -> SecretIdentity:
    return message_identity(mail.mail_id, mail.organization.organization_id)


def _transient(phase: Phase, reason: str) -> Transient:
    return Transient(failure=Failure(phase=phase, reason=reason))
