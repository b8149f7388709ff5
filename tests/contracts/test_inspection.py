"""The contract of `StoreInspector`: whatever is missing or too much, it shows."""

from dataclasses import replace

import pytest

from ca.address import Mailbox
from ca.sealing import SealedSecret, SecretIdentity, SecretKind
from directory.audit import GENESIS_HASH
from directory.delivery.outbox import DeliveryState, MailState
from directory.invariants import InspectedEnrolment
from directory.organization import KeyFate, smtp_password_identity
from directory.relay import RelayState
from directory.status import KeyState, Place
from directory.store import audit_log, inspection
from directory.store.audit_log import SqlAuditLog
from directory.store.database import Database
from directory.store.inspection import SqlStoreInspector
from directory.store.issuers import SqlIssuers
from directory.verification import InspectedSecret
from tests.chains import broken_links
from tests.contracts.world import (
    ANNA,
    NOW,
    YEAR,
    Store,
    a_reservation,
    add_organization,
    an_event,
    an_issuer,
    import_certificate,
    mint,
)
from tests.directory.builders import an_organization, smart_host_of


@pytest.fixture
def inspector(database: Database) -> SqlStoreInspector:
    return SqlStoreInspector(database)


async def problems(inspector: SqlStoreInspector, node: str = "node-1") -> list[str]:
    (head,) = [head for head in await inspector.audit_heads() if head.node == node]
    return broken_links([event async for event in inspector.audit_chain(node)], head)


async def test_a_sound_enrolment_is_shown_whole(database: Database, inspector: SqlStoreInspector) -> None:
    minted = await mint(database)

    (enrolment,) = [enrolment async for enrolment in inspector.enrolments()]

    assert enrolment == InspectedEnrolment(
        enrolment_id="enrolment-1",
        organization_id="org-1",
        scope="shared",
        address=str(ANNA),
        address_key=ANNA.key,
        live=True,
        certificate=minted.certificate.der,
        certificate_scope="shared",
        certificate_address=str(ANNA),
        certificate_address_key=ANNA.key,
        certificate_not_after=minted.certificate.not_after,
        serial=f"{minted.certificate.serial:x}",
        issuer_id="issuing-1",
        withdrawn_or_revoked=False,
        key_state=KeyState.HELD,
        sealed_key=minted.sealed_key,
        hold_until=None,
        key_fate=KeyFate.DESTROY,
        escrow=None,
        relay_state=RelayState.WAITING,
        sealed_password=minted.sealed_password,
        delivery_state=DeliveryState.QUEUED,
        is_proven=False,
        mail_states=(MailState.QUEUED,),
        has_queued_mail=True,
        is_suppressed=False,
        minted_event_count=1,
        place=Place.LEADING,
        served_from=None,
        renewed=None,
        lead_event_count=0,
    )


async def test_every_missing_row_is_shown_as_none(store: Store, inspector: SqlStoreInspector) -> None:
    await mint(store.database)
    await store.sql(
        "DELETE FROM certificates",
        "DELETE FROM held_keys",
        "DELETE FROM relays",
        "DELETE FROM deliveries",
        "DELETE FROM outgoing_mail",
        "DELETE FROM audit_events WHERE node = 'node-1'",
    )

    (enrolment,) = [enrolment async for enrolment in inspector.enrolments()]

    assert (enrolment.certificate, enrolment.serial, enrolment.issuer_id) == (None, None, None)
    assert (enrolment.key_state, enrolment.sealed_key) == (None, None)
    assert (enrolment.relay_state, enrolment.sealed_password) == (None, None)
    assert (enrolment.delivery_state, enrolment.mail_states) == (None, ())
    assert enrolment.minted_event_count == 0


async def test_secrets_of_no_enrolment_are_shown_with_their_identity(
    database: Database, inspector: SqlStoreInspector
) -> None:
    assert await inspector.secrets() == []
    ca_key = InspectedSecret(
        identity=SecretIdentity(kind=SecretKind.CA_KEY, record_id="issuing-2", organization_id=None),
        sealed=SealedSecret(master_key_id="master-1", wrapped_key=b"w", ciphertext=b"c"),
    )
    password = InspectedSecret(
        identity=smtp_password_identity("org-2"),
        sealed=SealedSecret(master_key_id="master-1", wrapped_key=b"ww", ciphertext=b"cc"),
    )
    await SqlIssuers(database, node="node-1").add(
        an_issuer("issuing-2", sealed_key=ca_key.sealed), an_event()
    )
    firm = an_organization(organization_id="org-2", slug="firm", domains=frozenset())
    host = replace(smart_host_of(firm), username="mailer", sealed_password=password.sealed)
    await add_organization(database, replace(firm, smart_host=host))

    assert await inspector.secrets() == [ca_key, password]


async def test_a_state_that_nobody_writes_counts_as_missing(
    store: Store, inspector: SqlStoreInspector
) -> None:
    await mint(store.database)
    await store.sql(
        "UPDATE held_keys SET state = 'lent'",
        "UPDATE relays SET state = 'lent'",
        "UPDATE deliveries SET state = 'lent'",
        "UPDATE outgoing_mail SET state = 'lent'",
    )

    (enrolment,) = [enrolment async for enrolment in inspector.enrolments()]

    assert (enrolment.key_state, enrolment.relay_state, enrolment.delivery_state) == (None, None, None)
    assert enrolment.mail_states == ()


@pytest.mark.parametrize("column", ["withdrawn_at", "revoked_at"])
async def test_a_certificate_out_of_the_directory_is_shown_so(
    store: Store, inspector: SqlStoreInspector, column: str
) -> None:
    await mint(store.database)
    await store.sql(f"UPDATE certificates SET {column} = '2026-11-01 00:00:00'")  # noqa: S608 - a column

    (enrolment,) = [enrolment async for enrolment in inspector.enrolments()]

    assert enrolment.withdrawn_or_revoked


