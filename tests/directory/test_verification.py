"""A sound store has no violation; each invariant, broken behind everybody's back, is reported by its name."""

import inspect
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from sqlalchemy import ColumnElement, Delete, Insert, Table, Update, delete, insert, select, update

from ca.address import Mailbox
from ca.keypackage import KeyPackageFormat
from ca.keys import KeyAlgorithm, PrivateKey, generate, key_hash, to_pkcs8
from ca.sealing import MasterKey, MasterKeyring, Sealer
from directory import crl_invariants, invariants, overtaking_invariants, verification
from directory.audit import GENESIS_HASH, AuditKind
from directory.authorities import AuthorityBoard
from directory.crl_building import ThreadOrProcess
from directory.crl_production import CrlProduction
from directory.crls import CrlRhythm
from directory.enrolment import Enroller
from directory.enrolmentsecrets import recipient_key_identity
from directory.evidence.keys import AuditKeys, audit_key_identity
from directory.evidence.statements import AuditSigner
from directory.invariants import HOLD_OVERRUN
from directory.keystock import PooledKey, pooled_key_identity
from directory.lookup import Minted
from directory.mint_ports import Renewed
from directory.organization import SHARED_SCOPE, smtp_password_identity
from directory.overtaking_invariants import SWITCH_UNRECORDED
from directory.revocation import Revocation, RevocationReason
from directory.store import tables
from directory.store.audit_log import SqlAuditLog
from directory.store.crls import SqlCrlStore
from directory.store.evidence import SqlAuditKeys
from directory.store.inspection import SqlStoreInspector
from directory.store.pooled_keys import SqlPooledKeys
from directory.store.revocations import SqlRevocationStore
from directory.store.rows import sealed_columns
from directory.store.suppressions import SqlSuppressions
from directory.store.tables import (
    audit_heads,
    certificates,
    crl_pieces,
    crls,
    cross_certificates,
    deliveries,
    enrolments,
    held_keys,
    issuers,
    organizations,
    outgoing_mail,
    pooled_keys,
    relays,
)
from directory.suppression import SuppressionDesk
from directory.wiring.authorities import CrlIssuers
from directory.wiring.signers import Signers, ca_key_identity
from tests.builders import Authority
from tests.ca.strangers import Stranger
from tests.contracts.world import NOW, SEALER, YEAR, Store, an_event
from tests.directory.builders import a_mint_context
from tests.directory.clocks import StoppedClock
from tests.directory.evidence.builders import a_notary
from tests.directory.minting import ReadyKeys, an_enroller, found_authority, violations

ANNA = Mailbox.parse("anna@example.org")
BERT = Mailbox.parse("bert@example.org")
DAY = timedelta(days=1)


@pytest.fixture(scope="session")
def three_keys() -> Sequence[PrivateKey]:
    return [generate(KeyAlgorithm.RSA_2048) for _ in range(3)]


@pytest.fixture
async def enroller(store: Store, authority: Authority, three_keys: Sequence[PrivateKey]) -> Enroller:
    await found_authority(store, authority)
    return an_enroller(store.database, authority, ReadyKeys(three_keys))


@pytest.fixture
async def enrolment_ids(enroller: Enroller) -> dict[str, str]:
    """Mint for two people; return their enrolments by name."""
    by_name = {}
    for mailbox in (ANNA, BERT):
        answer = await enroller.mint(mailbox, a_mint_context())
        assert isinstance(answer, Minted)
        by_name[mailbox.local_part] = answer.enrolment_id
    return by_name


async def found(store: Store) -> list[tuple[str, str]]:
    return [(violation.invariant, violation.subject) for violation in await violations(store.database)]


@pytest.mark.usefixtures("enrolment_ids")
async def test_a_sound_store_has_no_violation(store: Store) -> None:
    assert await violations(store.database) == []


@pytest.mark.usefixtures("enrolment_ids")
@pytest.mark.parametrize("reason", RevocationReason)
async def test_a_store_is_sound_after_a_revocation(store: Store, reason: RevocationReason) -> None:
    revocation = Revocation(store=SqlRevocationStore(store.database, node="desk"), clock=StoppedClock())
    await revocation.revoke_address(ANNA, reason, "operator:olga")

    assert await violations(store.database) == []


