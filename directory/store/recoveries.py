"""Which escrowed keys are asked for, who has approved, and what was released?

Whoever changes something of a recovery holds the lock of its enrolment, so no two of them see each other's
halves. The rows of the recovery agents are locked against removal while their approvals are counted.
"""

import hashlib
from collections.abc import Callable, Sequence
from datetime import datetime
from functools import partial

from sqlalchemy import Connection, Select, bindparam, exists, insert, select, update

from directory.audit import AuditEvent
from directory.callers import RecoveryAgent
from directory.delivery.outbox import MailKind, NewMail
from directory.errors import RecoveryRefused, Unknown
from directory.recovery import Escrowed, Releasable, Release, Released
from directory.recovery_requests import Approval, Recovery
from directory.status import KeyState
from directory.store import audit_log
from directory.store.database import Database
from directory.store.locks import lock_enrolment
from directory.store.mail_queue import queue
from directory.store.recovery_setup import recovery_agent
from directory.store.rows import AnyRow, mailbox
from directory.store.tables import (
    certificates,
    enrolments,
    escrowed_keys,
    held_keys,
    organizations,
    recoveries,
    recovery_agents,
    recovery_approvals,
    suppressions,
)

_RECOVERIES = select(recoveries, enrolments.c.address).join_from(recoveries, enrolments)
_RECOVERY = _RECOVERIES.where(recoveries.c.id == bindparam("recovery_id"))
_OPEN = _RECOVERIES.where(
    recoveries.c.enrolment_id == bindparam("enrolment_id"),
    recoveries.c.fetched_at.is_(None),
    recoveries.c.expires_at > bindparam("now"),
)
_LATEST = _RECOVERIES.order_by(recoveries.c.requested_at.desc(), recoveries.c.id).limit(bindparam("most"))
_LATEST_OF = _LATEST.where(recoveries.c.organization_id == bindparam("organization_id"))
_APPROVALS = (
    select(recovery_approvals.c.recovery_id, recovery_approvals.c.approved_at, recovery_agents)
    .join_from(recovery_approvals, recovery_agents)
    .where(recovery_approvals.c.recovery_id.in_(bindparam("recovery_ids", expanding=True)))
    .order_by(recovery_approvals.c.approved_at, recovery_agents.c.id)
)
# Nobody is removed between the count and the commit.
_APPROVALS_LOCKED = _APPROVALS.with_for_update(of=recovery_agents, read=True)
_AGENTS = (
    select(recovery_agents).where(recovery_agents.c.disabled_at.is_(None)).order_by(recovery_agents.c.id)
)
_AGENT_LOCKED = _AGENTS.where(recovery_agents.c.id == bindparam("agent_id")).with_for_update(read=True)
_ESCROWED = (
    select(
        enrolments.c.organization_id,
        enrolments.c.address,
        held_keys.c.state,
        escrowed_keys.c.enrolment_id.label("escrowed"),
    )
    .join_from(enrolments, held_keys)
    .join(escrowed_keys, escrowed_keys.c.enrolment_id == enrolments.c.id, isouter=True)
    .where(enrolments.c.id == bindparam("enrolment_id"))
)
_ENVELOPE = (
    select(
        escrowed_keys.c.envelope,
        certificates.c.serial,
        organizations.c.mail_from,
        exists().where(suppressions.c.address_key == enrolments.c.address_key).label("suppressed"),
    )
    .join_from(escrowed_keys, enrolments)
    .join(certificates, certificates.c.enrolment_id == enrolments.c.id)
    .join(organizations, organizations.c.id == enrolments.c.organization_id)
    .where(escrowed_keys.c.enrolment_id == bindparam("enrolment_id"))
)
_ADD = insert(recoveries)
_APPROVE = insert(recovery_approvals)
_FETCH = (
    update(recoveries)
    .where(recoveries.c.id == bindparam("of_recovery"))
    .values(fetched_at=bindparam("moment"))
)


class SqlRecoveries:
    """The recoveries."""

    def __init__(self, database: Database, *, node: str) -> None:
        self._database = database
        self._node = node

    async def request(
        self, enrolment_id: str, now: datetime, decide: Callable[[Escrowed], tuple[Recovery, AuditEvent]]
    ) -> Recovery:
        """Record a request."""

        def work(connection: Connection) -> Recovery:
            recovery, event = decide(_escrowed(connection, enrolment_id, now))
            connection.execute(_ADD, _row(recovery))
            audit_log.append(connection, self._node, event)
            return recovery

        return await self._database.write(work)

    async def approve(
        self, recovery_id: str, agent: RecoveryAgent, decide: Callable[[Recovery], AuditEvent]
    ) -> Recovery:
        """Record an approval."""

        def work(connection: Connection) -> Recovery:
            recovery = _locked(connection, recovery_id)
            if connection.execute(_AGENT_LOCKED, {"agent_id": agent.agent_id}).one_or_none() is None:
                raise RecoveryRefused(
                    code="recovery.agent_removed", reason="he is no recovery agent any more"
                )
            event = decide(recovery)
            connection.execute(
                _APPROVE,
                {"recovery_id": recovery_id, "agent_id": agent.agent_id, "approved_at": event.at},
            )
            audit_log.append(connection, self._node, event)
            return _one(connection, _RECOVERY, recovery_id)

        return await self._database.write(work)

    async def release(self, recovery_id: str, decide: Callable[[Releasable], Release]) -> Released:
        """Record a release, queue the mail to the recipient, and return the envelope."""

        def work(connection: Connection) -> Released:
            recovery = _locked(connection, recovery_id)
            row = connection.execute(_ENVELOPE, {"enrolment_id": recovery.enrolment_id}).one()
            release = decide(
                Releasable(
                    recovery=recovery,
                    agents=tuple(map(recovery_agent, connection.execute(_AGENTS))),
                    serial=row.serial,
                    envelope_sha256=hashlib.sha256(row.envelope).hexdigest(),
                    is_suppressed=row.suppressed,
                )
            )
            connection.execute(_FETCH, {"of_recovery": recovery_id, "moment": release.event.at})
            if release.tells_recipient:
                queue(connection, _notice(recovery, release, sender_domain=mailbox(row.mail_from).domain))
            audit_log.append(connection, self._node, release.event)
            return Released(
                recovery=recovery, envelope=row.envelope, recipient_is_told=release.tells_recipient
            )

        return await self._database.write(work)

    async def recovery(self, recovery_id: str) -> Recovery:
        """Return a recovery.

        Raises:
            Unknown: there is none.
        """
        return await self._database.read(lambda connection: _one(connection, _RECOVERY, recovery_id))

    async def recoveries(self, organization_id: str | None, *, most: int) -> Sequence[Recovery]:
        """Return the latest recoveries, of an organization or of all, the newest first."""
        return await self._database.read(partial(_latest, organization_id=organization_id, most=most))


