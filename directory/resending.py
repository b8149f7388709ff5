"""How does a recipient get the key package once more? Same key, same password, perhaps in another format.

"Wrong password" mostly means a device that cannot read the format; the other one cures it. Each key mail
counts against the recipient's budget, whoever asks for it: nobody is bombed with mail through us.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from ca.address import Mailbox
from ca.keypackage import KeyPackageFormat
from directory.audit import AuditEvent, AuditKind
from directory.callers import Agent
from directory.clock import Clock
from directory.errors import ResendRefused, Unknown
from directory.mailbudget import BUDGET_PERIOD, MOST_KEY_MAILS


@dataclass(frozen=True, slots=True, kw_only=True)
class Resendable:
    """What decides whether the key mail of an enrolment may be sent again."""

    enrolment_id: str
    organization_id: str
    recipient: Mailbox
    sender: Mailbox
    live: bool
    key_is_held: bool
    is_queued: bool
    """Whether a key mail is under way already."""
    has_room: bool
    """Whether the budget of the recipient (`mailbudget`) has room for one more mail."""
    suppressed: bool
    """Whether the recipient wants no mail."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Resend:
    """Another key mail of an enrolment, to be queued."""

    enrolment_id: str
    organization_id: str
    recipient: Mailbox
    sender: Mailbox
    package_format: KeyPackageFormat | None
    """None leaves the format as it is."""
    at: datetime
    give_up_at: datetime


class Decision(Protocol):
    """Turns what is known into a mail to queue, or refuses."""

    def __call__(self, resendable: Resendable) -> tuple[Resend, AuditEvent]:
        """Decide.

        Raises:
            ResendRefused: it must not be sent again.
        """
        ...


class ResendStore(Protocol):
    """Where key mails are queued again."""

    async def resend(self, enrolment_id: str, now: datetime, decide: Decision) -> None:
        """Read the enrolment, decide, and queue, all in one transaction.

        Raises:
            Unknown: there is no such enrolment.
            ResendRefused: what `decide` raises; nothing is queued.
        """
        ...


class KeyMailResender:
    """Sends key mails again, for operators and registration agents."""

    def __init__(
        self,
        *,
        store: ResendStore,
        clock: Clock,
        lifetime: timedelta,
        on_queued: Callable[[], None] = lambda: None,
    ) -> None:
        self._store = store
        self._clock = clock
        self._lifetime = lifetime
        self._on_queued = on_queued

    async def resend_for_agent(
        self, enrolment_id: str, package_format: KeyPackageFormat | None, agent: Agent
    ) -> None:
        """Queue the key mail again for a registration agent, who knows only his organization's enrolments.

        Raises:
            Unknown: there is no such enrolment in the agent's organization.
            ResendRefused: as `resend`.
        """
        await self._resend(enrolment_id, package_format, f"agent:{agent.email}", agent.organization_id)

    async def resend(self, enrolment_id: str, package_format: KeyPackageFormat | None, actor: str) -> None:
        """Queue the key mail of any enrolment again, for an operator.

        Raises:
            Unknown: there is no such enrolment.
            ResendRefused: it is no longer live, its key is gone, a mail is under way, or the budget is spent.
        """
        await self._resend(enrolment_id, package_format, actor, None)

    async def _resend(
        self,
        enrolment_id: str,
        package_format: KeyPackageFormat | None,
        actor: str,
        organization_id: str | None,
    ) -> None:
        now = self._clock.now()

        def decide(resendable: Resendable) -> tuple[Resend, AuditEvent]:
            if organization_id not in {None, resendable.organization_id}:
                raise Unknown(kind="enrolment", name=enrolment_id)
            _refuse_if_not_allowed(resendable)
            resend = Resend(
                enrolment_id=enrolment_id,
                organization_id=resendable.organization_id,
                recipient=resendable.recipient,
                sender=resendable.sender,
                package_format=package_format,
                at=now,
                give_up_at=now + self._lifetime,
            )
            event = AuditEvent(
                kind=AuditKind.KEY_MAIL_RESENT,
                at=now,
                actor=actor,
                subject=enrolment_id,
                organization_id=resendable.organization_id,
                detail={"format": package_format.value} if package_format else {},
            )
            return resend, event

        await self._store.resend(enrolment_id, now, decide)
        self._on_queued()


def _refuse_if_not_allowed(resendable: Resendable) -> None:
    if not resendable.live:
        raise ResendRefused(code="resend.not_live", reason="the certificate is no longer served")
    if not resendable.key_is_held:
        raise ResendRefused(code="resend.key_gone", reason="the service no longer has the key")
    if resendable.is_queued:
        raise ResendRefused(code="resend.under_way", reason="a key mail is under way already")
    if resendable.suppressed:
        raise ResendRefused(code="resend.suppressed", reason="the recipient wants no mail from anybody")
    if not resendable.has_room:
        raise ResendRefused(
            code="resend.budget_spent",
            reason=f"{MOST_KEY_MAILS} mails were sent to the recipient within {BUDGET_PERIOD.days} days",
        )
