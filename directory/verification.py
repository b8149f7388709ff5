"""Does every invariant hold, over the whole store? What `pushpki verify` answers and crash tests ask."""

from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from cryptography import x509

from ca.errors import EscrowRefused, KeyRefused, SealBroken
from ca.escrow import RecoveryCertificate
from ca.issuerimport import fingerprint
from ca.keys import same_key, unsafe_from_sealed_pkcs8
from ca.sealing import SealedSecret, Sealer, SecretIdentity, SecretKind
from directory.audit import ChainedEvent, ChainHead
from directory.clock import Clock
from directory.crl_invariants import (
    CRL_ENDS_SOON,
    NO_CRL,
    CrlInvariants,
    InspectedCrl,
    IssuedCertificate,
    names_another_crl,
)
from directory.crosscertificates import CrossCertificate
from directory.evidence.checking import learned
from directory.evidence.following import ChainCheck, link_of
from directory.evidence.statements import AuditSigner, KeyStatement, SignedHead
from directory.evidence.trust import TrustedKeys
from directory.hierarchy import Hierarchy
from directory.invariants import (
    HOLD_OVERRUN,
    Broken,
    EnrolmentInvariants,
    InspectedEnrolment,
    readable_certificate,
)
from directory.keystock import PooledKey, open_pooled_key
from directory.overtaking_invariants import SWITCH_UNRECORDED, broken_overtaking
from directory.succession import certifies_until, without_successor
from directory.timekeeping import TOLERANCE

ISSUER_ENDS_SOON = "issuer.ends_soon"
"""An issuing CA that will not be able to certify for much longer: nothing is wrong yet."""

_OPENS = {SecretKind.CA_KEY: "issuer.key_opens", SecretKind.OCSP_KEY: "ocsp.key_opens"}


@dataclass(frozen=True, slots=True, kw_only=True)
class InspectedSecret:
    """A sealed secret that belongs to no enrolment: such as an issuer's key or the audit key."""

    identity: SecretIdentity
    sealed: SealedSecret


@dataclass(frozen=True, slots=True, kw_only=True)
class InspectedPooledKey:
    """A key that should be nobody's yet."""

    key: PooledKey
    is_certified: bool
    """Whether there is a certificate with it."""


