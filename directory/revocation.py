"""How does a certificate stop being served before it expires?"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from ca.address import Addressee
from ca.revocation import RevocationReason
from directory.audit import AuditEvent, AuditKind
from directory.clock import Clock
from directory.errors import Unknown

__all__ = [
    "ALLOWS_SUCCESSOR",
    "RevocableCertificate",
    "Revocation",
    "RevocationReason",
    "RevocationStore",
]

ALLOWS_SUCCESSOR = frozenset({RevocationReason.SUPERSEDED})
"""After these reasons the next allowed lookup may mint anew; after all others the address stays without."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RevocableCertificate:
    """A certificate that is neither revoked nor expired."""

    certificate_id: str
    enrolment_id: str | None
    organization_id: str | None
    mailbox: Addressee | None
    """None of what was issued to a CA."""
    serial: int


class RevocationStore(Protocol):
    """Finds and revokes."""

    async def by_serial(self, serial: int, now: datetime) -> Sequence[RevocableCertificate]:
        """Return the certificates of this serial number, one per issuer that used it."""
        ...

    async def by_address(self, mailbox: Addressee, now: datetime) -> Sequence[RevocableCertificate]:
        """Return the address' certificates, in every scope."""
        ...

    async def by_key(self, key_sha256: bytes, now: datetime) -> Sequence[RevocableCertificate]:
        """Return the certificates of this key, whoever issued them."""
        ...

    async def by_issuer(self, issuer_id: str, now: datetime) -> Sequence[RevocableCertificate]:
        """Return what this issuer of ours has issued to recipients, and to others' CAs."""
        ...

    async def by_organization(self, organization_id: str, now: datetime) -> Sequence[RevocableCertificate]:
        """Return what was minted for this organization."""
        ...

    async def revoke(
        self,
        certificate: RevocableCertificate,
        *,
        reason: RevocationReason,
        at: datetime,
        event: AuditEvent,
    ) -> None:
        """Revoke: out of the directory at once, its enrolment no longer live; other certificates stay.

        After a compromise the key is blocked as well: nothing is published with it any more.
        """
        ...


class Revocation:
    """Revokes certificates for an operator."""

    def __init__(self, *, store: RevocationStore, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    async def revoke_serial(
        self, serial: int, reason: RevocationReason, actor: str
    ) -> Sequence[RevocableCertificate]:
        """Revoke the certificate with this serial number.

        Raises:
            Unknown: no certificate that could still be revoked has it.
        """
        found = await self._store.by_serial(serial, self._clock.now())
        return await self._revoke(found, reason, actor, sought=f"{serial:x}")

    async def revoke_address(
        self, mailbox: Addressee, reason: RevocationReason, actor: str
    ) -> Sequence[RevocableCertificate]:
        """Revoke every certificate of this address.

        Raises:
            Unknown: the address has none that could still be revoked.
        """
        found = await self._store.by_address(mailbox, self._clock.now())
        return await self._revoke(found, reason, actor, sought=str(mailbox))

    async def revoke_key(
        self, key_sha256: bytes, reason: RevocationReason, actor: str
    ) -> Sequence[RevocableCertificate]:
        """Revoke every certificate of the key with this SHA-256 of its SubjectPublicKeyInfo.

        Raises:
            Unknown: there is none that could still be revoked.
        """
        found = await self._store.by_key(key_sha256, self._clock.now())
        return await self._revoke(found, reason, actor, sought=f"key {key_sha256.hex()}")

    async def revoke_issuer(
        self, issuer_id: str, reason: RevocationReason, actor: str
    ) -> Sequence[RevocableCertificate]:
        """Revoke everything that one of our issuers, named by its key identifier, has issued.

        To recipients, that is, and to others' CAs.

        Raises:
            Unknown: there is nothing that could still be revoked.
        """
        found = await self._store.by_issuer(issuer_id, self._clock.now())
        return await self._revoke(found, reason, actor, sought=f"issuer {issuer_id}")

    async def revoke_organization(
        self, organization_id: str, reason: RevocationReason, actor: str
    ) -> Sequence[RevocableCertificate]:
        """Revoke everything that was minted for an organization.

        Raises:
            Unknown: there is nothing that could still be revoked.
        """
        found = await self._store.by_organization(organization_id, self._clock.now())
        return await self._revoke(found, reason, actor, sought=f"organization {organization_id}")

    async def _revoke(
        self, found: Sequence[RevocableCertificate], reason: RevocationReason, actor: str, *, sought: str
    ) -> Sequence[RevocableCertificate]:
        if not found:
            raise Unknown(kind="certificate", name=sought)
        now = self._clock.now()
        for certificate in found:
            event = AuditEvent(
                kind=AuditKind.CERTIFICATE_REVOKED,
                at=now,
                actor=actor,
                subject=certificate.certificate_id,
                organization_id=certificate.organization_id,
                detail={"serial": f"{certificate.serial:x}", "reason": reason.value},
            )
            await self._store.revoke(certificate, reason=reason, at=now, event=event)
        return found
