"""What the store's outbox does to the rest of the enrolment, and what it hands to the worker."""

from datetime import timedelta

import pytest
from sqlalchemy import insert

from ca.address import Mailbox
from directory.delivery.outbox import DueMail, MailKind, due_mail_of, message_identity
from directory.links import LinkPurpose, issue_link
from directory.mint_ports import FreshEnrolment, MailClaim
from directory.store.outbox import LONGEST_FAILURE, SqlOutbox
from directory.store.relays import SqlRelayStore
from directory.store.tables import mail_pauses, outgoing_mail
from tests.contracts.world import (
    ANNA,
    NOW,
    SEALER,
    Store,
    a_reservation,
    an_enrolment,
    an_event,
    mint,
    record,
)
from tests.directory.builders import an_agent, an_organization
from tests.directory.delivery.builders import an_acceptance

LEASE = NOW + timedelta(minutes=15)


@pytest.fixture
def outbox(store: Store) -> SqlOutbox:
    return SqlOutbox(store.database, node="node-1")


async def pause(store: Store, whose: str) -> None:
    row = {"organization_id": whose, "since": NOW, "actor": "operator:test"}
    await store.database.write(lambda connection: connection.execute(insert(mail_pauses), row).close())


async def claim(outbox: SqlOutbox) -> DueMail:
    (mail,) = await outbox.claim_due(worker="worker-1", now=NOW, lease_until=LEASE, most=1)
    return mail


async def test_a_due_mail_holds_all_that_is_needed_to_compose_it(store: Store, outbox: SqlOutbox) -> None:
    enrolment = await mint(store.database)

    mail = await claim(outbox)

    assert mail == DueMail(
        mail_id=mail.mail_id,
        enrolment_id="enrolment-1",
        kind=MailKind.KEY,
        message_id=enrolment.message_id,
        bounce_token=enrolment.bounce_token,
        created_at=NOW,
        give_up_at=enrolment.give_up_at,
        attempts=0,
        recipient=ANNA,
        mailbox=ANNA,
        language="en",
        minted_at=NOW,
        certificate=enrolment.certificate.der,
        chain=(b"certificate of issuing-1", b"certificate of root-1"),
        sealed_key=enrolment.sealed_key,
        sealed_password=enrolment.sealed_password,
        package_format=enrolment.package_format,
        organization=an_organization(),
    )


async def test_key_mail_of_a_disabled_organization_is_still_delivered(
    store: Store, outbox: SqlOutbox
) -> None:
    """The certificate has been handed out; its recipient must be able to read what he is sent."""
    await mint(store.database)
    await store.sql("UPDATE organizations SET disabled_at = '2026-11-01 00:00:00'")

    assert (await claim(outbox)).enrolment_id == "enrolment-1"


@pytest.mark.parametrize(("table", "prefix"), [("held_keys", "key"), ("relays", "password")])
async def test_a_mail_without_its_secrets_is_left_alone(
    store: Store, outbox: SqlOutbox, table: str, prefix: str
) -> None:
    await mint(store.database)
    columns = (f"{prefix}_{part} = NULL" for part in ("master_key_id", "wrapped_key", "ciphertext"))
    await store.sql(f"UPDATE {table} SET {', '.join(columns)}")  # noqa: S608 - names from the line above

    assert await outbox.claim_due(worker="worker-1", now=NOW, lease_until=LEASE, most=1) == []
    assert await outbox.next_due() is None


async def test_acceptance_moves_the_delivery_on(store: Store, outbox: SqlOutbox) -> None:
    await mint(store.database)
    mail = await claim(outbox)

    await outbox.record_accepted(mail, an_acceptance(NOW), an_event())

    assert await store.rows("SELECT state FROM deliveries") == [("accepted",)]
    assert await store.rows("SELECT live FROM enrolments") == [(True,)]


async def test_giving_up_takes_the_certificate_out_and_frees_nobody(store: Store, outbox: SqlOutbox) -> None:
    await mint(store.database)
    mail = await claim(outbox)

    await outbox.record_given_up(mail, at=NOW, failure="550 no such user", event=an_event())

    assert await store.rows("SELECT state FROM deliveries") == [("bounced",)]
    assert await store.rows("SELECT state, outcome FROM relays") == [("failed", "failed")]
    assert await store.rows("SELECT live, ended_because FROM enrolments") == [(False, "bounced")]
    assert await store.rows("SELECT 1 FROM certificates WHERE withdrawn_at IS NOT NULL") == [(1,)]


