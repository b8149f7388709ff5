"""What revoking changes for those who ask, and who may ask for a successor."""

from datetime import timedelta

import pytest
from cryptography import x509

from ca.address import Mailbox
from directory.audit import AuditKind
from directory.errors import StoreUnavailable, Unknown
from directory.lookup import Absent, Answer, Found, Lookup, Minted, Question
from directory.policy import MintPolicy, Refusal
from directory.revocation import ALLOWS_SUCCESSOR, Revocation, RevocationReason
from directory.store.audit_log import read_chain
from directory.store.lookup import SqlDirectoryReader
from directory.store.revocations import SqlRevocationStore
from tests.builders import Authority
from tests.contracts.test_mint import failing_inserts_into
from tests.contracts.world import ANNA, Store, a_reservation, add_organization, import_certificate, mint
from tests.directory.builders import a_gateway, an_organization
from tests.directory.clocks import StoppedClock
from tests.directory.minting import ReadyKeys, an_enroller, found_authority, violations
from tests.distinctkeys import distinct_keys

BERT = Mailbox.parse("bert@example.org")
OPERATOR = "operator:olga"


@pytest.fixture
def revocation(store: Store) -> Revocation:
    return Revocation(store=SqlRevocationStore(store.database, node="desk"), clock=StoppedClock())


@pytest.fixture
async def lookup(store: Store, authority: Authority) -> Lookup:
    await found_authority(store, authority)
    return Lookup(
        reader=SqlDirectoryReader(store.database),
        policy=MintPolicy(),
        minter=an_enroller(store.database, authority, ReadyKeys(distinct_keys(2))),
        clock=StoppedClock(),
        patience=timedelta(minutes=1),
    )


async def ask(lookup: Lookup) -> Answer:
    return await lookup.answer(Question(mailbox=ANNA, asker=a_gateway()))


async def minted(lookup: Lookup) -> Minted:
    answer = await ask(lookup)
    assert isinstance(answer, Minted)
    return answer


@pytest.mark.parametrize("reason", sorted(set(RevocationReason) - ALLOWS_SUCCESSOR))
async def test_a_revoked_address_is_served_no_more_and_minted_no_more(
    store: Store, lookup: Lookup, revocation: Revocation, reason: RevocationReason
) -> None:
    await minted(lookup)

    await revocation.revoke_address(ANNA, reason, OPERATOR)

    assert await ask(lookup) == Absent(refusal=Refusal.REVOKED)
    assert await violations(store.database) == []


@pytest.mark.parametrize("reason", sorted(ALLOWS_SUCCESSOR))
async def test_a_superseded_certificate_makes_room_for_its_successor(
    store: Store, lookup: Lookup, revocation: Revocation, reason: RevocationReason
) -> None:
    first = await minted(lookup)

    await revocation.revoke_address(ANNA, reason, OPERATOR)

    second = await minted(lookup)
    assert second.certificate.serial != first.certificate.serial
    assert await ask(lookup) == Found(certificate=second.certificate)
    assert await violations(store.database) == []


async def test_one_is_revoked_by_its_serial_number(lookup: Lookup, revocation: Revocation) -> None:
    serial = (await minted(lookup)).certificate.serial

    (revoked,) = await revocation.revoke_serial(serial, RevocationReason.KEY_COMPROMISE, OPERATOR)

    assert (revoked.serial, revoked.mailbox) == (serial, ANNA)
    assert await ask(lookup) == Absent(refusal=Refusal.REVOKED)


async def test_an_address_is_revoked_in_every_spelling_scope_and_origin(
    store: Store, revocation: Revocation
) -> None:
    isolated = an_organization(organization_id="org-2", slug="firm", domains=frozenset(), isolated=True)
    gateway = await add_organization(store.database, isolated)
    await mint(store.database, a_reservation("shared"))
    await mint(store.database, a_reservation("isolated", gateway=gateway))
    await import_certificate(store.database)
    await mint(store.database, a_reservation("other", mailbox=BERT))

    revoked = await revocation.revoke_address(
        Mailbox.parse("ANNA@EXAMPLE.ORG"), RevocationReason.UNSPECIFIED, OPERATOR
    )

    assert {one.enrolment_id for one in revoked} == {"shared", "isolated", None}
    assert await store.rows("SELECT address FROM certificates WHERE revoked_at IS NULL") == [(str(BERT),)]


async def test_the_audit_log_says_who_revoked_what_and_why(store: Store, revocation: Revocation) -> None:
    enrolment = await mint(store.database)

    (revoked,) = await revocation.revoke_address(ANNA, RevocationReason.KEY_COMPROMISE, OPERATOR)

    (chained,) = [event async for event in read_chain(store.database, "desk", 10)]
    assert chained.event.kind is AuditKind.CERTIFICATE_REVOKED
    assert (chained.event.actor, chained.event.subject) == (OPERATOR, revoked.certificate_id)
    assert chained.event.organization_id == enrolment.reservation.organization_id
    assert chained.event.detail == {
        "serial": f"{enrolment.certificate.serial:x}",
        "reason": "keyCompromise",
    }


@pytest.mark.parametrize("sought", [0, 1, -1, 2**200])
async def test_a_serial_number_nobody_has_is_unknown(revocation: Revocation, sought: int) -> None:
    with pytest.raises(Unknown) as unknown:
        await revocation.revoke_serial(sought, RevocationReason.UNSPECIFIED, OPERATOR)

    assert unknown.value.kind == "certificate"


async def test_what_is_revoked_already_cannot_be_revoked_again(store: Store, revocation: Revocation) -> None:
    await mint(store.database)
    await revocation.revoke_address(ANNA, RevocationReason.KEY_COMPROMISE, OPERATOR)

    with pytest.raises(Unknown):
        await revocation.revoke_address(ANNA, RevocationReason.SUPERSEDED, OPERATOR)

    assert await store.rows("SELECT revocation_reason FROM certificates") == [("keyCompromise",)]


async def test_no_revocation_without_its_audit_event(store: Store, revocation: Revocation) -> None:
    await mint(store.database)

    async with failing_inserts_into(store, "audit_events"):
        with pytest.raises(StoreUnavailable):
            await revocation.revoke_address(ANNA, RevocationReason.KEY_COMPROMISE, OPERATOR)

    assert await store.rows("SELECT count(*) FROM certificates WHERE revoked_at IS NOT NULL") == [(0,)]
    assert await store.rows("SELECT count(*) FROM enrolments WHERE live") == [(1,)]


def test_the_reasons_are_those_of_rfc_5280() -> None:
    assert {reason.value for reason in RevocationReason} <= {flag.value for flag in x509.ReasonFlags}