async def test_a_store_is_sound_when_everything_has_expired_and_been_minted_anew(
    store: Store, authority: Authority, recipient_key: PrivateKey, enrolment_ids: dict[str, str]
) -> None:
    clock = StoppedClock()
    clock.advance(3 * YEAR)
    successor = await an_enroller(store.database, authority, ReadyKeys([recipient_key]), clock=clock).mint(
        ANNA, a_mint_context()
    )

    assert isinstance(successor, Minted)
    assert successor.enrolment_id not in enrolment_ids.values()
    assert await violations(store.database, clock=clock) == []


@pytest.mark.usefixtures("enrolment_ids")
async def test_an_empty_log_of_a_node_is_sound(store: Store) -> None:
    await change(store, insert(audit_heads).values(node="new", sequence=0, hash=GENESIS_HASH))

    assert await violations(store.database) == []


@dataclass(frozen=True, slots=True, kw_only=True)
class Damage:
    """What was done to Anna's row of a table, and which invariant that breaks."""

    table: Table
    values: Mapping[str, object] | None
    """None where the row is gone."""
    breaks: str


def damage(table: Table, breaks: str, **values: object) -> Damage:
    return Damage(table=table, breaks=breaks, values=values or None)


def no_secret(prefix: str) -> dict[str, None]:
    return dict.fromkeys(f"{prefix}_{part}" for part in ("master_key_id", "wrapped_key", "ciphertext"))


JUNK = b"junk"
ANOTHER = "carl@example.org"
DAMAGES = [
    damage(certificates, "enrolment.has_certificate"),
    damage(certificates, "enrolment.has_certificate", der=JUNK),
    damage(certificates, "certificate.has_issuer", issuer_id=None),
    damage(certificates, "certificate.address", address=ANOTHER),
    damage(enrolments, "certificate.address", address="ANNA@example.org"),
    damage(certificates, "certificate.serial", serial="abc"),
    damage(certificates, "certificate.served_for", scope="org-1"),
    damage(certificates, "certificate.served_for", address_key="carl@example.org"),
    damage(certificates, "certificate.served_until", not_after=NOW + 10 * YEAR),
    damage(certificates, "enrolment.ended", withdrawn_at=NOW),
    damage(enrolments, "enrolment.live", live=False),
    damage(held_keys, "enrolment.has_key"),
    damage(held_keys, "enrolment.has_key", **no_secret("key")),
    damage(held_keys, "enrolment.has_key", state="destroyed", **no_secret("key")),
    damage(held_keys, "enrolment.key_gone", state="destroyed"),
    damage(held_keys, "enrolment.key_opens", key_ciphertext=JUNK),
    damage(relays, "enrolment.has_relay"),
    damage(relays, "enrolment.has_password", **no_secret("password")),
    damage(relays, "enrolment.has_password", state="revealed", **no_secret("password")),
    damage(relays, "enrolment.password_opens", password_wrapped_key=JUNK),
    damage(deliveries, "enrolment.has_delivery"),
    damage(outgoing_mail, "enrolment.has_mail"),
    damage(outgoing_mail, "enrolment.has_mail", state="given_up"),
    damage(deliveries, "enrolment.was_mailed", state="accepted"),
    damage(deliveries, "enrolment.was_mailed", state="proven", proven_at=NOW),
    damage(deliveries, "delivery.proven", proven_at=NOW),
    damage(deliveries, "enrolment.was_mailed", state="unproven"),
    damage(deliveries, "certificate.withdrawn", state="bounced"),
]


DAMAGES_OF_RENEWALS = [
    damage(enrolments, "renewal.place", place="nowhere"),
    damage(enrolments, "renewal.renews", renews_enrolment_id=None),
    damage(certificates, "renewal.served_from", served_from=None),
    damage(certificates, SWITCH_UNRECORDED, served_from=NOW - 2 * DAY),
    damage(enrolments, "audit.lead_event", place="overtaken"),
]


@pytest.fixture
async def renewal_id(store: Store, enroller: Enroller, enrolment_ids: dict[str, str]) -> str:
    """Renew Anna's certificate; return the enrolment."""
    renewed = Renewed(
        enrolment_id=enrolment_ids["anna"],
        ends_at=NOW + YEAR,
        leads_until=NOW + 30 * DAY,
        package_format=KeyPackageFormat.COMPATIBLE,
    )
    answer = await enroller.renew(ANNA, a_mint_context(), renewed)
    assert isinstance(answer, Minted)
    assert await violations(store.database) == []
    return answer.enrolment_id


