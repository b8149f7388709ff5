"""Escrowed keys in memory: one enrolment's key, and what was asked for and approved."""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from ca.address import Mailbox
from directory.audit import AuditEvent
from directory.callers import RecoveryAgent
from directory.errors import Unknown
from directory.recovery import Escrowed, Releasable, Release, Released
from directory.recovery_requests import Approval, Recovery
from tests.directory.builders import a_recovery_agent

ENVELOPE = b"an envelope"
ROSA, RALF, RITA = (a_recovery_agent(name) for name in ("rosa", "ralf", "rita"))


@dataclass
class Custody:
    """`RecoveryStore`."""

    enrolment_id: str
    mailbox: Mailbox
    recoveries_by_id: dict[str, Recovery] = field(default_factory=dict)
    events: list[AuditEvent] = field(default_factory=list)
    agents: tuple[RecoveryAgent, ...] = (ROSA, RALF, RITA)
    is_escrowed: bool = True
    is_suppressed: bool = False

    async def request(
        self, enrolment_id: str, now: datetime, decide: Callable[[Escrowed], tuple[Recovery, AuditEvent]]
    ) -> Recovery:
        if enrolment_id != self.enrolment_id:
            raise Unknown(kind="enrolment", name=enrolment_id)
        open_requests = [
            one
            for one in self.recoveries_by_id.values()
            if one.enrolment_id == enrolment_id and one.fetched_at is None and one.expires_at > now
        ]
        recovery, event = decide(
            Escrowed(
                enrolment_id=enrolment_id,
                organization_id="org-1",
                mailbox=self.mailbox,
                is_escrowed=self.is_escrowed,
                agents=self.agents,
                open_requests=tuple(open_requests),
            )
        )
        self.events.append(event)
        return self.put(recovery)

    async def approve(
        self, recovery_id: str, agent: RecoveryAgent, decide: Callable[[Recovery], AuditEvent]
    ) -> Recovery:
        recovery = await self.recovery(recovery_id)
        event = decide(recovery)
        self.events.append(event)
        return self.put(approved(recovery, agent, event.at))

    async def release(self, recovery_id: str, decide: Callable[[Releasable], Release]) -> Released:
        recovery = await self.recovery(recovery_id)
        release = decide(
            Releasable(
                recovery=recovery,
                agents=self.agents,
                serial="f",
                envelope_sha256=hashlib.sha256(ENVELOPE).hexdigest(),
                is_suppressed=self.is_suppressed,
            )
        )
        self.events.append(release.event)
        self.put(replace(recovery, fetched_at=release.event.at))
        return Released(recovery=recovery, envelope=ENVELOPE, recipient_is_told=release.tells_recipient)

    async def recovery(self, recovery_id: str) -> Recovery:
        if recovery_id not in self.recoveries_by_id:
            raise Unknown(kind="recovery", name=recovery_id)
        return self.recoveries_by_id[recovery_id]

    async def recoveries(self, organization_id: str | None, *, most: int) -> Sequence[Recovery]:
        found = [
            one for one in self.recoveries_by_id.values() if organization_id in {None, one.organization_id}
        ]
        return sorted(found, key=lambda one: one.requested_at, reverse=True)[:most]

    def put(self, recovery: Recovery) -> Recovery:
        self.recoveries_by_id[recovery.recovery_id] = recovery
        return recovery


def a_recovery(
    enrolment_id: str,
    mailbox: Mailbox,
    now: datetime,
    *,
    recovery_id: str = "ab" * 16,
    requested_by: str = "agent:agent@hospital.org",
    approvals_needed: int = 2,
) -> Recovery:
    return Recovery(
        recovery_id=recovery_id,
        enrolment_id=enrolment_id,
        organization_id="org-1",
        mailbox=mailbox,
        requested_by=requested_by,
        requester_person="agent@hospital.org",
        reason="laptop lost",
        approvals_needed=approvals_needed,
        requested_at=now,
        expires_at=now + timedelta(days=1),
    )


def approved(recovery: Recovery, agent: RecoveryAgent, at: datetime) -> Recovery:
    approval = Approval(agent=agent, approved_at=at, is_removed=False)
    return replace(recovery, approvals=(*recovery.approvals, approval))