async def test_giving_up_leaves_a_closed_relay_as_it_was(store: Store, outbox: SqlOutbox) -> None:
    await mint(store.database)
    mail = await claim(outbox)
    await store.sql("UPDATE relays SET state = 'relayed', outcome = 'relayed'")

    await outbox.record_given_up(mail, at=NOW, failure="550", event=an_event())

    assert await store.rows("SELECT state, outcome FROM relays") == [("relayed", "relayed")]


async def test_giving_up_fails_a_relay_whose_password_was_revealed(store: Store, outbox: SqlOutbox) -> None:
    await mint(store.database)
    mail = await claim(outbox)
    relays = SqlRelayStore(store.database, node="node-1")
    relay = await relays.relay("enrolment-1", "org-1")
    await relays.mark_revealed(relay, an_agent(), an_event())

    await outbox.record_given_up(mail, at=NOW, failure="550", event=an_event())

    assert (await relays.relay("enrolment-1", "org-1")).closed_at == NOW


async def test_a_bounce_does_not_clear_what_a_revocation_said(store: Store, outbox: SqlOutbox) -> None:
    await mint(store.database)
    mail = await claim(outbox)
    await store.sql("UPDATE enrolments SET live = false, ended_because = 'revoked'")

    await outbox.record_given_up(mail, at=NOW, failure="550", event=an_event())

    assert await store.rows("SELECT ended_because FROM enrolments") == [("revoked",)]


async def test_a_failure_is_kept_as_far_as_it_can_be_stored(store: Store, outbox: SqlOutbox) -> None:
    await mint(store.database)
    mail = await claim(outbox)

    await outbox.record_retry(mail, due_at=NOW, failure="\x00" + "ü" * 1000)

    ((failure,),) = await store.rows("SELECT last_failure FROM outgoing_mail")
    assert failure == "\N{REPLACEMENT CHARACTER}" + "ü" * (LONGEST_FAILURE - 1)


async def test_a_retry_counts_and_gives_the_claim_back(store: Store, outbox: SqlOutbox) -> None:
    await mint(store.database)
    mail = await claim(outbox)

    await outbox.record_retry(mail, due_at=NOW, failure="421 busy")

    claims = await store.select(outgoing_mail.select().with_only_columns(outgoing_mail.c.claimed_until))
    assert claims == [(None,)]
    assert (await claim(outbox)).attempts == 1


async def test_releasing_claims_leaves_other_workers_theirs(store: Store, outbox: SqlOutbox) -> None:
    for number in (1, 2):
        mailbox = Mailbox.parse(f"person-{number}@example.org")
        await mint(store.database, a_reservation(f"enrolment-{number}", mailbox=mailbox))
        await outbox.claim_due(worker=f"worker-{number}", now=NOW, lease_until=LEASE, most=1)

    await outbox.release_claims(worker="worker-1")

    claimers = await store.rows("SELECT claimed_by FROM outgoing_mail WHERE claimed_by IS NOT NULL")
    assert claimers == [("worker-2",)]


async def test_what_was_composed_is_there_for_the_next_attempt_and_erased_at_the_end(
    store: Store, outbox: SqlOutbox
) -> None:
    await mint(store.database)
    mail = await claim(outbox)
    sealed = SEALER.seal(b"message", message_identity(mail.mail_id, "org-1"))
    _, link = issue_link(LinkPurpose.INSTALL, NOW + timedelta(days=8))

    assert await outbox.record_composed(mail, message=sealed, links=[link], at=NOW)

    await outbox.record_retry(mail, due_at=NOW, failure="DATA: connection lost")
    again = await claim(outbox)
    assert again.sealed_message == sealed
    assert await store.rows("SELECT id, enrolment_id FROM recipient_links") == [(link.link_id, "enrolment-1")]
    await outbox.record_accepted(again, an_acceptance(NOW), an_event())
    assert await store.rows("SELECT message_wrapped_key FROM outgoing_mail") == [(None,)]


