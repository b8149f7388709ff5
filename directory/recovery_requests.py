"""What is a request for an escrowed key, who asks, who has approved it, and where does it stand?"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Self

from ca.address import Mailbox
from directory.callers import Agent, RecoveryAgent


class RecoveryState(StrEnum):
    """Where a recovery stands."""

    PENDING = "pending"
    APPROVED = "approved"
    FETCHED = "fetched"
    EXPIRED = "expired"


@dataclass(frozen=True, slots=True, kw_only=True)
class Approval:
    """What one recovery agent has said to one request, and whether he still may."""

    agent: RecoveryAgent
    approved_at: datetime
    is_removed: bool
    """Whether he is no recovery agent any more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recovery:
    """A request for an escrowed key."""

    recovery_id: str
    enrolment_id: str
    organization_id: str
    mailbox: Mailbox
    """Whose key it is."""
    requested_by: str
    """As in the audit log: `agent:EMAIL` or `operator:LOGIN`."""
    requester_person: str
    """The person presumably behind the requester's address (`Mailbox.base_key`)."""
    reason: str
    approvals_needed: int
    requested_at: datetime
    expires_at: datetime
    fetched_at: datetime | None = None
    approvals: tuple[Approval, ...] = ()

    @property
    def approved_by(self) -> int:
        """How many people have approved it whose approval counts."""
        return count_people(
            approval.agent
            for approval in self.approvals
            if not approval.is_removed
            and not self.is_of(approval.agent)
            and self.requested_at <= approval.approved_at < self.expires_at
        )

    def is_of(self, agent: RecoveryAgent) -> bool:
        """Whether a recovery agent is the requester himself."""
        return agent.person == self.requester_person or self.requested_by == f"operator:{agent.name}"

    def state_at(self, now: datetime) -> RecoveryState:
        """Return where it stands."""
        if self.fetched_at is not None:
            return RecoveryState.FETCHED
        if not self.requested_at <= now < self.expires_at:
            return RecoveryState.EXPIRED
        is_approved = self.approved_by >= self.approvals_needed
        return RecoveryState.APPROVED if is_approved else RecoveryState.PENDING


@dataclass(frozen=True, slots=True, kw_only=True)
class Requester:
    """Who asks for a key."""

    actor: str
    """As in the audit log."""
    person: str
    """The person presumably behind his address."""
    organization_id: str | None
    """Whose keys he may ask for; None: everybody's."""

    @classmethod
    def registration_agent(cls, agent: Agent) -> Self:
        """Return a registration agent as requester: of his organization's keys."""
        return cls(
            actor=f"agent:{agent.email}",
            person=Mailbox.parse(agent.email).base_key,
            organization_id=agent.organization_id,
        )

    @classmethod
    def operator(cls, actor: str, email: Mailbox) -> Self:
        """Return an operator as requester, with the address by which he is known as a person."""
        return cls(actor=actor, person=email.base_key, organization_id=None)

    def is_agent(self, agent: RecoveryAgent) -> bool:
        """Whether he is this recovery agent."""
        return agent.person == self.person or self.actor == f"operator:{agent.name}"


def count_people(agents: Iterable[RecoveryAgent]) -> int:
    """Count the people behind these accounts: who shares an address or a certificate is one."""
    people: list[set[tuple[str, str | bytes]]] = []
    for agent in agents:
        marks: set[tuple[str, str | bytes]] = {("address", agent.person)}
        if agent.certificate_sha256 is not None:
            marks.add(("certificate", agent.certificate_sha256))
        same = [person for person in people if person & marks]
        people = [person for person in people if not person & marks]
        people.append(marks.union(*same))
    return len(people)
