"""What follows when a key mail arrived, or never will? Delivery, hold, relay, certificate, enrolment at once.

One place for both ways of hearing of a failure: the smart host that refuses, and the bounce that comes later.
"""

from datetime import datetime

from sqlalchemy import BindParameter, Connection, bindparam, exists, not_, or_, select, update

from directory.delivery.outbox import Acceptance, DeliveryState, MailKind, MailState
from directory.relay import PasswordChannel, RelayOutcome, RelayState
from directory.store.tables import (
    EnrolmentEnd,
    bounces,
    certificates,
    deliveries,
    enrolments,
    held_keys,
    outgoing_mail,
    relays,
)

_OF_ENROLMENT: BindParameter[str] = bindparam("of_enrolment")
_ACCEPT_DELIVERY = (
    update(deliveries)
    .where(
        deliveries.c.enrolment_id == _OF_ENROLMENT,
        deliveries.c.state.in_([DeliveryState.QUEUED.value, DeliveryState.UNPROVEN.value]),
    )
    .values(state=DeliveryState.ACCEPTED.value, accepted_at=bindparam("moment"))
)
_BEGIN_HOLD = (
    update(held_keys)
    .where(held_keys.c.enrolment_id == _OF_ENROLMENT)
    .values(hold_until=bindparam("held_until"))
)
_END_HOLD = (
    update(held_keys)
    .where(
        held_keys.c.enrolment_id == _OF_ENROLMENT,
        or_(held_keys.c.hold_until.is_(None), held_keys.c.hold_until > bindparam("moment")),
    )
    .values(hold_until=bindparam("moment"))
)
_IS_UNPROVEN = select(
    exists().where(deliveries.c.enrolment_id == _OF_ENROLMENT, deliveries.c.proven_at.is_(None))
)
_KEY_MAIL = (outgoing_mail.c.enrolment_id == _OF_ENROLMENT, outgoing_mail.c.kind == MailKind.KEY.value)
_OTHER_WAYS = select(
    exists()
    .where(deliveries.c.enrolment_id == _OF_ENROLMENT, deliveries.c.proven_at.is_not(None))
    .label("proven"),
    exists().where(*_KEY_MAIL, outgoing_mail.c.state == MailState.QUEUED.value).label("queued"),
    exists()
    .where(
        *_KEY_MAIL,
        outgoing_mail.c.state == MailState.ACCEPTED.value,
        not_(exists().where(bounces.c.mail_id == outgoing_mail.c.id)),
    )
    .label("accepted"),
)
_BACK_TO_ACCEPTED = (
    update(deliveries)
    .where(deliveries.c.enrolment_id == _OF_ENROLMENT, deliveries.c.state == DeliveryState.QUEUED.value)
    .values(state=DeliveryState.ACCEPTED.value)
)
_BOUNCE_DELIVERY = (
    update(deliveries)
    .where(deliveries.c.enrolment_id == _OF_ENROLMENT)
    .values(state=DeliveryState.BOUNCED.value, bounced_at=bindparam("moment"))
)
_FAIL_RELAY = (
    update(relays)
    .where(
        relays.c.enrolment_id == _OF_ENROLMENT,
        relays.c.state.in_([RelayState.WAITING.value, RelayState.REVEALED.value]),
    )
    .values(state=RelayState.FAILED.value, outcome=RelayOutcome.FAILED.value, closed_at=bindparam("moment"))
)
_TAKE_BACK_PASSWORD = (
    update(relays)
    .where(
        relays.c.enrolment_id == _OF_ENROLMENT,
        relays.c.state == RelayState.REVEALED.value,
        relays.c.released_through == PasswordChannel.MAIL.value,
    )
    .values(state=RelayState.WAITING.value, released_through=None, revealed_at=None)
)
_WITHDRAW_CERTIFICATE = (
    update(certificates)
    .where(certificates.c.enrolment_id == _OF_ENROLMENT, certificates.c.withdrawn_at.is_(None))
    .values(withdrawn_at=bindparam("moment"))
)
# One that was revoked meanwhile stays so: a bounce must not clear what the operator said.
_END_ENROLMENT = (
    update(enrolments)
    .where(enrolments.c.id == _OF_ENROLMENT, enrolments.c.live)
    .values(live=False, ended_because=bindparam("because"))
)
ERASED: dict[str, None] = {
    "message_master_key_id": None,
    "message_wrapped_key": None,
    "message_ciphertext": None,
}
"""What a mail that has ended keeps of its message."""

