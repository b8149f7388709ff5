"""When does a renewed certificate go before the one that it renews? The switch, and the record of it.

It waits until its key was proven, until the one that leads has only a few days left, or until that one ends
otherwise. The second happens by itself, as an expiry does: lookups go by the moment that was stored when it
was minted, on every node, whether anything runs or not. The chore here only writes down that it has happened.
The certificate that is overtaken is served on, behind the new one, until it expires: it is not revoked.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from directory.audit import AuditEvent, AuditKind
from directory.followup import BATCH
from directory.timekeeping import Doubt, never_doubted


class SwitchReason(StrEnum):
    """Why a renewed certificate leads."""

    PROVEN = "proven"  # its recipient has shown that he can decrypt
    DUE = "due"  # the one before it ends soon
    ALONE = "alone"  # the one before it was revoked or withdrawn


@dataclass(frozen=True, slots=True, kw_only=True)
class Successor:
    """An enrolment that waits to lead."""

    enrolment_id: str
    organization_id: str
    renews: str
    """The enrolment that leads."""


class OvertakingStore(Protocol):
    """Finds renewals whose time has come, and records that they lead."""

    async def record_due(self, now: datetime, *, most: int) -> int:
        """Let up to so many lead that are served by now, each durably, with its event; return how many.

        Of those that another has let lead meanwhile nothing is recorded again.
        """
        ...


class DueSwitches:
    """The chore that records which renewals lead by now."""

    def __init__(self, *, store: OvertakingStore, doubt: Doubt = never_doubted, most: int = BATCH) -> None:
        self._store = store
        self._doubt = doubt
        self._most = most

    async def perform(self, now: datetime) -> int:
        """Record a batch; nothing while the clock is in doubt, for a record stays when it is put right."""
        if self._doubt() is not None:
            return 0
        return await self._store.record_due(now, most=self._most)


def lead_switched(successor: Successor, because: SwitchReason, at: datetime) -> AuditEvent:
    """Return the record of a switch."""
    return AuditEvent(
        kind=AuditKind.CERTIFICATE_LEADS,
        at=at,
        actor="service",
        subject=successor.enrolment_id,
        organization_id=successor.organization_id,
        detail={"renews": successor.renews, "because": because.value},
    )
