"""How is a mint made durable, once per address? The unique index decides, whatever races.

PostgreSQL: a second reserver of an address waits in its insert until the first one's transaction has ended.
SQLite: there is one writer. Locks are taken in one order by everybody: the issuer, of a renewal the
enrolment that it renews, the slot, the limits, the audit head (`locks`).
"""

import secrets
from collections.abc import Callable
from datetime import datetime
from functools import partial
from typing import TypeVar

from sqlalchemy import Connection, Table, bindparam, exists, not_, select, text, update
from sqlalchemy.exc import IntegrityError

from ca.address import Mailbox
from directory.audit import chain
from directory.callers import Gateway
from directory.channels.jobs import WebhookEvent
from directory.delivery.outbox import DeliveryState, MailKind, MailState, NewMail
from directory.errors import KeyRepeated, LimitReached, SlotTaken
from directory.lookup import PublishedCertificate
from directory.mailbudget import BUDGET_PERIOD
from directory.mint_ports import EnrolmentRecord, MintTransaction, Renewed, Reservation
from directory.relay import RelayState
from directory.status import KeyState, Place
from directory.store import audit_log, blocked_keys, issuers, limits, webhooks
from directory.store.aside import aside
from directory.store.crls import part_of
from directory.store.database import Database
from directory.store.failures import violates
from directory.store.lookup import SqlDirectoryReader
from directory.store.mail_budget import room_for
from directory.store.mail_queue import queue
from directory.store.rows import sealed_columns
from directory.store.statements import Together, Upsert, insert_row, parameter
from directory.store.tables import (
    EnrolmentEnd,
    certificates,
    deliveries,
    enrolments,
    held_keys,
    outgoing_mail,
    relays,
    suppressions,
)

_SLOT = (
    *(enrolments.c.id, enrolments.c.organization_id, enrolments.c.gateway_id, enrolments.c.scope),
    *(enrolments.c.address, enrolments.c.address_key, enrolments.c.minted_at, enrolments.c.live),
    *(enrolments.c.place, enrolments.c.renews_enrolment_id),
)
# Between the policy's look and this one the recipient may have stopped all mail.
_UNLESS_SUPPRESSED = select(*(bindparam(column.key, type_=column.type) for column in _SLOT)).where(
    not_(exists().where(suppressions.c.address_key == bindparam("address_key")))
)
# The index is the arbiter. `DO NOTHING` waits for a competitor as a plain insert would, but a lost race is an
# answer then instead of an error that spoils the transaction.


def _slot(place: Place) -> Upsert:
    return Upsert(
        enrolments,
        lambda insert: (
            insert.from_select(_SLOT, _UNLESS_SUPPRESSED)
            .on_conflict_do_nothing(
                index_elements=[enrolments.c.scope, enrolments.c.address_key],
                index_where=text(f"live AND place = '{place}'"),
            )
            .returning(enrolments.c.id)
        ),
    )


_TAKE_SLOT = {place: _slot(place) for place in (Place.LEADING, Place.WAITING)}
# Between the look at what is to be renewed and this one it may have ended; whoever ends it comes afterwards.
_STILL_LEADS = (
    select(enrolments.c.id)
    .where(
        enrolments.c.id == bindparam("of_enrolment"),
        enrolments.c.live,
        enrolments.c.place == Place.LEADING.value,
    )
    .with_for_update(key_share=True)
)
_END_EXPIRED = (
    update(enrolments)
    .where(
        enrolments.c.scope == bindparam("of_scope"),
        enrolments.c.address_key == bindparam("of_address_key"),
        enrolments.c.live,
        exists().where(
            certificates.c.enrolment_id == enrolments.c.id, certificates.c.not_after <= bindparam("now")
        ),
    )
    .values(live=False, ended_because=EnrolmentEnd.EXPIRED.value)
)

_BATCH = 1000
_ONE_MINTED_PER_KEY = next(
    index for index in certificates.indexes if index.name == "uq_certificates_one_minted_per_key"
)

