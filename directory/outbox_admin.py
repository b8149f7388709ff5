"""What is in the outbox, and who may hold it up? Operators list, pause, resume and flush; agents look.

Where a mail stands may be seen, and what its last attempt ran into; what it says may not.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Protocol

from ca.address import Mailbox
from directory.audit import AuditEvent, AuditKind
from directory.clock import Clock
from directory.cursors import Cursor
from directory.delivery.outbox import MailKind, MailState
from directory.organization import Organization

EVERYBODY = "everybody"
"""What stands for all organizations in the audit log."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MailRecord:
    """Where one outgoing mail stands."""

    mail_id: str
    enrolment_id: str
    organization: str
    """The slug of whose mail it is."""
    kind: MailKind
    recipient: Mailbox
    message_id: str
    state: MailState
    created_at: datetime
    due_at: datetime
    """When it is tried next, while it is queued."""
    give_up_at: datetime
    attempts: int
    in_hands_until: datetime | None
    """Until when a worker has it; None if nobody has."""
    last_failure: str | None
    ended_at: datetime | None

    @property
    def cursor(self) -> Cursor:
        """Its place in the list."""
        return Cursor(moment=self.created_at, record_id=self.mail_id)


@dataclass(frozen=True, slots=True, kw_only=True)
class MailFilter:
    """Which mails are meant: those that are all that is said here."""

    state: MailState | None = None
    kind: MailKind | None = None
    organization_id: str | None = None
    domain: str | None = None
    """Of the recipient's address."""
    enrolment_id: str | None = None
    mail_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Pause:
    """Somebody holds mail up."""

    organization: str | None
    """The slug of whose; None for everybody's."""
    since: datetime
    actor: str


class MailReader(Protocol):
    """Reads where mails stand."""

    async def mails(self, wanted: MailFilter, *, after: Cursor | None, most: int) -> Sequence[MailRecord]:
        """Return the mails that are meant, the newest first, from behind a place in that order."""
        ...


class OutboxControl(MailReader, Protocol):
    """Holds mail up and lets it go; each change is one durable transaction with its audit event."""

    async def pauses(self) -> Sequence[Pause]:
        """Return who is held up."""
        ...

    async def pause(self, organization_id: str | None, event: AuditEvent) -> bool:
        """Hold mail up from the event on: an organization's, or everybody's; False if it was already."""
        ...

    async def resume(self, organization_id: str | None, event: AuditEvent) -> bool:
        """Let it go; False if nobody held it up.

        The time that a mail was held up does not count against the days it is tried for.
        """
        ...

    async def flush(self, wanted: MailFilter, *, at: datetime, event: Callable[[int], AuditEvent]) -> int:
        """Let the queued mails that are meant be due at once; return how many there were.

        The event is told the number; there is none where there was no mail.
        """
        ...


class OrganizationBySlug(Protocol):
    """Finds organizations."""

    async def by_slug(self, slug: str) -> Organization:
        """Return the organization.

        Raises:
            Unknown: there is none of that slug.
        """
        ...


class OutboxAdministration:
    """An operator at the outbox."""

    def __init__(
        self, *, outbox: OutboxControl, organizations: OrganizationBySlug, clock: Clock, actor: str
    ) -> None:
        self._outbox = outbox
        self._organizations = organizations
        self._clock = clock
        self._actor = actor

    async def mails(
        self, wanted: MailFilter, *, organization: str | None, after: Cursor | None, most: int
    ) -> Sequence[MailRecord]:
        """Return the mails that are meant, of one organization or all, the newest first.

        Raises:
            Unknown: there is no such organization.
        """
        return await self._outbox.mails(await self._of(wanted, organization), after=after, most=most)

    async def pauses(self) -> Sequence[Pause]:
        """Return who is held up."""
        return await self._outbox.pauses()

    async def pause(self, organization: str | None) -> bool:
        """Hold mail up: an organization's, or everybody's; False if it was already.

        No mail is begun from then on, by any process; one that is being handed over may still be accepted.

        Raises:
            Unknown: there is no such organization.
        """
        organization_id = await self._id_of(organization)
        event = self._event(AuditKind.MAIL_PAUSED, organization, organization_id)
        return await self._outbox.pause(organization_id, event)

    async def resume(self, organization: str | None) -> bool:
        """Let mail go that was held up; False if it was not.

        Raises:
            Unknown: there is no such organization.
        """
        organization_id = await self._id_of(organization)
        event = self._event(AuditKind.MAIL_RESUMED, organization, organization_id)
        return await self._outbox.resume(organization_id, event)

    async def flush(self, wanted: MailFilter, *, organization: str | None) -> int:
        """Let queued mails be due at once, whatever their pauses after failures; return how many.

        Raises:
            Unknown: there is no such organization.
        """
        meant = await self._of(wanted, organization)

        def event(count: int) -> AuditEvent:
            named = {"mail": wanted.mail_id, "domain": wanted.domain}
            detail = {"count": str(count)} | {key: value for key, value in named.items() if value}
            return self._event(AuditKind.MAIL_FLUSHED, organization, meant.organization_id, **detail)

        return await self._outbox.flush(meant, at=self._clock.now(), event=event)

    async def _of(self, wanted: MailFilter, organization: str | None) -> MailFilter:
        return replace(wanted, organization_id=await self._id_of(organization))

    async def _id_of(self, slug: str | None) -> str | None:
        return None if slug is None else (await self._organizations.by_slug(slug)).organization_id

    def _event(
        self, kind: AuditKind, slug: str | None, organization_id: str | None, **detail: str
    ) -> AuditEvent:
        return AuditEvent(
            kind=kind,
            at=self._clock.now(),
            actor=self._actor,
            subject=slug or EVERYBODY,
            organization_id=organization_id,
            detail=detail,
        )
