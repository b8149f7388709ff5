"""Is there room for one more mail to this person? Counted under a lock, so that no race overshoots it."""

from datetime import datetime

from sqlalchemy import ColumnElement, Connection, bindparam, func, select

from ca.address import Mailbox
from directory.delivery.outbox import MailKind, MailState
from directory.mailbudget import BUDGET_PERIOD, has_room
from directory.store import limits
from directory.store.mail_outcomes import TO_RECIPIENT
from directory.store.tables import deliveries, outgoing_mail

COUNTS = (
    outgoing_mail.c.kind.in_([kind.value for kind in TO_RECIPIENT]),
    # One that was given up may have arrived all the same; one that was cancelled was not sent.
    outgoing_mail.c.state != MailState.CANCELLED.value,
    outgoing_mail.c.created_at > bindparam("since"),
)
"""Which mails count against a budget."""


def sent_to_the_same_person() -> ColumnElement[int]:
    """Return how many mails the recipient of a delivery was sent, in a select from `deliveries`.

    A look without a lock, at mails since the parameter `since`: whoever queues one asks `room_for` besides.
    """
    mails_of_enrolment = outgoing_mail.alias("mails_of_enrolment")
    person = (
        select(mails_of_enrolment.c.recipient_base)
        .where(
            mails_of_enrolment.c.enrolment_id == deliveries.c.enrolment_id,
            mails_of_enrolment.c.kind == MailKind.KEY.value,
        )
        .limit(1)
        .correlate(deliveries)
        .scalar_subquery()
    )
    return (
        select(func.count())
        .select_from(outgoing_mail)
        .where(outgoing_mail.c.recipient_base == person, *COUNTS)
        .correlate(deliveries)
        .scalar_subquery()
    )


_SENT = select(func.count()).where(outgoing_mail.c.recipient_base == bindparam("base"), *COUNTS)


def room_for(connection: Connection, recipient: Mailbox, now: datetime) -> bool:
    """Tell whether a mail may be queued, in the transaction under way; nobody else finds the same room.

    Whoever asks for several recipients asks in the order of their `base_key`.
    """
    base = recipient.base_key
    limits.lock(connection, f"mail_budget:{base}", now)
    sent = connection.execute(_SENT, {"base": base, "since": now - BUDGET_PERIOD}).scalar_one()
    return has_room(sent)
