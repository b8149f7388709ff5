"""Which held keys are to be escrowed, and where are the envelopes? An envelope and an erased key at once.

What is due is read without locks, for sealing takes a while; it is looked at again, and locked, when the
envelopes are kept.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final

from sqlalchemy import Connection, bindparam, insert, null, or_, select

from directory.escrowing import DueEscrow, EscrowEvent, SealedAway
from directory.hierarchy import chain_of
from directory.status import KeyState
from directory.store import audit_log
from directory.store.database import Database
from directory.store.holds import ENDED_HOLD, HAS_ENDED, IS_OVER, TO_BE_ESCROWED, ended_hold, let_go
from directory.store.issuers import certificates_by_id
from directory.store.rows import AnyRow, sealed
from directory.store.tables import (
    certificates,
    deliveries,
    enrolments,
    escrowed_keys,
    held_keys,
    recovery_certificates,
)

_BEFORE_ALL: Final = datetime.min.replace(tzinfo=UTC)

_ACTIVE = select(recovery_certificates.c.id, recovery_certificates.c.der).where(
    recovery_certificates.c.active
)
# So that nobody makes another one active before what was sealed to this one is kept.
_STILL_ACTIVE = _ACTIVE.with_for_update(read=True)
_DUE = (
    ENDED_HOLD.add_columns(
        certificates.c.der,
        certificates.c.issuer_id,
        held_keys.c.key_master_key_id,
        held_keys.c.key_wrapped_key,
        held_keys.c.key_ciphertext,
    )
    .where(TO_BE_ESCROWED)
    .limit(bindparam("most"))
)
_BEHIND = held_keys.c.enrolment_id > bindparam("after_id")
_OVER = (
    _DUE.add_columns(held_keys.c.hold_until.label("over_since"))
    .where(
        IS_OVER,
        held_keys.c.hold_until >= bindparam("after_moment"),
        or_(held_keys.c.hold_until > bindparam("after_moment"), _BEHIND),
    )
    .order_by(held_keys.c.hold_until, held_keys.c.enrolment_id)
)
_ENDED = (
    _DUE.add_columns(null().label("over_since")).where(HAS_ENDED, _BEHIND).order_by(held_keys.c.enrolment_id)
)
_STILL_DUE = (
    ENDED_HOLD.where(
        TO_BE_ESCROWED,
        or_(IS_OVER, HAS_ENDED),
        held_keys.c.enrolment_id.in_(bindparam("enrolment_ids", expanding=True)),
    )
    .order_by(held_keys.c.enrolment_id)
    .with_for_update(of=[enrolments, held_keys, deliveries], key_share=True, skip_locked=True)
)
_KEEP = insert(escrowed_keys)


class SqlEscrows:
    """The escrowed keys."""

    def __init__(self, database: Database, *, node: str) -> None:
        self._database = database
        self._node = node

    async def active_recovery_certificate(self) -> bytes | None:
        """Return the DER of the certificate that keys are escrowed to now."""
        row = await self._database.read(lambda connection: connection.execute(_ACTIVE).one_or_none())
        return row.der if row is not None else None

    async def due_for_escrow(
        self, *, now: datetime, ended_before: datetime, after: DueEscrow | None, most: int
    ) -> Sequence[DueEscrow]:
        """Return keys that are to be escrowed: whose hold is over, then whose enrolment ended."""
        among_ended = after is not None and after.over_since is None
        after_id = after.enrolment_id if after else ""
        over = {
            "now": now,
            "after_moment": (after.over_since if after else None) or _BEFORE_ALL,
            "after_id": after_id,
            "most": most,
        }
        ended = {"ended_before": ended_before, "after_id": after_id if among_ended else "", "most": most}

        def work(connection: Connection) -> list[DueEscrow]:
            due = [] if among_ended else connection.execute(_OVER, over).all()
            due = due or connection.execute(_ENDED, ended).all()
            issuers = certificates_by_id(connection) if due else {}
            return [_due(row, chain_of(row.issuer_id, issuers)) for row in due]

        return await self._database.read(work)

    async def record_escrows(
        self,
        sealed: Sequence[SealedAway],
        *,
        now: datetime,
        ended_before: datetime,
        event_of: EscrowEvent,
    ) -> int:
        """Keep the envelopes and erase the held copies."""
        by_enrolment = {one.enrolment_id: one for one in sealed}
        wanted = {"enrolment_ids": list(by_enrolment), "now": now, "ended_before": ended_before}

        def work(connection: Connection) -> int:
            due = connection.execute(_STILL_DUE, wanted).all()
            active = connection.execute(_STILL_ACTIVE).one_or_none()
            kept = 0
            for row in due:
                away = by_enrolment[row.enrolment_id]
                if active is None or active.id != away.recovery_certificate_id:
                    continue
                if not let_go(connection, row.enrolment_id, KeyState.ESCROWED, now):
                    continue
                connection.execute(_KEEP, _row(away, now))
                audit_log.append(connection, self._node, event_of(ended_hold(row, now), away))
                kept += 1
            return kept

        return await self._database.write(work)


def _due(row: AnyRow, chain: tuple[bytes, ...]) -> DueEscrow:
    secret = sealed(row.key_master_key_id, row.key_wrapped_key, row.key_ciphertext)
    if secret is None:
        raise AssertionError("a held key has all its columns")
    return DueEscrow(
        enrolment_id=row.enrolment_id,
        organization_id=row.organization_id,
        certificate=row.der,
        chain=chain,
        sealed_key=secret,
        over_since=row.over_since,
    )


def _row(away: SealedAway, now: datetime) -> dict[str, object]:
    return {
        "enrolment_id": away.enrolment_id,
        "recovery_certificate_id": away.recovery_certificate_id,
        "envelope": away.envelope,
        "escrowed_at": now,
    }
