"""The port `RecipientStore`: where links lead, and how often the key was fetched, on both databases."""

import asyncio
from datetime import timedelta

import pytest

from ca.keypackage import KeyPackageFormat
from directory.audit import AuditKind
from directory.enrolmentsecrets import recipient_key_identity, relay_password_identity
from directory.links import LinkPurpose, PresentedLink
from directory.recipient import Recipient
from directory.store.database import Database
from directory.store.recipients import SqlRecipientStore
from tests.contracts.following import a_link
from tests.contracts.world import ANNA, NOW, SEALER, Store, an_event, mint

LATER = NOW + timedelta(days=1)
DOWNLOADED = an_event(AuditKind.KEY_PACKAGE_DOWNLOADED, subject="enrolment-1")


@pytest.fixture
async def presented(database: Database) -> PresentedLink:
    await mint(database)
    return await a_link(database, LinkPurpose.INSTALL, expires_at=LATER)


async def linked(database: Database, presented: PresentedLink) -> Recipient:
    recipient = await SqlRecipientStore(database, node="node-1").linked(presented, LinkPurpose.INSTALL, NOW)
    assert recipient is not None
    return recipient


async def test_a_link_leads_to_the_recipient_with_all_that_a_key_package_takes(
    database: Database, presented: PresentedLink
) -> None:
    recipient = await linked(database, presented)

    assert (recipient.link_id, recipient.expires_at) == (presented.link_id, LATER)
    assert (recipient.enrolment_id, recipient.mailbox, recipient.language) == ("enrolment-1", ANNA, "en")
    assert recipient.organization.name == "City Hospital"
    assert recipient.package_format is KeyPackageFormat.COMPATIBLE
    assert recipient.certificate == b"certificate of enrolment-1"
    assert recipient.chain == (b"certificate of issuing-1", b"certificate of root-1")
    assert (recipient.live, recipient.proven, recipient.has_key) == (True, False, True)
    assert recipient.sealed_key is not None
    assert recipient.sealed_password is not None
    key_identity = recipient_key_identity("enrolment-1", "org-1")
    assert SEALER.unseal(recipient.sealed_key, key_identity) == b"key of enrolment-1"
    password_identity = relay_password_identity("enrolment-1", "org-1")
    assert SEALER.unseal(recipient.sealed_password, password_identity) == b"password of enrolment-1"


async def test_a_link_that_is_wrong_expired_or_for_something_else_leads_nowhere(
    database: Database, presented: PresentedLink
) -> None:
    store = SqlRecipientStore(database, node="node-1")
    wrong = PresentedLink(link_id=presented.link_id, secret="a" * 32)
    unknown = PresentedLink(link_id="a" * 16, secret=presented.secret)

    assert await store.linked(wrong, LinkPurpose.INSTALL, NOW) is None
    assert await store.linked(unknown, LinkPurpose.INSTALL, NOW) is None
    assert await store.linked(presented, LinkPurpose.PROOF, NOW) is None
    assert await store.linked(presented, LinkPurpose.INSTALL, LATER) is None


async def test_a_key_that_was_destroyed_is_not_there_though_the_link_is(
    store: Store, presented: PresentedLink
) -> None:
    await store.sql(
        "UPDATE held_keys SET key_master_key_id = NULL, key_wrapped_key = NULL, key_ciphertext = NULL"
    )

    recipient = await linked(store.database, presented)

    assert recipient.sealed_key is None
    assert not recipient.has_key


async def test_a_password_that_expired_takes_the_key_package_with_it(
    store: Store, presented: PresentedLink
) -> None:
    await store.sql(
        "UPDATE relays SET password_master_key_id = NULL, password_wrapped_key = NULL, "
        "password_ciphertext = NULL"
    )

    assert not (await linked(store.database, presented)).has_key


async def test_what_is_no_longer_served_is_no_longer_handed_out(
    store: Store, presented: PresentedLink
) -> None:
    await store.sql("UPDATE enrolments SET live = false")

    recipient = await linked(store.database, presented)

    assert (recipient.live, recipient.has_key) == (False, False)


async def test_who_has_proven_his_key_is_known_to_have(store: Store, presented: PresentedLink) -> None:
    await store.sql("UPDATE deliveries SET state = 'proven'")

    assert (await linked(store.database, presented)).proven


async def test_downloads_are_counted_with_their_events_up_to_the_limit(
    store: Store, presented: PresentedLink
) -> None:
    recipients = SqlRecipientStore(store.database, node="node-1")
    before = await store.count("audit_events")

    recorded = [await recipients.record_download(presented.link_id, DOWNLOADED, most=3) for _ in range(5)]

    assert recorded == [True, True, True, False, False]
    assert await store.rows("SELECT downloads FROM recipient_links") == [(3,)]
    assert await store.count("audit_events") == before + 3


async def test_of_many_downloads_at_once_none_gets_past_the_limit(
    store: Store, presented: PresentedLink
) -> None:
    recipients = SqlRecipientStore(store.database, node="node-1")

    recorded = await asyncio.gather(
        *(recipients.record_download(presented.link_id, DOWNLOADED, most=7) for _ in range(16))
    )

    assert sorted(recorded) == [False] * 9 + [True] * 7
