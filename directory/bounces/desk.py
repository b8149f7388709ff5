"""How do people put right what a bounce has done? An address cleared, a domain let go before its time."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from ca.address import Mailbox
from ca.revocation import RevocationReason
from directory.audit import AuditEvent, AuditKind
from directory.clock import Clock
from directory.errors import Unknown
from directory.revocation import RevocableCertificate


@dataclass(frozen=True, slots=True, kw_only=True)
class PausedDomain:
    """A recipient domain that an organization leaves alone."""

    organization_id: str
    slug: str
    domain: str
    paused_at: datetime
    until: datetime


class Revoker(Protocol):
    """Revokes one certificate."""

    async def revoke(
        self,
        certificate: RevocableCertificate,
        *,
        reason: RevocationReason,
        at: datetime,
        event: AuditEvent,
    ) -> None:
        """Revoke it, and let its enrolment have ended for that."""
        ...


class BounceRecords(Protocol):
    """Where bounced enrolments and paused domains stand."""

    async def bounced(self, mailbox: Mailbox) -> Sequence[RevocableCertificate]:
        """Return the certificates of the address whose key mails came back, in every scope."""
        ...

    async def paused_domains(self, now: datetime) -> Sequence[PausedDomain]:
        """Return the domains that are paused."""
        ...

    async def resume(self, paused: PausedDomain, event: AuditEvent) -> None:
        """End the pause."""
        ...


class BounceDesk:
    """What an operator can do about bounces."""

    def __init__(self, *, records: BounceRecords, revoker: Revoker, clock: Clock) -> None:
        self._records = records
        self._revoker = revoker
        self._clock = clock

    async def clear(self, mailbox: Mailbox, actor: str) -> Sequence[RevocableCertificate]:
        """Let the next lookup mint for an address again: a new key, for nobody knows who has the old one.

        The certificates whose key did not arrive are revoked as superseded.

        Raises:
            Unknown: no key mail to the address came back.
        """
        found = await self._records.bounced(mailbox)
        if not found:
            raise Unknown(kind="bounced address", name=str(mailbox))
        now = self._clock.now()
        for certificate in found:
            event = AuditEvent(
                kind=AuditKind.BOUNCE_CLEARED,
                at=now,
                actor=actor,
                subject=certificate.certificate_id,
                organization_id=certificate.organization_id,
                detail={
                    "serial": f"{certificate.serial:x}",
                    "revoked": RevocationReason.SUPERSEDED.value,
                },
            )
            await self._revoker.revoke(certificate, reason=RevocationReason.SUPERSEDED, at=now, event=event)
        return found

    async def paused_domains(self) -> Sequence[PausedDomain]:
        """Return the domains that are paused now."""
        return await self._records.paused_domains(self._clock.now())

    async def resume(self, domain: str, actor: str) -> Sequence[PausedDomain]:
        """Let a domain go, for every organization that left it alone.

        Raises:
            Unknown: none does.
        """
        now = self._clock.now()
        paused = [one for one in await self._records.paused_domains(now) if one.domain == domain]
        if not paused:
            raise Unknown(kind="paused domain", name=domain)
        for one in paused:
            event = AuditEvent(
                kind=AuditKind.DOMAIN_RESUMED,
                at=now,
                actor=actor,
                subject=domain,
                organization_id=one.organization_id,
            )
            await self._records.resume(one, event)
        return paused
