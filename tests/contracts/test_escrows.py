"""The contract of `EscrowStore`: an envelope takes the place of a held key, on record, or nothing does."""

from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial

import pytest
from cryptography import x509
from sqlalchemy import Connection, Update, select, update

from ca.address import Mailbox
from ca.escrow import may_sign, open_escrow
from ca.keypackage import KeyPackageFormat
from ca.keys import PrivateKey, same_key
from ca.profiles import Purpose
from directory.audit import AuditKind
from directory.escrowing import Escrowing, SealedAway
from directory.holds import EndOfHolds
from directory.lookup import Minted
from directory.organization import EndOfHold, HoldPolicy, KeyFate
from directory.resending import KeyMailResender
from directory.store.escrows import SqlEscrows
from directory.store.holds import SqlHolds
from directory.store.recovery_setup import SqlRecoverySetup
from directory.store.resends import SqlResendStore
from directory.store.suppressions import SqlSuppressions
from directory.store.tables import (
    audit_events,
    certificates,
    enrolments,
    escrowed_keys,
    held_keys,
    recovery_certificates,
)
from directory.suppression import SuppressionDesk
from tests.builders import Authority, a_profile
from tests.contracts.escrowing import (
    ENVELOPE,
    GRACE,
    OVER,
    activate,
    an_escrow_event,
    deliver_to_be_escrowed,
    sealed_away,
)
from tests.contracts.following import deliver
from tests.contracts.test_holds import NoTraces, key_of, records, revoke
from tests.contracts.world import ANNA, NOW, SEALER, Store, a_reservation, an_enrolment, an_event, record
from tests.directory.builders import a_mint_context, an_organization
from tests.directory.clocks import StoppedClock
from tests.directory.minting import (
    OneMaker,
    ReadyKeys,
    a_maker,
    an_enroller,
    found_authority,
    violations,
)
from tests.recoverykeys import a_recovery_certificate, a_recovery_key

MOMENT = timedelta(microseconds=1)
HELD = ("held", None, 3)


@pytest.fixture
def escrows(store: Store) -> SqlEscrows:
    return SqlEscrows(store.database, node="node-1")


def execute(statement: Update, connection: Connection) -> None:
    connection.execute(statement)


async def due(escrows: SqlEscrows, now: datetime = OVER, *, most: int = 10) -> list[str]:
    found = await escrows.due_for_escrow(now=now, ended_before=now - GRACE, after=None, most=most)
    return [one.enrolment_id for one in found]


async def recorded(escrows: SqlEscrows, *sealed: SealedAway, now: datetime = OVER) -> int:
    return await escrows.record_escrows(
        sealed or [sealed_away()], now=now, ended_before=now - GRACE, event_of=an_escrow_event
    )


def end_of_holds(store: Store) -> EndOfHolds:
    return EndOfHolds(
        store=SqlHolds(store.database, node="node-1"),
        escrowing=Escrowing(store=SqlEscrows(store.database, node="node-1"), sealer=SEALER, grace=GRACE),
        traces=NoTraces(),
        grace=GRACE,
    )


async def end(store: Store, now: datetime = OVER) -> int:
    chore, ended = end_of_holds(store), 0
    while batch := await chore.perform(now):
        ended += batch
    return ended


async def test_a_key_is_due_when_its_hold_is_over_and_not_before(store: Store, escrows: SqlEscrows) -> None:
    await deliver_to_be_escrowed(store.database)

    assert await due(escrows, OVER - MOMENT) == []
    (one,) = await escrows.due_for_escrow(now=OVER, ended_before=OVER - GRACE, after=None, most=10)

    assert (one.enrolment_id, one.organization_id) == ("enrolment-1", "org-1")
    assert (one.certificate, one.chain) == (
        b"certificate of enrolment-1",
        (b"certificate of issuing-1", b"certificate of root-1"),
    )


