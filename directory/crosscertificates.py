"""Who else vouches for our CAs, and for whose CA do ours vouch? An operator looks after both.

What another CA has certified of one of our keys stands beside the certificate that we have ourselves, which
stays the one that chains are built of here. Whoever trusts the other CA only finds it where ours are.

What our root has certified of somebody else's CA is on record, so that the root's CRL can list it.
"""

import asyncio
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes
from cryptography.hazmat.primitives.serialization import Encoding

from ca.crosscertification import cross_certify, read_other_ca
from ca.issuerimport import Import, ImportFlaw, cross_chain_above, fingerprint, read_certificates, refused
from ca.keys import algorithm_of, same_key
from ca.profiles import Purpose
from directory.audit import AuditEvent, AuditKind
from directory.clock import Clock
from directory.errors import AlreadyExists, ConfigurationRefused, IssuerEnded
from directory.hierarchy import Hierarchy, StoredIssuer
from directory.issuers import find
from directory.issuing import issuing_profile, root_at_hand
from directory.issuing_ports import IssuerKeys, PendingIssuer


@dataclass(frozen=True, slots=True, kw_only=True)
class CrossCertificate:
    """A further certificate of one of our issuers' keys, by somebody else's CA."""

    cross_id: str
    """SHA-256 of the DER, in hex."""
    issuer_id: str
    """Whose key it certifies."""
    certificate: bytes
    """DER."""
    not_after: datetime
    created_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedForOthers:
    """What our root has certified of somebody else's CA."""

    issuer_id: str
    """The root."""
    serial: int
    certificate: bytes
    """DER."""
    not_before: datetime
    not_after: datetime
    created_at: datetime
    revoked_at: datetime | None = None


class CrossStore(Protocol):
    """Keeps cross-certificates; each change is one durable transaction with its event."""

    async def hierarchy(self) -> Hierarchy:
        """Return every issuer."""
        ...

    async def pending(self) -> Sequence[PendingIssuer]:
        """Return what is to become an issuer."""
        ...

    async def cross_certificates(self) -> Sequence[CrossCertificate]:
        """Return what others have certified, the oldest first."""
        ...

    async def signed_for_others(self) -> Sequence[SignedForOthers]:
        """Return what our roots have certified of others, the oldest first."""
        ...

    async def add(self, cross: CrossCertificate, event: AuditEvent) -> None:
        """Add what another CA has certified.

        Raises:
            AlreadyExists: it is here.
            IssuerEnded: the issuer was revoked meanwhile.
        """
        ...

    async def remove(self, cross_id: str, event: AuditEvent) -> None:
        """Forget it.

        Raises:
            Unknown: it is not here.
        """
        ...

    async def record(self, signed: SignedForOthers, event: AuditEvent) -> None:
        """Put on record what our root has certified.

        Raises:
            AlreadyExists: it is on record.
        """
        ...