def _escrowed(connection: Connection, enrolment_id: str, now: datetime) -> Escrowed:
    lock_enrolment(connection, enrolment_id)
    row = connection.execute(_ESCROWED, {"enrolment_id": enrolment_id}).one_or_none()
    if row is None:
        raise Unknown(kind="enrolment", name=enrolment_id)
    found = connection.execute(_OPEN, {"enrolment_id": enrolment_id, "now": now}).all()
    return Escrowed(
        enrolment_id=enrolment_id,
        organization_id=row.organization_id,
        mailbox=mailbox(row.address),
        is_escrowed=row.state == KeyState.ESCROWED and row.escrowed is not None,
        agents=tuple(map(recovery_agent, connection.execute(_AGENTS))),
        open_requests=tuple(_recoveries(connection, found)),
    )


def _locked(connection: Connection, recovery_id: str) -> Recovery:
    """Return a recovery that nobody else changes until the transaction under way ends."""
    lock_enrolment(connection, _one(connection, _RECOVERY, recovery_id).enrolment_id)
    # Read again: what another has done meanwhile is seen by a new statement only.
    row = connection.execute(_RECOVERY, {"recovery_id": recovery_id}).one()
    (recovery,) = _recoveries(connection, [row], approvals=_APPROVALS_LOCKED)
    return recovery


def _one(connection: Connection, query: Select[*tuple[object, ...]], recovery_id: str) -> Recovery:
    row = connection.execute(query, {"recovery_id": recovery_id}).one_or_none()
    if row is None:
        raise Unknown(kind="recovery", name=recovery_id)
    (recovery,) = _recoveries(connection, [row])
    return recovery


def _latest(connection: Connection, *, organization_id: str | None, most: int) -> list[Recovery]:
    if organization_id is None:
        rows = connection.execute(_LATEST, {"most": most}).all()
    else:
        rows = connection.execute(_LATEST_OF, {"most": most, "organization_id": organization_id}).all()
    return _recoveries(connection, rows)


def _recoveries(
    connection: Connection,
    rows: Sequence[AnyRow],
    *,
    approvals: Select[*tuple[object, ...]] = _APPROVALS,
) -> list[Recovery]:
    by_recovery: dict[str, list[Approval]] = {row.id: [] for row in rows}
    if by_recovery:
        for row in connection.execute(approvals, {"recovery_ids": list(by_recovery)}):
            by_recovery[row.recovery_id].append(
                Approval(
                    agent=recovery_agent(row),
                    approved_at=row.approved_at,
                    is_removed=row.disabled_at is not None,
                )
            )
    return [_recovery(row, tuple(by_recovery[row.id])) for row in rows]


def _recovery(row: AnyRow, approvals: tuple[Approval, ...]) -> Recovery:
    return Recovery(
        recovery_id=row.id,
        enrolment_id=row.enrolment_id,
        organization_id=row.organization_id,
        mailbox=mailbox(row.address),
        requested_by=row.requested_by,
        requester_person=row.requester_person,
        reason=row.reason,
        approvals_needed=row.approvals_needed,
        requested_at=row.requested_at,
        expires_at=row.expires_at,
        fetched_at=row.fetched_at,
        approvals=approvals,
    )


def _row(recovery: Recovery) -> dict[str, object]:
    return {
        "id": recovery.recovery_id,
        "enrolment_id": recovery.enrolment_id,
        "organization_id": recovery.organization_id,
        "requested_by": recovery.requested_by,
        "requester_person": recovery.requester_person,
        "reason": recovery.reason,
        "approvals_needed": recovery.approvals_needed,
        "requested_at": recovery.requested_at,
        "expires_at": recovery.expires_at,
    }


def _notice(recovery: Recovery, release: Release, *, sender_domain: str) -> NewMail:
    return NewMail(
        enrolment_id=recovery.enrolment_id,
        organization_id=recovery.organization_id,
        kind=MailKind.KEY_RECOVERED,
        recipient=recovery.mailbox,
        sender_domain=sender_domain,
        at=release.event.at,
        due_at=release.event.at,
        give_up_at=release.give_up_at,
    )
