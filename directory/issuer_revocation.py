"""What follows when an issuing CA is compromised, or given up? It ends at once; what it issued, in batches.

With the first transaction nobody certifies in its name any more, whatever a process has in memory, and its
own serial number is due on the CRL of the CA above. Then its recipients' certificates leave the directory:
each is revoked as superseded, so that the next allowed lookup mints a new one, under whoever is active then.
Between batches others have their turn: what is minted meanwhile does not wait for the last of them.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Protocol

from ca.profiles import Purpose
from ca.revocation import RevocationReason
from directory.audit import AuditEvent, AuditKind
from directory.clock import Clock
from directory.errors import ConfigurationRefused
from directory.hierarchy import Hierarchy, StoredIssuer
from directory.issuers import find_issuer

BATCH: Final = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """Certificates that were revoked together."""

    count: int
    last: str | None
    """After which of them the next batch begins; None behind the last one."""


class IssuerRevocations(Protocol):
    """Revokes issuers and what they issued; each call is one durable transaction with its events."""

    async def hierarchy(self) -> Hierarchy:
        """Return every issuer."""
        ...

    async def end(
        self, issuer: StoredIssuer, reason: RevocationReason, at: datetime, event: AuditEvent
    ) -> None:
        """Revoke an issuer, when whatever is being signed in its name is durable."""
        ...

    async def end_certificates(
        self, issuer_id: str, after: str, at: datetime, actor: str, *, most: int
    ) -> Batch:
        """Revoke so many of its recipients' certificates as superseded, in order of their identifiers."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class RevokedIssuer:
    """What was revoked."""

    issuer: StoredIssuer
    certificates: int


class IssuerRevocation:
    """An operator who gives an issuing CA up."""

    def __init__(self, *, store: IssuerRevocations, clock: Clock, actor: str) -> None:
        self._store = store
        self._clock = clock
        self._actor = actor

    async def revoke(
        self, issuer_id: str, reason: RevocationReason, *, progress: Callable[[int], None] = lambda _: None
    ) -> RevokedIssuer:
        """Revoke an issuing CA and all that it issued; of one that is revoked already, what is left.

        Raises:
            Unknown: there is no such issuer.
            ConfigurationRefused: it is no issuing CA of ours.
        """
        issuer = find_issuer(await self._store.hierarchy(), issuer_id)
        if issuer.purpose is not Purpose.ISSUING_CA or issuer.is_foreign:
            raise ConfigurationRefused(key="ID", reason=f"{issuer.issuer_id} is no issuing CA of ours")
        if issuer.revoked_at is None:
            now = self._clock.now()
            event = AuditEvent(
                kind=AuditKind.ISSUER_REVOKED,
                at=now,
                actor=self._actor,
                subject=issuer.issuer_id,
                detail={"serial": f"{issuer.serial:x}", "reason": reason.value},
            )
            await self._store.end(issuer, reason, now, event)
        count, after = 0, ""
        while True:
            batch = await self._store.end_certificates(
                issuer.issuer_id, after, self._clock.now(), self._actor, most=BATCH
            )
            count += batch.count
            progress(count)
            if batch.last is None:
                return RevokedIssuer(issuer=issuer, certificates=count)
            after = batch.last
