"""Which mail is due, and how do workers share it out? Claims are leases, fenced by the count of attempts.

A claim counts as an attempt. So a worker whose lease ran out while it hung, and whose mail another has
claimed since, is told apart by its count: it can still report that the smart host took the mail, but not put
the other's claim aside.
"""

from collections.abc import Sequence
from datetime import datetime
from functools import partial

from sqlalchemy import (
    Connection,
    and_,
    bindparam,
    exists,
    literal,
    not_,
    or_,
    select,
    update,
)

from ca.keypackage import KeyPackageFormat
from ca.sealing import SealedSecret
from directory.audit import AuditEvent
from directory.delivery.outbox import Acceptance, DueMail, GivenUp, MailKind, MailState, NewMail
from directory.hierarchy import chain_of
from directory.links import LinkPurpose, NewLink
from directory.organization import KeyDelivery, KeyFate
from directory.relay import PasswordChannel
from directory.store import audit_log, mail_outcomes, rows, undelivered
from directory.store.claims import Claims
from directory.store.database import Database
from directory.store.holds import destroy_at_once
from directory.store.issuers import certificates_by_id
from directory.store.links import add as add_links
from directory.store.locks import lock_before_end, lock_enrolment
from directory.store.mail_budget import room_for
from directory.store.mail_queue import queue
from directory.store.relays import release
from directory.store.tables import (
    certificates,
    deliveries,
    enrolments,
    held_keys,
    mail_pauses,
    organizations,
    outgoing_mail,
    relays,
    suppressions,
)
from directory.store.undelivered import LostMail

LONGEST_FAILURE = 500
EVERYBODY = "*"
"""Stands for all organizations among those whose mail is paused."""

