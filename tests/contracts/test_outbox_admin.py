"""The outbox as people see it: lists with a place to go on from, pauses that hold, time given back."""

from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from ca.address import Mailbox
from directory.audit import AuditKind
from directory.cursors import Cursor
from directory.delivery.outbox import DueMail, MailKind, MailState
from directory.errors import Unknown
from directory.outbox_admin import MailFilter, MailRecord, OutboxAdministration
from directory.store.audit_log import read_chain
from directory.store.organizations import SqlOrganizations
from directory.store.outbox import SqlOutbox
from directory.store.outbox_admin import SqlOutboxAdministration
from tests.contracts.world import NOW, Store, a_reservation, add_organization, an_event, mint
from tests.directory.builders import an_organization
from tests.directory.clocks import StoppedClock
from tests.directory.delivery.builders import an_acceptance

NODE = "desk"
MINUTE = timedelta(minutes=1)
DAY = timedelta(days=1)
LEASE = NOW + 15 * MINUTE
ALL = MailFilter()


@pytest.fixture
def clock() -> StoppedClock:
    return StoppedClock(NOW)


@pytest.fixture
def desk(store: Store, clock: StoppedClock) -> OutboxAdministration:
    return OutboxAdministration(
        outbox=SqlOutboxAdministration(store.database, node=NODE),
        organizations=SqlOrganizations(store.database, node=NODE),
        clock=clock,
        actor="operator:root",
    )


@pytest.fixture
def outbox(store: Store) -> SqlOutbox:
    return SqlOutbox(store.database, node="node-1")


async def mint_for(store: Store, *names: str, minted_at: datetime = NOW) -> None:
    for name in names:
        mailbox = Mailbox.parse(f"{name}@example.org" if "@" not in name else name)
        await mint(store.database, a_reservation(name, mailbox=mailbox, minted_at=minted_at))


async def listed(
    desk: OutboxAdministration,
    wanted: MailFilter = ALL,
    *,
    organization: str | None = None,
    after: Cursor | None = None,
    most: int = 100,
) -> list[MailRecord]:
    return list(await desk.mails(wanted, organization=organization, after=after, most=most))


async def names(
    desk: OutboxAdministration, wanted: MailFilter, *, organization: str | None = None
) -> set[str]:
    return {mail.enrolment_id for mail in await listed(desk, wanted, organization=organization)}


async def claim(outbox: SqlOutbox, now: datetime = NOW) -> list[DueMail]:
    return await outbox.claim_due(worker="worker-1", now=now, lease_until=now + 15 * MINUTE, most=100)


async def events(store: Store) -> list[tuple[AuditKind, str, dict[str, str]]]:
    chain = [chained.event async for chained in read_chain(store.database, NODE, 100)]
    return [(event.kind, event.subject, dict(event.detail)) for event in chain]


async def test_a_mail_is_shown_with_where_it_stands(
    store: Store, desk: OutboxAdministration, outbox: SqlOutbox
) -> None:
    await mint_for(store, "anna")
    (mail,) = await claim(outbox)
    (in_hands,) = await listed(desk)
    await outbox.record_retry(mail, due_at=NOW + MINUTE, failure="RCPT: 450 4.2.0 greylisted")

    (waiting,) = await listed(desk)

    assert in_hands.in_hands_until == LEASE
    assert waiting == MailRecord(
        mail_id=mail.mail_id,
        enrolment_id="anna",
        organization="hospital",
        kind=MailKind.KEY,
        recipient=Mailbox.parse("anna@example.org"),
        message_id="<anna.key@hospital.org>",
        state=MailState.QUEUED,
        created_at=NOW,
        due_at=NOW + MINUTE,
        give_up_at=NOW + 5 * DAY,
        attempts=1,
        in_hands_until=None,
        last_failure="RCPT: 450 4.2.0 greylisted",
        ended_at=None,
    )


async def test_an_accepted_mail_is_in_nobodys_hands(
    store: Store, desk: OutboxAdministration, outbox: SqlOutbox
) -> None:
    await mint_for(store, "anna")
    (mail,) = await claim(outbox)
    await outbox.record_accepted(mail, an_acceptance(NOW), an_event())

    (accepted,) = await listed(desk)

    assert (accepted.state, accepted.ended_at, accepted.in_hands_until) == (MailState.ACCEPTED, NOW, None)