@pytest.mark.parametrize("page", [1, 2, 3, 100])
async def test_pages_of_any_size_hold_every_enrolment_once(
    database: Database, inspector: SqlStoreInspector, monkeypatch: pytest.MonkeyPatch, page: int
) -> None:
    for number in range(3):
        mailbox = Mailbox.parse(f"person-{number}@example.org")
        await mint(database, a_reservation(f"enrolment-{number}", mailbox=mailbox))
    monkeypatch.setattr(inspection, "_PAGE", page)

    found = [enrolment.enrolment_id async for enrolment in inspector.enrolments()]

    assert found == ["enrolment-0", "enrolment-1", "enrolment-2"]


async def test_issuers_are_known_by_name(inspector: SqlStoreInspector) -> None:
    assert await inspector.issuer_certificates() == {
        "root-1": b"certificate of root-1",
        "issuing-1": b"certificate of issuing-1",
    }


async def test_a_minted_certificate_of_no_enrolment_is_an_orphan(
    store: Store, inspector: SqlStoreInspector
) -> None:
    await mint(store.database)
    await import_certificate(store.database)
    assert await inspector.orphaned_certificates() == []

    await store.sql("UPDATE certificates SET enrolment_id = NULL, id = 'lost' WHERE origin = 'minted'")

    assert await inspector.orphaned_certificates() == ["lost"]


@pytest.mark.parametrize("page", [1, 2, 3, 100])
async def test_pages_of_any_size_hold_every_certificate_once(
    database: Database, inspector: SqlStoreInspector, monkeypatch: pytest.MonkeyPatch, page: int
) -> None:
    monkeypatch.setattr(inspection, "_PAGE", page)
    for number in range(3):
        mailbox = Mailbox.parse(f"person-{number}@example.org")
        await mint(database, a_reservation(f"enrolment-{number}", mailbox=mailbox))

    assert await inspector.orphaned_certificates() == []
    assert await inspector.doubled_addresses(NOW) == []


async def test_two_live_certificates_of_one_address_are_found(
    store: Store, inspector: SqlStoreInspector
) -> None:
    await mint(store.database)
    await import_certificate(store.database)
    assert await inspector.doubled_addresses(NOW) == []

    await store.sql("UPDATE enrolments SET live = false")
    await mint(store.database, a_reservation("enrolment-2"))

    assert await inspector.doubled_addresses(NOW) == [f"shared {ANNA.key}"]
    assert await inspector.doubled_addresses(NOW + YEAR) == []


async def test_a_sound_chain_has_no_problem(database: Database, inspector: SqlStoreInspector) -> None:
    log = SqlAuditLog(database, node="node-1")
    for number in range(5):
        await log.append(an_event(subject=f"event {number}"))

    assert await problems(inspector) == []


@pytest.mark.parametrize("page", [1, 2, 5, 100])
async def test_pages_of_any_size_hold_the_whole_chain(
    database: Database, inspector: SqlStoreInspector, monkeypatch: pytest.MonkeyPatch, page: int
) -> None:
    log = SqlAuditLog(database, node="node-1")
    for number in range(5):
        await log.append(an_event(subject=f"event {number}"))
    monkeypatch.setattr(audit_log, "_PAGE", page)

    assert await problems(inspector) == []


@pytest.mark.parametrize(
    "tampering",
    [
        "UPDATE audit_events SET actor = 'somebody else' WHERE node = 'node-1' AND sequence = 3",
        "UPDATE audit_events SET detail = '{\"a\": \"b\"}' WHERE node = 'node-1' AND sequence = 3",
        "DELETE FROM audit_events WHERE node = 'node-1' AND sequence = 3",
        "DELETE FROM audit_events WHERE node = 'node-1' AND sequence = 5",
        "DELETE FROM audit_events WHERE node = 'node-1'",
        "UPDATE audit_heads SET sequence = 4 WHERE node = 'node-1'",
        "DELETE FROM audit_heads WHERE node = 'node-1'",
        "UPDATE audit_events SET sequence = 6 WHERE node = 'node-1' AND sequence = 5",
        "UPDATE audit_events SET kind = 'nothing.of.ours' WHERE node = 'node-1' AND sequence = 3",
        "UPDATE audit_events SET detail = 'no JSON' WHERE node = 'node-1' AND sequence = 3",
        "UPDATE audit_events SET detail = '[]' WHERE node = 'node-1' AND sequence = 3",
    ],
)
async def test_tampering_with_the_log_shows(
    store: Store, inspector: SqlStoreInspector, tampering: str
) -> None:
    log = SqlAuditLog(store.database, node="node-1")
    for number in range(5):
        await log.append(an_event(subject=f"event {number}"))

    await store.sql(tampering)

    assert await problems(inspector) != []


async def test_a_chain_without_its_head_would_begin_at_the_beginning(
    store: Store, inspector: SqlStoreInspector
) -> None:
    await SqlAuditLog(store.database, node="node-1").append(an_event())
    await store.sql("DELETE FROM audit_heads WHERE node = 'node-1'")

    (head,) = [head for head in await inspector.audit_heads() if head.node == "node-1"]

    assert (head.sequence, head.hash) == (0, GENESIS_HASH)


async def test_nodes_are_told_apart(database: Database, inspector: SqlStoreInspector) -> None:
    await SqlAuditLog(database, node="node-1").append(an_event())
    await SqlAuditLog(database, node="node-2").append(an_event())

    assert {head.node for head in await inspector.audit_heads()} == {"node-1", "node-2", "setup"}
    assert len([event async for event in inspector.audit_chain("node-2")]) == 1
    assert [event async for event in inspector.audit_chain("node-3")] == []