_HAS_KEY = exists().where(
    held_keys.c.enrolment_id == outgoing_mail.c.enrolment_id, held_keys.c.key_wrapped_key.is_not(None)
)
_HAS_PASSWORD = exists().where(
    relays.c.enrolment_id == outgoing_mail.c.enrolment_id, relays.c.password_wrapped_key.is_not(None)
)
_MAY_GO = (
    not_(
        exists().where(
            mail_pauses.c.organization_id.in_([literal(EVERYBODY), outgoing_mail.c.organization_id])
        )
    ),
    # What an organization has sent to itself is its own business, whoever wants no keys from others there.
    or_(
        outgoing_mail.c.kind.not_in([kind.value for kind in mail_outcomes.TO_RECIPIENT]),
        not_(exists().where(suppressions.c.address_key == outgoing_mail.c.recipient_key)),
    ),
)
_WAITING = (
    outgoing_mail.c.state == MailState.QUEUED.value,
    # A mail whose secrets are gone cannot be composed; `pushpki verify` reports it. Claimed again and again
    # it would keep a worker busy for nothing.
    or_(
        outgoing_mail.c.message_wrapped_key.is_not(None),
        and_(outgoing_mail.c.kind == MailKind.KEY.value, _HAS_KEY, _HAS_PASSWORD),
        and_(outgoing_mail.c.kind == MailKind.PASSWORD.value, _HAS_PASSWORD),
        outgoing_mail.c.kind.not_in([MailKind.KEY.value, MailKind.PASSWORD.value]),
    ),
    *_MAY_GO,
)
_CLAIMS = Claims(outgoing_mail, queued=outgoing_mail.c.state == MailState.QUEUED.value, waiting=_WAITING)
_RENEWED = certificates.alias("renewed")
_CLAIMED = (
    select(
        outgoing_mail.c.id.label("mail_id"),
        outgoing_mail.c.enrolment_id,
        outgoing_mail.c.kind,
        outgoing_mail.c.recipient,
        outgoing_mail.c.message_id,
        outgoing_mail.c.bounce_token,
        outgoing_mail.c.message_master_key_id,
        outgoing_mail.c.message_wrapped_key,
        outgoing_mail.c.message_ciphertext,
        outgoing_mail.c.created_at,
        outgoing_mail.c.give_up_at,
        outgoing_mail.c.attempts,
        enrolments.c.minted_at,
        certificates.c.address,
        certificates.c.der,
        certificates.c.issuer_id,
        held_keys.c.key_master_key_id,
        held_keys.c.key_wrapped_key,
        held_keys.c.key_ciphertext,
        held_keys.c.fate,
        relays.c.password_master_key_id,
        relays.c.password_wrapped_key,
        relays.c.password_ciphertext,
        deliveries.c.package_format,
        deliveries.c.language,
        _RENEWED.c.not_after.label("renews_until"),
        *rows.ORGANIZATION,
    )
    .join_from(outgoing_mail, enrolments)
    .join(organizations, organizations.c.id == enrolments.c.organization_id)
    .join(certificates, certificates.c.enrolment_id == enrolments.c.id)
    .join(held_keys, held_keys.c.enrolment_id == enrolments.c.id)
    .join(relays, relays.c.enrolment_id == enrolments.c.id)
    .join(deliveries, deliveries.c.enrolment_id == enrolments.c.id)
    .join(_RENEWED, _RENEWED.c.enrolment_id == enrolments.c.renews_enrolment_id, isouter=True)
    .where(outgoing_mail.c.id.in_(bindparam("mail_ids", expanding=True)))
    .order_by(outgoing_mail.c.due_at, outgoing_mail.c.id)
)
_STILL_QUEUED = (
    outgoing_mail.c.id == bindparam("mail_id"),
    outgoing_mail.c.state == MailState.QUEUED.value,
)
_STILL_OURS = (*_STILL_QUEUED, outgoing_mail.c.attempts == bindparam("our_attempt"))
_ACCEPT_MAIL = (
    update(outgoing_mail)
    .where(*_STILL_QUEUED)
    .values(
        state=MailState.ACCEPTED.value,
        ended_at=bindparam("moment"),
        last_failure=None,
        **mail_outcomes.ERASED,
    )
)
# A mail born claimed has not been through a claim that would have seen a pause, or that nobody wants it.
_KEEP_MESSAGE = (
    update(outgoing_mail)
    .where(*_STILL_OURS, *_MAY_GO)
    .values(
        message_master_key_id=bindparam("key_id"),
        message_wrapped_key=bindparam("wrapped"),
        message_ciphertext=bindparam("ciphertext"),
        link_only=bindparam("by_link"),
    )
)
_RETRY = (
    update(outgoing_mail)
    .where(*_STILL_OURS)
    .values(
        due_at=bindparam("new_due_at"),
        last_failure=bindparam("failure"),
        claimed_by=None,
        claimed_until=None,
    )
)
_POSTPONE = (
    update(outgoing_mail)
    .where(*_STILL_OURS)
    .values(
        due_at=bindparam("new_due_at"),
        last_failure=bindparam("failure"),
        attempts=outgoing_mail.c.attempts - 1,
        claimed_by=None,
        claimed_until=None,
    )
)
_GIVE_UP_MAIL = (
    update(outgoing_mail)
    .where(*_STILL_OURS)
    .values(
        state=MailState.GIVEN_UP.value,
        ended_at=bindparam("moment"),
        last_failure=bindparam("failure"),
        **mail_outcomes.ERASED,
    )
)
_WAS_ASKED = select(deliveries.c.asked_at.is_not(None)).where(
    deliveries.c.enrolment_id == bindparam("of_enrolment")
)


