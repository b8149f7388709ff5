import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

import pytest

from ca.address import Mailbox, MailDomain
from directory.callers import Anonymous, Asker, Gateway
from directory.lookup import (
    Absent,
    Answer,
    Deferred,
    Found,
    Intent,
    Lookup,
    Minted,
    Origin,
    PublishedCertificate,
    Question,
)
from directory.policy import MintContext, MintPolicy, Refusal
from tests.directory.builders import a_gateway, a_mint_context
from tests.directory.clocks import StoppedClock

ALICE = Mailbox.parse("alice@example.com")
DOMAIN = MailDomain.parse("example.com")
CLOCK = StoppedClock()


def a_certificate(mailbox: Mailbox = ALICE) -> PublishedCertificate:
    now = CLOCK.now()
    return PublishedCertificate(
        mailbox=mailbox,
        der=b"der",
        serial=7,
        not_before=now,
        not_after=now + timedelta(days=1),
        origin=Origin.MINTED,
    )


@dataclass
class Shelf:
    """What the lookup reads, in memory."""

    certificate: PublishedCertificate | None = None
    certificates: dict[str, tuple[PublishedCertificate, ...]] = field(default_factory=dict)
    context: MintContext | None = field(default_factory=a_mint_context)
    reads: list[str] = field(default_factory=list)

    async def live_certificates(
        self, address_key: str, _asker: Asker, _now: datetime
    ) -> Sequence[PublishedCertificate]:
        self.reads.append(address_key)
        return self.certificates.get(address_key, (self.certificate,) if self.certificate else ())

    async def mint_context(self, _address_key: str, _gateway: Gateway) -> MintContext | None:
        return self.context


@dataclass
class Mint:
    """Remembers what it was asked to mint."""

    answer: Answer = field(default_factory=lambda: Minted(certificate=a_certificate(), enrolment_id="e"))
    minted: list[Mailbox] = field(default_factory=list)

    async def mint(self, mailbox: Mailbox, _context: MintContext) -> Answer:
        self.minted.append(mailbox)
        return self.answer


def a_lookup(shelf: Shelf, mint: Mint) -> Lookup:
    return Lookup(reader=shelf, policy=MintPolicy(), minter=mint, clock=CLOCK)


async def test_what_the_directory_has_is_answered_and_nothing_minted() -> None:
    shelf, mint = Shelf(certificate=a_certificate()), Mint()

    answer = await a_lookup(shelf, mint).answer(Question(mailbox=ALICE, asker=a_gateway()))

    assert answer == Found(certificate=a_certificate())
    assert mint.minted == []


async def test_the_best_certificate_comes_first_and_the_further_ones_in_their_order() -> None:
    best, *further = (replace(a_certificate(), serial=number) for number in range(3))

    answer = await a_lookup(Shelf(certificates={ALICE.key: (best, *further)}), Mint()).answer(
        Question(mailbox=ALICE, asker=a_gateway())
    )

    assert answer == Found(certificate=best, further=tuple(further))


async def test_a_domain_is_answered_with_the_certificates_bound_to_it() -> None:
    shelf = Shelf(certificates={"example.com": (a_certificate(),)})

    answer = await a_lookup(shelf, Mint()).answer(Question(mailbox=DOMAIN, asker=a_gateway()))

    assert answer == Found(certificate=a_certificate())
    assert shelf.reads == ["example.com"]


async def test_a_domain_without_one_is_answered_with_that_of_its_confidentiality_authority() -> None:
    authority = "domain-confidentiality-authority@example.com"
    shelf = Shelf(certificates={authority: (a_certificate(),)})

    answer = await a_lookup(shelf, Mint()).answer(Question(mailbox=DOMAIN, asker=a_gateway()))

    assert answer == Found(certificate=a_certificate())
    assert shelf.reads == ["example.com", authority]


async def test_a_domain_is_never_minted() -> None:
    mint = Mint()

    answer = await a_lookup(Shelf(), mint).answer(Question(mailbox=DOMAIN, asker=a_gateway()))

    assert answer == Absent(refusal=Refusal.NOT_FOUND)
    assert mint.minted == []


async def test_what_nobody_has_is_minted_for_a_gateway() -> None:
    mint = Mint()

    answer = await a_lookup(Shelf(), mint).answer(Question(mailbox=ALICE, asker=a_gateway()))

    assert isinstance(answer, Minted)
    assert mint.minted == [ALICE]