class CrossDesk:
    """An operator who looks after cross-certificates."""

    def __init__(self, *, store: CrossStore, keys: IssuerKeys, clock: Clock, actor: str) -> None:
        self._store = store
        self._keys = keys
        self._clock = clock
        self._actor = actor

    async def every(self) -> tuple[Sequence[CrossCertificate], Sequence[SignedForOthers]]:
        """Return what others have certified of ours, and ours of others."""
        return await self._store.cross_certificates(), await self._store.signed_for_others()

    async def take_in(
        self, certificate_file: bytes, chain_files: Sequence[bytes], trusted: Collection[bytes]
    ) -> CrossCertificate:
        """Take in what another CA has certified of one of our keys; running services publish it in seconds.

        `trusted` are the SHA-256 of roots beside those that are here. The CAs above it are looked at, and not
        kept: whoever is to use it trusts one of them.

        Raises:
            IssuerRefused: the certificate, or one above it, cannot be used; with a code of `ImportFlaw`.
            IssuerEnded: it is for an issuer that was revoked.
            AlreadyExists: it is here already.
        """
        now = self._clock.now()
        hierarchy = await self._store.hierarchy()
        certificate, *brought = read_certificates(certificate_file)
        brought += [one for file in chain_files for one in read_certificates(file)]
        issuer = _certified_by(certificate, hierarchy)
        if issuer.revoked_at is not None:
            raise IssuerEnded(issuer_id=issuer.issuer_id)
        here = [(one, x509.load_der_x509_certificate(one.certificate)) for one in hierarchy.issuers]
        own = x509.load_der_x509_certificate(issuer.certificate)
        chain = cross_chain_above(
            Import(
                certificate=certificate,
                key=own.public_key(),
                others=[*(one for _, one in here), *brought],
                trusted={*(fingerprint(one) for of, one in here if of.purpose is Purpose.ROOT_CA), *trusted},
                cas_below=1 if issuer.purpose is Purpose.ROOT_CA else 0,
            ),
            own,
            now,
        )
        if certificate == own:
            raise AlreadyExists(kind="issuer", name=issuer.issuer_id)
        cross = CrossCertificate(
            cross_id=fingerprint(certificate).hex(),
            issuer_id=issuer.issuer_id,
            certificate=certificate.public_bytes(Encoding.DER),
            not_after=certificate.not_valid_after_utc,
            created_at=now,
        )
        event = self._event(
            AuditKind.CROSS_CERTIFICATE_ADDED,
            issuer.issuer_id,
            certificate=cross.cross_id,
            name=certificate.issuer.rfc4514_string(),
            root=fingerprint(chain[-1]).hex(),
        )
        await self._store.add(cross, event)
        return cross

    async def remove(self, cross_id: str) -> CrossCertificate:
        """Publish it no longer.

        Raises:
            Unknown: there is none that is named, or whose name begins, like this.
        """
        every = await self._store.cross_certificates()
        cross = find(every, cross_id, key=lambda one: one.cross_id, kind="cross-certificate")
        event = self._event(AuditKind.CROSS_CERTIFICATE_REMOVED, cross.issuer_id, certificate=cross.cross_id)
        await self._store.remove(cross.cross_id, event)
        return cross

    async def sign(
        self, file: bytes, permitted_domains: frozenset[str], root_id: str | None
    ) -> SignedForOthers:
        """Certify somebody else's CA under a root whose key is here, for addresses at these domains only.

        Raises:
            ConfigurationRefused: no such root is here.
            AlreadyExists: it is one of ours.
            CaError: what was brought cannot be certified, the root's key does not open, or the certificate
                would break a rule.
        """
        now = self._clock.now()
        hierarchy = await self._store.hierarchy()
        root = root_at_hand(hierarchy, root_id, now, remedy="sign with its key file: --key")
        other = read_other_ca(file, now)
        await self._refuse_ours(other.name, other.public_key, hierarchy)
        profile = issuing_profile(algorithm_of(other.public_key), permitted_domains, root.not_after, now)

        def certify() -> x509.Certificate:
            return cross_certify(self._keys.open(root), profile, other, now)

        return await self._record(root, await asyncio.to_thread(certify), now)

    async def record(self, file: bytes) -> SignedForOthers:
        """Put on record what a root of ours has certified with its key file.

        Raises:
            IssuerRefused: it is not readable.
            ConfigurationRefused: no root of ours has signed it, or it is one of our own issuing CAs'.
            AlreadyExists: it is on record.
        """
        certificate, *_ = read_certificates(file)
        hierarchy = await self._store.hierarchy()
        roots = [one for one in hierarchy.issuers if one.purpose is Purpose.ROOT_CA and not one.is_foreign]
        signer = next((one for one in roots if _is_signed_by(certificate, one)), None)
        if signer is None:
            raise ConfigurationRefused(key="CERTIFICATE", reason="no root of ours has signed it")
        await self._refuse_ours(certificate.subject, certificate.public_key(), hierarchy)
        return await self._record(signer, certificate, self._clock.now())

    async def _refuse_ours(
        self, name: x509.Name, key: CertificatePublicKeyTypes, hierarchy: Hierarchy
    ) -> None:
        """Return if no CA of ours, nor what is to become one, has the name or the key."""
        ours = {
            one.issuer_id: x509.load_der_x509_certificate(one.certificate)
            for one in hierarchy.issuers
            if not one.is_foreign
        }
        waiting = {
            one.issuer_id: request
            for one in await self._store.pending()
            if (request := one.readable()) is not None
        }
        for issuer_id, one in (ours | waiting).items():
            if one.subject == name or same_key(one.public_key(), key):
                raise AlreadyExists(kind="issuer", name=issuer_id)

    async def _record(
        self, root: StoredIssuer, certificate: x509.Certificate, now: datetime
    ) -> SignedForOthers:
        signed = SignedForOthers(
            issuer_id=root.issuer_id,
            serial=certificate.serial_number,
            certificate=certificate.public_bytes(Encoding.DER),
            not_before=certificate.not_valid_before_utc,
            not_after=certificate.not_valid_after_utc,
            created_at=now,
        )
        event = self._event(
            AuditKind.CROSS_CERTIFICATE_SIGNED,
            root.issuer_id,
            name=certificate.subject.rfc4514_string(),
            issuer=root.issuer_id,
            serial=f"{signed.serial:x}",
            not_after=signed.not_after.isoformat(),
        )
        await self._store.record(signed, event)
        return signed

    def _event(self, kind: AuditKind, issuer_id: str, **detail: str) -> AuditEvent:
        return AuditEvent(
            kind=kind, at=self._clock.now(), actor=self._actor, subject=issuer_id, detail=detail
        )


def _certified_by(certificate: x509.Certificate, hierarchy: Hierarchy) -> StoredIssuer:
    """Return the issuer of ours whose key the certificate is for."""
    for issuer in hierarchy.issuers:
        own = x509.load_der_x509_certificate(issuer.certificate)
        if not issuer.is_foreign and same_key(own.public_key(), certificate.public_key()):
            return issuer
    raise refused(ImportFlaw.KEY_MISMATCH, certificate)


def _is_signed_by(certificate: x509.Certificate, root: StoredIssuer) -> bool:
    try:
        certificate.verify_directly_issued_by(x509.load_der_x509_certificate(root.certificate))
    except (InvalidSignature, ValueError, TypeError):
        return False
    return True
