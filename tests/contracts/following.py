"""A world in which key mails have been accepted: what proofs, reminders and suppressions start from."""

from collections.abc import Collection
from datetime import datetime, timedelta

from sqlalchemy import select

from ca.address import Mailbox
from directory.audit import AuditKind
from directory.delivery.outbox import DueMail, MailKind, MailState
from directory.links import LinkPurpose, PresentedLink, issue_link, read_link
from directory.store import links
from directory.store.database import Database
from directory.store.outbox import SqlOutbox
from directory.store.tables import audit_events, deliveries, enrolments, held_keys, outgoing_mail
from tests.contracts.world import ANNA, NOW, Store, a_reservation, an_event, mint
from tests.directory.delivery.builders import an_acceptance

ENROLMENT = "enrolment-1"
EVERYTHING = frozenset(MailKind)


async def deliver(
    database: Database, now: datetime = NOW, *, kinds: Collection[MailKind] = EVERYTHING
) -> list[DueMail]:
    """Have everything accepted that is due, and what that makes due; leave other kinds claimed."""
    outbox, delivered = SqlOutbox(database, node="node-1"), []
    while claimed := await outbox.claim_due(
        worker="w", now=now, lease_until=now + timedelta(microseconds=1), most=100
    ):
        for mail in claimed:
            if mail.kind in kinds:
                await accept(database, mail, now)
                delivered.append(mail)
        if kinds != EVERYTHING:
            break
    return delivered


async def accept(database: Database, mail: DueMail, now: datetime = NOW) -> None:
    event = an_event(AuditKind.KEY_MAIL_ACCEPTED, subject=mail.enrolment_id)
    await SqlOutbox(database, node="node-1").record_accepted(
        mail, an_acceptance(now, asks_for_proof=True), event
    )


async def deliver_key(
    database: Database, enrolment_id: str = ENROLMENT, *, mailbox: Mailbox = ANNA, now: datetime = NOW
) -> None:
    """Mint, and have the key mail accepted, and the mail that asks for a proof."""
    await mint(database, a_reservation(enrolment_id, mailbox=mailbox, minted_at=now))
    await deliver(database, now)


async def a_link(
    database: Database,
    purpose: LinkPurpose,
    *,
    enrolment_id: str = ENROLMENT,
    expires_at: datetime = NOW + timedelta(days=90),
) -> PresentedLink:
    """Put a link into the world as a composed mail does, and present it."""
    token, link = issue_link(purpose, expires_at)
    await database.write(lambda connection: links.add(connection, enrolment_id, [link], NOW))
    presented = read_link(token)
    assert presented is not None
    return presented


async def mails(store: Store, enrolment_id: str = ENROLMENT) -> list[tuple[MailKind, MailState]]:
    """Return the enrolment's mails in the order of their making."""
    query = (
        select(outgoing_mail.c.kind, outgoing_mail.c.state)
        .where(outgoing_mail.c.enrolment_id == enrolment_id)
        .order_by(outgoing_mail.c.created_at, outgoing_mail.c.kind)
    )
    return [(MailKind(kind), MailState(state)) for kind, state in await store.select(query)]


async def delivery_state(store: Store, enrolment_id: str = ENROLMENT) -> str:
    query = select(deliveries.c.state).where(deliveries.c.enrolment_id == enrolment_id)
    ((state,),) = await store.select(query)
    return str(state)


async def standing(store: Store, enrolment_id: str = ENROLMENT) -> tuple[bool, str | None]:
    """Return whether the enrolment is live, and why not."""
    query = select(enrolments.c.live, enrolments.c.ended_because).where(enrolments.c.id == enrolment_id)
    ((live, because),) = await store.select(query)
    return bool(live), because


async def hold_until(store: Store, enrolment_id: str = ENROLMENT) -> datetime | None:
    query = select(held_keys.c.hold_until).where(held_keys.c.enrolment_id == enrolment_id)
    ((moment,),) = await store.select(query)
    return moment if isinstance(moment, datetime) else None


async def events(store: Store, kind: AuditKind) -> list[tuple[str, str]]:
    """Return actor and subject of the events of a kind, in order."""
    query = (
        select(audit_events.c.actor, audit_events.c.subject)
        .where(audit_events.c.kind == kind.value)
        .order_by(audit_events.c.node, audit_events.c.sequence)
    )
    return [(actor, subject) for actor, subject in await store.select(query)]
