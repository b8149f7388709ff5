"""What was lost by the restore of an older database? An exported audit log remembers.

A certificate that was issued after the backup is still out there, and the database knows nothing of it: OCSP
never calls it good, but no CRL lists it. What the log tells of it is enough to revoke it: issuer, serial
number, end. A revocation after the backup is made once more, an issuing CA's as well. Keys and mails are not
in the log: what was lost of them stays lost, and the next lookup mints anew.

With an issuing CA that was made after the backup its key is lost, so no CRL can list what it had issued; but
the CRL of the CA above lists itself.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from ca.revocation import RevocationReason
from directory.audit import AuditEvent, AuditKind
from directory.clock import Clock
from directory.hierarchy import Hierarchy

_ISSUED = frozenset(
    {AuditKind.CERTIFICATE_MINTED, AuditKind.PROXY_CERTIFIED, AuditKind.CROSS_CERTIFICATE_SIGNED}
)
_REVOKED = frozenset({AuditKind.CERTIFICATE_REVOKED, AuditKind.BOUNCE_CLEARED, AuditKind.ISSUER_REVOKED})


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
    """Its enrolment, or its own identifier, at the time; of an issuing CA its key identifier."""
    is_issuer: bool = False
    """Whether it is an issuing CA's own."""
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
class LostIssuerRevocation:
    """An issuing CA that the database takes for good, and that was revoked with all that it issued."""

    issuer_id: str
    reason: RevocationReason


@dataclass(frozen=True, slots=True, kw_only=True)
class Losses:
    """What the log tells and the database does not know."""

    certificates: Sequence[LostCertificate]
    revocations: Sequence[LostRevocation]
    issuer_revocations: Sequence[LostIssuerRevocation]
    beyond_help: Mapping[str, int]
    """How many certificates no CRL from here can list, by issuer: it was lost as well, or is not ours."""

    def __bool__(self) -> bool:
        """Whether there is something that can be made good."""
        return bool(self.certificates or self.revocations or self.issuer_revocations)


class ReconcilingStore(Protocol):
    """Knows what is known, and takes in what was lost."""

    async def hierarchy(self) -> Hierarchy:
        """Return every issuer that is known."""
        ...

    async def standing_of(self, serials: Collection[str], now: datetime) -> Mapping[str, bool]:
        """Return of the certificates with these serial numbers that are known whether they have ended.

        They have if they are revoked, or expired.
        """
        ...

    async def take_in(self, lost: LostCertificate, *, at: datetime, event: AuditEvent) -> None:
        """Keep a lost certificate as revoked, so that CRLs and OCSP tell of it; not if it is known by now."""
        ...


class Revoker(Protocol):
    """Revokes what is known."""

    async def revoke_serial(self, serial: int, reason: RevocationReason, actor: str) -> object:
        """Revoke the certificate with this serial number."""
        ...


class IssuerRevoker(Protocol):
    """Revokes issuing CAs that are known."""

    async def revoke(self, issuer_id: str, reason: RevocationReason) -> object:
        """Revoke an issuing CA and all that it issued."""
        ...