async def test_all_that_is_due_is_paged_through_whatever_stays_due(store: Store, escrows: SqlEscrows) -> None:
    ended, over = ["a", "b", "c"], ["u", "v", "w"]
    for enrolment_id in (*over, *ended):
        reservation = a_reservation(enrolment_id, mailbox=Mailbox.parse(f"{enrolment_id}@example.com"))
        await record(store.database, an_enrolment(reservation, key_fate=KeyFate.ESCROW))
    await deliver(store.database)
    for statement in (
        update(enrolments).where(enrolments.c.id.in_(ended)).values(live=False, ended_because="revoked"),
        update(certificates).where(certificates.c.enrolment_id.in_(ended)).values(revoked_at=NOW),
        update(held_keys).where(held_keys.c.enrolment_id.in_(ended)).values(hold_until=None),
        update(held_keys).where(held_keys.c.enrolment_id == "w").values(hold_until=OVER - MOMENT),
    ):
        await store.database.write(partial(execute, statement))

    after, pages = None, []
    while page := await escrows.due_for_escrow(now=OVER, ended_before=OVER - GRACE, after=after, most=2):
        after = page[-1]
        pages.append([one.enrolment_id for one in page])

    assert pages == [["w", "u"], ["v"], ["a", "b"], ["c"]]


@pytest.mark.parametrize("fate", [KeyFate.DESTROY, KeyFate.DESTROY_SIGNING])
async def test_a_key_that_is_to_be_destroyed_is_not_due(
    store: Store, escrows: SqlEscrows, fate: KeyFate
) -> None:
    await record(store.database, an_enrolment(a_reservation(), key_fate=fate))
    await deliver(store.database)

    assert await due(escrows) == []


async def test_an_envelope_takes_the_place_of_the_key_in_one_go(store: Store, escrows: SqlEscrows) -> None:
    certificate = await activate(store.database)
    await deliver_to_be_escrowed(store.database)

    assert [await recorded(escrows) for _ in range(2)] == [1, 0]

    assert await key_of(store) == ("escrowed", OVER, 0)
    assert await store.select(select(escrowed_keys)) == [
        ("enrolment-1", certificate.fingerprint, ENVELOPE, OVER)
    ]
    detail = f'{{"because": "hold_over", "recovery_certificate": "{certificate.fingerprint}"}}'
    assert await records(store, AuditKind.KEY_ESCROWED) == [("service", "enrolment-1", detail)]
    assert await due(escrows) == []


async def test_without_its_record_nothing_is_escrowed(store: Store, escrows: SqlEscrows) -> None:
    await activate(store.database)
    await deliver_to_be_escrowed(store.database)

    def no_event(*_: object) -> None:
        raise RuntimeError("the log is full")

    with pytest.raises(RuntimeError):
        await escrows.record_escrows(
            [sealed_away()],
            now=OVER,
            ended_before=OVER - GRACE,
            event_of=no_event,  # type: ignore[arg-type]
        )

    assert await key_of(store) == HELD
    assert await store.count("escrowed_keys") == 0


@pytest.mark.parametrize("successor", [True, False])
async def test_what_is_sealed_to_a_certificate_that_is_not_the_active_one_is_not_kept(
    store: Store, escrows: SqlEscrows, *, successor: bool
) -> None:
    register = SqlRecoverySetup(store.database, node="setup")
    await register.add_certificate(a_recovery_certificate(), an_event())
    if successor:
        await activate(store.database, a_recovery_certificate(2))
    await deliver_to_be_escrowed(store.database)

    assert await recorded(escrows) == 0
    assert await key_of(store) == HELD


async def test_what_is_due_no_more_when_it_is_sealed_stays_held(store: Store, escrows: SqlEscrows) -> None:
    await activate(store.database)
    await deliver_to_be_escrowed(store.database)
    resender = KeyMailResender(
        store=SqlResendStore(store.database, node="node-1"),
        clock=StoppedClock(OVER),
        lifetime=timedelta(days=1),
    )
    await resender.resend("enrolment-1", KeyPackageFormat.MODERN, "operator:olga")

    assert await recorded(escrows) == 0
    assert await key_of(store) == HELD


@pytest.mark.parametrize("store", ["postgresql"], indirect=True)
async def test_what_another_has_in_hand_is_passed_over(store: Store, escrows: SqlEscrows) -> None:
    await activate(store.database)
    await deliver_to_be_escrowed(store.database)

    async with store.database.writing() as another:
        await another.run(lambda connection: connection.execute(select(held_keys).with_for_update()).close())
        assert await recorded(escrows) == 0

    assert await recorded(escrows) == 1


