"""The contract of `ExpiryStore`: nothing is warned of twice, and what has expired leaves nothing behind."""

from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from sqlalchemy import select

from ca.address import Mailbox
from directory.expiry import WARNING, RelayExpiry, RelayWarnings
from directory.links import LinkPurpose
from directory.proof import ProofDesk
from directory.relay import RelayState
from directory.store.expiries import SqlExpiries
from directory.store.lookup import SqlDirectoryReader
from directory.store.organizations import SqlOrganizations
from directory.store.proofs import SqlProofStore
from directory.store.relays import SqlRelayStore
from directory.store.tables import enrolments, outgoing_mail, relays, webhook_deliveries
from tests.contracts.following import a_link
from tests.contracts.world import ANNA, NOW, Store, a_reservation, an_enrolment, an_event, mint, record
from tests.directory.builders import a_gateway, an_agent, an_organization
from tests.directory.channels.working import with_webhook
from tests.directory.clocks import StoppedClock

DAY = timedelta(days=1)
END = NOW + 30 * DAY  # as the builders have it


@pytest.fixture
async def expiries(store: Store) -> SqlExpiries:
    letters = replace(
        with_webhook("https://hooks.hospital.org/").correspondence,
        notices_to=Mailbox.parse("desk@hospital.org"),
    )
    organization = replace(an_organization(), correspondence=letters)
    await SqlOrganizations(store.database, node="setup").change(organization, an_event())
    return SqlExpiries(store.database, node="node-1")


async def warned(expiries: SqlExpiries, now: datetime) -> int:
    return await RelayWarnings(store=expiries).perform(now)


async def expired(expiries: SqlExpiries, now: datetime) -> int:
    return await RelayExpiry(store=expiries).perform(now)


async def told(store: Store) -> tuple[list[tuple[object, ...]], list[tuple[object, ...]]]:
    """Return the notices and the webhook's events."""
    mails = select(outgoing_mail.c.kind, outgoing_mail.c.recipient, outgoing_mail.c.give_up_at)
    events = select(webhook_deliveries.c.event, webhook_deliveries.c.give_up_at)
    return (
        await store.select(mails.where(outgoing_mail.c.kind.startswith("notice"))),
        await store.select(events.where(webhook_deliveries.c.event != "password.ready")),
    )


async def test_warns_once_a_week_before_the_end(store: Store, expiries: SqlExpiries) -> None:
    await mint(store.database)

    assert await warned(expiries, END - WARNING - timedelta(seconds=1)) == 0
    assert [await warned(expiries, END - WARNING) for _ in range(2)] == [1, 0]
    assert await told(store) == (
        [("notice_expiring", "desk@hospital.org", END)],
        [("password.expiring", END)],
    )


async def test_a_short_wait_is_not_warned_of_at_its_beginning(store: Store, expiries: SqlExpiries) -> None:
    await record(store.database, replace(an_enrolment(a_reservation()), relay_expires_at=NOW + 5 * DAY))

    assert await warned(expiries, NOW + DAY) == 0
    assert await warned(expiries, NOW + 5 * DAY) == 0


async def test_who_cannot_be_told_is_not_warned(store: Store) -> None:
    await mint(store.database)

    assert await warned(SqlExpiries(store.database, node="node-1"), END - DAY) == 0


async def test_what_the_recipient_has_proven_stays_though_nobody_said_who_told_him(
    store: Store, expiries: SqlExpiries
) -> None:
    """As where the mail with the password came back from one reader of the desk, of several."""
    await mint(store.database)
    proof = await a_link(store.database, LinkPurpose.PROOF)
    await ProofDesk(store=SqlProofStore(store.database, node="node-1"), clock=StoppedClock(NOW)).prove(proof)

    assert await warned(expiries, END - WARNING) == 0
    assert await expired(expiries, END) == 1
    assert await expired(expiries, END) == 0

    reader = SqlDirectoryReader(store.database)
    assert await reader.best_certificate(ANNA.key, a_gateway(), END) is not None
    relay = await SqlRelayStore(store.database, node="node-1").relay("enrolment-1", "org-1")
    assert (relay.state, relay.sealed_password) == (RelayState.RELAYED, None)
    assert await told(store) == ([], [])