class Reconciliation:
    """An operator who has restored an older database."""

    def __init__(
        self,
        *,
        store: ReconcilingStore,
        revoker: Revoker,
        issuer_revoker: IssuerRevoker,
        clock: Clock,
        actor: str,
    ) -> None:
        self._store = store
        self._revoker = revoker
        self._issuer_revoker = issuer_revoker
        self._clock = clock
        self._actor = actor

    async def losses(self, told: Iterable[AuditEvent]) -> Losses:
        """Find what a log tells and the database does not know; what has expired is of no importance.

        Raises:
            StoreUnavailable: the database does not answer.
        """
        now = self._clock.now()
        issuers = {one.issuer_id: one for one in (await self._store.hierarchy()).issuers}
        ours = {issuer_id for issuer_id, one in issuers.items() if not one.is_foreign}
        issued: dict[str, AuditEvent] = {}
        revoked: dict[str, AuditEvent] = {}
        for event in told:
            if event.kind in _ISSUED or _is_of_lost_issuer(event, issuers):
                issued[event.detail["serial"]] = event
            elif event.kind in _REVOKED:
                revoked.setdefault(event.detail["serial"], event)
        standing = await self._store.standing_of(issued.keys() | revoked.keys(), now)
        unknown = (
            _lost(serial, event, revoked.get(serial))
            for serial, event in issued.items()
            if serial not in standing
        )
        lost = [one for one in unknown if one.not_after > now]
        return Losses(
            certificates=[one for one in lost if one.issuer_id in ours],
            revocations=[
                LostRevocation(serial=serial, reason=_reason_of(event))
                for serial, event in revoked.items()
                if standing.get(serial) is False
            ],
            issuer_revocations=[
                LostIssuerRevocation(issuer_id=event.subject, reason=_reason_of(event))
                for event in revoked.values()
                if event.kind is AuditKind.ISSUER_REVOKED
                and (issuer := issuers.get(event.subject)) is not None
                and issuer.ended(now) is None
            ],
            beyond_help=Counter(one.issuer_id for one in lost if one.issuer_id not in ours),
        )

    async def make_good(self, losses: Losses) -> None:
        """Revoke once more what was revoked, then what was lost; may be repeated.

        First each certificate that was revoked for a reason of its own, then issuing CAs with the rest.

        Raises:
            StoreUnavailable: the database does not answer; what was done before stays.
        """
        for revocation in losses.revocations:
            await self._revoker.revoke_serial(int(revocation.serial, 16), revocation.reason, self._actor)
        for issuer in losses.issuer_revocations:
            await self._issuer_revoker.revoke(issuer.issuer_id, issuer.reason)
        now = self._clock.now()
        for lost in losses.certificates:
            await self._store.take_in(lost, at=now, event=self._event(lost, now))

    def _event(self, lost: LostCertificate, at: datetime) -> AuditEvent:
        return AuditEvent(
            kind=AuditKind.ISSUER_REVOKED if lost.is_issuer else AuditKind.CERTIFICATE_REVOKED,
            at=at,
            actor=self._actor,
            subject=lost.subject,
            organization_id=lost.organization_id,
            detail={"serial": lost.serial, "reason": lost.reason.value, "because": "lost_by_restore"},
        )


def _is_of_lost_issuer(event: AuditEvent, issuers: Collection[str]) -> bool:
    """Tell whether somebody has certified an issuing CA that is not known."""
    return (
        event.kind is AuditKind.ISSUER_CREATED and "serial" in event.detail and event.subject not in issuers
    )


def _lost(serial: str, issued: AuditEvent, revoked: AuditEvent | None) -> LostCertificate:
    is_issuer = issued.kind is AuditKind.ISSUER_CREATED
    if revoked is not None:
        reason = _reason_of(revoked)
    elif is_issuer:
        reason = RevocationReason.CESSATION_OF_OPERATION
    else:
        # Nothing is wrong with it but that we lost it, and the next lookup may mint another.
        reason = RevocationReason.SUPERSEDED
    return LostCertificate(
        serial=serial,
        issuer_id=issued.detail["certified_by" if is_issuer else "issuer"],
        crl_partition=int(partition) if (partition := issued.detail.get("crl_partition")) else None,
        issued_at=issued.at,
        not_after=datetime.fromisoformat(issued.detail["not_after"]),
        subject=issued.subject,
        is_issuer=is_issuer,
        organization_id=issued.organization_id,
        revoked_at=revoked.at if revoked else None,
        reason=reason,
    )


def _reason_of(revoked: AuditEvent) -> RevocationReason:
    key = "revoked" if revoked.kind is AuditKind.BOUNCE_CLEARED else "reason"
    return RevocationReason(revoked.detail[key])