async def test_of_several_certificates_one_is_active(store: Store, escrows: SqlEscrows) -> None:
    assert await escrows.active_recovery_certificate() is None
    first, second = a_recovery_certificate(), a_recovery_certificate(2)

    await activate(store.database, first)
    assert await escrows.active_recovery_certificate() == first.der
    await activate(store.database, second)

    assert await escrows.active_recovery_certificate() == second.der
    listed = await SqlRecoverySetup(store.database, node="setup").certificates()
    assert {one.certificate.fingerprint: one.active for one in listed} == {
        first.fingerprint: False,
        second.fingerprint: True,
    }


async def test_a_key_waits_for_a_recovery_certificate_and_nothing_is_destroyed_in_its_place(
    store: Store,
) -> None:
    await deliver_to_be_escrowed(store.database)

    assert await end(store, OVER + timedelta(days=300)) == 0
    assert await key_of(store) == HELD


async def test_the_key_of_a_revoked_certificate_is_escrowed_after_the_grace(
    store: Store, escrows: SqlEscrows
) -> None:
    await deliver_to_be_escrowed(store.database)
    await revoke(store, NOW)

    assert await due(escrows, NOW + GRACE) == ["enrolment-1"]


async def test_the_key_of_a_recipient_who_wants_no_mail_is_destroyed_all_the_same(store: Store) -> None:
    await activate(store.database)
    await deliver_to_be_escrowed(store.database)
    suppressions = SqlSuppressions(store.database, node="node-1")
    await SuppressionDesk(store=suppressions, clock=StoppedClock(NOW), actor="operator:olga").add(ANNA)

    assert await end(store, NOW) == 2  # the password too
    assert (await key_of(store))[0] == "destroyed"
    ((_, _, detail),) = await records(store, AuditKind.KEY_DESTROYED)
    assert '"not_escrowed": "undelivered"' in detail


async def test_a_signing_key_is_destroyed_and_the_record_says_why(store: Store) -> None:
    await activate(store.database)
    await record(store.database, an_enrolment(a_reservation(), key_fate=KeyFate.DESTROY_SIGNING))
    await deliver(store.database)

    assert await end(store) == 1
    ((_, _, detail),) = await records(store, AuditKind.KEY_DESTROYED)
    assert '"not_escrowed": "signing_key"' in detail


# With real keys and certificates, from the mint on.


async def mint_for(
    store: Store,
    authority: Authority,
    key: PrivateKey,
    policy: HoldPolicy,
    *,
    purpose: Purpose = Purpose.RECIPIENT_ENCRYPTION,
) -> str:
    await found_authority(store, authority)
    maker = replace(a_maker(authority), profile=a_profile(purpose))
    enroller = an_enroller(store.database, authority, ReadyKeys([key]), makers=OneMaker(maker))
    organization = replace(an_organization(), hold_policy=policy)
    answer = await enroller.mint(ANNA, a_mint_context(organization=organization))
    assert isinstance(answer, Minted)
    await deliver(store.database)
    return answer.enrolment_id


async def test_from_the_mint_to_the_envelope_that_only_the_recovery_key_opens(
    store: Store, authority: Authority, recipient_key: PrivateKey
) -> None:
    await activate(store.database)
    await mint_for(store, authority, recipient_key, HoldPolicy(end=EndOfHold.ESCROW))

    assert await end(store) == 1

    ((envelope,),) = await store.select(select(escrowed_keys.c.envelope))
    certificate, recovery_key = a_recovery_key()
    opened = open_escrow(envelope, recovery_key, certificate)
    assert same_key(opened.private_key.public_key(), recipient_key.public_key())
    assert opened.chain == authority.chain
    assert await violations(store.database, clock=StoppedClock(OVER)) == []


