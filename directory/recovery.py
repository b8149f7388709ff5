"""Who gets an escrowed key back, and who has to agree? Requests, approvals by several people, one release.

    request ──► approvals by M people, none of them the requester ──► release, once ──► (off line: ca.escrow)

A request and all its approvals end together, a day after the request: what was approved is approved for this
request, and for this day. What is released is the envelope as it was escrowed. Whoever fetches it has no
share of the recovery key; whoever has one cannot fetch: no single person ever gets at a recipient's key. The
service sees no key at any moment.
"""

import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final, Protocol

from ca.address import Mailbox
from directory.audit import AuditEvent, AuditKind
from directory.callers import RecoveryAgent
from directory.clock import Clock
from directory.errors import RecoveryRefused, Unknown
from directory.recovery_requests import Recovery, RecoveryState, Requester, count_people

LONGEST_LIFETIME: Final = timedelta(hours=24)
"""Of a request with its approvals."""
FEWEST_APPROVALS: Final = 2
LONGEST_REASON: Final = 500
MOST_LISTED: Final = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Escrowed:
    """What decides whether a key may be asked for."""

    enrolment_id: str
    organization_id: str
    mailbox: Mailbox
    is_escrowed: bool
    agents: tuple[RecoveryAgent, ...]
    """The recovery agents there are."""
    open_requests: tuple[Recovery, ...]
    """That were neither fetched nor have expired."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Releasable:
    """What decides whether an envelope is released."""

    recovery: Recovery
    agents: tuple[RecoveryAgent, ...]
    serial: str
    """Of the certificate, in hex as stored."""
    envelope_sha256: str
    is_suppressed: bool
    """Whether the recipient wants no mail."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """An envelope is released: who is told."""

    event: AuditEvent
    tells_recipient: bool
    give_up_at: datetime
    """Of the mail that tells him."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Released:
    """What the requester gets."""

    recovery: Recovery
    envelope: bytes = field(repr=False)
    recipient_is_told: bool
    """Whether a mail to the recipient is queued; if he wants none, the organization has to tell him."""


