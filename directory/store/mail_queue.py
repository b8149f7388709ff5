"""How does a mail get into the outbox? One row, in the transaction of what it tells of."""

import secrets

from sqlalchemy import Connection, insert

from directory.delivery.outbox import MailState, NewMail
from directory.store.tables import outgoing_mail

_QUEUE = insert(outgoing_mail)


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
    return mail_id
