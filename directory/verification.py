"""Does every invariant hold, over the whole store? What `pushpki verify` answers and crash tests ask."""

from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol, TypeAlias

from cryptography import x509
from cryptography.exceptions import InvalidSignature

from ca.errors import KeyRefused, SealBroken
from ca.keys import same_key, unsafe_from_sealed_pkcs8
from ca.sealing import SealedSecret, Sealer
from directory.audit import ChainCheck, ChainedEvent, ChainHead
from directory.clock import Clock
from directory.delivery.outbox import DeliveryState, MailState
from directory.enrolment import recipient_key_identity, relay_password_identity
from directory.relay import RelayState
from directory.status import KeyState


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
    certificate_address: str | None
    serial: str | None
    issuer_id: str | None
    withdrawn_or_revoked: bool
    key_state: KeyState | None
    sealed_key: SealedSecret | None
    relay_state: RelayState | None
    sealed_password: SealedSecret | None
    delivery_state: DeliveryState | None
    mail_states: tuple[MailState, ...]
    minted_event_count: int
    """How many audit events say that it was minted."""


class StoreInspector(Protocol):
    """Reads everything, in order, without loading it all at once."""

    def enrolments(self) -> AsyncIterator[InspectedEnrolment]:
        """Yield every enrolment."""
        ...

    async def issuer_certificates(self) -> dict[str, bytes]:
        """Return the DER of every issuer by its identifier."""
        ...

    async def orphaned_certificates(self) -> Sequence[str]:
        """Return identifiers of certificates marked minted that belong to no enrolment."""
        ...

    async def doubled_addresses(self, now: datetime) -> Sequence[str]:
        """Return `scope address_key` of addresses with more than one live minted certificate."""
        ...

    async def audit_heads(self) -> Sequence[ChainHead]:
        """Return the head of every node's chain."""
        ...

    def audit_chain(self, node: str) -> AsyncIterator[ChainedEvent]:
        """Yield a node's events in order of sequence."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Violation:
    """An invariant that does not hold."""

    invariant: str
    """Which one; stable, such as `enrolment.key_opens`."""
    subject: str
    reason: str


_Broken: TypeAlias = tuple[str, str]
"""The name of an invariant, and in which way it does not hold."""


class Verification:
    """Checks the invariants; reads only. Whatever it finds stored is a finding, never a reason to stop."""

    def __init__(self, *, inspector: StoreInspector, sealer: Sealer, clock: Clock) -> None:
        self._inspector = inspector
        self._sealer = sealer
        self._clock = clock

    async def violations(self) -> AsyncIterator[Violation]:
        """Yield every violation found; none means that nothing leaked and nothing was lost.

        Raises:
            StoreUnavailable: the database does not answer.
        """
        issuers: dict[str, x509.Certificate] = {}
        for issuer_id, der in (await self._inspector.issuer_certificates()).items():
            certificate = _read(der)
            if certificate is None:
                yield Violation(
                    invariant="issuer.certificate",
                    subject=issuer_id,
                    reason="its certificate is not readable",
                )
            else:
                issuers[issuer_id] = certificate
        async for enrolment in self._inspector.enrolments():
            for invariant, reason in self._broken_in(enrolment, issuers):
                yield Violation(invariant=invariant, subject=enrolment.enrolment_id, reason=reason)
        for certificate_id in await self._inspector.orphaned_certificates():
            yield Violation(
                invariant="certificate.has_enrolment",
                subject=certificate_id,
                reason="a minted certificate belongs to no enrolment",
            )
        for address in await self._inspector.doubled_addresses(self._clock.now()):
            yield Violation(
                invariant="address.one_live_certificate",
                subject=address,
                reason="more than one live minted certificate",
            )
        for head in await self._inspector.audit_heads():
            async for problem in self._broken_chain(head):
                yield Violation(invariant="audit.chain", subject=head.node, reason=problem)

    async def _broken_chain(self, head: ChainHead) -> AsyncIterator[str]:
        check = ChainCheck(head.node)
        async for event in self._inspector.audit_chain(head.node):
            for problem in check.follow(event):
                yield problem
        for problem in check.end(head):
            yield problem

    def _broken_in(
        self, enrolment: InspectedEnrolment, issuers: Mapping[str, x509.Certificate]
    ) -> Iterator[_Broken]:
        if enrolment.certificate is None:
            yield "enrolment.has_certificate", "its certificate is missing"
            return
        certificate = _read(enrolment.certificate)
        if certificate is None:
            yield "enrolment.has_certificate", "its certificate is not readable"
            return
        yield from _broken_certificate(enrolment, certificate, issuers)
        yield from self._broken_slot(enrolment, certificate)
        yield from self._broken_key(enrolment, certificate)
        yield from self._broken_relay(enrolment)
        yield from _broken_delivery(enrolment)
        if enrolment.minted_event_count != 1:
            yield "audit.minted_event", f"{enrolment.minted_event_count} audit events say it was minted"

    def _broken_slot(self, enrolment: InspectedEnrolment, certificate: x509.Certificate) -> Iterator[_Broken]:
        if enrolment.live and enrolment.withdrawn_or_revoked:
            yield (
                "enrolment.ended",
                "its certificate was withdrawn or revoked, but it still holds the address",
            )
        expired = certificate.not_valid_after_utc <= self._clock.now()
        if not (enrolment.live or enrolment.withdrawn_or_revoked or expired):
            yield "enrolment.live", "its certificate is served, but it does not hold the address"

    def _broken_key(self, enrolment: InspectedEnrolment, certificate: x509.Certificate) -> Iterator[_Broken]:
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
            case _, SealedSecret():
                yield "enrolment.key_gone", "its key has left the hold but is still there"
            case _, None:
                # The hold has ended: then the key was delivered, or its delivery has failed.
                if enrolment.delivery_state is DeliveryState.QUEUED:
                    yield "enrolment.has_key", "its key is gone before it was delivered"

    def _broken_relay(self, enrolment: InspectedEnrolment) -> Iterator[_Broken]:
        if enrolment.relay_state is None:
            yield "enrolment.has_relay", "its password relay is missing"
            return
        if enrolment.sealed_password is None:
            if enrolment.relay_state in {RelayState.WAITING, RelayState.REVEALED}:
                yield "enrolment.has_password", "its password is gone before it was relayed"
            return
        identity = relay_password_identity(enrolment.enrolment_id, enrolment.organization_id)
        try:
            self._sealer.unseal(enrolment.sealed_password, identity)
        except SealBroken as error:
            yield "enrolment.password_opens", str(error)


def _read(der: bytes) -> x509.Certificate | None:
    try:
        return x509.load_der_x509_certificate(der)
    except ValueError:
        return None


def _broken_certificate(
    enrolment: InspectedEnrolment, certificate: x509.Certificate, issuers: Mapping[str, x509.Certificate]
) -> Iterator[_Broken]:
    issuer = issuers.get(enrolment.issuer_id or "")
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


def _addresses(certificate: x509.Certificate) -> set[str]:
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (x509.ExtensionNotFound, x509.DuplicateExtension, ValueError):
        return set()
    return set(names.get_values_for_type(x509.RFC822Name))


def _broken_delivery(enrolment: InspectedEnrolment) -> Iterator[_Broken]:
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
