"""How does a mail get into the outbox? One row, in the transaction of what it tells of."""

import secrets

from sqlalchemy import Connection, bindparam, insert, update

from directory.delivery.outbox import MailKind, MailState, NewMail
from directory.store.tables import deliveries, outgoing_mail

_QUEUE = insert(outgoing_mail)
_OF_DELIVERY = update(deliveries).where(deliveries.c.enrolment_id == bindparam("of_enrolment"))
# Where the delivery says so, it is found without a look at all its mails.
_REMEMBER = {
    MailKind.PROOF: _OF_DELIVERY.values(asked_at=bindparam("moment")),
    MailKind.REMINDER: _OF_DELIVERY.values(reminded_at=bindparam("moment")),
}


def queue(connection: Connection, mail: NewMail) -> str:
    """Queue a mail; return its identifier."""
    mail_id = secrets.token_hex(16)
    connection.execute(
        _QUEUE,
        {
            "id": mail_id,
            "enrolment_id": mail.enrolment_id,
            "organization_id": mail.organization_id,
            "kind": mail.kind.value,
            "recipient": str(mail.recipient),
            "recipient_key": mail.recipient.key,
            "recipient_base": mail.recipient.base_key,
            "message_id": f"<{mail_id}.{mail.kind}@{mail.sender_domain}>",
            "bounce_token": secrets.token_hex(16),
            "state": MailState.QUEUED.value,
            "created_at": mail.at,
            "due_at": mail.due_at,
            "give_up_at": mail.give_up_at,
            "attempts": 0,
        },
    )
    if mail.kind in _REMEMBER:
        connection.execute(_REMEMBER[mail.kind], {"of_enrolment": mail.enrolment_id, "moment": mail.at})
    return mail_id
