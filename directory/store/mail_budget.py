"""Is there room for one more mail to this person? Counted under a lock, so that no race overshoots it."""

from datetime import datetime

from sqlalchemy import Connection, bindparam, func, select

from ca.address import Mailbox
from directory.delivery.outbox import MailState
from directory.mailbudget import BUDGET_PERIOD, has_room
from directory.store import limits
from directory.store.mail_outcomes import TO_RECIPIENT
from directory.store.tables import outgoing_mail

COUNTS = (
    outgoing_mail.c.kind.in_([kind.value for kind in TO_RECIPIENT]),
    # One that was given up may have arrived all the same; one that was cancelled was not sent.
    outgoing_mail.c.state != MailState.CANCELLED.value,
    outgoing_mail.c.created_at > bindparam("since"),
)
"""Which mails count against a budget."""

_SENT = select(func.count()).where(outgoing_mail.c.recipient_base == bindparam("base"), *COUNTS)


def room_for(connection: Connection, recipient: Mailbox, now: datetime) -> bool:
    """Tell whether a mail may be queued, in the transaction under way; nobody else finds the same room.

    Whoever asks for several recipients asks in the order of their `base_key`.
    """
    base = recipient.base_key
    limits.lock(connection, f"mail_budget:{base}", now)
    sent = connection.execute(_SENT, {"base": base, "since": now - BUDGET_PERIOD}).scalar_one()
    return has_room(sent)