class SqlOutbox:
    """The rows of outgoing mail."""

    def __init__(self, database: Database, *, node: str) -> None:
        self._database = database
        self._node = node

    async def claim_due(
        self, *, worker: str, now: datetime, lease_until: datetime, most: int
    ) -> list[DueMail]:
        """Claim up to `most` due mails nobody else has claimed, the longest due first."""
        claim = {"worker": worker, "now": now, "lease_until": lease_until, "most": most}
        return await self._database.write(partial(_claim, claim=claim))

    async def next_due(self) -> datetime | None:
        """Return when the next queued mail becomes due or its claim runs out; None if nothing is queued."""
        return await self._database.read(_next_due)

    async def release_claims(self, *, worker: str) -> None:
        """Give up the claims of this worker."""
        await self._database.write(partial(_release, worker=worker))

    async def record_composed(
        self, mail: DueMail, *, message: SealedSecret, links: Sequence[NewLink], at: datetime
    ) -> bool:
        """Keep the mail as it is about to be sent, unless it is not ours to send any more."""

        def keep(connection: Connection) -> bool:
            kept = connection.execute(
                _KEEP_MESSAGE,
                {
                    **_fence(mail),
                    "key_id": message.master_key_id,
                    "wrapped": message.wrapped_key,
                    "ciphertext": message.ciphertext,
                    "by_link": _brings_a_link_only(mail, links),
                },
            )
            if kept.rowcount == 0:
                return False
            add_links(connection, mail.enrolment_id, links, at)
            return True

        return await self._database.write(keep)

    async def record_accepted(self, mail: DueMail, acceptance: Acceptance, event: AuditEvent) -> None:
        """Record it once; a second worker that sent the same mail changes nothing."""

        def accept(connection: Connection) -> None:
            lock_enrolment(connection, mail.enrolment_id)
            accepted = connection.execute(_ACCEPT_MAIL, {"mail_id": mail.mail_id, "moment": acceptance.at})
            if accepted.rowcount == 0:
                return
            match mail.kind:
                case MailKind.KEY:
                    unproven = mail_outcomes.key_mail_accepted(connection, mail.enrolment_id, acceptance)
                    if unproven and acceptance.asks_for_proof and _may_be_asked(connection, mail, acceptance):
                        queue(connection, _asking_for_proof(mail, acceptance))
                case MailKind.PASSWORD:
                    release(connection, mail.enrolment_id, PasswordChannel.MAIL, acceptance.at)
                case _:
                    pass
            audit_log.append(connection, self._node, event)
            if mail.kind is MailKind.KEY and acceptance.hold_until <= acceptance.at:
                # It waits for no lock, so it may come behind that of the audit log.
                destroy_at_once(connection, mail.enrolment_id, acceptance.at, node=self._node)

        await self._database.write(accept)

    async def record_retry(self, mail: DueMail, *, due_at: datetime, failure: str) -> None:
        """Release the claim, unless it ran out and somebody else has one now."""
        retry = {**_fence(mail), "new_due_at": due_at, "failure": _storable(failure)}
        await self._database.write(partial(_retry, retry=retry))

    async def record_postponed(self, mail: DueMail, *, due_at: datetime, reason: str) -> None:
        """Release the claim and count it no more, unless it ran out and somebody else has one now."""
        postponed = {**_fence(mail), "new_due_at": due_at, "failure": _storable(reason)}
        await self._database.write(partial(_postpone, postponed=postponed))

    async def record_given_up(
        self,
        mail: DueMail,
        *,
        at: datetime,
        failure: str,
        event: AuditEvent,
        because: GivenUp = GivenUp.OUT_OF_TIME,
    ) -> None:
        """Record it, unless the claim ran out and somebody else has one now."""

        def give_up(connection: Connection) -> None:
            lock_before_end(connection, mail.enrolment_id)
            given_up = connection.execute(
                _GIVE_UP_MAIL, {**_fence(mail), "moment": at, "failure": _storable(failure)}
            )
            if given_up.rowcount == 0:
                return
            lost = _lost(mail, at)
            if because is GivenUp.REFUSED:
                undelivered.record_bounce(connection, lost)
            undelivered.draw_consequences(connection, lost, self._node)
            audit_log.append(connection, self._node, event)

        await self._database.write(give_up)


