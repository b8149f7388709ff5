"""Which keys and passwords are held past their time? Found under locks that never wait, erased with a record.

To erase a secret is to overwrite its wrapped data key, its ciphertext and the name of the master key. What
another transaction has in hand is passed over; it is due again a quarter of an hour later.
"""

from collections.abc import Iterable
from datetime import datetime

from sqlalchemy import Connection, Select, and_, bindparam, exists, literal, not_, or_, select, update

from directory.delivery.outbox import DeliveryState, MailKind, MailState
from directory.followup import AffectedEnrolment, EventOf
from directory.holds import DestructionEvent, EndedHold, HoldEnd, NotEscrowed, key_destroyed
from directory.links import LinkPurpose
from directory.organization import KeyFate
from directory.relay import RelayState
from directory.status import KeyState
from directory.store import audit_log
from directory.store.database import Database
from directory.store.rows import AnyRow
from directory.store.tables import (
    bounces,
    certificates,
    deliveries,
    enrolments,
    held_keys,
    outgoing_mail,
    recipient_links,
    relays,
)

# Written out: SQLite uses a partial index only where it sees its condition.
_IS_HELD = held_keys.c.state == literal(KeyState.HELD.value, literal_execute=True)
_KEY_MAIL = (
    outgoing_mail.c.enrolment_id == held_keys.c.enrolment_id,
    outgoing_mail.c.kind == MailKind.KEY.value,
)
_KEY_MAIL_WAITS = exists().where(*_KEY_MAIL, outgoing_mail.c.state == MailState.QUEUED.value)
_WAS_ATTACHED = exists().where(
    *_KEY_MAIL,
    outgoing_mail.c.state == MailState.ACCEPTED.value,
    not_(outgoing_mail.c.link_only),
    not_(exists().where(bounces.c.mail_id == outgoing_mail.c.id)),
)
_WAS_FETCHED = exists().where(
    recipient_links.c.enrolment_id == held_keys.c.enrolment_id,
    recipient_links.c.purpose == LinkPurpose.INSTALL.value,
    recipient_links.c.downloads > 0,
)
HAS_SERVED = and_(
    _IS_HELD,
    not_(_KEY_MAIL_WAITS),
    deliveries.c.state != DeliveryState.QUEUED.value,
    or_(not_(enrolments.c.live), deliveries.c.proven_at.is_not(None), _WAS_ATTACHED, _WAS_FETCHED),
)
"""Whether the hold only has to run out: the recipient has his key elsewhere, or will never need it."""

# Who never had his key, or wants to hear of it no more, was not told that it is kept: it is not.
TO_BE_ESCROWED = and_(
    held_keys.c.fate == KeyFate.ESCROW.value, deliveries.c.state != DeliveryState.BOUNCED.value
)
"""Whether a key is escrowed at the end of its hold, and not destroyed."""

ENDED_HOLD: Select[*tuple[object, ...]] = (
    select(
        enrolments.c.id.label("enrolment_id"),
        enrolments.c.organization_id,
        enrolments.c.live,
        enrolments.c.ended_because,
        certificates.c.serial,
        certificates.c.not_after,
        deliveries.c.proven_at,
        held_keys.c.fate,
    )
    .join_from(held_keys, enrolments, enrolments.c.id == held_keys.c.enrolment_id)
    .join(certificates, certificates.c.enrolment_id == held_keys.c.enrolment_id)
    .join(deliveries, deliveries.c.enrolment_id == held_keys.c.enrolment_id)
)
"""What is known of a key whose hold has ended."""
IS_OVER = and_(
    _IS_HELD,
    held_keys.c.hold_until <= bindparam("now"),
    or_(HAS_SERVED, and_(not_(_KEY_MAIL_WAITS), certificates.c.not_after <= bindparam("now"))),
)
HAS_ENDED = and_(
    _IS_HELD,
    not_(enrolments.c.live),
    not_(_KEY_MAIL_WAITS),
    or_(
        certificates.c.withdrawn_at <= bindparam("ended_before"),
        certificates.c.revoked_at <= bindparam("ended_before"),
    ),
)
_TO_DESTROY = (
    ENDED_HOLD.where(not_(TO_BE_ESCROWED))
    .limit(bindparam("most"))
    .with_for_update(of=[enrolments, held_keys, deliveries], key_share=True, skip_locked=True)
)
_OVER = _TO_DESTROY.where(IS_OVER).order_by(held_keys.c.hold_until)
_OVER_OF_ENROLMENT = _OVER.where(held_keys.c.enrolment_id == bindparam("of_enrolment"))
# Of these many have no end of their hold: they are found by looking at all that are held, once for each time
# that nothing else is due.
_ENDED = _TO_DESTROY.where(HAS_ENDED)
# What was queued while the locks were waited for is seen only by a new statement: so it looks again.
_END_HOLD = (
    update(held_keys)
    .where(
        held_keys.c.enrolment_id == bindparam("of_enrolment"),
        _IS_HELD,
        not_(_KEY_MAIL_WAITS),
    )
    .values(
        state=bindparam("new_state"),
        ended_at=bindparam("moment"),
        key_master_key_id=None,
        key_wrapped_key=None,
        key_ciphertext=None,
    )
)
_NOT_ESCROWED = {
    KeyFate.DESTROY: None,
    KeyFate.ESCROW: NotEscrowed.UNDELIVERED,
    KeyFate.DESTROY_SIGNING: NotEscrowed.SIGNING_KEY,
}
"""Why a key is destroyed, by what was to become of it."""
# As long as the key is there, the key package may be asked for again, under the same password.
_USELESS_PASSWORDS: Select[*tuple[object, ...]] = (
    select(enrolments.c.id.label("enrolment_id"), enrolments.c.organization_id)
    .join_from(relays, enrolments, enrolments.c.id == relays.c.enrolment_id)
    .join(held_keys, held_keys.c.enrolment_id == relays.c.enrolment_id)
    .where(
        relays.c.password_wrapped_key.is_not(None),
        held_keys.c.state != KeyState.HELD.value,
        or_(
            relays.c.state.in_([RelayState.RELAYED.value, RelayState.FAILED.value]),
            and_(relays.c.state == RelayState.REVEALED.value, relays.c.expires_at <= bindparam("now")),
        ),
        not_(
            exists().where(
                outgoing_mail.c.enrolment_id == relays.c.enrolment_id,
                outgoing_mail.c.kind == MailKind.PASSWORD.value,
                outgoing_mail.c.state == MailState.QUEUED.value,
            )
        ),
    )
    .limit(bindparam("most"))
    .with_for_update(of=relays, key_share=True, skip_locked=True)
)
_DESTROY_PASSWORD = (
    update(relays)
    .where(relays.c.enrolment_id == bindparam("of_enrolment"))
    .values(password_master_key_id=None, password_wrapped_key=None, password_ciphertext=None)
)


