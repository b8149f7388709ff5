"""What must hold of everything that is stored about one enrolment? Judges values; reads nothing.

Each invariant has a stable name, such as `enrolment.key_opens`.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TypeAlias

from cryptography import x509
from cryptography.exceptions import InvalidSignature

from ca.address import Mailbox
from ca.envelopes import check_addressed
from ca.errors import AddressRefused, EscrowRefused, KeyRefused, SealBroken
from ca.keys import same_key, unsafe_from_sealed_pkcs8
from ca.mailnames import mailboxes_of
from ca.sealing import SealedSecret, Sealer
from directory.delivery.outbox import DeliveryState, MailState
from directory.enrolmentsecrets import recipient_key_identity, relay_password_identity
from directory.organization import KeyFate
from directory.relay import RelayState
from directory.status import KeyState, Place


@dataclass(frozen=True, slots=True, kw_only=True)
class InspectedRenewed:
    """The enrolment that another renews."""

    organization_id: str
    scope: str
    address_key: str
    leads: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class InspectedEscrow:
    """What is stored of a key that is escrowed."""

    recovery_certificate_id: str
    envelope: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class InspectedEnrolment:
    """Everything stored about one enrolment; None where a row is missing."""

    enrolment_id: str
    organization_id: str
    scope: str
    address: str
    address_key: str
    live: bool
    certificate: bytes | None
    certificate_scope: str | None
    certificate_address: str | None
    certificate_address_key: str | None
    certificate_not_after: datetime | None
    serial: str | None
    issuer_id: str | None
    withdrawn_or_revoked: bool
    key_state: KeyState | None
    sealed_key: SealedSecret | None
    hold_until: datetime | None
    """When the key is let go; None as long as something keeps it from that."""
    key_fate: KeyFate | None
    escrow: InspectedEscrow | None
    relay_state: RelayState | None
    sealed_password: SealedSecret | None
    delivery_state: DeliveryState | None
    is_proven: bool
    """Whether it is on record when the recipient proved that he can decrypt."""
    mail_states: tuple[MailState, ...]
    """Of its key mails."""
    has_queued_mail: bool
    """Whether any mail to its recipient waits."""
    is_suppressed: bool
    """Whether its recipient wants no mail."""
    minted_event_count: int
    """How many audit events say that it was minted."""
    place: Place | None
    served_from: datetime | None
    """When a renewal's certificate begins to be served."""
    renewed: InspectedRenewed | None
    """What it renews."""
    lead_event_count: int
    """How many audit events say that it took the place of another."""


Broken: TypeAlias = tuple[str, str]
"""The name of an invariant, and in which way it does not hold."""

HOLD_OVERRUN = "enrolment.hold_over"
"""A key that outlived its hold: late, as after a service stood still, but nothing is lost or leaked."""
HOLD_TOLERANCE = timedelta(days=1)