def _claim(connection: Connection, *, claim: dict[str, object]) -> list[DueMail]:
    mail_ids = connection.execute(_CLAIMS.claim, claim).scalars().all()
    if not mail_ids:
        return []
    issuers = certificates_by_id(connection)
    return [
        _due_mail(row, chain_of(row.issuer_id, issuers))
        for row in connection.execute(_CLAIMED, {"mail_ids": mail_ids})
    ]


def _due_mail(row: rows.AnyRow, chain: tuple[bytes, ...]) -> DueMail:
    return DueMail(
        mail_id=row.mail_id,
        enrolment_id=row.enrolment_id,
        kind=MailKind(row.kind),
        message_id=row.message_id,
        bounce_token=row.bounce_token,
        created_at=row.created_at,
        give_up_at=row.give_up_at,
        attempts=row.attempts - 1,
        recipient=rows.mailbox(row.recipient),
        mailbox=rows.mailbox(row.address),
        language=row.language,
        minted_at=row.minted_at,
        certificate=row.der,
        chain=chain,
        sealed_key=rows.sealed(row.key_master_key_id, row.key_wrapped_key, row.key_ciphertext),
        sealed_password=rows.sealed(
            row.password_master_key_id, row.password_wrapped_key, row.password_ciphertext
        ),
        package_format=KeyPackageFormat(row.package_format),
        organization=rows.organization(row),
        key_fate=KeyFate(row.fate),
        renews_until=row.renews_until,
        sealed_message=rows.sealed(
            row.message_master_key_id, row.message_wrapped_key, row.message_ciphertext
        ),
    )


def _lost(mail: DueMail, at: datetime) -> LostMail:
    return LostMail(
        mail_id=mail.mail_id,
        enrolment_id=mail.enrolment_id,
        organization_id=mail.organization.organization_id,
        kind=mail.kind,
        recipient=mail.recipient,
        status="5",
        at=at,
    )


def _brings_a_link_only(mail: DueMail, links: Sequence[NewLink]) -> bool:
    # Where there are no pages, or no hold, the key package is attached whatever the organization prefers.
    by_link = mail.organization.correspondence.key_delivery is KeyDelivery.LINK
    return mail.kind is MailKind.KEY and by_link and any(one.purpose is LinkPurpose.INSTALL for one in links)


def _may_be_asked(connection: Connection, mail: DueMail, acceptance: Acceptance) -> bool:
    # Once: a copy of the key mail brings the same key. Without room it is done later, by `followup`.
    asked: bool = connection.execute(_WAS_ASKED, {"of_enrolment": mail.enrolment_id}).scalar_one()
    return not asked and room_for(connection, mail.mailbox, acceptance.at)


def _asking_for_proof(mail: DueMail, acceptance: Acceptance) -> NewMail:
    return NewMail(
        enrolment_id=mail.enrolment_id,
        organization_id=mail.organization.organization_id,
        kind=MailKind.PROOF,
        recipient=mail.mailbox,
        sender_domain=mail.organization.mail_from.domain,
        at=acceptance.at,
        due_at=acceptance.at,
        give_up_at=acceptance.give_up_at,
    )


def _next_due(connection: Connection) -> datetime | None:
    due: datetime | None = connection.execute(_CLAIMS.next_due).scalar_one()
    return due


def _release(connection: Connection, *, worker: str) -> None:
    connection.execute(_CLAIMS.release, {"worker": worker})


def _retry(connection: Connection, *, retry: dict[str, object]) -> None:
    connection.execute(_RETRY, retry)


def _postpone(connection: Connection, *, postponed: dict[str, object]) -> None:
    connection.execute(_POSTPONE, postponed)


def _fence(mail: DueMail) -> dict[str, object]:
    return {"mail_id": mail.mail_id, "our_attempt": mail.attempts + 1}


def _storable(failure: str) -> str:
    # It holds what a foreign server said. PostgreSQL refuses NUL in a text, and the column has its length.
    return failure.replace("\x00", "\N{REPLACEMENT CHARACTER}")[:LONGEST_FAILURE]