@pytest.mark.parametrize(
    ("asker", "intent"),
    [
        (Anonymous(may_read=True), Intent.MINT_IF_ABSENT),
        (Anonymous(may_read=False), Intent.MINT_IF_ABSENT),
        (a_gateway(), Intent.READ_ONLY),
    ],
)
async def test_only_an_exact_question_of_a_gateway_mints(asker: Asker, intent: Intent) -> None:
    mint = Mint()

    answer = await a_lookup(Shelf(), mint).answer(Question(mailbox=ALICE, asker=asker, intent=intent))

    assert answer == Absent(refusal=Refusal.NOT_FOUND)
    assert mint.minted == []


async def test_the_right_to_mint_is_the_one_stored_now_not_the_one_at_login() -> None:
    since_restricted = a_mint_context(gateway=a_gateway(may_mint=False))
    mint = Mint()

    answer = await a_lookup(Shelf(context=since_restricted), mint).answer(
        Question(mailbox=ALICE, asker=a_gateway(may_mint=True))
    )

    assert answer == Absent(refusal=Refusal.NOT_FOUND)
    assert mint.minted == []


async def test_a_gateway_disabled_since_it_logged_in_gets_nothing() -> None:
    mint = Mint()

    answer = await a_lookup(Shelf(context=None), mint).answer(Question(mailbox=ALICE, asker=a_gateway()))

    assert answer == Absent(refusal=Refusal.NOT_FOUND)
    assert mint.minted == []


async def test_an_anonymous_caller_who_may_not_read_does_not_even_reach_the_store() -> None:
    shelf = Shelf(certificate=a_certificate())

    answer = await a_lookup(shelf, Mint()).answer(Question(mailbox=ALICE, asker=Anonymous(may_read=False)))

    assert answer == Absent(refusal=Refusal.NOT_FOUND)
    assert shelf.reads == []


async def test_what_policy_refuses_is_not_minted_and_a_minting_gateway_is_told_why() -> None:
    mint = Mint()
    nurse = Mailbox.parse("nurse@hospital.org")

    answer = await a_lookup(Shelf(), mint).answer(Question(mailbox=nurse, asker=a_gateway()))

    assert answer == Absent(refusal=Refusal.OWN_DOMAIN)
    assert mint.minted == []


@pytest.mark.parametrize(("ends_in", "minted"), [(timedelta(seconds=1), []), (timedelta(0), [ALICE])])
async def test_nothing_is_minted_for_a_domain_while_it_is_paused(
    ends_in: timedelta, minted: list[Mailbox]
) -> None:
    mint = Mint()
    until = CLOCK.now() + ends_in
    shelf = Shelf(context=replace(a_mint_context(), domain_paused_until=until))

    answer = await a_lookup(shelf, mint).answer(Question(mailbox=ALICE, asker=a_gateway()))

    assert mint.minted == minted
    assert minted or answer == Absent(refusal=Refusal.DOMAIN_PAUSED)


async def test_what_the_mint_defers_is_deferred() -> None:
    busy = Deferred(refusal=Refusal.LIMIT_REACHED, retry_after=timedelta(seconds=9))

    answer = await a_lookup(Shelf(), Mint(answer=busy)).answer(Question(mailbox=ALICE, asker=a_gateway()))

    assert answer == busy


async def test_the_directory_is_asked_by_identity_key() -> None:
    shelf = Shelf()

    await a_lookup(shelf, Mint()).answer(
        Question(mailbox=Mailbox.parse("Alice@EXAMPLE.com"), asker=a_gateway())
    )

    assert shelf.reads == ["alice@example.com"]


async def test_an_answer_comes_within_the_patience_whatever_is_slow() -> None:
    class Silent(Shelf):
        async def live_certificates(
            self, address_key: str, _asker: Asker, _now: datetime
        ) -> Sequence[PublishedCertificate]:
            self.reads.append(address_key)
            await asyncio.Event().wait()
            return ()

    lookup = Lookup(
        reader=Silent(),
        policy=MintPolicy(),
        minter=Mint(),
        clock=CLOCK,
        patience=timedelta(milliseconds=1),
    )

    answer = await lookup.answer(Question(mailbox=ALICE, asker=a_gateway()))

    assert answer == Deferred(refusal=Refusal.TOO_SLOW, retry_after=timedelta(milliseconds=1))
