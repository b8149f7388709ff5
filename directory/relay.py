"""How does the password reach the recipient? The relay: one reveal to an agent, and what came of the call."""

import unicodedata
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from ca.passwords import Password
from ca.sealing import SealedSecret, Sealer
from directory.audit import AuditEvent, AuditKind
from directory.callers import Agent
from directory.clock import Clock
from directory.enrolmentsecrets import relay_password_identity
from directory.errors import RelayRefused
from directory.spelling import Spelling, spell

LONGEST_NOTE = 1000
_NOT_TEXT = frozenset({"Cc", "Cs"})
"""Unicode categories: controls, and halves of surrogate pairs, which no database takes."""


class RelayState(StrEnum):
    """Where the relay of a password stands."""

    WAITING = "waiting"
    REVEALED = "revealed"
    RELAYED = "relayed"
    FAILED = "failed"


class PasswordChannel(StrEnum):
    """How a password reached the organization."""

    AGENT = "agent"  # a registration agent asked for it
    WEBHOOK = "webhook"  # its own system was told
    MAIL = "mail"  # it was sent, encrypted to the organization


class RelayOutcome(StrEnum):
    """What came of an attempt to pass the password on."""

    RELAYED = "relayed"  # the recipient has it
    NO_ANSWER = "no_answer"  # nobody there; the relay stays open
    FAILED = "failed"  # it will not come to pass: wrong person, refused, unknown


_STATE_AFTER = {RelayOutcome.RELAYED: RelayState.RELAYED, RelayOutcome.FAILED: RelayState.FAILED}


@dataclass(frozen=True, slots=True, kw_only=True)
class Relay:
    """The relay of one enrolment's password."""

    enrolment_id: str
    organization_id: str
    state: RelayState
    sealed_password: SealedSecret | None
    """None once the password has been destroyed."""
    language: str = "en"
    """In which the recipient is spoken to."""
    revealed_at: datetime | None = None
    revealed_by: str | None = None
    closed_at: datetime | None = None
    outcome: RelayOutcome | None = None
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RevealedPassword:
    """A password, and how it is said to the recipient."""

    password: Password
    spelling: Spelling


class RelayStore(Protocol):
    """Keeps relays; each change is one durable transaction with its audit event."""

    async def relay(self, enrolment_id: str, organization_id: str) -> Relay:
        """Return the relay of the organization's enrolment.

        Raises:
            Unknown: there is none, or it is another organization's.
        """
        ...

    async def mark_revealed(self, relay: Relay, agent: Agent, event: AuditEvent) -> None:
        """Move a waiting relay to revealed.

        Raises:
            RelayRefused: somebody else revealed or closed it first.
        """
        ...

    async def record_outcome(
        self, relay: Relay, *, state: RelayState, outcome: RelayOutcome, note: str, event: AuditEvent
    ) -> None:
        """Record what came of an attempt, and the state after it.

        A failed relay withdraws the certificate and ends the enrolment: nobody could ever read with the key.

        Raises:
            RelayRefused: the relay was closed by somebody else first.
        """
        ...


class RelayDesk:
    """What a registration agent can do with a password: see it once, and say what came of passing it on."""

    def __init__(self, *, store: RelayStore, sealer: Sealer, clock: Clock) -> None:
        self._store = store
        self._sealer = sealer
        self._clock = clock

    async def reveal(self, enrolment_id: str, agent: Agent) -> RevealedPassword:
        """Return the password, once; the audit event is durable before it leaves.

        Raises:
            Unknown: no such enrolment in the agent's organization.
            RelayRefused: it was revealed before, or the relay is closed.
        """
        relay = await self._store.relay(enrolment_id, agent.organization_id)
        if relay.state is not RelayState.WAITING or relay.sealed_password is None:
            raise _refused_in(relay.state)
        identity = relay_password_identity(enrolment_id, relay.organization_id)
        password = Password(self._sealer.unseal(relay.sealed_password, identity).decode())
        await self._store.mark_revealed(relay, agent, self._event(AuditKind.PASSWORD_REVEALED, relay, agent))
        return RevealedPassword(password=password, spelling=spell(password, relay.language))

    async def record(self, enrolment_id: str, agent: Agent, outcome: RelayOutcome, note: str) -> RelayState:
        """Record what came of passing the password on; return the state after it.

        Raises:
            Unknown: no such enrolment in the agent's organization.
            RelayRefused: the relay is closed, was never revealed, or the note is too long or not text.
        """
        _check_note(note)
        relay = await self._store.relay(enrolment_id, agent.organization_id)
        if relay.state in {RelayState.RELAYED, RelayState.FAILED}:
            raise _refused_in(relay.state)
        if outcome is RelayOutcome.RELAYED and relay.state is not RelayState.REVEALED:
            raise RelayRefused(
                code="relay.not_revealed", reason="a password nobody has seen was not passed on"
            )
        state = _STATE_AFTER.get(outcome, relay.state)
        event = self._event(AuditKind.RELAY_RECORDED, relay, agent, outcome=outcome.value)
        await self._store.record_outcome(relay, state=state, outcome=outcome, note=note, event=event)
        return state

    def _event(self, kind: AuditKind, relay: Relay, agent: Agent, **detail: str) -> AuditEvent:
        return AuditEvent(
            kind=kind,
            at=self._clock.now(),
            actor=f"agent:{agent.email}",
            subject=relay.enrolment_id,
            organization_id=relay.organization_id,
            detail=detail,
        )


def _refused_in(state: RelayState) -> RelayRefused:
    if state is RelayState.REVEALED:
        return RelayRefused(code="relay.already_revealed", reason="the password was revealed before")
    return RelayRefused(code="relay.closed", reason="the relay is closed")


def _check_note(note: str) -> None:
    if len(note) > LONGEST_NOTE:
        raise RelayRefused(code="relay.note_too_long", reason=f"a note has at most {LONGEST_NOTE} characters")
    if any(unicodedata.category(character) in _NOT_TEXT and character not in "\n\t" for character in note):
        raise RelayRefused(code="relay.note_not_text", reason="a note has no control characters")