class StoreInspector(Protocol):
    """Reads everything, in order, without loading it all at once."""

    def enrolments(self) -> AsyncIterator[InspectedEnrolment]:
        """Yield every enrolment."""
        ...

    async def issuer_certificates(self) -> dict[str, bytes]:
        """Return the DER of every issuer by its identifier."""
        ...

    async def recovery_certificates(self) -> Mapping[str, bytes]:
        """Return the DER of every recovery certificate by its identifier."""
        ...

    async def secrets(self) -> Sequence[InspectedSecret]:
        """Return the issuers' keys, the audit key, and the secrets of organizations."""
        ...

    def pooled_keys(self) -> AsyncIterator[InspectedPooledKey]:
        """Yield every key of the pool that is stored."""
        ...

    async def orphaned_certificates(self) -> Sequence[str]:
        """Return identifiers of certificates marked minted that belong to no enrolment."""
        ...

    async def doubled_addresses(self, now: datetime) -> Sequence[str]:
        """Return `scope address_key` of addresses where two live minted certificates lead, or two wait."""
        ...

    async def hierarchy(self) -> Hierarchy:
        """Return every issuer."""
        ...

    async def cross_certificates(self) -> Sequence[CrossCertificate]:
        """Return what other CAs have certified of issuers' keys."""
        ...

    async def unended_issuers(self, now: datetime) -> Sequence[str]:
        """Return issuers that were revoked, though not all that they issued."""
        ...

    def crls(self, now: datetime) -> AsyncIterator[InspectedCrl]:
        """Yield the latest CRL of every issuer and partition, and what it must list."""
        ...

    def issued_certificates(self, now: datetime) -> AsyncIterator[IssuedCertificate]:
        """Yield every certificate of our issuers that has not expired."""
        ...

    async def moments(self) -> Mapping[str, datetime]:
        """Return the latest moment that each node has put on record."""
        ...

    async def audit_heads(self) -> Sequence[ChainHead]:
        """Return the head of every node's chain."""
        ...

    async def audit_keys(self) -> Sequence[KeyStatement]:
        """Return what is public about every audit key, in order."""
        ...

    def audit_chain(self, node: str) -> AsyncIterator[ChainedEvent | SignedHead]:
        """Yield a node's events in order of sequence, and each signed head behind the event it is of."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Violation:
    """An invariant that does not hold."""

    invariant: str
    """Which one; stable, such as `enrolment.key_opens`."""
    subject: str
    reason: str

    @property
    def is_warning(self) -> bool:
        """Whether something is only late: nothing is lost or leaked, and a service that runs mends it."""
        return self.invariant in {HOLD_OVERRUN, CRL_ENDS_SOON, NO_CRL, ISSUER_ENDS_SOON, SWITCH_UNRECORDED}


class Verification:
    """Checks the invariants; reads only. Whatever it finds stored is a finding, never a reason to stop.

    `validity` is how long recipients' certificates are to live.
    """

    def __init__(
        self,
        *,
        inspector: StoreInspector,
        sealer: Sealer,
        clock: Clock,
        validity: timedelta = timedelta(0),
    ) -> None:
        self._inspector = inspector
        self._validity = validity
        self._sealer = sealer
        self._clock = clock

    async def violations(self) -> AsyncIterator[Violation]:
        """Yield every violation found; none means that nothing leaked and nothing was lost.

        Raises:
            StoreUnavailable: the database does not answer.
        """
        issuers, unreadable = _issuers(await self._inspector.issuer_certificates())
        recovery, unknown = _recovery_certificates(await self._inspector.recovery_certificates())
        for violation in (*unreadable, *unknown):
            yield violation
        async for violation in self._broken_secrets(issuers):
            yield violation
        invariants = EnrolmentInvariants(
            sealer=self._sealer, issuers=issuers, recovery=recovery, now=self._clock.now()
        )
        async for enrolment in self._inspector.enrolments():
            of_itself = invariants.broken_in(enrolment)
            for invariant, reason in (*of_itself, *broken_overtaking(enrolment, self._clock.now())):
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
                reason="more than one live minted certificate leads, or waits to",
            )
        for broken in (
            self._broken_issuers(),
            self._broken_cross_certificates(issuers),
            self._broken_crls(issuers),
            self._broken_chains(),
            self._broken_moments(),
        ):
            async for violation in broken:
                yield violation

    async def _broken_secrets(self, issuers: Mapping[str, x509.Certificate]) -> AsyncIterator[Violation]:
        for secret in await self._inspector.secrets():
            for invariant, reason in self._broken_secret(secret, issuers):
                yield Violation(invariant=invariant, subject=secret.identity.record_id, reason=reason)
        async for pooled in self._inspector.pooled_keys():
            for invariant, reason in self._broken_pooled_key(pooled):
                yield Violation(invariant=invariant, subject=pooled.key.key_id, reason=reason)

    def _broken_secret(
        self, secret: InspectedSecret, issuers: Mapping[str, x509.Certificate]
    ) -> Iterator[Broken]:
        identity = secret.identity
        is_ca_key = identity.kind is SecretKind.CA_KEY
        if identity.kind is SecretKind.AUDIT_KEY:
            yield from self._broken_audit_key(secret)
            return
        try:
            opened = self._sealer.unseal(secret.sealed, identity)
            key = unsafe_from_sealed_pkcs8(opened) if is_ca_key else None
        except (SealBroken, KeyRefused) as error:
            yield _OPENS.get(identity.kind, f"organization.{identity.kind}_opens"), str(error)
            return
        certificate = issuers.get(identity.record_id)
        if key and certificate and not same_key(key.public_key(), certificate.public_key()):
            yield "issuer.key_matches", "its key is not its certificate's"

    def _broken_pooled_key(self, pooled: InspectedPooledKey) -> Iterator[Broken]:
        try:
            open_pooled_key(self._sealer, pooled.key)
        except (SealBroken, KeyRefused) as error:
            yield "pool.key_opens", str(error)
        if pooled.is_certified:
            yield "pool.key_fresh", "it is somebody's already"

    def _broken_audit_key(self, secret: InspectedSecret) -> Iterator[Broken]:
        try:
            signer = AuditSigner.from_secret(self._sealer.unseal(secret.sealed, secret.identity))
        except (SealBroken, KeyRefused) as error:
            yield "audit.key_opens", str(error)
            return
        if signer.key_id != secret.identity.record_id:
            yield "audit.key_matches", "its private key is another one's"

    async def _broken_issuers(self) -> AsyncIterator[Violation]:
        now = self._clock.now()
        for issuer_id in await self._inspector.unended_issuers(now):
            reason = "it was revoked, but certificates that it issued are not: revoke it again"
            yield Violation(invariant="issuer.certificates_ended", subject=issuer_id, reason=reason)
        for issuer in without_successor(await self._inspector.hierarchy(), self._validity, now):
            until = certifies_until(issuer, self._validity)
            reason = f"it certifies recipients until {until:%Y-%m-%d}, and nobody follows it"
            yield Violation(invariant=ISSUER_ENDS_SOON, subject=issuer.issuer_id, reason=reason)

    async def _broken_cross_certificates(
        self, issuers: Mapping[str, x509.Certificate]
    ) -> AsyncIterator[Violation]:
        for cross in await self._inspector.cross_certificates():
            own = issuers.get(cross.issuer_id)
            if own is not None and not _is_of(cross, own):
                reason = "it is not a further certificate of its issuer, or another than its fingerprint says"
                yield Violation(
                    invariant="cross_certificate.of_issuer", subject=cross.cross_id, reason=reason
                )

    async def _broken_crls(self, issuers: Mapping[str, x509.Certificate]) -> AsyncIterator[Violation]:
        now = self._clock.now()
        invariants = CrlInvariants(issuers=issuers, now=now)
        async for inspected in self._inspector.crls(now):
            for invariant, reason in invariants.broken_in(inspected):
                yield Violation(invariant=invariant, subject=inspected.name, reason=reason)
        async for issued in self._inspector.issued_certificates(now):
            if names_another_crl(issued):
                yield Violation(
                    invariant="certificate.crl",
                    subject=issued.certificate_id,
                    reason="it names another CRL than the one that would list it",
                )

    async def _broken_moments(self) -> AsyncIterator[Violation]:
        now = self._clock.now()
        for node, moment in sorted((await self._inspector.moments()).items()):
            if moment - now > TOLERANCE:
                reason = f"{moment:%Y-%m-%d %H:%M} UTC is on record, and that has not come yet"
                yield Violation(invariant="clock.on_record", subject=node, reason=reason)

    async def _broken_chains(self) -> AsyncIterator[Violation]:
        statements = await self._inspector.audit_keys()
        # The first is given; that nobody has put another in its place, only who has a copy of it can tell.
        trusted = TrustedKeys(statement.public_key for statement in statements[:1])
        for statement in statements:
            for finding in learned(trusted, statement):
                yield Violation(invariant="audit.key", subject=statement.key_id, reason=str(finding))
        for head in await self._inspector.audit_heads():
            check = ChainCheck(head.node, trusted=trusted)
            async for item in self._inspector.audit_chain(head.node):
                found = check.head(item) if isinstance(item, SignedHead) else check.event(link_of(item))
                for finding in found:
                    yield Violation(invariant="audit.chain", subject=head.node, reason=str(finding))
            for finding in check.stored_end(head):
                yield Violation(invariant="audit.chain", subject=head.node, reason=str(finding))


def _issuers(stored: Mapping[str, bytes]) -> tuple[dict[str, x509.Certificate], list[Violation]]:
    """Read the issuers' certificates; name those that are not readable."""
    read = {
        issuer_id: certificate
        for issuer_id, der in stored.items()
        if (certificate := readable_certificate(der)) is not None
    }
    reason = "its certificate is not readable"
    return read, [
        Violation(invariant="issuer.certificate", subject=issuer_id, reason=reason)
        for issuer_id in sorted(stored.keys() - read.keys())
    ]


def _is_of(cross: CrossCertificate, own: x509.Certificate) -> bool:
    certificate = readable_certificate(cross.certificate)
    return (
        certificate is not None
        and fingerprint(certificate).hex() == cross.cross_id
        and certificate.not_valid_after_utc == cross.not_after
        and certificate.subject == own.subject
        and same_key(certificate.public_key(), own.public_key())
    )


def _recovery_certificates(
    stored: Mapping[str, bytes],
) -> tuple[dict[str, x509.Certificate], list[Violation]]:
    """Read the recovery certificates; name those that nothing could be escrowed to."""
    read = {
        certificate_id: certificate
        for certificate_id, der in stored.items()
        if (certificate := _recovery_certificate(certificate_id, der)) is not None
    }
    reason = "it is not one to escrow to, or another than its fingerprint says"
    return read, [
        Violation(invariant="recovery.certificate", subject=certificate_id, reason=reason)
        for certificate_id in sorted(stored.keys() - read.keys())
    ]


def _recovery_certificate(certificate_id: str, der: bytes) -> x509.Certificate | None:
    try:
        found = RecoveryCertificate.from_der(der)
    except EscrowRefused:
        return None
    return found.certificate if found.fingerprint == certificate_id else None
