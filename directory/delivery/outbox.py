"""What mail is due, and what became of it? The port between the delivery worker and the store."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from ca.address import Mailbox
from ca.keypackage import KeyPackageFormat
from ca.sealing import SealedSecret
from directory.audit import AuditEvent
from directory.mint_ports import FreshEnrolment
from directory.organization import Organization


class DeliveryState(StrEnum):
    """Where the delivery of a key package stands."""

    QUEUED = "queued"
    ACCEPTED = "accepted"
    PROVEN = "proven"
    BOUNCED = "bounced"
    UNPROVEN = "unproven"


class MailState(StrEnum):
    """Where one outgoing mail stands."""

    QUEUED = "queued"
    ACCEPTED = "accepted"
    GIVEN_UP = "given_up"


@dataclass(frozen=True, slots=True, kw_only=True)
class DueMail:
    """A key mail that this worker has claimed, with all that is needed to compose it."""

    mail_id: str
    enrolment_id: str
    message_id: str
    created_at: datetime
    give_up_at: datetime
    attempts: int
    """How often it has been claimed before."""
    mailbox: Mailbox
    certificate: bytes
    chain: tuple[bytes, ...]
    """DER of the issuing certificate, then of its issuers up to the root."""
    sealed_key: SealedSecret
    sealed_password: SealedSecret
    package_format: KeyPackageFormat
    organization: Organization


def due_mail_of(enrolment: FreshEnrolment) -> DueMail:
    """Return the key mail of a mint, as `Outbox.claim_due` would."""
    record = enrolment.record
    return DueMail(
        mail_id=record.mail_id,
        enrolment_id=record.reservation.enrolment_id,
        message_id=record.message_id,
        created_at=record.reservation.minted_at,
        give_up_at=record.give_up_at,
        attempts=0,
        mailbox=record.reservation.mailbox,
        certificate=record.certificate.der,
        chain=enrolment.chain,
        sealed_key=record.sealed_key,
        sealed_password=record.sealed_password,
        package_format=record.package_format,
        organization=enrolment.organization,
    )


class Outbox(Protocol):
    """The rows of outgoing mail. A claim is a lease: if its holder dies, the mail is due again at its end.

    Each call is one durable transaction, or raises `StoreUnavailable` and changed nothing.

    A worker that hung may come back with a record after its lease ran out and another has claimed the mail.
    That the smart host took the mail is true all the same and counts, unless an end was recorded before; any
    other record of his changes nothing and writes no event.
    """

    async def claim_due(
        self, *, worker: str, now: datetime, lease_until: datetime, most: int
    ) -> list[DueMail]:
        """Claim up to `most` due mails nobody else has claimed, the longest due first.

        Due is a queued mail whose `due_at` is not after `now`, and whose claim, if it has one, ended not
        after `now`. Whatever races, each goes to one worker only. A claim counts as an attempt.
        """
        ...

    async def next_due(self) -> datetime | None:
        """Return when the next queued mail becomes due or its claim runs out; None if nothing is queued."""
        ...

    async def release_claims(self, *, worker: str) -> None:
        """Give up the claims of this worker: it has just been started, or stopped, and works on none.

        Without it a restarted service would leave its mails alone until the leases of its former life end.
        """
        ...

    async def record_accepted(
        self, mail: DueMail, *, at: datetime, hold_until: datetime, event: AuditEvent
    ) -> None:
        """The smart host took responsibility (RFC 5321 section 4.2.5): accepted, and the hold begins."""
        ...

    async def record_retry(self, mail: DueMail, *, due_at: datetime, failure: str) -> None:
        """Not accepted this time; release the claim, try again at `due_at`."""
        ...

    async def record_given_up(self, mail: DueMail, *, at: datetime, failure: str, event: AuditEvent) -> None:
        """Never accepted: delivery bounced, relay failed, certificate withdrawn, enrolment no longer live.

        Where an earlier key mail of the enrolment was accepted, only this copy is given up.
        """
        ...