_CANCEL_MAILS = (
    update(outgoing_mail)
    .where(
        outgoing_mail.c.enrolment_id == _OF_ENROLMENT,
        outgoing_mail.c.state == MailState.QUEUED.value,
        outgoing_mail.c.kind.in_(bindparam("kinds", expanding=True)),
    )
    .values(
        state=MailState.CANCELLED.value,
        ended_at=bindparam("moment"),
        **ERASED,
    )
)

TO_RECIPIENT = (MailKind.KEY, MailKind.PROOF, MailKind.REMINDER, MailKind.KEY_RECOVERED)
"""Mails that an enrolment's recipient gets."""
# Not what tells him that his key was taken out of escrow: he is to know, whatever becomes of the certificate.
_FOR_ENROLMENT = (
    MailKind.KEY,
    MailKind.PROOF,
    MailKind.REMINDER,
    MailKind.PASSWORD,
    MailKind.NOTICE_EXPIRING,
)
"""Mails that are of use only while the key may still be."""


def key_mail_accepted(connection: Connection, enrolment_id: str, acceptance: Acceptance) -> bool:
    """Record that the key package is on its way; return whether the recipient has yet to prove his key."""
    where = {"of_enrolment": enrolment_id}
    connection.execute(_ACCEPT_DELIVERY, where | {"moment": acceptance.at})
    unproven: bool = connection.execute(_IS_UNPROVEN, where).scalar_one()
    if unproven:
        connection.execute(_BEGIN_HOLD, where | {"held_until": acceptance.hold_until})
    return unproven


def key_mail_lost(connection: Connection, enrolment_id: str, at: datetime) -> bool:
    """Record that a key mail was refused or came back; return whether it was the only way the key had.

    Where another was accepted and did not come back, the key came with that one; where one is queued it still
    may. A mail that came back is among the bounces already. The enrolment is locked: two of its mails may be
    lost at once, each as if the other had got through.
    """
    where = {"of_enrolment": enrolment_id}
    ways = connection.execute(_OTHER_WAYS, where).one()
    if ways.accepted and not ways.queued:
        connection.execute(_BACK_TO_ACCEPTED, where)
    if ways.proven or ways.queued or ways.accepted:
        return False
    end_undelivered(connection, enrolment_id, EnrolmentEnd.BOUNCED, at)
    return True


def password_mail_lost(connection: Connection, enrolment_id: str) -> None:
    """Record that the mail with the password came back: an agent may reveal it again."""
    connection.execute(_TAKE_BACK_PASSWORD, {"of_enrolment": enrolment_id})


def end_undelivered(connection: Connection, enrolment_id: str, because: EnrolmentEnd, at: datetime) -> None:
    """Take a certificate whose key did not arrive out of the directory, with all that was to follow."""
    where = {"of_enrolment": enrolment_id}
    connection.execute(_BOUNCE_DELIVERY, where | {"moment": at})
    connection.execute(_FAIL_RELAY, where | {"moment": at})
    withdraw(connection, enrolment_id, because, at)


def withdraw(connection: Connection, enrolment_id: str, because: EnrolmentEnd, at: datetime) -> None:
    """Take a certificate that nobody can use out of the directory, and send nothing more for it."""
    where = {"of_enrolment": enrolment_id}
    connection.execute(_WITHDRAW_CERTIFICATE, where | {"moment": at})
    connection.execute(_END_ENROLMENT, where | {"because": because.value})
    cancel_mails(connection, enrolment_id, _FOR_ENROLMENT, at)


def end_hold(connection: Connection, enrolment_id: str, at: datetime) -> None:
    """Let the service's copy of the key go, in the transaction under way: nobody needs it any more."""
    connection.execute(_END_HOLD, {"of_enrolment": enrolment_id, "moment": at})


def cancel_mails(
    connection: Connection, enrolment_id: str, kinds: tuple[MailKind, ...], at: datetime
) -> None:
    """End the queued mails of these kinds, in the transaction under way."""
    connection.execute(
        _CANCEL_MAILS,
        {"of_enrolment": enrolment_id, "kinds": [kind.value for kind in kinds], "moment": at},
    )