@pytest.mark.parametrize("store", ["sqlite"], indirect=True)
@pytest.mark.parametrize("done", DAMAGES_OF_RENEWALS, ids=lambda done: str(done.values))
async def test_what_is_broken_in_a_renewal_is_found(store: Store, renewal_id: str, done: Damage) -> None:
    assert done.values is not None
    await change(store, update(done.table).where(of(done.table, renewal_id)).values(done.values))

    # One that stands nowhere has not taken a place, but does not wait either.
    broken = {invariant for invariant, subject in await found(store) if subject == renewal_id}
    alongside = {"audit.lead_event", "renewal.served"} if done.table is enrolments else set()
    assert done.breaks in broken
    assert broken - {done.breaks} <= alongside


async def test_a_switch_that_nobody_recorded_for_a_day_is_only_warned_of(
    store: Store, renewal_id: str
) -> None:
    late = update(certificates).where(of(certificates, renewal_id)).values(served_from=NOW - 2 * DAY)
    await change(store, late)

    (violation,) = await violations(store.database)
    assert violation.is_warning


async def test_a_renewal_behind_nothing_is_found(
    store: Store, enrolment_ids: dict[str, str], renewal_id: str
) -> None:
    annas = update(certificates).where(of(certificates, enrolment_ids["anna"]))
    await change(store, annas.values(withdrawn_at=NOW))
    await change(store, update(enrolments).where(of(enrolments, enrolment_ids["anna"])).values(live=False))

    assert await found(store) == [("renewal.has_leader", renewal_id)]


async def test_a_renewal_that_leads_but_is_not_served_is_found(
    store: Store, enrolment_ids: dict[str, str], renewal_id: str
) -> None:
    for name, place in ((enrolment_ids["anna"], "overtaken"), (renewal_id, "leading")):
        await change(store, update(enrolments).where(of(enrolments, name)).values(place=place))
    event = an_event(AuditKind.CERTIFICATE_LEADS, subject=renewal_id)
    await SqlAuditLog(store.database, node="setup").append(event)

    assert await found(store) == [("renewal.served", renewal_id)]


async def test_a_renewal_of_somebody_elses_is_found(
    store: Store, enrolment_ids: dict[str, str], renewal_id: str
) -> None:
    berts = {"renews_enrolment_id": enrolment_ids["bert"]}
    await change(store, update(enrolments).where(of(enrolments, renewal_id)).values(berts))

    assert await found(store) == [("renewal.same_recipient", renewal_id)]


@pytest.mark.usefixtures("enrolment_ids")
async def test_what_a_revoked_issuer_left_behind_is_found(store: Store) -> None:
    await change(store, update(issuers).where(issuers.c.purpose == "issuing-ca").values(revoked_at=NOW))

    assert "issuer.certificates_ended" in {invariant for invariant, _ in await found(store)}


# On PostgreSQL the tests that follow would miss the index.
@pytest.mark.parametrize("store", ["sqlite"], indirect=True)
@pytest.mark.parametrize("place", ["leading", "waiting"])
@pytest.mark.usefixtures("renewal_id")
async def test_two_in_the_same_place_are_found(store: Store, place: str) -> None:
    await store.sql(f"DROP INDEX uq_enrolments_one_{place}_per_address")
    await change(store, update(enrolments).where(enrolments.c.address_key == ANNA.key).values(place=place))

    broken = await found(store)
    assert ("address.one_live_certificate", f"{SHARED_SCOPE} {ANNA.key}") in broken


# What is read is the same on both databases, as its contract shows; what is made of it needs one.
@pytest.mark.parametrize("store", ["sqlite"], indirect=True)
@pytest.mark.parametrize("done", DAMAGES, ids=lambda done: f"{done.table.name} {done.values or 'gone'}")
async def test_what_is_broken_in_an_enrolment_is_found(
    store: Store, enrolment_ids: dict[str, str], done: Damage
) -> None:
    anna = enrolment_ids["anna"]
    if done.values is None:
        await change(store, delete(done.table).where(of(done.table, anna)))
    else:
        await change(store, update(done.table).where(of(done.table, anna)).values(done.values))

    assert await found(store) == [(done.breaks, anna)]


async def mail_is_accepted(store: Store, enrolment_id: str) -> None:
    await change(store, update(outgoing_mail).where(of(outgoing_mail, enrolment_id)).values(state="accepted"))
    await change(store, update(deliveries).where(of(deliveries, enrolment_id)).values(state="accepted"))