@pytest.mark.parametrize(
    ("policy", "purpose", "expected"),
    [
        (HoldPolicy(), Purpose.RECIPIENT_ENCRYPTION, KeyFate.DESTROY),
        (HoldPolicy(escrows_signing_keys=True), Purpose.RECIPIENT_DUAL, KeyFate.DESTROY),
        (HoldPolicy(end=EndOfHold.ESCROW), Purpose.RECIPIENT_ENCRYPTION, KeyFate.ESCROW),
        (HoldPolicy(end=EndOfHold.ESCROW), Purpose.RECIPIENT_DUAL, KeyFate.DESTROY_SIGNING),
        (
            HoldPolicy(end=EndOfHold.ESCROW, escrows_signing_keys=True),
            Purpose.RECIPIENT_DUAL,
            KeyFate.ESCROW,
        ),
    ],
)
@pytest.mark.parametrize("store", ["sqlite"], indirect=True)
async def test_the_fate_of_a_key_is_settled_when_it_is_made(
    store: Store,
    authority: Authority,
    recipient_key: PrivateKey,
    policy: HoldPolicy,
    purpose: Purpose,
    expected: KeyFate,
) -> None:
    await mint_for(store, authority, recipient_key, policy, purpose=purpose)

    ((der, fate),) = await store.select(
        select(certificates.c.der, held_keys.c.fate).join_from(
            certificates, held_keys, certificates.c.enrolment_id == held_keys.c.enrolment_id
        )
    )
    assert fate == expected
    assert may_sign(x509.load_der_x509_certificate(der).extensions) is (purpose is Purpose.RECIPIENT_DUAL)


async def test_a_change_of_policy_is_for_keys_that_are_made_afterwards(
    store: Store, escrows: SqlEscrows
) -> None:
    await deliver_to_be_escrowed(store.database)
    await store.sql("UPDATE organizations SET end_of_hold = 'destroy'")

    assert await due(escrows) == ["enrolment-1"]


async def test_verification_says_what_waits_for_a_recovery_certificate(
    store: Store, authority: Authority, recipient_key: PrivateKey
) -> None:
    enrolment_id = await mint_for(store, authority, recipient_key, HoldPolicy(end=EndOfHold.ESCROW))

    (found,) = await violations(store.database, clock=StoppedClock(OVER + timedelta(days=2)))

    assert (found.invariant, found.subject, found.is_warning) == ("enrolment.hold_over", enrolment_id, True)
    assert "is a recovery certificate active?" in found.reason


@pytest.mark.parametrize("store", ["sqlite"], indirect=True)
@pytest.mark.parametrize(
    ("damage", "expected"),
    [
        ("UPDATE escrowed_keys SET envelope = x'3000'", "enrolment.escrow"),
        ("UPDATE escrowed_keys SET envelope = substr(envelope, 1, length(envelope) - 1)", "enrolment.escrow"),
        ("DELETE FROM escrowed_keys", "enrolment.escrow"),
        ("UPDATE held_keys SET state = 'destroyed'", "enrolment.escrow"),
        ("UPDATE held_keys SET fate = 'destroy'", "enrolment.key_fate"),
        ("UPDATE held_keys SET fate = 'eaten'", "enrolment.key_fate"),
    ],
)
async def test_verification_finds_what_is_wrong_with_an_escrowed_key(
    store: Store, authority: Authority, recipient_key: PrivateKey, damage: str, expected: str
) -> None:
    await activate(store.database)
    await mint_for(store, authority, recipient_key, HoldPolicy(end=EndOfHold.ESCROW))
    await end(store)
    await store.sql(damage)

    found = await violations(store.database, clock=StoppedClock(OVER))

    assert {one.invariant for one in found} == {expected}
    assert not any(one.is_warning for one in found)


@pytest.mark.parametrize("store", ["sqlite"], indirect=True)
async def test_verification_finds_a_recovery_certificate_that_was_swapped(
    store: Store, authority: Authority, recipient_key: PrivateKey
) -> None:
    certificate = await activate(store.database)
    enrolment_id = await mint_for(store, authority, recipient_key, HoldPolicy(end=EndOfHold.ESCROW))
    await end(store)
    swapped = update(recovery_certificates).values(der=a_recovery_certificate(2).der)
    await store.database.write(lambda connection: connection.execute(swapped).close())

    found = await violations(store.database, clock=StoppedClock(OVER))

    assert [(one.invariant, one.subject) for one in found] == [
        ("recovery.certificate", certificate.fingerprint),
        ("enrolment.escrow", enrolment_id),
    ]


async def test_every_escrow_is_on_record_under_the_enrolment(store: Store, escrows: SqlEscrows) -> None:
    await activate(store.database)
    await deliver_to_be_escrowed(store.database)
    await recorded(escrows)

    kinds = await store.select(
        select(audit_events.c.kind)
        .where(audit_events.c.subject == "enrolment-1")
        .order_by(audit_events.c.sequence)
    )
    assert kinds[-1] == ("key.escrowed",)