class EnrolmentInvariants:
    """Judges enrolments.

    By identifier: `issuers` are the certificates of the authority, `recovery` those that keys are, or were,
    escrowed to.
    """

    def __init__(
        self,
        *,
        sealer: Sealer,
        issuers: Mapping[str, x509.Certificate],
        recovery: Mapping[str, x509.Certificate],
        now: datetime,
    ) -> None:
        self._sealer = sealer
        self._recovery = recovery
        self._issuers = issuers
        self._now = now

    def broken_in(self, enrolment: InspectedEnrolment) -> Iterator[Broken]:
        """Yield what does not hold of the enrolment."""
        if enrolment.certificate is None:
            yield "enrolment.has_certificate", "its certificate is missing"
            return
        certificate = readable_certificate(enrolment.certificate)
        if certificate is None:
            yield "enrolment.has_certificate", "its certificate is not readable"
            return
        yield from self._broken_certificate(enrolment, certificate)
        yield from _broken_service(enrolment, certificate)
        yield from self._broken_slot(enrolment, certificate)
        yield from self._broken_key(enrolment, certificate)
        yield from self._broken_escrow(enrolment)
        yield from self._broken_relay(enrolment)
        yield from _broken_delivery(enrolment)
        yield from _broken_suppression(enrolment)
        if enrolment.minted_event_count != 1:
            yield "audit.minted_event", f"{enrolment.minted_event_count} audit events say it was minted"

    def _broken_certificate(
        self, enrolment: InspectedEnrolment, certificate: x509.Certificate
    ) -> Iterator[Broken]:
        issuer = self._issuers.get(enrolment.issuer_id or "")
        if issuer is None:
            yield "certificate.has_issuer", "its issuer is unknown"
        else:
            try:
                certificate.verify_directly_issued_by(issuer)
            except (InvalidSignature, ValueError, TypeError):
                yield "certificate.signature", "its issuer did not sign it"
        if {enrolment.address, enrolment.certificate_address} != _addresses(certificate):
            yield "certificate.address", "it names another address than its enrolment"
        if f"{certificate.serial_number:x}" != enrolment.serial:
            yield "certificate.serial", "its serial number is not the one on record"

    def _broken_slot(self, enrolment: InspectedEnrolment, certificate: x509.Certificate) -> Iterator[Broken]:
        if enrolment.live and enrolment.withdrawn_or_revoked:
            yield (
                "enrolment.ended",
                "its certificate was withdrawn or revoked, but it still holds the address",
            )
        expired = certificate.not_valid_after_utc <= self._now
        if not (enrolment.live or enrolment.withdrawn_or_revoked or expired):
            yield "enrolment.live", "its certificate is served, but it does not hold the address"

    def _broken_key(self, enrolment: InspectedEnrolment, certificate: x509.Certificate) -> Iterator[Broken]:
        match enrolment.key_state, enrolment.sealed_key:
            case None, _:
                yield "enrolment.has_key", "its held key is missing"
            case KeyState.HELD, None:
                yield "enrolment.has_key", "its key should be held but is gone"
            case KeyState.HELD, SealedSecret() as sealed:
                identity = recipient_key_identity(enrolment.enrolment_id, enrolment.organization_id)
                try:
                    key = unsafe_from_sealed_pkcs8(self._sealer.unseal(sealed, identity))
                except (SealBroken, KeyRefused) as error:
                    yield "enrolment.key_opens", str(error)
                    return
                if not same_key(key.public_key(), certificate.public_key()):
                    yield "enrolment.key_matches", "its held key is not the certificate's"
                if enrolment.hold_until is not None and enrolment.hold_until + HOLD_TOLERANCE < self._now:
                    yield HOLD_OVERRUN, _overrun(enrolment.hold_until, enrolment.key_fate)
            case _, SealedSecret():
                yield "enrolment.key_gone", "its key has left the hold but is still there"
            case _, None:
                # The hold has ended: then the key was delivered, or its delivery has failed.
                if enrolment.live and enrolment.delivery_state is DeliveryState.QUEUED:
                    yield "enrolment.has_key", "its key is gone before it was delivered"

    def _broken_escrow(self, enrolment: InspectedEnrolment) -> Iterator[Broken]:
        if enrolment.key_state is not None and enrolment.key_fate is None:
            yield "enrolment.key_fate", "nobody knows what is to become of its key"
        escrow = enrolment.escrow
        if enrolment.key_state is not KeyState.ESCROWED:
            if escrow is not None:
                yield "enrolment.escrow", "its key is in escrow, but should not be"
            return
        if enrolment.key_fate is not KeyFate.ESCROW:
            yield "enrolment.key_fate", "its key was to be destroyed, and is in escrow"
        if escrow is None:
            yield "enrolment.escrow", "its key should be in escrow but is gone"
            return
        certificate = self._recovery.get(escrow.recovery_certificate_id)
        if certificate is None:
            yield "enrolment.escrow", "the recovery certificate of its key is unknown or not readable"
            return
        try:
            check_addressed(escrow.envelope, certificate)
        except EscrowRefused as error:
            yield "enrolment.escrow", f"the envelope of its key is broken: {error}"

    def _broken_relay(self, enrolment: InspectedEnrolment) -> Iterator[Broken]:
        if enrolment.relay_state is None:
            yield "enrolment.has_relay", "its password relay is missing"
            return
        if enrolment.sealed_password is None:
            # One that was revealed is known to somebody; the service itself needs it for key packages only.
            needs_it = enrolment.relay_state is RelayState.WAITING or (
                enrolment.relay_state is RelayState.REVEALED and enrolment.key_state is KeyState.HELD
            )
            if needs_it:
                yield "enrolment.has_password", "its password is gone before it was relayed"
            return
        identity = relay_password_identity(enrolment.enrolment_id, enrolment.organization_id)
        try:
            self._sealer.unseal(enrolment.sealed_password, identity)
        except SealBroken as error:
            yield "enrolment.password_opens", str(error)