@pytest.mark.parametrize(("late", "expected"), [(DAY, []), (DAY + timedelta(seconds=1), [HOLD_OVERRUN])])
async def test_a_key_that_outlived_its_hold_by_more_than_a_day_is_warned_of(
    store: Store, enrolment_ids: dict[str, str], late: timedelta, expected: list[str]
) -> None:
    anna = enrolment_ids["anna"]
    await mail_is_accepted(store, anna)
    over = StoppedClock().now() - late
    await change(store, update(held_keys).where(of(held_keys, anna)).values(hold_until=over))

    warnings = await violations(store.database)

    assert [(one.invariant, one.subject, one.is_warning) for one in warnings] == [
        (invariant, anna, True) for invariant in expected
    ]


async def test_a_key_that_is_kept_for_its_mail_does_not_outlive_its_hold(
    store: Store, enrolment_ids: dict[str, str]
) -> None:
    over = StoppedClock().now() - 9 * DAY
    await change(store, update(held_keys).where(of(held_keys, enrolment_ids["anna"])).values(hold_until=over))

    assert await violations(store.database) == []


@pytest.mark.parametrize("state", ["relayed", "failed", "revealed"])
async def test_a_store_is_sound_when_key_and_password_have_been_destroyed(
    store: Store, enrolment_ids: dict[str, str], state: str
) -> None:
    anna = enrolment_ids["anna"]
    await mail_is_accepted(store, anna)
    destroyed = {"state": "destroyed", **no_secret("key")}
    await change(store, update(held_keys).where(of(held_keys, anna)).values(destroyed))
    relayed = {"state": state, **no_secret("password")}
    await change(store, update(relays).where(of(relays, anna)).values(relayed))

    assert await violations(store.database) == []


async def test_another_issuers_certificate_is_found(
    store: Store, authority: Authority, enrolment_ids: dict[str, str]
) -> None:
    anna = enrolment_ids["anna"]
    root = authority.root.key_id
    await change(store, update(certificates).where(of(certificates, anna)).values(issuer_id=root))

    (signature, crl) = await found(store)
    assert (signature, crl[0]) == (("certificate.signature", anna), "certificate.crl")


async def test_a_secret_moved_to_another_record_is_found(store: Store, enrolment_ids: dict[str, str]) -> None:
    anna, bert = enrolment_ids["anna"], enrolment_ids["bert"]
    ((wrapped_key, ciphertext),) = await store.select(
        select(held_keys.c.key_wrapped_key, held_keys.c.key_ciphertext).where(of(held_keys, bert))
    )
    await put_in_place_of_the_key(store, anna, wrapped_key, ciphertext)

    assert await found(store) == [("enrolment.key_opens", anna)]


async def put_in_place_of_the_key(
    store: Store, enrolment_id: str, wrapped_key: bytes, ciphertext: bytes
) -> None:
    secret = {"key_wrapped_key": wrapped_key, "key_ciphertext": ciphertext}
    await change(store, update(held_keys).where(of(held_keys, enrolment_id)).values(secret))


async def seal_in_place_of_the_key(store: Store, secret: bytes, enrolment_id: str) -> None:
    sealed = SEALER.seal(secret, recipient_key_identity(enrolment_id, "org-1"))
    await put_in_place_of_the_key(store, enrolment_id, sealed.wrapped_key, sealed.ciphertext)


async def test_anothers_key_in_the_right_seal_is_found(
    store: Store, enrolment_ids: dict[str, str], recipient_key: PrivateKey
) -> None:
    await seal_in_place_of_the_key(store, to_pkcs8(recipient_key), enrolment_ids["anna"])

    assert await found(store) == [("enrolment.key_matches", enrolment_ids["anna"])]


async def test_something_else_than_a_key_in_the_right_seal_is_found(
    store: Store, enrolment_ids: dict[str, str]
) -> None:
    await seal_in_place_of_the_key(store, b"no key", enrolment_ids["anna"])

    assert await found(store) == [("enrolment.key_opens", enrolment_ids["anna"])]


async def test_a_minted_certificate_without_an_enrolment_is_found(
    store: Store, enrolment_ids: dict[str, str]
) -> None:
    lost = update(certificates).where(of(certificates, enrolment_ids["anna"]))
    await change(store, lost.values(enrolment_id=None, id="lost"))

    assert await found(store) == [
        ("enrolment.has_certificate", enrolment_ids["anna"]),
        ("certificate.has_enrolment", "lost"),
    ]


