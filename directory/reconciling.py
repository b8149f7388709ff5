"""What was lost by the restore of an older database? An exported audit log remembers.

A certificate that was issued after the backup is still out there, and the database knows nothing of it: OCSP
never calls it good, but no CRL lists it. What the log tells of it is enough to revoke it: issuer, serial
number, end. A revocation after the backup is made once more. Keys and mails are not in the log: what was lost
of them stays lost, and the next lookup mints anew.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from ca.revocation import RevocationReason
from directory.audit import AuditEvent, AuditKind
from directory.clock import Clock

_ISSUED = frozenset({AuditKind.CERTIFICATE_MINTED, AuditKind.PROXY_CERTIFIED})


@dataclass(frozen=True, slots=True, kw_only=True)
class LostCertificate:
    """A certificate that is on record in the log, and unknown to the database."""

    serial: str
    """In hex."""
    issuer_id: str
    crl_partition: int | None
    """Which of its issuer's CRLs it names; None: the complete one."""
    issued_at: datetime
    not_after: datetime
    subject: str
    """Its enrolment, or its own identifier, at the time."""
    organization_id: str | None
    revoked_at: datetime | None
    """When it was revoked before; None if it was not."""
    reason: RevocationReason


@dataclass(frozen=True, slots=True, kw_only=True)
class LostRevocation:
    """A certificate that the database takes for good, and that was revoked."""

    serial: str
    reason: RevocationReason


@dataclass(frozen=True, slots=True, kw_only=True)
class Losses:
    """What the log tells and the database does not know."""

    certificates: Sequence[LostCertificate]
    revocations: Sequence[LostRevocation]

    def __bool__(self) -> bool:
        return bool(self.certificates or self.revocations)


class ReconcilingStore(Protocol):
    """Knows what is known, and takes in what was lost."""

    async def standing_of(self, serials: Collection[str]) -> Mapping[str, bool]:
        """Return of the certificates with these serial numbers that are known whether they are revoked."""
        ...

    async def take_in(self, lost: LostCertificate, *, at: datetime, event: AuditEvent) -> None:
        """Keep a lost certificate as revoked, so that CRLs and OCSP tell of it; not if it is known by now.

        Raises:
            Unknown: its issuer was lost as well.
        """
        ...


class Revoker(Protocol):
    """Revokes what is known."""

    async def revoke_serial(self, serial: int, reason: RevocationReason, actor: str) -> object:
        """Revoke the certificate with this serial number."""
        ...


class Reconciliation:
    """An operator who has restored an older database."""

    def __init__(self, *, store: ReconcilingStore, revoker: Revoker, clock: Clock, actor: str) -> None:
        self._store = store
        self._revoker = revoker
        self._clock = clock
        self._actor = actor

    async def losses(self, told: Iterable[AuditEvent]) -> Losses:
        """Find what a log tells and the database does not know; what has expired is of no importance.

        Raises:
            StoreUnavailable: the database does not answer.
        """
        issued: dict[str, AuditEvent] = {}
        revoked: dict[str, AuditEvent] = {}
        for event in told:
            if event.kind in _ISSUED:
                issued[event.detail["serial"]] = event
            elif event.kind is AuditKind.CERTIFICATE_REVOKED:
                revoked.setdefault(event.detail["serial"], event)
        standing = await self._store.standing_of(issued.keys() | revoked.keys())
        now = self._clock.now()
        lost = [
            _lost(serial, event, revoked.get(serial))
            for serial, event in issued.items()
            if serial not in standing
        ]
        return Losses(
            certificates=[one for one in lost if one.not_after > now],
            revocations=[
                LostRevocation(serial=serial, reason=RevocationReason(event.detail["reason"]))
                for serial, event in revoked.items()
                if standing.get(serial) is False
            ],
        )

    async def make_good(self, losses: Losses) -> None:
        """Revoke what was lost, and once more what was revoked; may be repeated.

        Raises:
            Unknown: an issuer was lost as well.
            StoreUnavailable: the database does not answer; what was done before stays.
        """
        now = self._clock.now()
        for lost in losses.certificates:
            await self._store.take_in(lost, at=now, event=self._event(lost, now))
        for revocation in losses.revocations:
            await self._revoker.revoke_serial(int(revocation.serial, 16), revocation.reason, self._actor)

    def _event(self, lost: LostCertificate, at: datetime) -> AuditEvent:
        return AuditEvent(
            kind=AuditKind.CERTIFICATE_REVOKED,
            at=at,
            actor=self._actor,
            subject=lost.subject,
            organization_id=lost.organization_id,
            detail={"serial": lost.serial, "reason": lost.reason.value, "because": "lost_by_restore"},
        )


def _lost(serial: str, issued: AuditEvent, revoked: AuditEvent | None) -> LostCertificate:
    # Superseded: nothing is wrong with it but that we lost it, and the next lookup may mint another.
    reason = revoked.detail["reason"] if revoked else RevocationReason.SUPERSEDED
    return LostCertificate(
        serial=serial,
        issuer_id=issued.detail["issuer"],
        crl_partition=int(partition) if (partition := issued.detail.get("crl_partition")) else None,
        issued_at=issued.at,
        not_after=datetime.fromisoformat(issued.detail["not_after"]),
        subject=issued.subject,
        organization_id=issued.organization_id,
        revoked_at=revoked.at if revoked else None,
        reason=RevocationReason(reason),
    )
