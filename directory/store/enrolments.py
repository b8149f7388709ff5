"""Where does an enrolment stand, for the organization that caused it?"""

from collections import defaultdict
from collections.abc import Sequence
from functools import partial

from sqlalchemy import (
    BindParameter,
    ColumnElement,
    Connection,
    and_,
    bindparam,
    case,
    literal,
    or_,
    select,
    union_all,
)

from ca.keypackage import KeyPackageFormat
from directory.channels.jobs import WebhookEvent
from directory.cursors import Cursor
from directory.delivery.outbox import DeliveryState, MailKind, MailState
from directory.errors import Unknown
from directory.relay import PasswordChannel, RelayState
from directory.status import ChannelState, ChannelStatus, EnrolmentStatus, KeyState, Place
from directory.store.database import Database
from directory.store.rows import AnyRow, mailbox
from directory.store.tables import (
    EnrolmentEnd,
    certificates,
    deliveries,
    enrolments,
    held_keys,
    outgoing_mail,
    relays,
    webhook_deliveries,
)

_LATEST_KEY_MAIL = (
    select(outgoing_mail.c.id)
    .where(outgoing_mail.c.enrolment_id == enrolments.c.id, outgoing_mail.c.kind == MailKind.KEY.value)
    .order_by(outgoing_mail.c.created_at.desc(), outgoing_mail.c.id)
    .limit(1)
    .correlate(enrolments)
    .scalar_subquery()
)
_RENEWAL = enrolments.alias("renewal")
_RENEWED_BY = (
    select(_RENEWAL.c.id)
    .where(_RENEWAL.c.renews_enrolment_id == enrolments.c.id, _RENEWAL.c.live)
    .limit(1)
    .correlate(enrolments)
    .scalar_subquery()
)
_OF_ORGANIZATION = (
    select(
        enrolments.c.id,
        enrolments.c.minted_at,
        enrolments.c.live,
        certificates.c.address,
        certificates.c.serial,
        certificates.c.not_after,
        held_keys.c.state.label("key_state"),
        deliveries.c.state.label("delivery_state"),
        deliveries.c.accepted_at,
        deliveries.c.package_format,
        outgoing_mail.c.attempts,
        outgoing_mail.c.last_failure,
        relays.c.state.label("relay_state"),
        relays.c.revealed_at,
        relays.c.closed_at,
        relays.c.expires_at,
        relays.c.released_through,
        enrolments.c.place,
        enrolments.c.renews_enrolment_id,
        _RENEWED_BY.label("renewed_by"),
    )
    .join_from(enrolments, certificates, certificates.c.enrolment_id == enrolments.c.id)
    .join(held_keys, held_keys.c.enrolment_id == enrolments.c.id)
    .join(deliveries, deliveries.c.enrolment_id == enrolments.c.id)
    .join(relays, relays.c.enrolment_id == enrolments.c.id)
    .join(outgoing_mail, outgoing_mail.c.id == _LATEST_KEY_MAIL)
    .where(enrolments.c.organization_id == bindparam("organization_id"))
)
_STATUS = _OF_ORGANIZATION.where(enrolments.c.id == bindparam("enrolment_id"))
# Those whom nobody has called yet come first: calls that nobody closed must not hide them.
_RANK = case((relays.c.state == RelayState.WAITING.value, 0), else_=1)
# Besides the people to call, those whom no key mail reached: somebody must look, until an operator has.
_AWAITING_RELAY = (
    _OF_ORGANIZATION.where(
        or_(
            relays.c.state.in_([RelayState.WAITING.value, RelayState.REVEALED.value]),
            enrolments.c.ended_because == EnrolmentEnd.BOUNCED.value,
        )
    )
    .order_by(_RANK, enrolments.c.minted_at, enrolments.c.id)
    .limit(bindparam("most"))
)


