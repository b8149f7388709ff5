"""The mint on real databases, with a real authority: once per address, whole or not at all."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from functools import partial

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from sqlalchemy import Connection

from ca.address import Mailbox
from ca.keypackage import KeyPackageFormat
from ca.keys import KeyAlgorithm, PrivateKey, generate, key_hash, unsafe_from_sealed_pkcs8
from ca.linting import Linter
from ca.passwords import REQUIRED_BITS
from ca.profiles import Purpose
from directory.audit import AuditKind
from directory.callers import Gateway
from directory.delivery.outbox import MailState, due_mail_of
from directory.enrolment import Enroller
from directory.enrolmentsecrets import recipient_key_identity, relay_password_identity
from directory.errors import StoreUnavailable
from directory.invariants import InspectedEnrolment
from directory.lookup import Absent, Answer, Deferred, Found, Lookup, Minted, Question
from directory.mint_ports import MailClaim, MintTransaction, Reservation
from directory.organization import SHARED_SCOPE
from directory.policy import MintContext, MintPolicy, Refusal
from directory.steps import Step
from directory.store.audit_log import read_chain
from directory.store.blocked_keys import SqlBlockedKeys
from directory.store.database import Database
from directory.store.inspection import SqlStoreInspector
from directory.store.lookup import SqlDirectoryReader
from directory.store.mint import Result, SqlMintStore, SqlMintTransaction
from directory.store.outbox import SqlOutbox
from tests.builders import Authority, an_authority
from tests.contracts.test_mint import failing_inserts_into
from tests.contracts.world import NOW, SEALER, Store, a_reservation, add_organization, an_event
from tests.directory.builders import a_gateway, a_mint_context, an_organization
from tests.directory.clocks import StoppedClock
from tests.directory.minting import (
    OneMaker,
    QuietPostman,
    ReadyKeys,
    an_enroller,
    found_authority,
    rates,
    rules,
    violations,
)

ANNA = Mailbox.parse("Anna@example.org")
BERT = Mailbox.parse("bert@example.org")
UNHEARD_OF = Mailbox.parse("anna@example.nosuchtld")
AT_ONCE = 64
PROCESSES = 4
ROWS_OF_A_MINT = ("enrolments", "certificates", "held_keys", "relays", "deliveries", "outgoing_mail")
SHORT = timedelta(milliseconds=200)


@pytest.fixture(scope="session")
def some_keys() -> Sequence[PrivateKey]:
    return [generate(KeyAlgorithm.RSA_2048) for _ in range(PROCESSES)]


@pytest.fixture
def keys(some_keys: Sequence[PrivateKey]) -> ReadyKeys:
    return ReadyKeys(some_keys)


@pytest.fixture(autouse=True)
async def _issuers(store: Store, authority: Authority) -> None:
    await found_authority(store, authority)


@pytest.fixture
def enroller(store: Store, authority: Authority, keys: ReadyKeys) -> Enroller:
    return an_enroller(store.database, authority, keys)


async def the_enrolment(database: Database) -> InspectedEnrolment:
    (enrolment,) = [one async for one in SqlStoreInspector(database).enrolments()]
    return enrolment


async def mints(store: Store) -> int:
    """Return how many mints there are; all of each must be there."""
    counts = {await store.count(table) for table in ROWS_OF_A_MINT}
    assert len(counts) == 1
    assert await violations(store.database) == []
    return counts.pop()


class GaveUpError(Exception):
    pass


def reserve(connection: Connection, *, reservation: Reservation) -> None:
    SqlMintTransaction(connection, node="node-2").reserve(reservation)


@asynccontextmanager
async def held_by_somebody_who_gives_up(store: Store, mailbox: Mailbox) -> AsyncIterator[None]:
    with contextlib.suppress(GaveUpError):
        async with store.database.writing() as transaction:
            await transaction.run(partial(reserve, reservation=a_reservation(mailbox=mailbox)))
            yield
            raise GaveUpError


def as_minted(answer: Answer) -> Minted:
    assert isinstance(answer, Minted)
    return answer


async def test_a_mint_leaves_everything_that_follows_from_it(store: Store, enroller: Enroller) -> None:
    answer = as_minted(await enroller.mint(ANNA, a_mint_context()))

    enrolment = await the_enrolment(store.database)
    assert enrolment.enrolment_id == answer.enrolment_id
    assert enrolment.certificate == answer.certificate.der
    assert (enrolment.organization_id, enrolment.scope) == ("org-1", SHARED_SCOPE)
    assert (enrolment.address, enrolment.address_key) == ("Anna@example.org", "anna@example.org")
    assert await mints(store) == 1


async def test_the_held_key_is_the_certificates(store: Store, enroller: Enroller) -> None:
    answer = as_minted(await enroller.mint(ANNA, a_mint_context()))

    sealed = (await the_enrolment(store.database)).sealed_key
    assert sealed is not None
    key = unsafe_from_sealed_pkcs8(
        SEALER.unseal(sealed, recipient_key_identity(answer.enrolment_id, "org-1"))
    )
    certificate = x509.load_der_x509_certificate(answer.certificate.der)
    assert key.public_key() == certificate.public_key()


async def test_the_password_of_the_relay_is_strong_and_sealed(store: Store, enroller: Enroller) -> None:
    answer = as_minted(await enroller.mint(ANNA, a_mint_context()))

    sealed = (await the_enrolment(store.database)).sealed_password
    assert sealed is not None
    password = SEALER.unseal(sealed, relay_password_identity(answer.enrolment_id, "org-1")).decode()
    assert len(password.replace("-", "")) * 5 >= REQUIRED_BITS


async def test_the_key_mail_is_due_at_once_and_tried_as_long_as_the_rules_say(
    store: Store, enroller: Enroller
) -> None:
    answer = as_minted(await enroller.mint(ANNA, a_mint_context()))

    now = StoppedClock().now()
    (mail,) = await SqlOutbox(store.database, node="node-1").claim_due(
        worker="worker-1", now=now, lease_until=now + timedelta(minutes=15), most=10
    )
    assert (mail.enrolment_id, mail.mailbox) == (answer.enrolment_id, ANNA)
    assert mail.give_up_at == now + rules().delivery_lifetime
    assert mail.message_id == f"<{answer.enrolment_id}.key@hospital.org>"
    assert (await the_enrolment(store.database)).mail_states == (MailState.QUEUED,)


async def test_the_audit_log_says_who_caused_it(store: Store, enroller: Enroller) -> None:
    answer = as_minted(await enroller.mint(ANNA, a_mint_context()))

    (chained,) = [event async for event in read_chain(store.database, "node-1", 10)]
    assert chained.event.kind is AuditKind.CERTIFICATE_MINTED
    assert (chained.event.actor, chained.event.subject) == ("gateway:gw", answer.enrolment_id)
    assert chained.event.detail["serial"] == f"{answer.certificate.serial:x}"


async def test_the_postman_is_told_after_the_commit_and_not_before(
    store: Store, authority: Authority, keys: ReadyKeys
) -> None:
    postman = QuietPostman()
    told_at: dict[Step, int] = {}
    enroller = an_enroller(
        store.database,
        authority,
        keys,
        postman=postman,
        on_step=lambda step: told_at.update({step: len(postman.told)}),
    )

    await enroller.mint(ANNA, a_mint_context())

    assert told_at == {Step.MINT_RESERVED: 0, Step.MINT_BEFORE_COMMIT: 0, Step.MINT_AFTER_COMMIT: 0}
    assert postman.kept_room == [StoppedClock().now()]
    assert len(postman.told) == 1


async def test_the_postman_is_told_what_the_outbox_would_tell_him(
    store: Store, authority: Authority, keys: ReadyKeys
) -> None:
    postman = QuietPostman()
    await an_enroller(store.database, authority, keys, postman=postman).mint(ANNA, a_mint_context())

    (mail,) = await SqlOutbox(store.database, node="node-1").claim_due(
        worker="w", now=NOW, lease_until=NOW + timedelta(minutes=5), most=1
    )

    assert [due_mail_of(enrolment) for enrolment in postman.told] == [mail]


async def test_a_postman_with_room_has_the_mail_in_hand_from_the_beginning(
    store: Store, authority: Authority, keys: ReadyKeys
) -> None:
    claim = MailClaim(worker="node-1", until=NOW + timedelta(minutes=30))
    postman = QuietPostman(claim)

    await an_enroller(store.database, authority, keys, postman=postman).mint(ANNA, a_mint_context())

    (enrolment,) = postman.told
    assert enrolment.record.claim == claim
    assert await SqlOutbox(store.database, node="node-1").next_due() == claim.until


async def test_a_mint_that_lost_the_race_tells_the_postman_nothing(
    store: Store, authority: Authority, keys: ReadyKeys
) -> None:
    await an_enroller(store.database, authority, keys).mint(ANNA, a_mint_context())
    postman = QuietPostman()

    await an_enroller(store.database, authority, keys, postman=postman).mint(ANNA, a_mint_context())

    assert postman.kept_room == [StoppedClock().now()]
    assert postman.told == []


@pytest.mark.parametrize("address", ["Anna@example.org", "o'brien+x@sub.example.com", f"{'a' * 64}@b.de"])
async def test_every_certificate_lints_clean(authority: Authority, enroller: Enroller, address: str) -> None:
    answer = as_minted(await enroller.mint(Mailbox.parse(address), a_mint_context()))

    assert authority.linter.findings(answer.certificate.der, Purpose.RECIPIENT_ENCRYPTION) == ()
    certificate = x509.load_der_x509_certificate(answer.certificate.der)
    certificate.verify_directly_issued_by(authority.issuer.certificate)
    assert certificate.public_bytes(Encoding.DER) == answer.certificate.der


class Doors:
    """Two gateways of two organizations, at the doors of one or several processes."""

    def __init__(self, store: Store, authority: Authority, keys: ReadyKeys, gateways: list[Gateway]) -> None:
        self._authority = authority
        self._keys = keys
        self.gateways = gateways
        self.lookups = [self.lookup(store.database)]

    def lookup(self, database: Database) -> Lookup:
        return Lookup(
            reader=SqlDirectoryReader(database),
            policy=MintPolicy(),
            minter=an_enroller(database, self._authority, self._keys),
            clock=StoppedClock(),
            patience=timedelta(minutes=1),
        )

    async def ask_all_at_once(self, mailbox: Mailbox) -> list[tuple[Gateway, Answer]]:
        askers = [self.gateways[number % len(self.gateways)] for number in range(AT_ONCE)]
        answers = await asyncio.gather(
            *(
                self.lookups[number % len(self.lookups)].answer(Question(mailbox=mailbox, asker=asker))
                for number, asker in enumerate(askers)
            )
        )
        return list(zip(askers, answers, strict=True))


@pytest.fixture
async def doors(store: Store, authority: Authority, keys: ReadyKeys) -> Doors:
    firm = an_organization(organization_id="org-2", slug="firm", domains=frozenset({"firm.com"}))
    return Doors(store, authority, keys, [a_gateway(), await add_organization(store.database, firm)])


@pytest.fixture
async def many_doors(store: Store, doors: Doors) -> AsyncIterator[Doors]:
    async with AsyncExitStack() as stack:
        # SQLite is for one process; there the many doors are one.
        for _ in range(PROCESSES - 1 if store.is_postgresql else 0):
            database = await stack.enter_async_context(store.opened_again())
            doors.lookups.append(doors.lookup(database))
        yield doors


async def check_that_one_was_minted(store: Store, answers: list[tuple[Gateway, Answer]]) -> None:
    winners = [(asker, answer) for asker, answer in answers if isinstance(answer, Minted)]
    found = [answer for _, answer in answers if isinstance(answer, Found)]
    ((winner, minted),) = winners
    assert len(found) == AT_ONCE - 1
    assert {answer.certificate.der for answer in found} == {minted.certificate.der}
    assert await mints(store) == 1
    assert (await the_enrolment(store.database)).organization_id == winner.organization_id


async def test_64_first_lookups_at_once_make_one_certificate(store: Store, doors: Doors) -> None:
    answers = await doors.ask_all_at_once(ANNA)

    await check_that_one_was_minted(store, answers)


async def test_64_first_lookups_through_several_processes_make_one_certificate(
    store: Store, many_doors: Doors
) -> None:
    answers = await many_doors.ask_all_at_once(ANNA)

    await check_that_one_was_minted(store, answers)


async def test_different_spellings_of_an_address_are_one_recipient(enroller: Enroller) -> None:
    answers = await asyncio.gather(
        *(
            enroller.mint(Mailbox.parse(spelling), a_mint_context())
            for spelling in ("anna@example.org", "ANNA@Example.ORG", "Anna@example.org")
        )
    )

    assert len({answer.certificate.der for answer in answers if isinstance(answer, Minted | Found)}) == 1
    assert [type(answer) for answer in answers] == [Minted, Found, Found]


async def test_whoever_joins_a_mint_takes_no_key_and_is_not_told_its_enrolment(
    keys: ReadyKeys, enroller: Enroller
) -> None:
    first, *others = await asyncio.gather(*(enroller.mint(ANNA, a_mint_context()) for _ in range(AT_ONCE)))

    assert others == [Found(certificate=as_minted(first).certificate)] * (AT_ONCE - 1)
    assert keys.taken == 1


async def test_a_minted_address_is_found_by_another_process(
    store: Store, authority: Authority, keys: ReadyKeys, enroller: Enroller
) -> None:
    minted = as_minted(await enroller.mint(ANNA, a_mint_context()))

    answer = await an_enroller(store.database, authority, keys).mint(ANNA, a_mint_context())

    assert answer == Found(certificate=minted.certificate)


async def test_an_isolated_organization_gets_a_certificate_of_its_own(
    store: Store, enroller: Enroller
) -> None:
    isolated = an_organization(organization_id="org-2", slug="firm", domains=frozenset(), isolated=True)
    gateway = await add_organization(store.database, isolated)
    shared = as_minted(await enroller.mint(ANNA, a_mint_context()))

    own = await enroller.mint(ANNA, MintContext(gateway=gateway, organization=isolated))

    assert as_minted(own).certificate.der != shared.certificate.der
    assert await mints(store) == 2


async def test_a_limit_that_is_used_up_defers_and_leaves_nothing(
    store: Store, authority: Authority, keys: ReadyKeys
) -> None:
    enroller = an_enroller(store.database, authority, keys, mint_rules=rules(rates(gateway_hour=1)))
    await enroller.mint(ANNA, a_mint_context())

    answer = await enroller.mint(BERT, a_mint_context())

    assert answer == Deferred(refusal=Refusal.LIMIT_REACHED, retry_after=timedelta(hours=1))
    assert await mints(store) == 1


async def test_asking_on_beyond_a_limit_takes_no_key_from_others(
    store: Store, authority: Authority, keys: ReadyKeys
) -> None:
    clock = StoppedClock()
    enroller = an_enroller(
        store.database, authority, keys, clock=clock, mint_rules=rules(rates(gateway_hour=1))
    )
    await enroller.mint(ANNA, a_mint_context())
    await enroller.mint(BERT, a_mint_context())
    clock.advance(timedelta(minutes=20))

    answers = [await enroller.mint(BERT, a_mint_context()) for _ in range(10)]

    expected = Deferred(refusal=Refusal.LIMIT_REACHED, retry_after=timedelta(minutes=40))
    assert set(answers) == {expected}
    assert keys.taken == 2


async def test_a_limit_that_has_filled_up_again_lets_the_next_one_through(
    store: Store, authority: Authority, keys: ReadyKeys
) -> None:
    clock = StoppedClock()
    limited = rules(rates(gateway_hour=1))
    enroller = an_enroller(store.database, authority, keys, clock=clock, mint_rules=limited)
    await enroller.mint(ANNA, a_mint_context())
    deferred = await enroller.mint(BERT, a_mint_context())
    assert isinstance(deferred, Deferred)

    clock.advance(deferred.retry_after)

    assert isinstance(await enroller.mint(BERT, a_mint_context()), Minted)
    assert keys.taken == 2, "the key that the refused mint did not use is used by the next"


async def test_whoever_joined_a_deferred_mint_tries_on_his_own_account(
    store: Store, authority: Authority, keys: ReadyKeys
) -> None:
    firm = an_organization(organization_id="org-2", slug="firm", domains=frozenset())
    other = MintContext(gateway=await add_organization(store.database, firm), organization=firm)
    enroller = an_enroller(store.database, authority, keys, mint_rules=rules(rates(organization_day=1)))
    await enroller.mint(BERT, a_mint_context())

    refused, minted = await asyncio.gather(enroller.mint(ANNA, a_mint_context()), enroller.mint(ANNA, other))

    assert isinstance(refused, Deferred)
    assert refused.refusal is Refusal.LIMIT_REACHED
    assert isinstance(minted, Minted)
    assert await mints(store) == 2


async def test_by_a_clock_in_doubt_nothing_is_minted_and_no_key_taken(
    store: Store, authority: Authority, keys: ReadyKeys
) -> None:
    doubts: list[str | None] = ["it has jumped"]
    enroller = an_enroller(store.database, authority, keys, doubt=lambda: doubts[-1])

    refused = await enroller.mint(ANNA, a_mint_context())

    assert refused == Deferred(refusal=Refusal.CLOCK_DOUBTED, retry_after=rules().retry_after)
    assert await mints(store) == 0
    doubts.append(None)
    assert isinstance(await enroller.mint(ANNA, a_mint_context()), Minted)


async def test_without_a_key_in_time_the_gateway_is_asked_to_come_back(
    store: Store, authority: Authority
) -> None:
    impatient = rules(patience=SHORT)
    enroller = an_enroller(store.database, authority, ReadyKeys([]), mint_rules=impatient)

    answer = await enroller.mint(ANNA, a_mint_context())

    assert answer == Deferred(refusal=Refusal.NO_KEY_READY, retry_after=impatient.retry_after)
    assert await mints(store) == 0


async def test_a_mint_that_takes_longer_than_the_gateways_patience_is_finished_all_the_same(
    store: Store, authority: Authority, keys: ReadyKeys
) -> None:
    impatient = rules(patience=SHORT)
    enroller = an_enroller(store.database, authority, keys, mint_rules=impatient)

    async with held_by_somebody_who_gives_up(store, ANNA):
        answer = await enroller.mint(ANNA, a_mint_context())
    await enroller.settle()

    assert answer == Deferred(refusal=Refusal.TOO_SLOW, retry_after=impatient.retry_after)
    assert await mints(store) == 1
    assert isinstance(await enroller.mint(ANNA, a_mint_context()), Found)


async def test_what_the_linter_refuses_is_absent_for_good_and_costs_no_key(
    store: Store, keys: ReadyKeys, enroller: Enroller
) -> None:
    answers = [await enroller.mint(UNHEARD_OF, a_mint_context()) for _ in range(3)]

    assert answers == [Absent(refusal=Refusal.NOT_CERTIFIABLE)] * 3
    assert await mints(store) == 0
    assert keys.taken == 1
    assert isinstance(await enroller.mint(ANNA, a_mint_context()), Minted)


async def test_a_caller_who_goes_away_does_not_stop_the_mint(
    store: Store, authority: Authority, keys: ReadyKeys
) -> None:
    callers: list[asyncio.Task[Answer]] = []
    loop = asyncio.get_running_loop()

    def go_away(step: Step) -> None:
        if step is Step.MINT_RESERVED:
            # The transaction may run in a thread.
            loop.call_soon_threadsafe(callers[0].cancel)

    enroller = an_enroller(store.database, authority, keys, on_step=go_away)
    callers.append(asyncio.create_task(enroller.mint(ANNA, a_mint_context())))

    with pytest.raises(asyncio.CancelledError):
        await callers[0]
    await enroller.settle()

    assert await mints(store) == 1
    assert isinstance(await enroller.mint(ANNA, a_mint_context()), Found)
    assert not [task for task in asyncio.all_tasks() if task.get_name() == "mint"]


@pytest.mark.parametrize("table", [*ROWS_OF_A_MINT, "audit_events"])
async def test_a_mint_that_fails_leaves_nothing_and_the_next_one_works(
    store: Store, enroller: Enroller, table: str
) -> None:
    async with failing_inserts_into(store, table):
        results = await asyncio.gather(
            *(enroller.mint(ANNA, a_mint_context()) for _ in range(3)), return_exceptions=True
        )
    assert [type(result) for result in results] == [StoreUnavailable] * 3
    assert await mints(store) == 0

    assert isinstance(await enroller.mint(ANNA, a_mint_context()), Minted)
    assert await mints(store) == 1


async def test_a_lost_race_gives_its_key_to_the_next_mint(
    store: Store, authority: Authority, keys: ReadyKeys
) -> None:
    enroller = an_enroller(store.database, authority, keys)
    await an_enroller(store.database, authority, keys).mint(ANNA, a_mint_context())

    await enroller.mint(ANNA, a_mint_context())
    await enroller.mint(BERT, a_mint_context())

    assert keys.taken == 2
    assert await mints(store) == 2


class DyingConnection(SqlMintStore):
    """Loses its first connection after the signature; by the next one somebody else has the address."""

    def __init__(self, database: Database) -> None:
        super().__init__(database, node="node-1")
        self._rival: Reservation | None = a_reservation(mailbox=ANNA)

    async def mint(self, work: Callable[[MintTransaction], Result]) -> Result:
        def and_die(transaction: MintTransaction) -> None:
            work(transaction)
            raise GaveUpError

        if rival := self._rival:
            self._rival = None
            with contextlib.suppress(GaveUpError):
                await super().mint(and_die)
            await super().mint(lambda transaction: transaction.reserve(rival))
        return await super().mint(work)


async def test_a_key_that_was_signed_for_is_not_used_again_though_the_race_was_lost(
    store: Store, authority: Authority, keys: ReadyKeys
) -> None:
    enroller = an_enroller(store.database, authority, keys, mint_store=DyingConnection(store.database))

    assert isinstance(await enroller.mint(ANNA, a_mint_context()), Deferred)
    as_minted(await enroller.mint(BERT, a_mint_context()))

    assert keys.taken == 2


async def test_an_issuer_that_has_ended_is_noticed_before_an_address_is_taken(
    store: Store, enroller: Enroller
) -> None:
    await enroller.mint(ANNA, a_mint_context())
    await store.sql("UPDATE issuers SET revoked_at = created_at WHERE purpose = 'issuing-ca'")

    answer = await enroller.mint(ANNA, a_mint_context())

    assert answer == Deferred(refusal=Refusal.NO_ISSUER, retry_after=timedelta(seconds=5))


async def test_a_revoked_certificate_is_not_given_to_a_loser(store: Store, enroller: Enroller) -> None:
    await enroller.mint(ANNA, a_mint_context())
    # Revoked between the loser's transaction and his look at the winner's certificate.
    await store.sql("UPDATE certificates SET revoked_at = published_at, revocation_reason = 'unspecified'")

    answer = await enroller.mint(ANNA, a_mint_context())

    assert answer == Deferred(refusal=Refusal.TOO_SLOW, retry_after=rules().retry_after)


async def test_the_package_is_made_in_the_organizations_format(store: Store, enroller: Enroller) -> None:
    context = a_mint_context()
    modern = replace(
        context, organization=replace(context.organization, package_format=KeyPackageFormat.MODERN)
    )

    await enroller.mint(ANNA, modern)

    assert await store.rows("SELECT package_format FROM deliveries") == [("modern",)]


async def test_without_an_issuing_authority_the_gateway_is_asked_to_come_back(
    store: Store, authority: Authority, keys: ReadyKeys
) -> None:
    enroller = an_enroller(store.database, authority, keys, makers=OneMaker(None))

    answer = await enroller.mint(ANNA, a_mint_context())

    assert answer == Deferred(refusal=Refusal.NO_ISSUER, retry_after=timedelta(seconds=5))
    assert keys.taken == 0


async def test_an_issuer_that_was_revoked_a_moment_ago_signs_nothing_more(
    store: Store, keys: ReadyKeys, enroller: Enroller
) -> None:
    await store.sql("UPDATE issuers SET revoked_at = created_at WHERE purpose = 'issuing-ca'")

    answer = await enroller.mint(ANNA, a_mint_context())

    assert answer == Deferred(refusal=Refusal.NO_ISSUER, retry_after=timedelta(seconds=5))
    assert await mints(store) == 0
    await store.sql("UPDATE issuers SET revoked_at = NULL")
    as_minted(await enroller.mint(ANNA, a_mint_context()))
    assert keys.taken == 1, "its key was never certified"


async def test_an_issuer_that_ends_too_soon_for_the_profile_mints_nothing(
    store: Store, linter: Linter, keys: ReadyKeys, caplog: pytest.LogCaptureFixture
) -> None:
    ending = an_authority(linter, issuing_validity=timedelta(days=30))
    enroller = an_enroller(store.database, ending, keys)

    answer = await enroller.mint(ANNA, a_mint_context())

    assert answer == Deferred(refusal=Refusal.NO_ISSUER, retry_after=timedelta(seconds=5))
    assert "would outlive the issuer" in caplog.text


async def test_a_key_that_was_certified_before_is_not_used_again_and_the_gateway_does_not_notice(
    store: Store, authority: Authority, some_keys: Sequence[PrivateKey], caplog: pytest.LogCaptureFixture
) -> None:
    first, second = some_keys[:2]
    await an_enroller(store.database, authority, ReadyKeys([first])).mint(ANNA, a_mint_context())
    caplog.clear()

    answer = await an_enroller(store.database, authority, ReadyKeys([first, second])).mint(
        BERT, a_mint_context()
    )

    certificate = x509.load_der_x509_certificate(as_minted(answer).certificate.der)
    assert certificate.public_key() == second.public_key()
    assert [record.levelname for record in caplog.records] == ["ERROR"]
    assert await mints(store) == 2


async def test_a_blocked_key_is_passed_over(
    store: Store, authority: Authority, some_keys: Sequence[PrivateKey]
) -> None:
    first, second = some_keys[:2]
    await SqlBlockedKeys(store.database, node="desk").block([key_hash(first.public_key())], NOW, an_event())

    answer = await an_enroller(store.database, authority, ReadyKeys([first, second])).mint(
        ANNA, a_mint_context()
    )

    certificate = x509.load_der_x509_certificate(as_minted(answer).certificate.der)
    assert certificate.public_key() == second.public_key()


async def test_a_generator_that_repeats_itself_makes_the_gateway_wait_and_nothing_is_signed(
    store: Store, authority: Authority, some_keys: Sequence[PrivateKey]
) -> None:
    repeated = ReadyKeys([some_keys[0]] * 10)
    enroller = an_enroller(store.database, authority, repeated)
    await enroller.mint(ANNA, a_mint_context())

    answer = await enroller.mint(BERT, a_mint_context())

    assert isinstance(answer, Deferred)
    assert answer.refusal is Refusal.NO_KEY_READY
    assert repeated.taken == 1 + 3
    assert await mints(store) == 1
