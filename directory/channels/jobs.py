"""What does an organization's webhook have to be told, and what came of it? The port to the store.

A job is a row that was written in the transaction of what it tells of; it is claimed under a lease and
repeated until it was answered, so each is told at least once and always under the same identifier.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from ca.address import Mailbox
from ca.sealing import SealedSecret
from directory.audit import AuditEvent
from directory.organization import Organization


class WebhookEvent(StrEnum):
    """What the organization is told."""

    PASSWORD_READY = "password.ready"  # noqa: S105 - the name of an event, not a password
    PASSWORD_EXPIRING = "password.expiring"  # noqa: S105 - likewise
    PASSWORD_EXPIRED = "password.expired"  # noqa: S105 - likewise
    KEY_MAIL_BOUNCED = "key_mail.bounced"


class WebhookState(StrEnum):
    """Where one delivery to a webhook stands."""

    QUEUED = "queued"
    DELIVERED = "delivered"
    GIVEN_UP = "given_up"
    OBSOLETE = (
        "obsolete"  # before it was told it had ceased to matter: the relay was closed, the webhook gone
    )


class CallFailure(StrEnum):
    """Why a call was not answered with a status; nothing in it was written by the other side."""

    NAME_NOT_RESOLVED = "name_not_resolved"
    ADDRESS_REFUSED = "address_refused"  # the name leads to a private network, or the URL is not acceptable
    UNREACHABLE = "unreachable"
    TLS_FAILED = "tls_failed"
    TIMED_OUT = "timed_out"
    CONNECTION_LOST = "connection_lost"  # or what came back is not HTTP
    BUSY = "busy"  # too many calls to this organization at a time
    SHARED_CHANNEL = "shared_channel"  # it leads into the recipient's domain
    STOPPED = "stopped"  # the service was
    FAULT = "fault"  # in the service


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookJob:
    """One delivery that this worker has claimed, with all that is needed to write it."""

    delivery_id: str
    organization: Organization
    enrolment_id: str
    event: WebhookEvent
    created_at: datetime
    give_up_at: datetime
    attempts: int
    """How often it has been claimed before."""
    mailbox: Mailbox
    """The recipient's."""
    language: str
    """In which the recipient is spoken to."""
    sealed_password: SealedSecret | None
    expires_at: datetime | None
    """When the password is destroyed unless somebody has passed it on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookAttempt:
    """One call: when, how long, and the status of its answer or why there was none."""

    at: datetime
    milliseconds: int
    status: int | None = None
    failure: CallFailure | None = None

    @property
    def code(self) -> str:
        """A short stable name, such as `status.503` or `timed_out`."""
        return f"status.{self.status}" if self.failure is None else self.failure.value


class WebhookJobs(Protocol):
    """The jobs of webhooks. A claim is a lease; each call is one durable transaction with its audit event.

    A worker whose lease ran out and whose job another has claimed since can still report that it was
    delivered; any other report of his changes nothing.
    """

    async def claim_due(
        self, *, worker: str, now: datetime, lease_until: datetime, most: int
    ) -> Sequence[WebhookJob]:
        """Claim up to `most` due jobs nobody else has claimed, the longest due first; a claim is an attempt.

        Jobs that have ceased to matter are ended on the way and not returned: the organization's webhook was
        taken away, or the password was destroyed, or an agent saw to it.
        """
        ...

    async def next_due(self) -> datetime | None:
        """Return when the next job becomes due or its claim runs out; None if nothing is queued."""
        ...

    async def release_claims(self, *, worker: str) -> None:
        """Give up the claims of this worker: it has just been started, or stopped, and works on none."""
        ...

    async def record_delivered(
        self, job: WebhookJob, attempt: WebhookAttempt, event: AuditEvent | None
    ) -> None:
        """It was taken; where it brought the password, the relay counts as revealed from now on."""
        ...

    async def record_retry(self, job: WebhookJob, attempt: WebhookAttempt, *, due_at: datetime) -> None:
        """Not taken this time; release the claim, try again at `due_at`."""
        ...

    async def record_given_up(self, job: WebhookJob, attempt: WebhookAttempt, event: AuditEvent) -> None:
        """Never taken; registration agents can still pull the password."""
        ...