class RecoveryStore(Protocol):
    """Keeps requests and approvals. Each change is one durable transaction, decided on what it has locked."""

    async def request(
        self, enrolment_id: str, now: datetime, decide: Callable[[Escrowed], tuple[Recovery, AuditEvent]]
    ) -> Recovery:
        """Record a request.

        Raises:
            Unknown: there is no such enrolment.
            RecoveryRefused: what `decide` raises; nothing is recorded.
        """
        ...

    async def approve(
        self, recovery_id: str, agent: RecoveryAgent, decide: Callable[[Recovery], AuditEvent]
    ) -> Recovery:
        """Record an approval as of its event; return the recovery as it is then.

        Raises:
            Unknown: there is no such recovery.
            RecoveryRefused: the agent has been removed; or what `decide` raises. Nothing is recorded.
        """
        ...

    async def release(self, recovery_id: str, decide: Callable[[Releasable], Release]) -> Released:
        """Record a release, queue the mail to the recipient, and return the envelope.

        Raises:
            Unknown: there is no such recovery.
            RecoveryRefused: what `decide` raises; nothing is recorded or released.
        """
        ...

    async def recovery(self, recovery_id: str) -> Recovery:
        """Return a recovery.

        Raises:
            Unknown: there is none.
        """
        ...

    async def recoveries(self, organization_id: str | None, *, most: int) -> Sequence[Recovery]:
        """Return the latest recoveries, of an organization or of all, the newest first."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class RecoveryRules:
    """How many have to agree, and for how long it holds."""

    approvals: int = FEWEST_APPROVALS
    lifetime: timedelta = LONGEST_LIFETIME
    mail_lifetime: timedelta = timedelta(days=5)
    """How long the mail to the recipient is tried."""

    def __post_init__(self) -> None:
        if self.approvals < FEWEST_APPROVALS or not timedelta(0) < self.lifetime <= LONGEST_LIFETIME:
            raise ValueError("a recovery needs two people, within a day")


class RecoveryDesk:
    """Where keys are asked for, approved and fetched."""

    def __init__(
        self,
        *,
        store: RecoveryStore,
        clock: Clock,
        rules: RecoveryRules,
        on_queued: Callable[[], None] = lambda: None,
    ) -> None:
        self._store = store
        self._clock = clock
        self._rules = rules
        self._on_queued = on_queued

    async def request(self, enrolment_id: str, requester: Requester, reason: str) -> Recovery:
        """Ask for the escrowed key of an enrolment.

        Raises:
            Unknown: there is no such enrolment, or it is another organization's.
            RecoveryRefused: the key is not in escrow, the reason is missing, the requester holds a share,
                there are not enough people to approve it, or he has asked already.
        """
        now = self._clock.now()
        recovery_id = secrets.token_hex(16)
        reason = _reason(reason)

        def decide(escrowed: Escrowed) -> tuple[Recovery, AuditEvent]:
            if requester.organization_id not in {None, escrowed.organization_id}:
                raise Unknown(kind="enrolment", name=enrolment_id)
            self._refuse_request(escrowed, requester)
            recovery = Recovery(
                recovery_id=recovery_id,
                enrolment_id=enrolment_id,
                organization_id=escrowed.organization_id,
                mailbox=escrowed.mailbox,
                requested_by=requester.actor,
                requester_person=requester.person,
                reason=reason,
                approvals_needed=self._rules.approvals,
                requested_at=now,
                expires_at=now + self._rules.lifetime,
            )
            detail = {"enrolment": enrolment_id, "approvals_needed": str(self._rules.approvals)}
            return recovery, _event(
                AuditKind.RECOVERY_REQUESTED, recovery, requester.actor, now, reason=reason, **detail
            )

        return await self._store.request(enrolment_id, now, decide)

    async def approve(self, recovery_id: str, agent: RecoveryAgent) -> Recovery:
        """Approve a request, once per person.

        Raises:
            Unknown: there is no such recovery.
            RecoveryRefused: it is over, the agent's own, or this person has approved it already.
        """
        now = self._clock.now()

        def decide(recovery: Recovery) -> AuditEvent:
            _refuse_if_over(recovery, now)
            if recovery.is_of(agent):
                raise RecoveryRefused(
                    code="recovery.own_request", reason="nobody approves what he has asked for"
                )
            standing = [approval.agent for approval in recovery.approvals if not approval.is_removed]
            if any(one.agent_id == agent.agent_id for one in standing) or count_people(
                (*standing, agent)
            ) <= count_people(standing):
                raise RecoveryRefused(
                    code="recovery.already_approved", reason="this person has approved it already"
                )
            return _event(
                AuditKind.RECOVERY_APPROVED,
                recovery,
                f"recovery_agent:{agent.name}",
                now,
                agent_id=agent.agent_id,
                enrolment=recovery.enrolment_id,
            )

        return await self._store.approve(recovery_id, agent, decide)

    async def fetch(self, recovery_id: str, *, actor: str, organization_id: str | None) -> Released:
        """Release the envelope to whoever asked for it, once; the recipient is told.

        `organization_id` is whose keys the actor may fetch; None: everybody's.

        Raises:
            Unknown: there is no such recovery, or it is another organization's.
            RecoveryRefused: it is over, not approved by enough people, or asked for by somebody else.
        """
        now = self._clock.now()

        def decide(releasable: Releasable) -> Release:
            recovery = releasable.recovery
            if organization_id not in {None, recovery.organization_id}:
                raise Unknown(kind="recovery", name=recovery_id)
            _refuse_release(releasable, actor, now)
            event = _event(
                AuditKind.RECOVERY_FETCHED,
                recovery,
                actor,
                now,
                enrolment=recovery.enrolment_id,
                serial=releasable.serial,
                envelope_sha256=releasable.envelope_sha256,
                approved_by=" ".join(
                    sorted(one.agent.name for one in recovery.approvals if not one.is_removed)
                ),
                recipient_told="no: suppressed" if releasable.is_suppressed else "yes",
            )
            return Release(
                event=event,
                tells_recipient=not releasable.is_suppressed,
                give_up_at=now + self._rules.mail_lifetime,
            )

        released = await self._store.release(recovery_id, decide)
        self._on_queued()
        return released

    async def recovery(self, recovery_id: str, organization_id: str | None) -> Recovery:
        """Return a recovery.

        Raises:
            Unknown: there is none, or it is not of that organization.
        """
        recovery = await self._store.recovery(recovery_id)
        if organization_id not in {None, recovery.organization_id}:
            raise Unknown(kind="recovery", name=recovery_id)
        return recovery

    async def recoveries(self, organization_id: str | None) -> Sequence[Recovery]:
        """Return the latest recoveries, of an organization or of all."""
        return await self._store.recoveries(organization_id, most=MOST_LISTED)

    def _refuse_request(self, escrowed: Escrowed, requester: Requester) -> None:
        if not escrowed.is_escrowed:
            raise RecoveryRefused(code="recovery.not_escrowed", reason="the key is not in escrow")
        if any(requester.is_agent(agent) for agent in escrowed.agents):
            raise _keeper()
        if count_people(escrowed.agents) < self._rules.approvals:
            raise RecoveryRefused(
                code="recovery.too_few_agents",
                reason=f"{self._rules.approvals} recovery agents have to approve it, and there are fewer",
            )
        if any(one.requested_by == requester.actor for one in escrowed.open_requests):
            raise RecoveryRefused(code="recovery.under_way", reason="it has been asked for already")


def _reason(text: str) -> str:
    reason = text.strip()
    if not reason:
        raise RecoveryRefused(code="recovery.reason_missing", reason="a reason is needed")
    if len(reason) > LONGEST_REASON or not reason.isprintable():
        raise RecoveryRefused(
            code="recovery.reason_unusable",
            reason=f"a reason has at most {LONGEST_REASON} visible characters, on one line",
        )
    return reason


def _refuse_if_over(recovery: Recovery, now: datetime) -> None:
    match recovery.state_at(now):
        case RecoveryState.FETCHED:
            raise RecoveryRefused(code="recovery.fetched", reason="the key was fetched already")
        case RecoveryState.EXPIRED:
            raise RecoveryRefused(code="recovery.expired", reason="the request has expired; ask again")
        case _:
            return


def _refuse_release(releasable: Releasable, actor: str, now: datetime) -> None:
    recovery = releasable.recovery
    if recovery.requested_by != actor:
        raise RecoveryRefused(
            code="recovery.not_requester", reason="only who has asked for the key fetches it"
        )
    _refuse_if_over(recovery, now)
    if any(recovery.is_of(agent) for agent in releasable.agents):
        raise _keeper()
    if recovery.state_at(now) is not RecoveryState.APPROVED:
        raise RecoveryRefused(
            code="recovery.not_approved",
            reason=f"{recovery.approved_by} of {recovery.approvals_needed} people have approved it",
        )


def _keeper() -> RecoveryRefused:
    """Refuse whoever holds a share: he would have both the envelope and a part of its key."""
    return RecoveryRefused(
        code="recovery.requester_is_agent", reason="a recovery agent cannot ask for keys, nor fetch them"
    )


def _event(kind: AuditKind, recovery: Recovery, actor: str, at: datetime, **detail: str) -> AuditEvent:
    return AuditEvent(
        kind=kind,
        at=at,
        actor=actor,
        subject=recovery.recovery_id,
        organization_id=recovery.organization_id,
        detail=detail,
    )