async def test_destroys_the_password_and_takes_the_certificate_away(
    store: Store, expiries: SqlExpiries
) -> None:
    await mint(store.database)

    assert await expired(expiries, END - timedelta(seconds=1)) == 0
    assert [await expired(expiries, END) for _ in range(2)] == [1, 0]

    columns = (
        relays.c.state,
        relays.c.closed_at,
        relays.c.password_wrapped_key,
        relays.c.password_ciphertext,
    )
    assert await store.select(select(*columns)) == [("failed", END, None, None)]
    assert await store.select(select(enrolments.c.live, enrolments.c.ended_because)) == [(False, "unrelayed")]
    reader = SqlDirectoryReader(store.database)
    assert await reader.best_certificate(ANNA.key, a_gateway(), END) is None
    context = await reader.mint_context(ANNA.key, a_gateway())
    assert context is not None
    assert context.bounced
    assert await store.rows("SELECT actor, subject FROM audit_events WHERE kind = 'password.expired'") == [
        ("service", "enrolment-1")
    ]


async def test_tells_the_organization_and_nobody_else(store: Store, expiries: SqlExpiries) -> None:
    await mint(store.database)

    await expired(expiries, END)

    notice_until = END + 5 * DAY
    assert await told(store) == (
        [("notice_expired", "desk@hospital.org", notice_until)],
        [("password.expired", notice_until)],
    )
    queued = select(outgoing_mail.c.kind).where(outgoing_mail.c.state == "queued")
    assert await store.select(queued) == [("notice_expired",)]


async def test_an_organization_without_mailbox_is_not_told(store: Store) -> None:
    await mint(store.database)

    assert await expired(SqlExpiries(store.database, node="node-1"), END) == 1
    assert await told(store) == ([], [])


async def test_what_was_revealed_never_expires(store: Store, expiries: SqlExpiries) -> None:
    await mint(store.database)
    desk = SqlRelayStore(store.database, node="node-1")
    await desk.mark_revealed(await desk.relay("enrolment-1", "org-1"), an_agent(), an_event())

    assert await warned(expiries, END - DAY) == 0
    assert await expired(expiries, END + 365 * DAY) == 0


async def test_of_a_revoked_certificate_only_the_password_goes(store: Store, expiries: SqlExpiries) -> None:
    await mint(store.database)
    await store.sql(
        "UPDATE enrolments SET live = FALSE, ended_because = 'revoked'",
    )

    assert await warned(expiries, END - DAY) == 0
    assert await expired(expiries, END) == 1
    assert await told(store) == ([], [])
    assert await store.select(select(enrolments.c.ended_because)) == [("revoked",)]
    assert await store.select(select(relays.c.password_wrapped_key)) == [(None,)]


async def minted(store: Store, count: int) -> None:
    for number in range(count):
        mailbox = Mailbox.parse(f"p{number}@example.org")
        await mint(store.database, a_reservation(f"enrolment-{number}", mailbox=mailbox))


async def test_warns_of_a_batch_at_a_time(store: Store, expiries: SqlExpiries) -> None:
    await minted(store, 3)

    counts = [await expiries.warn(now=END - DAY, within=WARNING, most=2) for _ in range(3)]

    assert counts == [2, 1, 0]


async def test_a_batch_at_a_time_expires(store: Store, expiries: SqlExpiries) -> None:
    await minted(store, 3)

    counts = [
        await expiries.expire(now=END, notice_until=END, event_of=lambda _: an_event(), most=2)
        for _ in range(3)
    ]

    assert counts == [2, 1, 0]
