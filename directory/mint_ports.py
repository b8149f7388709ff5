"""What does a mint write down, where, and who is told? The records of one mint and the ports it goes through.

Knows neither the database nor the mails behind the ports.
"""

from collections.abc import Callable
from concurrent.futures import Future
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol, TypeVar

from ca.address import Mailbox
from ca.keypackage import KeyPackageFormat
from ca.keys import KeyAlgorithm, PrivateKey
from ca.sealing import SealedSecret
from directory.audit import AuditEvent
from directory.callers import Gateway
from directory.limits import Limit
from directory.lookup import PublishedCertificate
from directory.organization import KeyFate, Organization

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True, kw_only=True)
class Renewed:
    """The enrolment that a mint is to succeed."""

    enrolment_id: str
    ends_at: datetime
    """When its certificate expires."""
    leads_until: datetime
    """When the new certificate is served first, whether the recipient has proven its key by then or not."""
    package_format: KeyPackageFormat
    """Of the key package that the recipient got."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reservation:
    """The claim to be the one leading enrolment of an address, or the one that waits to succeed it."""

    enrolment_id: str
    organization_id: str
    gateway_id: str
    scope: str
    mailbox: Mailbox
    minted_at: datetime
    limits: tuple[Limit, ...]
    renews: Renewed | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class MailClaim:
    """Who has a mail in hand, and until when nobody else may take it up."""

    worker: str
    until: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class EnrolmentRecord:
    """What is committed beside the reservation."""

    reservation: Reservation
    certificate: PublishedCertificate
    key_sha256: bytes
    """Of the certificate's SubjectPublicKeyInfo."""
    issuer_id: str
    crl_partition: int | None
    """Which of its issuer's CRLs the certificate names; None: the complete one."""
    sealed_key: SealedSecret
    key_fate: KeyFate
    """What becomes of the key at the end of its hold."""
    sealed_password: SealedSecret
    package_format: KeyPackageFormat
    language: str
    """Of the mails to the recipient."""
    relay_expires_at: datetime
    """Until when the password waits for somebody to pass it on."""
    mail_id: str
    message_id: str
    bounce_token: str
    give_up_at: datetime
    """When the delivery of the key mail is given up and handed to a human."""
    sender_domain: str
    password_mail_to: Mailbox | None
    """Where the organization wants its passwords sent."""
    tells_webhook: bool
    """Whether the organization's own system is told of the password."""
    claim: MailClaim | None
    """The key mail is in hand from the beginning; without a claim it waits in the outbox for one."""
    event: AuditEvent


@dataclass(frozen=True, slots=True, kw_only=True)
class FreshEnrolment:
    """A mint that is durable now, with what its key mail needs beside what was recorded."""

    record: EnrolmentRecord
    organization: Organization
    chain: tuple[bytes, ...]
    """DER of the issuing certificate, then of its issuers up to the root."""


class MintTransaction(Protocol):
    """One transaction of the store; everything in it is durable together, or never was."""

    def reserve(self, reservation: Reservation) -> None:
        """Take the address' one leading slot and charge the limits; expired enrolments give their slot up.

        A renewal takes the one slot behind it, and counts against the recipient's budget of mails.

        Raises:
            SlotTaken: another enrolment has it, in another process perhaps made this moment; or the recipient
                has just stopped all mail; or what is to be renewed does not lead any more.
            LimitReached: one of the limits is used up; nothing was charged.
        """
        ...

    def hold_issuer(self, issuer_id: str) -> None:
        """Keep the issuer from being revoked until this transaction has ended.

        Raises:
            IssuerEnded: it was revoked.
        """
        ...

    def admit(self, key_sha256: bytes) -> None:
        """Return if a certificate with this key may be signed; SHA-256 of its SubjectPublicKeyInfo.

        Raises:
            KeyBlocked: the key is known to be in wrong hands.
            KeyRepeated: another minted certificate has it.
        """
        ...

    def aside(self, work: Callable[[], Result]) -> Result:
        """Do what takes its time and is no SQL, such as signing, while the transaction waits for it."""
        ...

    def record(self, enrolment: EnrolmentRecord) -> None:
        """Write certificate, held key, password relay, delivery, outgoing mail and audit event.

        Raises:
            KeyRepeated: another minted certificate has the same key, committed since it was admitted.
        """
        ...


class MintStore(Protocol):
    """Where mints are committed."""

    async def mint(self, work: Callable[[MintTransaction], Result]) -> Result:
        """Run the work in one transaction and commit it durably; an exception rolls back.

        The work may run in another thread, and a second time if the server closed the connection under the
        first.

        Raises:
            StoreUnavailable: nothing was changed; or, if the connection broke in the very commit, everything.
        """
        ...

    async def best_certificate(
        self, address_key: str, asker: Gateway, now: datetime
    ) -> PublishedCertificate | None:
        """Return the best live certificate the gateway may see."""
        ...


class KeySource(Protocol):
    """Where fresh key pairs come from."""

    def take(self, algorithm: KeyAlgorithm) -> Future[PrivateKey]:
        """Return the next fresh key, given to nobody else, as soon as there is one."""
        ...


class Postman(Protocol):
    """Who sends the key mails."""

    def room(self, now: datetime) -> AbstractContextManager[MailClaim | None]:
        """Keep room for one more mail, so that it can be born claimed; None if it has to wait its turn."""
        ...

    def enrolled(self, enrolment: FreshEnrolment) -> None:
        """Send what was claimed; look into the outbox for what was not. Called on the event loop."""
        ...