async def test_a_long_list_is_read_in_pieces_and_nothing_is_missed_or_repeated(
    store: Store, desk: OutboxAdministration
) -> None:
    for number in range(7):
        # Three of a moment: the identifier decides among them.
        await mint_for(store, f"p{number}", minted_at=NOW + (number // 3) * MINUTE)
    whole = await listed(desk)

    pieces: list[MailRecord] = []
    while piece := await listed(desk, after=pieces[-1].cursor if pieces else None, most=2):
        pieces += piece
        await mint_for(store, f"new{len(pieces)}", minted_at=NOW + DAY)

    assert pieces == whole
    assert [mail.created_at for mail in whole] == sorted((mail.created_at for mail in whole), reverse=True)


async def test_only_what_is_meant_is_listed(
    store: Store, desk: OutboxAdministration, outbox: SqlOutbox
) -> None:
    other = an_organization(organization_id="org-2", slug="lawyers", domains=frozenset({"law.example"}))
    gateway = await add_organization(store.database, other)
    await mint_for(store, "anna", "bert@sub.example.org", "carl@example.orgx")
    dora = a_reservation("dora", mailbox=Mailbox.parse("dora@example.net"), gateway=gateway)
    await mint(store.database, dora)
    anna = next(mail for mail in await claim(outbox) if mail.enrolment_id == "anna")
    await outbox.record_accepted(anna, an_acceptance(NOW, asks_for_proof=True), an_event())

    assert await names(desk, MailFilter(domain="example.org")) == {"anna"}
    assert await names(desk, MailFilter(state=MailState.ACCEPTED)) == {"anna"}
    assert await names(desk, MailFilter(kind=MailKind.PROOF)) == {"anna"}
    assert await names(desk, ALL, organization="lawyers") == {"dora"}
    assert await names(desk, MailFilter(enrolment_id="dora")) == {"dora"}
    assert await names(desk, MailFilter(mail_id=anna.mail_id)) == {"anna"}
    assert await names(desk, MailFilter(domain="%")) == set()
    with pytest.raises(Unknown):
        await names(desk, ALL, organization="nobody")


@pytest.mark.parametrize("slug", ["hospital", None])
async def test_paused_mail_waits_until_it_is_resumed(
    store: Store, desk: OutboxAdministration, outbox: SqlOutbox, slug: str | None
) -> None:
    await mint_for(store, "anna")

    assert await desk.pause(slug)
    assert not await desk.pause(slug)
    assert [one.organization for one in await desk.pauses()] == [slug]
    assert await claim(outbox) == []
    assert await outbox.next_due() is None

    assert await desk.resume(slug)
    assert not await desk.resume(slug)
    assert await desk.pauses() == []
    assert len(await claim(outbox)) == 1
    subject = slug or "everybody"
    assert await events(store) == [
        (AuditKind.MAIL_PAUSED, subject, {}),
        (AuditKind.MAIL_RESUMED, subject, {}),
    ]


async def test_another_organizations_pause_holds_nothing_up(
    store: Store, desk: OutboxAdministration, outbox: SqlOutbox
) -> None:
    other = replace(an_organization(organization_id="org-2", slug="lawyers"), domains=frozenset())
    await add_organization(store.database, other)
    await mint_for(store, "anna")

    await desk.pause("lawyers")

    assert len(await claim(outbox)) == 1


async def test_the_time_of_a_pause_is_given_back(
    store: Store, desk: OutboxAdministration, outbox: SqlOutbox, clock: StoppedClock
) -> None:
    await mint_for(store, "before")
    clock.advance(DAY)
    await desk.pause("hospital")
    await mint_for(store, "meanwhile", minted_at=NOW + 2 * DAY)
    clock.advance(9 * DAY)

    await desk.resume("hospital")

    give_up = {mail.enrolment_id: mail.give_up_at for mail in await claim(outbox, clock.now())}
    assert give_up == {"before": NOW + (5 + 9) * DAY, "meanwhile": NOW + (2 + 5 + 8) * DAY}


async def test_what_is_flushed_is_due_at_once_and_what_was_not_meant_is_not(
    store: Store, desk: OutboxAdministration, outbox: SqlOutbox
) -> None:
    await mint_for(store, "anna", "bert@example.net")
    for mail in await claim(outbox):
        await outbox.record_retry(mail, due_at=NOW + DAY, failure="CONNECT: connection refused")

    assert await desk.flush(MailFilter(domain="example.net"), organization="hospital") == 1
    assert [mail.enrolment_id for mail in await claim(outbox)] == ["bert@example.net"]
    assert await desk.flush(MailFilter(mail_id="no such mail"), organization=None) == 0
    assert await events(store) == [
        (AuditKind.MAIL_FLUSHED, "hospital", {"count": "1", "domain": "example.net"})
    ]


async def test_a_flush_takes_nothing_out_of_a_workers_hands(
    store: Store, desk: OutboxAdministration, outbox: SqlOutbox
) -> None:
    await mint_for(store, "anna")
    await claim(outbox)

    await desk.flush(ALL, organization=None)

    assert await claim(outbox) == []