_ENROLMENTS: BindParameter[list[str]] = bindparam("enrolment_ids", expanding=True)
_CHANNELS = union_all(
    select(
        webhook_deliveries.c.enrolment_id,
        literal(PasswordChannel.WEBHOOK.value).label("channel"),
        webhook_deliveries.c.state,
        webhook_deliveries.c.attempts,
        webhook_deliveries.c.last_failure,
        webhook_deliveries.c.created_at,
    ).where(
        webhook_deliveries.c.enrolment_id.in_(_ENROLMENTS),
        webhook_deliveries.c.event == WebhookEvent.PASSWORD_READY.value,
    ),
    select(
        outgoing_mail.c.enrolment_id,
        literal(PasswordChannel.MAIL.value),
        outgoing_mail.c.state,
        outgoing_mail.c.attempts,
        outgoing_mail.c.last_failure,
        outgoing_mail.c.created_at,
    ).where(outgoing_mail.c.enrolment_id.in_(_ENROLMENTS), outgoing_mail.c.kind == MailKind.PASSWORD.value),
).order_by("created_at", "channel")
_STATE_OF_CHANNEL = {state.value: state for state in ChannelState} | {
    MailState.ACCEPTED.value: ChannelState.DELIVERED,
    MailState.CANCELLED.value: ChannelState.OBSOLETE,
}


class SqlEnrolmentReader:
    """Reads enrolments."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def enrolment(self, enrolment_id: str, organization_id: str) -> EnrolmentStatus:
        """Return the organization's enrolment."""
        return await self._database.read(
            partial(_status, enrolment_id=enrolment_id, organization_id=organization_id)
        )

    async def awaiting_relay(
        self, organization_id: str, *, after: Cursor | None, most: int
    ) -> Sequence[EnrolmentStatus]:
        """Return the organization's enrolments that somebody has to see to, those not yet called first."""
        return await self._database.read(
            partial(_awaiting_relay, organization_id=organization_id, after=after, most=most)
        )


def _status(connection: Connection, *, enrolment_id: str, organization_id: str) -> EnrolmentStatus:
    row = connection.execute(
        _STATUS, {"enrolment_id": enrolment_id, "organization_id": organization_id}
    ).one_or_none()
    if row is None:
        raise Unknown(kind="enrolment", name=enrolment_id)
    (status,) = _of_rows(connection, [row])
    return status


def _awaiting_relay(
    connection: Connection, *, organization_id: str, after: Cursor | None, most: int
) -> list[EnrolmentStatus]:
    query = _AWAITING_RELAY if after is None else _AWAITING_RELAY.where(_behind(after))
    found = connection.execute(query, {"organization_id": organization_id, "most": most})
    return _of_rows(connection, found.all())


def _behind(place: Cursor) -> ColumnElement[bool]:
    rank, at, enrolment_id = _RANK, enrolments.c.minted_at, enrolments.c.id
    later = or_(at > place.moment, and_(at == place.moment, enrolment_id > place.record_id))
    return or_(rank > place.rank, and_(rank == place.rank, later))


def _of_rows(connection: Connection, found: Sequence[AnyRow]) -> list[EnrolmentStatus]:
    channels: defaultdict[str, list[ChannelStatus]] = defaultdict(list)
    if found:
        for row in connection.execute(_CHANNELS, {"enrolment_ids": [row.id for row in found]}):
            channels[row.enrolment_id].append(
                ChannelStatus(
                    channel=PasswordChannel(row.channel),
                    state=_STATE_OF_CHANNEL[row.state],
                    attempts=row.attempts,
                    last_failure=row.last_failure,
                )
            )
    return [_of_row(row, tuple(channels[row.id])) for row in found]


def _of_row(row: AnyRow, channels: tuple[ChannelStatus, ...]) -> EnrolmentStatus:
    return EnrolmentStatus(
        enrolment_id=row.id,
        mailbox=mailbox(row.address),
        serial=int(row.serial, 16),
        minted_at=row.minted_at,
        not_after=row.not_after,
        live=row.live,
        key=KeyState(row.key_state),
        package_format=KeyPackageFormat(row.package_format),
        delivery=DeliveryState(row.delivery_state),
        delivery_attempts=row.attempts,
        last_failure=row.last_failure,
        accepted_at=row.accepted_at,
        relay=RelayState(row.relay_state),
        revealed_at=row.revealed_at,
        closed_at=row.closed_at,
        expires_at=row.expires_at,
        released_through=PasswordChannel(row.released_through) if row.released_through else None,
        channels=channels,
        place=Place(row.place),
        renews=row.renews_enrolment_id,
        renewed_by=row.renewed_by,
    )
