"""What is renewed, what stands in the way, and how many at a time."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta

import pytest

from ca.address import Mailbox
from ca.keypackage import KeyPackageFormat
from directory.callers import Gateway
from directory.delivery.outbox import DeliveryState
from directory.errors import RenewalRefused, Unknown
from directory.limits import Limit
from directory.lookup import Absent, Answer, Deferred, Found, Minted, Origin, PublishedCertificate
from directory.mint_ports import Renewed
from directory.organization import SHARED_SCOPE, Organization, Renewal
from directory.policy import MintContext, MintPolicy, Refusal
from directory.renewal import (
    MATTERS_OF_POLICY,
    REASONS,
    Obstacle,
    Renewable,
    RenewalDesk,
    RenewalRules,
    Renewals,
    Renewer,
)
from directory.status import Place
from tests.directory.builders import a_gateway, a_mint_context, an_organization
from tests.directory.clocks import StoppedClock

DAY = timedelta(days=1)
ANNA = Mailbox.parse("anna@example.org")
CLOCK = StoppedClock()
NOW = CLOCK.now()
RULES = RenewalRules.of(before=30 * DAY, lead_before=3 * DAY, validity=730 * DAY, per_hour=600)
CERTIFICATE = PublishedCertificate(
    mailbox=ANNA,
    der=b"next",
    serial=2,
    not_before=NOW,
    not_after=NOW + 730 * DAY,
    origin=Origin.MINTED,
)
MINTED = Minted(certificate=CERTIFICATE, enrolment_id="next")
LATER = timedelta(seconds=6)


def a_renewable(enrolment_id: str = "old", **deviations: object) -> Renewable:
    usual = Renewable(
        enrolment_id=enrolment_id,
        mailbox=ANNA,
        gateway=a_gateway(),
        not_after=NOW + 30 * DAY,
        live=True,
        place=Place.LEADING,
        delivery=DeliveryState.PROVEN,
        is_proven=True,
        language="fr",
        package_format=KeyPackageFormat.MODERN,
        is_renewed=False,
        has_own_certificate=False,
        has_room=True,
    )
    return replace(usual, **deviations)  # type: ignore[arg-type]


def that_wants(renewal: Renewal, *, isolated: bool = False) -> Organization:
    return replace(an_organization(isolated=isolated), renewal=renewal)


@dataclass
class World:
    """The ports of the use case: who ends, what is known, and what a mint answers."""

    ending_soon: Sequence[Renewable] = ()
    context: MintContext | None = field(default_factory=a_mint_context)
    answers: list[Answer] = field(default_factory=list)
    minted: list[tuple[MintContext, Renewed, tuple[Limit, ...]]] = field(default_factory=list)

    async def ending(
        self, *, now: object, until: object, after: Renewable | None, most: int
    ) -> Sequence[Renewable]:
        assert (now, until) == (NOW, NOW + 30 * DAY)
        start = 0 if after is None else self.ending_soon.index(after) + 1
        return self.ending_soon[start : start + most]

    async def of_enrolment(self, enrolment_id: str, _now: object) -> Renewable:
        for one in self.ending_soon:
            if one.enrolment_id == enrolment_id:
                return one
        raise Unknown(kind="enrolment", name=enrolment_id)

    async def of_address(self, _mailbox: Mailbox, _now: object) -> Sequence[Renewable]:
        return self.ending_soon

    async def mint_context(self, _address_key: str, _gateway: Gateway) -> MintContext | None:
        return self.context

    async def renew(
        self, _mailbox: Mailbox, context: MintContext, renewed: Renewed, limits: tuple[Limit, ...] = ()
    ) -> Answer:
        self.minted.append((context, renewed, limits))
        return self.answers.pop(0) if self.answers else MINTED

    @property
    def renewer(self) -> Renewer:
        return Renewer(contexts=self, policy=MintPolicy(), minter=self, rules=RULES, clock=CLOCK)

    def chore(self, *, most: int = 100) -> Renewals:
        return Renewals(store=self, renewer=self.renewer, rules=RULES, most=most)

    @property
    def desk(self) -> RenewalDesk:
        return RenewalDesk(store=self, renewer=self.renewer, clock=CLOCK)

    @property
    def names(self) -> list[str]:
        return [renewed.enrolment_id for _, renewed, _ in self.minted]


OBSTACLES = {
    Obstacle.NOT_LIVE: a_renewable(live=False),
    Obstacle.NOT_LEADING: a_renewable(place=Place.OVERTAKEN),
    Obstacle.RENEWED_ALREADY: a_renewable(is_renewed=True),
    Obstacle.UNDELIVERED: a_renewable(delivery=DeliveryState.QUEUED),
    Obstacle.SCOPE_CHANGED: a_renewable(gateway=a_gateway(scope="org-1")),
    Obstacle.BUDGET_SPENT: a_renewable(has_room=False),
    Obstacle.UNPROVEN: a_renewable(is_proven=False, delivery=DeliveryState.UNPROVEN),
    Obstacle.OWN_CERTIFICATE: a_renewable(has_own_certificate=True),
    Obstacle.NOT_DUE: a_renewable(not_after=NOW + 31 * DAY),
}


async def test_what_is_proven_and_ends_soon_is_renewed() -> None:
    world = World(ending_soon=[a_renewable()])

    assert await world.chore().perform(NOW) == 0

    ((context, renewed, limits),) = world.minted
    assert context.language == "fr"
    assert renewed == Renewed(
        enrolment_id="old",
        ends_at=NOW + 30 * DAY,
        leads_until=NOW + 27 * DAY,
        package_format=KeyPackageFormat.MODERN,
    )
    assert limits == RULES.limits


@pytest.mark.parametrize("obstacle", OBSTACLES)
async def test_what_stands_in_the_way_is_named(obstacle: Obstacle) -> None:
    world = World()

    assert await world.renewer.judge(OBSTACLES[obstacle]) is obstacle


async def test_an_expired_certificate_is_not_live() -> None:
    assert await World().renewer.judge(a_renewable(not_after=NOW)) is Obstacle.NOT_LIVE


async def test_one_that_waits_does_not_lead() -> None:
    assert await World().renewer.judge(a_renewable(place=Place.WAITING)) is Obstacle.NOT_LEADING


@pytest.mark.parametrize("context", [None, a_mint_context(gateway=a_gateway(may_mint=False))])
async def test_nothing_is_renewed_for_whoever_may_not_mint(context: MintContext | None) -> None:
    assert await World(context=context).renewer.judge(a_renewable()) is Obstacle.DISABLED


@pytest.mark.parametrize(
    ("wanted", "is_proven", "obstacle"),
    [
        (Renewal.PROVEN, True, None),
        (Renewal.PROVEN, False, Obstacle.UNPROVEN),
        (Renewal.ALL, True, None),
        (Renewal.ALL, False, None),
        (Renewal.NONE, True, Obstacle.NOT_WANTED),
        (Renewal.NONE, False, Obstacle.NOT_WANTED),
    ],
)
async def test_the_organization_chooses(
    *, wanted: Renewal, is_proven: bool, obstacle: Obstacle | None
) -> None:
    context = a_mint_context(organization=that_wants(wanted))
    renewable = a_renewable(is_proven=is_proven, delivery=DeliveryState.ACCEPTED)

    judgement = await World(context=context).renewer.judge(renewable)

    assert judgement == (obstacle or context)


@pytest.mark.parametrize(
    ("context", "refusal"),
    [
        (a_mint_context(suppressed=True), Refusal.SUPPRESSED),
        (a_mint_context(bounced=True), Refusal.BOUNCED),
        (a_mint_context(revoked=True), Refusal.REVOKED),
        (a_mint_context(domains=frozenset({"example.org"})), Refusal.OWN_DOMAIN),
        (replace(a_mint_context(), domain_paused_until=NOW + DAY), Refusal.DOMAIN_PAUSED),
    ],
)
async def test_the_mint_policy_has_the_last_word(context: MintContext, refusal: Refusal) -> None:
    judgement = await World(context=context).renewer.judge(a_renewable(), overruled=MATTERS_OF_POLICY)

    assert judgement is refusal


async def test_nothing_is_renewed_for_a_local_part_beyond_ascii_unless_it_may_be_certified() -> None:
    mailbox = Mailbox.parse_international("jörg@example.org")

    judgement = await World().renewer.judge(a_renewable(mailbox=mailbox))

    assert judgement is Refusal.INTERNATIONAL_LOCAL_PART


def test_every_obstacle_has_a_reason_and_a_test() -> None:
    assert set(Obstacle) == set(REASONS) == {*OBSTACLES, Obstacle.DISABLED, Obstacle.NOT_WANTED}


async def test_what_stands_in_the_way_of_one_keeps_no_other_from_it() -> None:
    several = [a_renewable(str(number), has_own_certificate=number % 2 == 0) for number in range(5)]
    world = World(ending_soon=several)
    chore = world.chore(most=2)

    assert [await chore.perform(NOW) for _ in range(4)] == [2, 2, 0, 2]

    assert world.names == ["1", "3", "1"], "the fourth call begins anew"


@pytest.mark.parametrize(
    "answer",
    [
        Absent(refusal=Refusal.NOT_CERTIFIABLE),
        Found(certificate=CERTIFICATE),
        Deferred(refusal=Refusal.NO_ISSUER, retry_after=LATER),
        Deferred(refusal=Refusal.TOO_SLOW, retry_after=LATER),
    ],
)
async def test_what_is_not_minted_for_one_keeps_no_other_from_it(answer: Answer) -> None:
    world = World(ending_soon=[a_renewable("one"), a_renewable("two")], answers=[answer, MINTED])

    assert await world.chore().perform(NOW) == 0
    assert world.names == ["one", "two"]


@pytest.mark.parametrize(
    "refusal",
    [Refusal.LIMIT_REACHED, Refusal.NO_KEY_READY, Refusal.CLOCK_DOUBTED, Refusal.SIGNER_UNAVAILABLE],
)
async def test_enough_is_enough_until_the_next_time(refusal: Refusal) -> None:
    world = World(
        ending_soon=[a_renewable("one"), a_renewable("two"), a_renewable("three")],
        answers=[MINTED, Deferred(refusal=refusal, retry_after=LATER)],
    )
    chore = world.chore(most=2)

    assert await chore.perform(NOW) == 0
    assert world.names == ["one", "two"]
    await chore.perform(NOW)
    assert world.names == ["one", "two", "one", "two"], "what was deferred is not left out"


async def test_an_operator_renews_what_is_due_without_the_limit() -> None:
    world = World(ending_soon=[a_renewable()])

    assert await world.desk.renew_address(ANNA, anyway=False) == MINTED
    assert await world.desk.renew_enrolment("old", anyway=False) == MINTED

    assert [limits for _, _, limits in world.minted] == [(), ()]


@pytest.mark.parametrize("obstacle", OBSTACLES)
async def test_an_operator_overrules_nothing_but_policy(obstacle: Obstacle) -> None:
    world = World(ending_soon=[OBSTACLES[obstacle]])

    with pytest.raises(RenewalRefused) as refused:
        await world.desk.renew_enrolment("old", anyway=False)
    assert refused.value.code == obstacle.value
    assert ("--anyway" in str(refused.value)) == (obstacle in MATTERS_OF_POLICY)

    if obstacle in MATTERS_OF_POLICY:
        assert await world.desk.renew_enrolment("old", anyway=True) == MINTED
    else:
        with pytest.raises(RenewalRefused):
            await world.desk.renew_enrolment("old", anyway=True)


async def test_an_operator_overrules_an_organization_that_wants_none() -> None:
    context = a_mint_context(organization=that_wants(Renewal.NONE))
    world = World(ending_soon=[a_renewable()], context=context)

    assert await world.desk.renew_address(ANNA, anyway=True) == MINTED


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (Found(certificate=CERTIFICATE), "renewal.renewed_already"),
        (Absent(refusal=Refusal.NOT_CERTIFIABLE), "mint.not_certifiable"),
        (Deferred(refusal=Refusal.NO_KEY_READY, retry_after=LATER), "mint.no_key_ready"),
    ],
)
async def test_an_operator_is_told_what_came_instead(answer: Answer, code: str) -> None:
    world = World(ending_soon=[a_renewable()], answers=[answer])

    with pytest.raises(RenewalRefused) as refused:
        await world.desk.renew_address(ANNA, anyway=False)

    assert (refused.value.code, refused.value.is_policy) == (code, False)


async def test_an_operator_names_the_enrolment_where_the_address_has_several() -> None:
    world = World(ending_soon=[a_renewable("one"), a_renewable("two")])

    with pytest.raises(RenewalRefused, match="--enrolment: one, two"):
        await world.desk.renew_address(ANNA, anyway=True)


async def test_an_operator_is_told_that_there_is_none() -> None:
    with pytest.raises(Unknown):
        await World().desk.renew_address(ANNA, anyway=False)


def test_nothing_is_renewed_in_the_first_half_of_its_life_nor_overtaken_at_once() -> None:
    rules = RenewalRules.of(before=30 * DAY, lead_before=3 * DAY, validity=4 * DAY, per_hour=1)

    assert (rules.before, rules.lead_before) == (2 * DAY, DAY)


@pytest.mark.parametrize(("per_hour", "burst"), [(1, 1), (60, 1), (61, 2), (600, 10)])
def test_what_may_be_renewed_in_an_hour_is_spread_over_its_minutes(per_hour: int, burst: int) -> None:
    rules = RenewalRules.of(before=30 * DAY, lead_before=3 * DAY, validity=730 * DAY, per_hour=per_hour)

    ((limit),) = rules.limits
    assert (limit.rate.burst, limit.rate.period) == (burst, timedelta(minutes=1))


def test_a_shared_certificate_is_shared() -> None:
    assert a_renewable().gateway.scope == SHARED_SCOPE