async def test_two_live_certificates_of_one_address_are_found(
    store: Store, enrolment_ids: dict[str, str]
) -> None:
    berts = update(certificates).where(of(certificates, enrolment_ids["bert"]))
    await change(store, berts.values(address_key=ANNA.key))

    assert await found(store) == [
        ("certificate.served_for", enrolment_ids["bert"]),
        ("address.one_live_certificate", f"{SHARED_SCOPE} {ANNA.key}"),
    ]


@pytest.mark.usefixtures("enrolment_ids")
async def test_an_unreadable_issuer_is_found(store: Store, authority: Authority) -> None:
    root = authority.root.key_id
    await change(store, update(issuers).where(issuers.c.id == root).values(der=JUNK))

    assert await found(store) == [("issuer.certificate", root)]


async def test_an_enrolment_that_holds_anothers_address_is_found(
    store: Store, enrolment_ids: dict[str, str]
) -> None:
    anna = enrolment_ids["anna"]
    await change(store, update(enrolments).where(of(enrolments, anna)).values(address_key="carl@b.org"))
    await change(store, update(certificates).where(of(certificates, anna)).values(address_key="carl@b.org"))

    assert await found(store) == [("enrolment.address_key", anna)]


@pytest.mark.usefixtures("enrolment_ids")
@pytest.mark.parametrize(
    "deviation",
    [{"der": JUNK}, {"id": "0" * 64}, {"not_after": NOW}],
    ids=["unreadable", "another", "as long as another"],
)
async def test_a_cross_certificate_that_is_not_its_issuers_is_found(
    store: Store, authority: Authority, deviation: dict[str, object]
) -> None:
    root = authority.root
    other = Stranger("Friendly Root").certify(root.name, root.certificate.public_key())
    row = {
        "id": other.fingerprint(hashes.SHA256()).hex(),
        "issuer_id": root.key_id,
        "der": other.public_bytes(Encoding.DER),
        "not_after": other.not_valid_after_utc,
        "created_at": NOW,
    }
    await change(store, insert(cross_certificates).values(row))
    assert await found(store) == []

    await change(store, update(cross_certificates).values(deviation))

    assert await found(store) == [("cross_certificate.of_issuer", str((row | deviation)["id"]))]


@pytest.mark.usefixtures("enrolment_ids")
async def test_a_cross_certificate_of_another_ca_than_it_says_is_found(
    store: Store, authority: Authority
) -> None:
    other = Stranger("Friendly Root").certificate
    row = {
        "id": other.fingerprint(hashes.SHA256()).hex(),
        "issuer_id": authority.root.key_id,
        "der": other.public_bytes(Encoding.DER),
        "not_after": other.not_valid_after_utc,
        "created_at": NOW,
    }

    await change(store, insert(cross_certificates).values(row))

    assert await found(store) == [("cross_certificate.of_issuer", row["id"])]


@pytest.mark.usefixtures("enrolment_ids")
@pytest.mark.parametrize("column", ["key_wrapped_key", "key_ciphertext"])
async def test_a_ca_key_that_does_not_open_is_found(store: Store, authority: Authority, column: str) -> None:
    issuing = authority.issuer.key_id
    await change(store, update(issuers).where(issuers.c.id == issuing).values({column: JUNK}))

    assert await found(store) == [("issuer.key_opens", issuing)]


@pytest.mark.usefixtures("enrolment_ids")
async def test_a_ca_key_that_is_not_its_certificates_is_found(
    store: Store, authority: Authority, recipient_key: PrivateKey
) -> None:
    root = authority.root.key_id
    sealed = SEALER.seal(to_pkcs8(recipient_key), ca_key_identity(root))
    secret = {"key_wrapped_key": sealed.wrapped_key, "key_ciphertext": sealed.ciphertext}
    await change(store, update(issuers).where(issuers.c.id == root).values(secret))

    assert await found(store) == [("issuer.key_matches", root)]


async def test_a_smart_hosts_password_that_does_not_open_is_found(store: Store) -> None:
    sealed = SEALER.seal(b"password", smtp_password_identity("another-organization"))
    await change(
        store,
        update(organizations).values(
            smtp_password_master_key_id=sealed.master_key_id,
            smtp_password_wrapped_key=sealed.wrapped_key,
            smtp_password_ciphertext=sealed.ciphertext,
        ),
    )

    reported = await found(store)

    assert ("organization.smtp_password_opens", "org-1") in reported