def readable_certificate(der: bytes) -> x509.Certificate | None:
    """Return the certificate, or None if it is not one."""
    try:
        return x509.load_der_x509_certificate(der)
    except ValueError:
        return None


def _overrun(hold_until: datetime, fate: KeyFate | None) -> str:
    what = "in escrow" if fate is KeyFate.ESCROW else "gone"
    hint = "; is a recovery certificate active?" if fate is KeyFate.ESCROW else ""
    return f"its key should be {what} since {hold_until:%Y-%m-%d}{hint}"


def _broken_service(enrolment: InspectedEnrolment, certificate: x509.Certificate) -> Iterator[Broken]:
    """Compare what the directory serves the certificate by with what it was minted for."""
    if enrolment.address_key != _key_of(enrolment.address):
        yield "enrolment.address_key", "it holds another address than its own"
    served_for = (enrolment.certificate_scope, enrolment.certificate_address_key)
    if served_for != (enrolment.scope, enrolment.address_key):
        yield "certificate.served_for", "it is served for another address, or in another scope"
    if enrolment.certificate_not_after != certificate.not_valid_after_utc:
        yield "certificate.served_until", "it is served longer, or less long, than it is valid"


def _key_of(address: str) -> str | None:
    try:
        return Mailbox.parse_international(address).key
    except AddressRefused:
        return None


def _addresses(certificate: x509.Certificate) -> set[str]:
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        return {str(mailbox) for mailbox in mailboxes_of(names)}
    except (x509.ExtensionNotFound, x509.DuplicateExtension, ValueError, AddressRefused):
        return set()


def _broken_suppression(enrolment: InspectedEnrolment) -> Iterator[Broken]:
    """Find what a mint left that was under way while its recipient stopped all mail; it ends by itself."""
    if not enrolment.is_suppressed:
        return
    if enrolment.has_queued_mail:
        yield "suppression.no_mail", "its recipient wants no mail, but a mail to him is queued"
    if enrolment.live and not enrolment.is_proven:
        yield "suppression.not_served", "its key cannot be mailed any more, but its certificate is served"


def _broken_delivery(enrolment: InspectedEnrolment) -> Iterator[Broken]:
    if enrolment.is_proven != (enrolment.delivery_state is DeliveryState.PROVEN):
        yield "delivery.proven", "it counts as proven but nobody has proven it, or the other way round"
    match enrolment.delivery_state:
        case None:
            yield "enrolment.has_delivery", "its delivery is missing"
        case DeliveryState.QUEUED:
            if MailState.QUEUED not in enrolment.mail_states:
                yield "enrolment.has_mail", "its delivery waits, but no mail is queued"
        case DeliveryState.BOUNCED:
            if not enrolment.withdrawn_or_revoked:
                yield "certificate.withdrawn", "its key mail bounced, but the certificate is still served"
        case DeliveryState.ACCEPTED | DeliveryState.PROVEN | DeliveryState.UNPROVEN:
            if MailState.ACCEPTED not in enrolment.mail_states:
                yield "enrolment.was_mailed", "its delivery counts as accepted, but no mail was"
