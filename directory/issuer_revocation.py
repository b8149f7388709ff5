"""What follows when an issuing CA is compromised, or given up? It ends at once; what it issued, in batches.

With the first transaction nobody certifies in its name any more, whatever a process has in memory, and its
own serial number is due on the CRL of the CA above. Then its recipients' certificates leave the directory:
each is revoked as superseded, so that the next allowed lookup mints a new one, under whoever is active then.
Between batches others have their turn: what is minted meanwhile does not wait for the last of them. What is
interrupted there, whatever ended the process, every running service goes on with.
"""

import logging
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Protocol

from ca.profiles import Purpose
from ca.revocation import RevocationReason
from directory.audit import AuditEvent, AuditKind
from directory.clock import Clock
from directory.errors import ConfigurationRefused
from directory.hierarchy import Hierarchy, StoredIssuer
from directory.issuers import find_issuer
from directory.rounds import Rounds, Uniform

logger = logging.getLogger(__name__)

BATCH: Final = 500
POLL: Final = timedelta(minutes=10)
"""How often a service looks for what was interrupted, after it has looked at its start."""


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

    async def unended(self, now: datetime) -> Sequence[str]:
        """Return issuers that were revoked, though not all that they issued."""
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
        count = 0
        async for more in self._batches(issuer.issuer_id):
            count += more
            progress(count)
        return RevokedIssuer(issuer=issuer, certificates=count)

    async def resume(self, *, is_stopped: Callable[[], bool] = lambda: False) -> int:
        """Revoke what an interrupted revocation has left; return how many certificates.

        Between two batches it asks whether to stop: the next call goes on there.

        Raises:
            StoreUnavailable: the database does not answer.
        """
        count = 0
        for issuer_id in await self._store.unended(self._clock.now()):
            async for more in self._batches(issuer_id):
                count += more
                if is_stopped():
                    return count
        return count

    async def _batches(self, issuer_id: str) -> AsyncIterator[int]:
        """Revoke what the issuer has issued; yield after each batch how many it were."""
        after: str | None = ""
        while after is not None:
            batch = await self._store.end_certificates(
                issuer_id, after, self._clock.now(), self._actor, most=BATCH
            )
            yield batch.count
            after = batch.last


class InterruptedRevocations:
    """A service that goes on with what an operator's command did not bring to its end."""

    def __init__(self, *, revocation: IssuerRevocation, uniform: Uniform) -> None:
        self._revocation = revocation
        self._rounds = Rounds(
            apart=POLL, failing="what a revoked issuer issued stays for now", uniform=uniform
        )

    async def run(self) -> None:
        """Look at once, then again and again until stopped."""
        await self._rounds.attempt(self.look)
        await self._rounds.run(self.look)

    async def look(self) -> None:
        """Go on with what was interrupted.

        Raises:
            StoreUnavailable: the database does not answer.
        """
        count = await self._revocation.resume(is_stopped=lambda: self._rounds.is_stopped)
        if count:
            logger.warning("%d certificates of revoked issuers were still valid, and are revoked now", count)

    def stop(self) -> None:
        """Let `run` end."""
        self._rounds.stop()
