"""When does the service let its copy of a key go, and with it the password? The end of the hold.

A key is held so that it can be sent again, for some days after its way to the recipient was certain. Then it
is destroyed, or escrowed (`escrowing`), and of that, too, there is a record. Never before: while a key mail
waits, or a key was only offered by a link that nobody has followed, the copy is the only way the recipient
has to his key.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Protocol

from directory.audit import AuditEvent, AuditKind
from directory.followup import AffectedEnrolment, Chore, EventOf

_BATCH = 100
"""How much one transaction does: few enough that nobody who waits for its locks notices."""


class HoldEnd(StrEnum):
    """Why a key is held no more."""

    OVER = "hold_over"  # its time was up
    PROVEN = "proven"  # the recipient has shown that he has it
    EXPIRED = "expired"  # from here on: the enrolment ended for this reason
    REVOKED = "revoked"
    BOUNCED = "bounced"
    UNRELAYED = "unrelayed"
    OPTED_OUT = "opted_out"


class NotEscrowed(StrEnum):
    """Why a key was destroyed although its organization escrows keys."""

    SIGNING_KEY = "signing_key"  # the organization has not said that these are escrowed too
    UNDELIVERED = "undelivered"  # its recipient never heard of it, or wants to hear no more


@dataclass(frozen=True, slots=True, kw_only=True)
class EndedHold:
    """A key that is held no more."""

    enrolment_id: str
    organization_id: str
    serial: str
    """Of its certificate, in hex as stored."""
    because: HoldEnd
    not_escrowed: NotEscrowed | None = None
    """None as well where nobody wants it escrowed, and where it was."""


class DestructionEvent(Protocol):
    """Makes the record of one key's destruction."""

    def __call__(self, ended: EndedHold) -> AuditEvent:
        """Return what is written down in the same transaction."""
        ...


class HoldStore(Protocol):
    """Finds what is held past its time, and destroys it.

    Each call is one durable transaction over at most `most` enrolments that no other transaction has in hand,
    and returns how many it did something about.
    """

    async def destroy_keys(
        self, *, now: datetime, ended_before: datetime, event_of: DestructionEvent, most: int
    ) -> int:
        """Destroy the keys whose hold is over, and those of enrolments that ended before that moment.

        None of an enrolment whose key mail is queued, or whose recipient has yet to fetch the key package;
        and none that is to be escrowed.
        """
        ...

    async def destroy_passwords(self, *, now: datetime, event_of: EventOf, most: int) -> int:
        """Destroy passwords that neither a key package nor anybody needs any more: the relay is closed.

        So is one that was revealed without anybody saying what came of it, once it would have expired.
        """
        ...


class Traces(Protocol):
    """Where what was overwritten may still be read."""

    async def erase_traces(self) -> None:
        """Overwrite it.

        Raises:
            StoreUnavailable: it is in use; try again.
        """
        ...


class EndOfHolds:
    """The chore that destroys keys and passwords whose time has come, and then what is left of them.

    `escrowing` escrows those that are to be escrowed. `grace` is how long the key of an enrolment that ended
    is kept, such as of a bounced one.
    """

    def __init__(
        self,
        *,
        store: HoldStore,
        escrowing: Chore,
        traces: Traces,
        grace: timedelta,
        most: int = _BATCH,
    ) -> None:
        self._store = store
        self._escrowing = escrowing
        self._traces = traces
        self._grace = grace
        self._most = most
        self._has_left_traces = False

    async def perform(self, now: datetime) -> int:
        """End a batch of holds, keys first; when nothing more is due, erase the traces of all that was."""
        ended = (
            await self._escrowing.perform(now)
            or await self._destroy_keys(now)
            or await self._destroy_passwords(now)
        )
        if ended:
            self._has_left_traces = True
        elif self._has_left_traces:
            await self._traces.erase_traces()
            self._has_left_traces = False
        return ended

    async def _destroy_keys(self, now: datetime) -> int:
        return await self._store.destroy_keys(
            now=now,
            ended_before=now - self._grace,
            event_of=lambda ended: key_destroyed(ended, now),
            most=self._most,
        )

    async def _destroy_passwords(self, now: datetime) -> int:
        return await self._store.destroy_passwords(
            now=now, event_of=lambda affected: _password_destroyed(affected, now), most=self._most
        )


def key_destroyed(ended: EndedHold, at: datetime) -> AuditEvent:
    """Return the record of a key's destruction."""
    detail = {"serial": ended.serial, "because": ended.because.value}
    if ended.not_escrowed is not None:
        detail["not_escrowed"] = ended.not_escrowed.value
    return AuditEvent(
        kind=AuditKind.KEY_DESTROYED,
        at=at,
        actor="service",
        subject=ended.enrolment_id,
        organization_id=ended.organization_id,
        detail=detail,
    )


def _password_destroyed(affected: AffectedEnrolment, at: datetime) -> AuditEvent:
    return AuditEvent(
        kind=AuditKind.PASSWORD_DESTROYED,
        at=at,
        actor="service",
        subject=affected.enrolment_id,
        organization_id=affected.organization_id,
    )
