"""In which order are rows locked? One for everybody, so that no two transactions wait for each other.

1. The issuer, by whoever certifies in its name or ends it.
2. The enrolment that the transaction is about. Of several: the oldest first, so a renewed one before its
   renewal; or only those that nobody else has in hand.
3. Whatever belongs to these enrolments: mails, deliveries, keys, relays, certificates. With these come, by
   triggers, the row under which changes are announced, and the counts of what CRLs list.
4. Budgets and limits; recovery agents and recovery certificates, to be read only; pauses of domains.
5. The head of the audit log (`audit_log`). What comes after it are rows of one's own.

Whoever changes one row of an enrolment and nothing else of it, as the claim of a mail does, may begin with
that: he waits for nothing that belongs to an enrolment any more. SQLite has one writer and needs no order.
"""

from collections.abc import Iterable

from sqlalchemy import Connection, bindparam, or_, select

from directory.store.tables import enrolments

# Not `FOR UPDATE`: rows that refer to the enrolment, such as a new mail, can be written by others meanwhile.
_ENROLMENT = (
    select(enrolments.c.id).where(enrolments.c.id == bindparam("to_lock")).with_for_update(key_share=True)
)
_ENROLMENTS_OF_ADDRESS = (
    select(enrolments.c.id)
    .where(enrolments.c.address_key == bindparam("to_lock"))
    .order_by(enrolments.c.minted_at, enrolments.c.id)
    .with_for_update(key_share=True)
)
_RENEWALS = (
    select(enrolments.c.id)
    .where(enrolments.c.renews_enrolment_id.in_(bindparam("to_lock", expanding=True)))
    .order_by(enrolments.c.minted_at, enrolments.c.id)
    .with_for_update(key_share=True)
)
_SEVERAL_WITH_RENEWALS = (
    select(enrolments.c.id)
    .where(
        or_(
            enrolments.c.id.in_(bindparam("to_lock", expanding=True)),
            enrolments.c.renews_enrolment_id.in_(bindparam("to_lock", expanding=True)),
        )
    )
    .order_by(enrolments.c.minted_at, enrolments.c.id)
    .with_for_update(key_share=True)
)
_RENEWAL = enrolments.alias("renewal")
_RENEWED = (
    select(enrolments.c.id)
    .join(_RENEWAL, _RENEWAL.c.renews_enrolment_id == enrolments.c.id)
    .where(_RENEWAL.c.id == bindparam("to_lock"))
    .with_for_update(of=enrolments, key_share=True)
)


def lock_enrolment(connection: Connection, enrolment_id: str) -> None:
    """Keep everybody else from changing the enrolment until the transaction under way ends.

    What is read afterwards is what they have committed.
    """
    connection.execute(_ENROLMENT, {"to_lock": enrolment_id}).close()


def lock_before_end(connection: Connection, enrolment_id: str) -> None:
    """Do so with an enrolment that may end, and with the renewal that leads then."""
    lock_enrolment(connection, enrolment_id)
    lock_renewals(connection, [enrolment_id])


def lock_several_before_end(connection: Connection, enrolment_ids: Iterable[str]) -> None:
    """Do so with several, in one order with their renewals: what renews one may be older than another."""
    to_lock = sorted(enrolment_ids)
    connection.execute(_SEVERAL_WITH_RENEWALS, {"to_lock": to_lock}).all()
    # Once more, for a renewal that was minted while the first locks were waited for; now none can come.
    lock_renewals(connection, to_lock)


def lock_renewals(connection: Connection, enrolment_ids: Iterable[str]) -> None:
    """Do so with the renewals of enrolments that are locked, so that no further one can come."""
    # A statement of its own: it sees what was committed while the first lock was waited for.
    connection.execute(_RENEWALS, {"to_lock": sorted(enrolment_ids)}).all()


def lock_with_renewed(connection: Connection, enrolment_id: str) -> None:
    """Do so with an enrolment and, if it is a renewal, with the one that it overtakes."""
    connection.execute(_RENEWED, {"to_lock": enrolment_id}).all()
    lock_enrolment(connection, enrolment_id)


def lock_enrolments_of_address(connection: Connection, address_key: str) -> None:
    """Do so with every enrolment of an address, ended ones too."""
    connection.execute(_ENROLMENTS_OF_ADDRESS, {"to_lock": address_key}).all()
    # Once more, for a renewal that was minted while the first locks were waited for; now none can come.
    connection.execute(_ENROLMENTS_OF_ADDRESS, {"to_lock": address_key}).all()