_SEALED_KEY = ("key_master_key_id", "key_wrapped_key", "key_ciphertext")
_SEALED_PASSWORD = ("password_master_key_id", "password_wrapped_key", "password_ciphertext")
_RECORD = Together(
    insert_row(
        certificates,
        *("id", "enrolment_id", "issuer_id", "serial", "scope", "address", "address_key", "origin"),
        *("der", "key_sha256", "not_before", "not_after", "published_at", "served_from", "crl_partition"),
    ),
    insert_row(held_keys, "enrolment_id", "state", *_SEALED_KEY, "fate"),
    insert_row(relays, "enrolment_id", "state", *_SEALED_PASSWORD, "expires_at", "note"),
    insert_row(deliveries, "enrolment_id", "state", "package_format", "language"),
    insert_row(
        outgoing_mail,
        *("id", "enrolment_id", "organization_id", "kind", "recipient", "recipient_key"),
        *("recipient_base", "message_id", "bounce_token", "state", "created_at", "due_at", "give_up_at"),
        *("attempts", "claimed_by", "claimed_until"),
    ),
    audit_log.INSERT_EVENT,
    audit_log.MOVE_HEAD,
)


Result = TypeVar("Result")


class SqlMintStore:
    """Where mints are committed."""

    def __init__(self, database: Database, *, node: str) -> None:
        self._database = database
        self._node = node
        self._reader = SqlDirectoryReader(database)

    async def mint(self, work: Callable[[MintTransaction], Result]) -> Result:
        """Run the work in one transaction and commit it durably; an exception rolls back."""
        return await self._database.write(
            lambda connection: work(SqlMintTransaction(connection, node=self._node))
        )

    async def best_certificate(
        self, address_key: str, asker: Gateway, now: datetime
    ) -> PublishedCertificate | None:
        """Return the best live certificate the gateway may see."""
        return await self._reader.best_certificate(address_key, asker, now)

    async def forget_full_buckets(self, now: datetime) -> int:
        """Delete the limits' buckets that have filled up again; return how many. For now and then."""
        forgotten = 0
        while True:
            count = await self._database.write(partial(limits.forget_full, now=now, most=_BATCH))
            forgotten += count
            if count < _BATCH:
                return forgotten


class SqlMintTransaction:
    """A transaction under way on one connection."""

    def __init__(self, connection: Connection, *, node: str) -> None:
        self._connection = connection
        self._node = node

    def reserve(self, reservation: Reservation) -> None:
        """Take the address' one leading slot, or the one behind it, and charge the limits."""
        connection = self._connection
        if reservation.renews is not None:
            _wait_behind(connection, reservation, reservation.renews)
        elif not _take_slot(connection, reservation):
            # Whoever holds it may have expired; that is looked at only now, as it is rare.
            expired = connection.execute(
                _END_EXPIRED,
                {
                    "of_scope": reservation.scope,
                    "of_address_key": reservation.mailbox.key,
                    "now": reservation.minted_at,
                },
            )
            if expired.rowcount == 0 or not _take_slot(connection, reservation):
                raise SlotTaken
        limits.charge(connection, reservation.limits, reservation.minted_at)

    def hold_issuer(self, issuer_id: str) -> None:
        """Keep the issuer from being revoked until this transaction has ended."""
        issuers.hold(self._connection, issuer_id)

    def admit(self, key_sha256: bytes) -> None:
        """Return if a certificate with this key may be signed."""
        blocked_keys.refuse_unless_fresh(self._connection, key_sha256)

    def aside(self, work: Callable[[], Result]) -> Result:
        """Do what takes its time and is no SQL, such as signing, while the transaction waits for it."""
        return aside(self._connection, work)

    def record(self, enrolment: EnrolmentRecord) -> None:
        """Write certificate, held key, password relay, delivery, outgoing mail and audit event."""
        chained = chain(audit_log.locked_head(self._connection, self._node), enrolment.event)
        parameters = {**_enrolment_parameters(enrolment), **audit_log.event_parameters(chained)}
        try:
            _RECORD.execute(self._connection, parameters)
        except IntegrityError as error:
            if not violates(error, _ONE_MINTED_PER_KEY):
                raise
            raise KeyRepeated(key_sha256=enrolment.key_sha256.hex()) from None
        if enrolment.password_mail_to is not None:
            queue(self._connection, _password_mail(enrolment, enrolment.password_mail_to))
        if enrolment.tells_webhook:
            webhooks.queue(
                self._connection,
                organization_id=enrolment.reservation.organization_id,
                enrolment_id=enrolment.reservation.enrolment_id,
                event=WebhookEvent.PASSWORD_READY,
                at=enrolment.reservation.minted_at,
                give_up_at=enrolment.give_up_at,
            )