async def test_a_second_event_of_one_mint_is_found(store: Store, enrolment_ids: dict[str, str]) -> None:
    event = an_event(AuditKind.CERTIFICATE_MINTED, subject=enrolment_ids["anna"])
    await SqlAuditLog(store.database, node="node-2").append(event)

    assert await found(store) == [("audit.minted_event", enrolment_ids["anna"])]


@pytest.mark.usefixtures("enrolment_ids")
@pytest.mark.parametrize(
    "tampering",
    [
        "UPDATE audit_events SET actor = 'operator:nobody' WHERE node = 'setup' AND sequence = 2",
        "DELETE FROM audit_events WHERE node = 'setup' AND sequence = 2",
        "DELETE FROM audit_events WHERE node = 'setup'",
        "DELETE FROM audit_heads WHERE node = 'setup'",
        "UPDATE audit_heads SET sequence = sequence - 1 WHERE node = 'setup'",
    ],
)
async def test_tampering_with_the_log_is_found(store: Store, tampering: str) -> None:
    await store.sql(tampering)

    assert set(await found(store)) == {("audit.chain", "setup")}


async def issue_crls(store: Store, clock: StoppedClock) -> None:
    production = CrlProduction(
        store=SqlCrlStore(store.database, node="node-1"),
        board=AuthorityBoard(),
        builder=ThreadOrProcess(CrlIssuers(Signers(SEALER)).open),
        has_key=CrlIssuers(Signers(SEALER)).has_key,
        rhythm=CrlRhythm(),
        clock=clock,
        uniform=lambda shortest, _longest: shortest,
    )
    await production.start()


async def revoke_anna(store: Store, clock: StoppedClock) -> None:
    revocation = Revocation(store=SqlRevocationStore(store.database, node="desk"), clock=clock)
    await revocation.revoke_address(ANNA, RevocationReason.KEY_COMPROMISE, "operator:olga")


@pytest.mark.usefixtures("enrolment_ids")
async def test_crls_that_list_what_is_revoked_are_sound(store: Store) -> None:
    clock = StoppedClock()
    await revoke_anna(store, clock)
    await issue_crls(store, clock)
    clock.advance(timedelta(days=5))

    assert await violations(store.database, clock=clock) == []


@pytest.mark.usefixtures("enrolment_ids")
async def test_an_issuer_that_cannot_certify_for_much_longer_is_a_warning(
    store: Store, authority: Authority
) -> None:
    await issue_crls(store, StoppedClock(NOW))
    left = authority.issuer.certificate.not_valid_after_utc - NOW - timedelta(days=29)
    check = verification.Verification(
        inspector=SqlStoreInspector(store.database), sealer=SEALER, clock=StoppedClock(NOW), validity=left
    )

    (found,) = [violation async for violation in check.violations()]

    assert (found.invariant, found.subject, found.is_warning) == (
        "issuer.ends_soon",
        authority.issuer.key_id,
        True,
    )


@pytest.mark.usefixtures("enrolment_ids")
@pytest.mark.parametrize("issued", [True, False])
async def test_a_revoked_certificate_that_no_crl_lists_is_found(
    store: Store, authority: Authority, *, issued: bool
) -> None:
    clock = StoppedClock()
    if issued:
        await issue_crls(store, clock)
    await revoke_anna(store, clock)

    clock.advance(timedelta(seconds=60))
    in_time = await violations(store.database, clock=clock)
    clock.advance(timedelta(seconds=1))
    reported = await violations(store.database, clock=clock)

    assert in_time == []
    assert [(one.invariant, one.subject) for one in reported] == [
        ("crl.lists_revoked", authority.issuer.key_id)
    ]


@pytest.mark.usefixtures("enrolment_ids")
async def test_a_crl_that_has_expired_is_found(store: Store, authority: Authority) -> None:
    clock = StoppedClock()
    await issue_crls(store, clock)

    clock.advance(timedelta(days=7))
    reported = await violations(store.database, clock=clock)
    clock.advance(30 * YEAR)
    long_after = await violations(store.database, clock=clock)

    assert {(one.invariant, one.subject) for one in reported} == {
        ("crl.current", authority.root.key_id),
        ("crl.current", authority.issuer.key_id),
    }
    assert long_after == []