class SqlHolds:
    """The held keys, and the passwords that go with them."""

    def __init__(self, database: Database, *, node: str) -> None:
        self._database = database
        self._node = node

    async def destroy_keys(
        self, *, now: datetime, ended_before: datetime, event_of: DestructionEvent, most: int
    ) -> int:
        """Destroy the keys whose hold is over, and those of enrolments that ended before that moment."""

        def work(connection: Connection) -> int:
            due = connection.execute(_OVER, {"now": now, "most": most}).all()
            if not due:
                due = connection.execute(_ENDED, {"ended_before": ended_before, "most": most}).all()
            return _destroy_keys(connection, due, now, event_of, node=self._node)

        return await self._database.write(work)

    async def destroy_passwords(self, *, now: datetime, event_of: EventOf, most: int) -> int:
        """Destroy passwords that neither a key package nor anybody needs any more."""

        def work(connection: Connection) -> int:
            due = connection.execute(_USELESS_PASSWORDS, {"now": now, "most": most}).all()
            for row in due:
                connection.execute(_DESTROY_PASSWORD, {"of_enrolment": row.enrolment_id})
                affected = AffectedEnrolment(
                    enrolment_id=row.enrolment_id, organization_id=row.organization_id
                )
                audit_log.append(connection, self._node, event_of(affected))
            return len(due)

        return await self._database.write(work)


def destroy_at_once(connection: Connection, enrolment_id: str, now: datetime, *, node: str) -> None:
    """Destroy a key in the transaction that ended its hold: for services that hold none.

    One that is to be escrowed is not due here: `directory.escrowing` finds it within a quarter of an hour.
    """
    due = connection.execute(_OVER_OF_ENROLMENT, {"of_enrolment": enrolment_id, "now": now, "most": 1}).all()
    _destroy_keys(connection, due, now, lambda ended: key_destroyed(ended, now), node=node)


def _destroy_keys(
    connection: Connection, due: Iterable[AnyRow], now: datetime, event_of: DestructionEvent, *, node: str
) -> int:
    destroyed = 0
    for row in due:
        if not let_go(connection, row.enrolment_id, KeyState.DESTROYED, now):
            continue
        not_escrowed = _NOT_ESCROWED[KeyFate(row.fate)]
        audit_log.append(connection, node, event_of(ended_hold(row, now, not_escrowed=not_escrowed)))
        destroyed += 1
    return destroyed


def let_go(connection: Connection, enrolment_id: str, state: KeyState, now: datetime) -> bool:
    """Erase a held key whose row is locked, unless a key mail was queued meanwhile; return whether."""
    ended = {"of_enrolment": enrolment_id, "moment": now, "new_state": state.value}
    return connection.execute(_END_HOLD, ended).rowcount > 0


def ended_hold(row: AnyRow, now: datetime, *, not_escrowed: NotEscrowed | None = None) -> EndedHold:
    """Say of a row of `ENDED_HOLD` what is written down of it."""
    return EndedHold(
        enrolment_id=row.enrolment_id,
        organization_id=row.organization_id,
        serial=row.serial,
        because=_because(row, now),
        not_escrowed=not_escrowed,
    )


def _because(row: AnyRow, now: datetime) -> HoldEnd:
    if row.proven_at is not None:
        return HoldEnd.PROVEN
    if not row.live:
        return HoldEnd(row.ended_because)
    return HoldEnd.EXPIRED if row.not_after <= now else HoldEnd.OVER
