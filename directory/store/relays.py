"""Where does the relay of a password stand? A step is taken on the row as the agent saw it, or not at all."""

from datetime import datetime
from functools import partial
from typing import NoReturn

from sqlalchemy import Connection, bindparam, select, update

from directory.audit import AuditEvent
from directory.callers import Agent
from directory.errors import RelayRefused, Unknown
from directory.relay import PasswordChannel, Relay, RelayOutcome, RelayState
from directory.store import audit_log
from directory.store.database import Database
from directory.store.locks import lock_before_end
from directory.store.mail_outcomes import withdraw
from directory.store.overtaking import lead_after_end
from directory.store.rows import sealed
from directory.store.tables import EnrolmentEnd, deliveries, enrolments, relays

_RELAY = (
    select(relays, enrolments.c.organization_id, deliveries.c.language)
    .join_from(relays, enrolments)
    .join(deliveries, deliveries.c.enrolment_id == enrolments.c.id)
    .where(
        relays.c.enrolment_id == bindparam("enrolment_id"),
        enrolments.c.organization_id == bindparam("organization_id"),
    )
)
_STATE = select(relays.c.state).where(relays.c.enrolment_id == bindparam("enrolment_id"))
_STEP = update(relays).where(
    relays.c.enrolment_id == bindparam("of_enrolment"), relays.c.state == bindparam("as_seen")
)
_REVEAL = _STEP.values(
    state=RelayState.REVEALED.value,
    revealed_at=bindparam("moment"),
    revealed_by=bindparam("agent_id"),
    released_through=bindparam("channel"),
)
_RECORD = _STEP.values(
    state=bindparam("new_state"),
    outcome=bindparam("new_outcome"),
    note=bindparam("new_note"),
    closed_at=bindparam("new_closed_at"),
)
_CLOSED = frozenset({RelayState.RELAYED, RelayState.FAILED})


class SqlRelayStore:
    """Keeps relays."""

    def __init__(self, database: Database, *, node: str) -> None:
        self._database = database
        self._node = node

    async def relay(self, enrolment_id: str, organization_id: str) -> Relay:
        """Return the relay of the organization's enrolment."""
        return await self._database.read(
            partial(_relay, enrolment_id=enrolment_id, organization_id=organization_id)
        )

    async def mark_revealed(self, relay: Relay, agent: Agent, event: AuditEvent) -> None:
        """Move a waiting relay to revealed."""

        def reveal(connection: Connection) -> None:
            step = {
                "of_enrolment": relay.enrolment_id,
                "as_seen": RelayState.WAITING.value,
                "moment": event.at,
                "agent_id": agent.agent_id,
                "channel": PasswordChannel.AGENT.value,
            }
            if connection.execute(_REVEAL, step).rowcount == 0:
                _refuse(connection, relay)
            audit_log.append(connection, self._node, event)

        await self._database.write(reveal)

    async def record_outcome(
        self, relay: Relay, *, state: RelayState, outcome: RelayOutcome, note: str, event: AuditEvent
    ) -> None:
        """Record what came of an attempt, and the state after it."""

        def record(connection: Connection) -> None:
            if state is RelayState.FAILED:
                lock_before_end(connection, relay.enrolment_id)
            step = {
                "of_enrolment": relay.enrolment_id,
                "as_seen": relay.state.value,
                "new_state": state.value,
                "new_outcome": outcome.value,
                "new_note": note,
                "new_closed_at": event.at if state in _CLOSED else None,
            }
            if connection.execute(_RECORD, step).rowcount == 0:
                _refuse(connection, relay)
            switched: list[AuditEvent] = []
            if state is RelayState.FAILED:
                # Without its password nobody can use the key.
                withdraw(connection, relay.enrolment_id, EnrolmentEnd.UNRELAYED, event.at)
                switched = lead_after_end(connection, relay.enrolment_id, event.at)
            for each in (event, *switched):
                audit_log.append(connection, self._node, each)

        await self._database.write(record)


def release(connection: Connection, enrolment_id: str, channel: PasswordChannel, at: datetime) -> None:
    """Record, in the transaction under way, that a channel brought the password to the organization.

    A relay that an agent has revealed or closed meanwhile stays as he left it.
    """
    step = {
        "of_enrolment": enrolment_id,
        "as_seen": RelayState.WAITING.value,
        "moment": at,
        "agent_id": None,
        "channel": channel.value,
    }
    connection.execute(_REVEAL, step)


def _relay(connection: Connection, *, enrolment_id: str, organization_id: str) -> Relay:
    row = connection.execute(
        _RELAY, {"enrolment_id": enrolment_id, "organization_id": organization_id}
    ).one_or_none()
    if row is None:
        raise Unknown(kind="enrolment", name=enrolment_id)
    return Relay(
        enrolment_id=row.enrolment_id,
        organization_id=row.organization_id,
        state=RelayState(row.state),
        language=row.language,
        sealed_password=sealed(row.password_master_key_id, row.password_wrapped_key, row.password_ciphertext),
        revealed_at=row.revealed_at,
        revealed_by=row.revealed_by,
        closed_at=row.closed_at,
        outcome=RelayOutcome(row.outcome) if row.outcome else None,
        note=row.note,
    )


def _refuse(connection: Connection, relay: Relay) -> NoReturn:
    """Say what somebody else has made of the relay in the meantime."""
    state = connection.execute(_STATE, {"enrolment_id": relay.enrolment_id}).scalar_one_or_none()
    if state is None:
        raise Unknown(kind="enrolment", name=relay.enrolment_id)
    if state in _CLOSED:
        raise RelayRefused(code="relay.closed", reason="the relay is closed")
    raise RelayRefused(code="relay.already_revealed", reason="the password was revealed before")