async def test_what_another_worker_has_taken_up_since_is_not_composed_twice(
    store: Store, outbox: SqlOutbox
) -> None:
    await mint(store.database)
    slow = await claim(outbox)
    (quick,) = await outbox.claim_due(
        worker="worker-2", now=LEASE, lease_until=LEASE + timedelta(hours=1), most=1
    )
    sealed = SEALER.seal(b"message", message_identity(slow.mail_id, "org-1"))
    _, link = issue_link(LinkPurpose.INSTALL, NOW + timedelta(days=8))

    assert not await outbox.record_composed(slow, message=sealed, links=[link], at=NOW)
    assert await store.count("recipient_links") == 0
    assert await outbox.record_composed(quick, message=sealed, links=[link], at=NOW)


@pytest.mark.parametrize(
    ("table", "row"),
    [
        ("mail_pauses", "('org-1', '2026-11-01 00:00:00', 'operator')"),
        ("mail_pauses", "('*', '2026-11-01 00:00:00', 'operator')"),
        ("suppressions", f"('{ANNA.key}', '{ANNA}', 'recipient', '2026-11-01 00:00:00')"),
    ],
)
async def test_what_was_claimed_before_the_pause_or_the_opt_out_is_not_sent_after_it(
    store: Store, outbox: SqlOutbox, table: str, row: str
) -> None:
    enrolment = await mint(store.database, claim=MailClaim(worker="worker-1", until=LEASE))
    born_claimed = due_mail_of(FreshEnrolment(record=enrolment, organization=an_organization(), chain=()))
    sealed = SEALER.seal(b"message", message_identity(born_claimed.mail_id, "org-1"))
    await store.sql(f"INSERT INTO {table} VALUES {row}")  # noqa: S608 - written above

    assert not await outbox.record_composed(born_claimed, message=sealed, links=[], at=NOW)

    await store.sql(f"DELETE FROM {table}")  # noqa: S608 - likewise
    assert await outbox.record_composed(born_claimed, message=sealed, links=[], at=NOW)


async def test_after_the_key_mail_a_proof_is_asked_for(store: Store, outbox: SqlOutbox) -> None:
    await mint(store.database)
    key_mail = await claim(outbox)

    await outbox.record_accepted(key_mail, an_acceptance(NOW, asks_for_proof=True), an_event())

    proof = await claim(outbox)
    assert (proof.kind, proof.recipient, proof.enrolment_id) == (MailKind.PROOF, ANNA, "enrolment-1")
    assert proof.bounce_token != key_mail.bounce_token
    await outbox.record_accepted(proof, an_acceptance(NOW, asks_for_proof=True), an_event())
    assert await outbox.next_due() is None


async def test_mail_that_is_paused_or_suppressed_waits(store: Store, outbox: SqlOutbox) -> None:
    await mint(store.database)
    for table, row in (
        ("mail_pauses", "('org-1', '2026-11-01 00:00:00', 'operator')"),
        ("mail_pauses", "('*', '2026-11-01 00:00:00', 'operator')"),
        ("suppressions", f"('{ANNA.key}', '{ANNA}', 'opted_out', '2026-11-01 00:00:00')"),
    ):
        await store.sql(f"INSERT INTO {table} VALUES {row}")  # noqa: S608 - written above
        assert await outbox.claim_due(worker="worker-1", now=NOW, lease_until=LEASE, most=1) == []
        assert await outbox.next_due() is None
        await store.sql(f"DELETE FROM {table}")  # noqa: S608 - likewise

    assert (await claim(outbox)).enrolment_id == "enrolment-1"


async def test_a_password_that_was_sent_is_in_the_organizations_hands(
    store: Store, outbox: SqlOutbox
) -> None:
    desk = Mailbox.parse("desk@hospital.org")
    await record(store.database, an_enrolment(a_reservation(), password_mail_to=desk))
    mails = {
        mail.kind: mail
        for mail in await outbox.claim_due(worker="worker-1", now=NOW, lease_until=LEASE, most=5)
    }
    assert mails[MailKind.PASSWORD].recipient == desk
    assert mails[MailKind.PASSWORD].mailbox == ANNA

    await outbox.record_accepted(mails[MailKind.PASSWORD], an_acceptance(NOW), an_event())

    assert await store.rows("SELECT state, released_through FROM relays") == [("revealed", "mail")]
    assert await store.rows("SELECT state FROM deliveries") == [("queued",)]
