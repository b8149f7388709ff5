"""Addresses beyond ASCII in the store: compared by our keys, never by what a database folds."""

from datetime import timedelta

import pytest

from ca.address import Mailbox
from ca.mailnames import mail_name
from directory.errors import SlotTaken
from directory.importing import ImportedCertificate, read_certificate
from directory.organization import SHARED_SCOPE
from directory.policy import MintPolicy, Refusal
from directory.store.imports import SqlImports
from directory.store.lookup import SqlDirectoryReader
from directory.store.outbox import SqlOutbox
from directory.store.suppressions import SqlSuppressions
from directory.suppression import SuppressionDesk
from tests.contracts.world import NOW, Store, a_reservation, an_event, mint
from tests.directory.builders import a_gateway
from tests.directory.clocks import StoppedClock
from tests.directory.foreign import a_foreign_certificate, der

DAY = timedelta(days=1)
LONGEST = f"{'用' * 21}x@{'.'.join(['d' * 60] * 3)}.{'e' * 6}"
ADDRESSES = ("jörg@example.org", "用户@example.org", "𐓷𐓘𐓻@example.org", "ΐΰ@example.org", LONGEST)


def a_mailbox(text: str) -> Mailbox:
    return Mailbox.parse_international(text)


async def served(store: Store, text: str) -> Mailbox | None:
    reader = SqlDirectoryReader(store.database)
    best = await reader.best_certificate(a_mailbox(text).key, a_gateway(), NOW)
    mailbox = None if best is None else best.mailbox
    assert mailbox is None or isinstance(mailbox, Mailbox)
    return mailbox


@pytest.mark.parametrize("address", ADDRESSES)
async def test_is_minted_found_and_mailed_as_it_is_written(store: Store, address: str) -> None:
    mailbox = a_mailbox(address)
    await mint(store.database, a_reservation(mailbox=mailbox))

    assert await served(store, address) == mailbox
    outbox = SqlOutbox(store.database, node="node-1")
    (mail,) = await outbox.claim_due(worker="worker-1", now=NOW, lease_until=NOW + DAY, most=10)
    assert (mail.recipient, mail.mailbox) == (mailbox, mailbox)
    rows = await store.rows("SELECT recipient_key, recipient_base FROM outgoing_mail")
    assert rows == [(mailbox.key, mailbox.base_key)]


async def test_the_ascii_case_does_not_matter_and_every_other_octet_does(store: Store) -> None:
    await mint(store.database, a_reservation(mailbox=a_mailbox("Jörg@example.org")))

    assert await served(store, "jöRG@example.org") == a_mailbox("Jörg@example.org")
    for other in ("jÖrg@example.org", "jorg@example.org", "joerg@example.org"):
        assert await served(store, other) is None
    with pytest.raises(SlotTaken):
        await mint(store.database, a_reservation("enrolment-2", mailbox=a_mailbox("JöRG@example.org")))


@pytest.mark.parametrize(
    ("one", "other"),
    [("jörg", "JÖRG"), ("ß", "ẞ"), ("\u03c3", "\u03c2"), ("ß", "ss"), ("\u0430", "a"), ("é", "e")],
)
async def test_what_a_collation_might_take_for_the_same_are_two(store: Store, one: str, other: str) -> None:
    addresses = [f"{each}@example.org" for each in (one, other)]
    for number, address in enumerate(addresses):
        await mint(store.database, a_reservation(f"enrolment-{number}", mailbox=a_mailbox(address)))

    assert [await served(store, address) for address in addresses] == [*map(a_mailbox, addresses)]


async def test_an_imported_certificate_is_found_by_its_smtp_utf8_mailbox(store: Store) -> None:
    mailbox = a_mailbox("jörg@example.org")
    certificate = read_certificate(der(a_foreign_certificate(mail_name(mailbox))), NOW)
    (addressee,) = certificate.addressees
    imported = ImportedCertificate(
        certificate_id="imported-1", addressee=addressee, scope=SHARED_SCOPE, certificate=certificate
    )
    await SqlImports(store.database, node="node-1").add([imported], NOW, [an_event(subject="imported-1")])

    assert await served(store, "jörg@example.org") == mailbox


async def test_who_wants_no_mail_is_remembered(store: Store) -> None:
    mailbox = a_mailbox("Jörg@example.org")
    store_of = SqlSuppressions(store.database, node="node-1")
    await SuppressionDesk(store=store_of, clock=StoppedClock(NOW), actor="operator:test").add(mailbox)

    (suppressed,) = await store_of.all()
    assert suppressed.address == str(mailbox)
    for spelling, refusal in (("jörg", Refusal.SUPPRESSED), ("JÖRG", None)):
        asked = a_mailbox(f"{spelling}@example.org")
        context = await SqlDirectoryReader(store.database).mint_context(asked.key, a_gateway())
        assert context is not None
        assert MintPolicy(international_local_parts=True).refusal(asked, context) is refusal