def _password_mail(enrolment: EnrolmentRecord, recipient: Mailbox) -> NewMail:
    reservation = enrolment.reservation
    return NewMail(
        enrolment_id=reservation.enrolment_id,
        organization_id=reservation.organization_id,
        kind=MailKind.PASSWORD,
        recipient=recipient,
        sender_domain=enrolment.sender_domain,
        at=reservation.minted_at,
        due_at=reservation.minted_at,
        give_up_at=enrolment.give_up_at,
    )


def _wait_behind(connection: Connection, reservation: Reservation, renewed: Renewed) -> None:
    leads = connection.execute(_STILL_LEADS, {"of_enrolment": renewed.enrolment_id}).one_or_none()
    if leads is None or not _take_slot(connection, reservation):
        raise SlotTaken
    if not room_for(connection, reservation.mailbox, reservation.minted_at):
        raise LimitReached(limit="mail_budget", retry_after=BUDGET_PERIOD)


def _take_slot(connection: Connection, reservation: Reservation) -> bool:
    renews = reservation.renews
    place = Place.WAITING if renews else Place.LEADING
    taken = connection.execute(
        _TAKE_SLOT[place].on(connection),
        {
            "id": reservation.enrolment_id,
            "organization_id": reservation.organization_id,
            "gateway_id": reservation.gateway_id,
            "scope": reservation.scope,
            "address": str(reservation.mailbox),
            "address_key": reservation.mailbox.key,
            "minted_at": reservation.minted_at,
            "live": True,
            "place": place.value,
            "renews_enrolment_id": renews.enrolment_id if renews else None,
        },
    )
    return taken.one_or_none() is not None


def _enrolment_parameters(enrolment: EnrolmentRecord) -> dict[str, object]:
    reservation, certificate = enrolment.reservation, enrolment.certificate
    enrolment_id, minted_at = reservation.enrolment_id, reservation.minted_at
    claim = enrolment.claim
    written: dict[Table, dict[str, object]] = {
        certificates: {
            "id": secrets.token_hex(16),
            "enrolment_id": enrolment_id,
            "issuer_id": enrolment.issuer_id,
            "serial": f"{certificate.serial:x}",
            "scope": reservation.scope,
            "address": str(certificate.mailbox),
            "address_key": certificate.mailbox.key,
            "origin": certificate.origin.value,
            "der": certificate.der,
            "key_sha256": enrolment.key_sha256,
            "not_before": certificate.not_before,
            "not_after": certificate.not_after,
            "published_at": minted_at,
            # Where there is little time left it is served at once.
            "served_from": max(reservation.renews.leads_until, minted_at) if reservation.renews else None,
            "crl_partition": part_of(enrolment.crl_partition),
        },
        held_keys: {
            "enrolment_id": enrolment_id,
            "state": KeyState.HELD.value,
            **sealed_columns("key", enrolment.sealed_key),
            "fate": enrolment.key_fate.value,
        },
        relays: {
            "enrolment_id": enrolment_id,
            "state": RelayState.WAITING.value,
            "expires_at": enrolment.relay_expires_at,
            "note": "",
            **sealed_columns("password", enrolment.sealed_password),
        },
        deliveries: {
            "enrolment_id": enrolment_id,
            "state": DeliveryState.QUEUED.value,
            "package_format": enrolment.package_format.value,
            "language": enrolment.language,
        },
        outgoing_mail: {
            "id": enrolment.mail_id,
            "enrolment_id": enrolment_id,
            "organization_id": reservation.organization_id,
            "kind": MailKind.KEY.value,
            "recipient": str(reservation.mailbox),
            "recipient_key": reservation.mailbox.key,
            "recipient_base": reservation.mailbox.base_key,
            "message_id": enrolment.message_id,
            "bounce_token": enrolment.bounce_token,
            "state": MailState.QUEUED.value,
            "created_at": minted_at,
            "due_at": minted_at,
            "give_up_at": enrolment.give_up_at,
            # A claim counts as an attempt.
            "attempts": 0 if claim is None else 1,
            "claimed_by": None if claim is None else claim.worker,
            "claimed_until": None if claim is None else claim.until,
        },
    }
    return {
        parameter(table, column): value
        for table, columns in written.items()
        for column, value in columns.items()
    }