@pytest.mark.usefixtures("enrolment_ids")
@pytest.mark.parametrize(
    ("breaks", "values"),
    [
        ("crl.record", {"number": 1}),
        ("crl.record", {"next_update": NOW + 10 * YEAR}),
    ],
)
async def test_a_crl_that_is_not_what_was_issued_is_found(
    store: Store, authority: Authority, breaks: str, values: dict[str, object]
) -> None:
    await issue_crls(store, StoppedClock())
    root = authority.root.key_id
    await change(store, update(crls).where(crls.c.issuer_id == root).values(values))

    assert await found(store) == [(breaks, root)]


@pytest.mark.usefixtures("enrolment_ids")
async def test_a_crl_that_cannot_be_read_is_found(store: Store, authority: Authority) -> None:
    await issue_crls(store, StoppedClock())
    root = authority.root.key_id
    await put_der(store, crls.c.issuer_id == root, JUNK)

    assert await found(store) == [("crl.readable", root)]


@pytest.mark.usefixtures("enrolment_ids")
async def test_a_crl_of_another_issuer_is_found(store: Store, authority: Authority) -> None:
    await issue_crls(store, StoppedClock())
    root, issuing = authority.root.key_id, authority.issuer.key_id
    await put_der(store, crls.c.issuer_id == root, await der_of(store, crls.c.issuer_id == issuing))

    assert await found(store) == [("crl.signature", root)]


async def der_of(store: Store, which: ColumnElement[bool]) -> bytes:
    """Return the octets of a short CRL."""
    ids = select(crls.c.der_id).where(which)
    ((octets,),) = await store.select(select(crl_pieces.c.octets).where(crl_pieces.c.der_id.in_(ids)))
    assert isinstance(octets, bytes)
    return octets


async def put_der(store: Store, which: ColumnElement[bool], der: bytes) -> None:
    """Put other octets in the place of a short CRL."""
    ids = select(crls.c.der_id).where(which)
    await change(store, update(crl_pieces).where(crl_pieces.c.der_id.in_(ids)).values(octets=der))


async def test_one_enrolment_that_is_broken_hides_no_other(
    store: Store, enrolment_ids: dict[str, str]
) -> None:
    for enrolment_id in enrolment_ids.values():
        await change(store, delete(certificates).where(of(certificates, enrolment_id)))

    assert sorted(await found(store)) == sorted(
        ("enrolment.has_certificate", enrolment_id) for enrolment_id in enrolment_ids.values()
    )


async def test_a_master_key_that_is_not_the_stores_breaks_every_seal(
    store: Store, authority: Authority, enrolment_ids: dict[str, str]
) -> None:
    stranger = Sealer(MasterKeyring(active=MasterKey(key_id="master-2", material=b"\x02" * 32)))

    reported = await violations(store.database, sealer=stranger)

    assert {(one.invariant, one.subject) for one in reported} == {
        (invariant, enrolment_id)
        for invariant in ("enrolment.key_opens", "enrolment.password_opens")
        for enrolment_id in enrolment_ids.values()
    } | {("issuer.key_opens", issuer.key_id) for issuer in (authority.root, authority.issuer)}


@pytest.fixture
async def audit_keys(store: Store, authority: Authority) -> AuditKeys:
    """The first audit key is there, and has signed the heads."""
    await found_authority(store, authority)
    clock = StoppedClock()
    keys = AuditKeys(
        store=SqlAuditKeys(store.database, node="setup"), sealer=SEALER, clock=clock, actor="operator:olga"
    )
    await keys.ensure()
    await a_notary(store.database, keys, clock).sign()
    return keys


@pytest.mark.parametrize(
    ("values", "breaks"),
    [
        ({"key_ciphertext": JUNK}, "audit.key_opens"),
        ({"own_signature": JUNK}, "audit.key"),
        ({"public_key": b"\x01" * 32}, "audit.key"),
    ],
)
async def test_an_audit_key_that_is_not_what_was_made_is_found(
    store: Store, audit_keys: AuditKeys, values: dict[str, object], breaks: str
) -> None:
    assert len(await audit_keys.statements()) == 1
    assert await found(store) == []

    await change(store, update(tables.audit_keys).values(values))

    assert breaks in {invariant for invariant, _ in await found(store)}


