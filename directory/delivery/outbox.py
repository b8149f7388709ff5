"""What mail is due, and what became of it? The port between the delivery worker and the store."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from ca.address import Mailbox
from ca.keypackage import KeyPackageFormat
from ca.sealing import SealedSecret, SecretIdentity, SecretKind
from directory.audit import AuditEvent
from directory.links import NewLink
from directory.mint_ports import FreshEnrolment
from directory.organization import KeyFate, Organization


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
    CANCELLED = "cancelled"  # nobody wants it any more


class MailKind(StrEnum):
    """What an outgoing mail is."""

    KEY = "key"  # the key package, to the recipient
    PROOF = "proof"  # encrypted to the recipient: whoever reads it has the key
    REMINDER = "reminder"  # to a recipient who has not proven it
    KEY_RECOVERED = "key_recovered"  # to the recipient: his escrowed key was taken out
    PASSWORD = "password"  # noqa: S105 - the name of a kind; the password, encrypted to the organization
    NOTICE_BOUNCED = "notice_bounced"  # to the organization: a key mail came back
    NOTICE_PAUSED = "notice_paused"  # to the organization: too many came back, the domain is left alone
    NOTICE_EXPIRING = "notice_expiring"  # to the organization: a password that should be passed on soon
    NOTICE_EXPIRED = "notice_expired"  # to the organization: a password nobody passed on


class GivenUp(StrEnum):
    """Why a mail is not tried any more."""

    OUT_OF_TIME = "out of time"
    REFUSED = "refused"  # for this recipient, for good: it counts against the recipient's domain


@dataclass(frozen=True, slots=True, kw_only=True)
class Acceptance:
    """When a mail was accepted, and what follows if it was a key mail."""

    at: datetime
    hold_until: datetime
    """Until when the key is held."""
    asks_for_proof: bool
    """Whether the recipient is to be sent a mail that only his key opens."""
    give_up_at: datetime
    """Of the mails that follow."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DueMail:
    """A mail that this worker has claimed, with all that is needed to compose it."""

    mail_id: str
    enrolment_id: str
    kind: MailKind
    message_id: str
    bounce_token: str
    """128 bits, in hex: what a bounce of this very mail has to name."""
    created_at: datetime
    give_up_at: datetime
    attempts: int
    """How often it has been claimed before."""
    recipient: Mailbox
    """Whom it goes to."""
    mailbox: Mailbox
    """Whose enrolment it is about."""
    language: str
    minted_at: datetime
    certificate: bytes
    chain: tuple[bytes, ...]
    """DER of the issuing certificate, then of its issuers up to the root."""
    sealed_key: SealedSecret | None
    sealed_password: SealedSecret | None
    """None once they have been destroyed."""
    package_format: KeyPackageFormat
    organization: Organization
    key_fate: KeyFate = KeyFate.DESTROY
    """What becomes of the key at the end of its hold."""
    renews_until: datetime | None = None
    """When the certificate ends that this one renews; None: it renews none."""
    sealed_message: SealedSecret | None = None
    """What an earlier attempt composed; sent again octet for octet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NewMail:
    """A mail to be queued, about an enrolment that is there."""

    enrolment_id: str
    organization_id: str
    kind: MailKind
    recipient: Mailbox
    sender_domain: str
    at: datetime
    due_at: datetime
    give_up_at: datetime


def due_mail_of(enrolment: FreshEnrolment) -> DueMail:
    """Return the key mail of a mint, as `Outbox.claim_due` would."""
    record = enrolment.record
    renews = record.reservation.renews
    return DueMail(
        mail_id=record.mail_id,
        enrolment_id=record.reservation.enrolment_id,
        kind=MailKind.KEY,
        message_id=record.message_id,
        bounce_token=record.bounce_token,
        created_at=record.reservation.minted_at,
        give_up_at=record.give_up_at,
        attempts=0,
        recipient=record.reservation.mailbox,
        mailbox=record.reservation.mailbox,
        language=record.language,
        minted_at=record.reservation.minted_at,
        certificate=record.certificate.der,
        chain=enrolment.chain,
        sealed_key=record.sealed_key,
        sealed_password=record.sealed_password,
        package_format=record.package_format,
        organization=enrolment.organization,
        key_fate=record.key_fate,
        renews_until=renews.ends_at if renews else None,
    )


def message_identity(mail_id: str, organization_id: str) -> SecretIdentity:
    """Return what the sealed message of an outgoing mail is bound to."""
    return SecretIdentity(
        kind=SecretKind.OUTGOING_MESSAGE, record_id=mail_id, organization_id=organization_id
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

    async def record_composed(
        self, mail: DueMail, *, message: SealedSecret, links: Sequence[NewLink], at: datetime
    ) -> bool:
        """Keep the mail as it is about to be sent, and let its links be valid.

        False if it is not to be sent now, or by somebody else: the claim ran out, it was cancelled, the
        organization's mail is paused, or the recipient has stopped all mail.
        """
        ...

    async def record_accepted(self, mail: DueMail, acceptance: Acceptance, event: AuditEvent) -> None:
        """The other side took responsibility (RFC 5321 section 4.2.5), and what follows from it.

        After a key mail the hold begins, and a proof is asked for; after a password mail the password is in
        the organization's hands. What was composed is erased.
        """
        ...

    async def record_retry(self, mail: DueMail, *, due_at: datetime, failure: str) -> None:
        """Not accepted this time; release the claim, try again at `due_at`."""
        ...

    async def record_postponed(self, mail: DueMail, *, due_at: datetime, reason: str) -> None:
        """Release the claim of a mail that was not tried; the claim does not count as an attempt after all.

        The count goes back, and the fence with it. Another who claims the mail is told apart all the same
        from whoever postponed it, who is done with it.
        """
        ...

    async def record_given_up(
        self,
        mail: DueMail,
        *,
        at: datetime,
        failure: str,
        event: AuditEvent,
        because: GivenUp = GivenUp.OUT_OF_TIME,
    ) -> None:
        """Record that it was never accepted.

        For a key mail: delivery bounced, relay failed, certificate withdrawn, enrolment no longer live.
        Where an earlier key mail of the enrolment was accepted, only this copy is given up.
        """
        ...