async def test_a_private_audit_key_of_another_is_found(store: Store, audit_keys: AuditKeys) -> None:
    (statement,) = await audit_keys.statements()
    sealed = SEALER.seal(AuditSigner.generate().secret(), audit_key_identity(statement.key_id))
    await change(store, update(tables.audit_keys).values(sealed_columns("key", sealed)))

    assert await found(store) == [("audit.key_matches", statement.key_id)]


@pytest.mark.usefixtures("audit_keys")
async def test_events_rewritten_with_a_chain_that_fits_contradict_the_signed_head(store: Store) -> None:
    """The head beside them is rewritten as well; only the signature cannot be."""
    await change(store, delete(tables.audit_events).where(tables.audit_events.c.node == "setup"))
    await change(store, delete(audit_heads).where(audit_heads.c.node == "setup"))
    for number in range(20):
        await SqlAuditLog(store.database, node="setup").append(an_event(subject=f"forged {number}"))

    assert await found(store) == [("audit.chain", "setup")]


@pytest.mark.usefixtures("enrolment_ids")
async def test_a_pooled_key_that_does_not_open_or_is_somebodys_already_is_found(
    store: Store, three_keys: Sequence[PrivateKey], recipient_key: PrivateKey
) -> None:
    rows = [a_pooled_row(name, key) for name, key in (("a", three_keys[0]), ("b", recipient_key))]
    await SqlPooledKeys(store.database, node="setup").add(rows, an_event())
    assert await found(store) == [("pool.key_fresh", "a")]

    await change(store, update(pooled_keys).values(algorithm="rsa-3072"))
    assert await found(store) == [
        ("pool.key_opens", "a"),
        ("pool.key_fresh", "a"),
        ("pool.key_opens", "b"),
    ]


def a_pooled_row(key_id: str, key: PrivateKey) -> PooledKey:
    return PooledKey(
        key_id=key_id,
        algorithm=KeyAlgorithm.RSA_2048,
        sealed=SEALER.seal(to_pkcs8(key), pooled_key_identity(key_id)),
        key_sha256=key_hash(key.public_key()),
        made_at=NOW,
    )


def test_every_invariant_is_broken_by_a_test() -> None:
    # Whoever adds an invariant adds the damage that it must find.
    here = Path(__file__)
    files = (here, here.with_name("test_crl_invariants.py"), here.parents[1] / "contracts/test_escrows.py")
    ours = "".join(file.read_text(encoding="utf-8") for file in files)
    named = re.compile(r'yield \(?"([a-z]+\.[a-z_]+)"|invariant="([a-z_.]+)"| else "([a-z_]+\.[a-z_]+)"')
    invariant_names = {
        "".join(groups)
        for module in (verification, invariants, crl_invariants, overtaking_invariants)
        for groups in named.findall(inspect.getsource(module))
    }

    assert len(invariant_names) > 25
    assert {name for name in invariant_names if f'"{name}"' not in ours} == set()


def of(table: Table, enrolment_id: str) -> ColumnElement[bool]:
    return (table.c.id if table is enrolments else table.c.enrolment_id) == enrolment_id


async def change(store: Store, statement: Insert | Update | Delete) -> None:
    """Change the store behind everybody's back."""
    await store.database.write(lambda connection: connection.execute(statement).close())


@pytest.mark.usefixtures("enrolment_ids")
async def test_a_store_is_sound_after_somebody_wants_no_mail(store: Store) -> None:
    desk = SuppressionDesk(
        store=SqlSuppressions(store.database, node="desk"), clock=StoppedClock(), actor="operator:olga"
    )
    await desk.add(ANNA)

    assert await violations(store.database) == []


async def test_what_waits_for_a_mail_that_is_not_wanted_is_found(
    store: Store, enrolment_ids: dict[str, str]
) -> None:
    values = {"address_key": ANNA.key, "address": str(ANNA), "reason": "operator", "since": NOW}
    await change(store, insert(tables.suppressions).values(values))

    assert await found(store) == [
        ("suppression.no_mail", enrolment_ids["anna"]),
        ("suppression.not_served", enrolment_ids["anna"]),
    ]


async def test_what_is_on_record_of_the_future_is_found(store: Store, enroller: Enroller) -> None:
    await enroller.mint(ANNA, a_mint_context())
    log = SqlAuditLog(store.database, node="node-1")
    await log.append(an_event(at=NOW + DAY))

    found = await violations(store.database, clock=StoppedClock(NOW))

    assert [(one.invariant, one.subject) for one in found] == [("clock.on_record", "node-1")]
