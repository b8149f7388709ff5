"""Which certificates are renewed before they end, and how? A mint like any other, behind the one that leads.

A recipient who reads encrypted mail should not have to notice that certificates end. Some weeks before, the
service makes him the next one: fresh key, certificate, password, key mail, relay, in one transaction. The old
certificate stays the first that is served until the new one takes its place (`overtaking`).

Nobody asked for this mail, so it goes only to people who are known to use what they got, unless their
organization wants otherwise; never to one who wants no mail, and not beyond his budget.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final, Protocol, TypeAlias

from ca.address import Mailbox
from ca.keypackage import KeyPackageFormat
from directory.callers import Gateway
from directory.clock import Clock
from directory.delivery.outbox import DeliveryState
from directory.errors import RenewalRefused, Unknown
from directory.limits import Limit, Rate
from directory.lookup import Absent, Answer, Deferred, Found, Minted
from directory.mint_ports import Renewed
from directory.organization import Renewal
from directory.policy import MintContext, MintPolicy, Refusal
from directory.status import Place

_BATCH: Final = 100
"""How many are looked at together."""
_MINUTES_PER_HOUR: Final = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class RenewalRules:
    """When certificates are renewed, and how many at a time."""

    before: timedelta
    """So long before a certificate ends it is renewed."""
    lead_before: timedelta
    """So long before it ends the new one is served first, proven or not."""
    rate: Rate
    """Of the whole service."""

    @classmethod
    def of(
        cls, *, before: timedelta, lead_before: timedelta, validity: timedelta, per_hour: int
    ) -> "RenewalRules":
        """Return the rules: none is renewed in the first half of its life, nor overtaken as soon as renewed.

        What may be renewed in an hour is spread over it, so that certificates that were minted on one day
        flood neither smart hosts nor the people who pass passwords on, nor take the keys from lookups.
        """
        before = min(before, validity / 2)
        rate = Rate(burst=-(-per_hour // _MINUTES_PER_HOUR), period=timedelta(minutes=1))
        return cls(before=before, lead_before=min(lead_before, before / 2), rate=rate)

    @property
    def limits(self) -> tuple[Limit, ...]:
        """What a renewal is charged to that nobody ordered."""
        return (Limit(name="renewal_minute", bucket="renewal_minute", rate=self.rate),)


class Obstacle(StrEnum):
    """Why a certificate is not renewed; the codes are stable. What the mint policy says comes besides."""

    NOT_LIVE = "renewal.not_live"
    NOT_LEADING = "renewal.not_leading"
    RENEWED_ALREADY = "renewal.renewed_already"
    UNDELIVERED = "renewal.undelivered"
    DISABLED = "renewal.disabled"
    SCOPE_CHANGED = "renewal.scope_changed"
    BUDGET_SPENT = "renewal.budget_spent"
    NOT_WANTED = "renewal.not_wanted"
    UNPROVEN = "renewal.unproven"
    OWN_CERTIFICATE = "renewal.own_certificate"
    NOT_DUE = "renewal.not_due"


REASONS: Final = {
    Obstacle.NOT_LIVE: "its certificate has expired, or was revoked or withdrawn",
    Obstacle.NOT_LEADING: "another certificate of the address goes before it, or will soon",
    Obstacle.RENEWED_ALREADY: "the next certificate is made, and waits until it is proven",
    Obstacle.UNDELIVERED: "its own key mail was not accepted yet",
    Obstacle.DISABLED: "its gateway or organization is disabled, or may not mint",
    Obstacle.SCOPE_CHANGED: "its organization began, or ceased, to share certificates since",
    Obstacle.BUDGET_SPENT: "the recipient was sent too many mails just now",
    Obstacle.NOT_WANTED: "its organization wants none renewed",
    Obstacle.UNPROVEN: "nobody has shown that he can decrypt with its key",
    Obstacle.OWN_CERTIFICATE: "the recipient has a certificate of his own",
    Obstacle.NOT_DUE: "it does not end soon",
}
MATTERS_OF_POLICY: Final = frozenset(
    {Obstacle.NOT_WANTED, Obstacle.UNPROVEN, Obstacle.OWN_CERTIFICATE, Obstacle.NOT_DUE}
)
"""What an operator may decide otherwise, for one certificate."""
_FOR_EVERYBODY = frozenset(
    {Refusal.LIMIT_REACHED, Refusal.NO_KEY_READY, Refusal.CLOCK_DOUBTED, Refusal.SIGNER_UNAVAILABLE}
)
"""What keeps any other certificate from being renewed just now as well."""
_DELIVERED = frozenset({DeliveryState.ACCEPTED, DeliveryState.PROVEN, DeliveryState.UNPROVEN})


@dataclass(frozen=True, slots=True, kw_only=True)
class Renewable:
    """An enrolment, and what decides whether its certificate is renewed."""

    enrolment_id: str
    mailbox: Mailbox
    gateway: Gateway
    """That asked for it."""
    not_after: datetime
    live: bool
    """Neither revoked nor withdrawn; it may have expired."""
    place: Place
    delivery: DeliveryState
    is_proven: bool
    language: str
    package_format: KeyPackageFormat
    is_renewed: bool
    """Whether another waits to take its place."""
    has_own_certificate: bool
    """Whether the recipient has a certificate from elsewhere that is served."""
    has_room: bool
    """Whether the recipient's budget (`mailbudget`) has room for one more mail."""


class RenewalStore(Protocol):
    """Finds what may be renewed."""

    async def ending(
        self, *, now: datetime, until: datetime, after: Renewable | None, most: int
    ) -> Sequence[Renewable]:
        """Return what ends after now and not after a moment, the soonest first, from behind one on.

        Only what could be renewed: it leads, is not renewed, is wanted by its organization, and its recipient
        may be written to.
        """
        ...

    async def of_enrolment(self, enrolment_id: str, now: datetime) -> Renewable:
        """Return an enrolment, whatever its state.

        Raises:
            Unknown: there is none.
        """
        ...

    async def of_address(self, mailbox: Mailbox, now: datetime) -> Sequence[Renewable]:
        """Return the enrolments that lead an address, one for each scope."""
        ...


class Contexts(Protocol):
    """Knows what the mint policy must know."""

    async def mint_context(self, address_key: str, gateway: Gateway) -> MintContext | None:
        """Return it, as stored now; None if the gateway or its organization is disabled."""
        ...


class Successors(Protocol):
    """Mints them."""

    async def renew(
        self, mailbox: Mailbox, context: MintContext, renewed: Renewed, limits: tuple[Limit, ...] = ()
    ) -> Answer:
        """Mint the certificate that is to succeed another of the address, once, whatever races."""
        ...


Judgement: TypeAlias = MintContext | Obstacle | Refusal


class Renewer:
    """Judges what may be renewed, and has it renewed."""

    def __init__(
        self, *, contexts: Contexts, policy: MintPolicy, minter: Successors, rules: RenewalRules, clock: Clock
    ) -> None:
        self._contexts = contexts
        self._policy = policy
        self._minter = minter
        self._rules = rules
        self._clock = clock

    async def judge(self, renewable: Renewable, *, overruled: frozenset[Obstacle] = frozenset()) -> Judgement:
        """Return what its renewal is minted with, or why it must not be."""
        now = self._clock.now()
        context = await self._contexts.mint_context(renewable.mailbox.key, renewable.gateway)
        obstacles = _obstacles(renewable, context, now, due_from=renewable.not_after - self._rules.before)
        for obstacle in obstacles:
            if obstacle not in overruled:
                return obstacle
        if context is None:
            return Obstacle.DISABLED
        refusal = self._policy.refusal(renewable.mailbox, context)
        if refusal is None and context.is_paused(now):
            refusal = Refusal.DOMAIN_PAUSED
        return refusal or context

    async def renew(
        self, renewable: Renewable, context: MintContext, limits: tuple[Limit, ...] = ()
    ) -> Answer:
        """Mint its successor, in the language and the format that its recipient knows."""
        renewed = Renewed(
            enrolment_id=renewable.enrolment_id,
            ends_at=renewable.not_after,
            leads_until=renewable.not_after - self._rules.lead_before,
            package_format=renewable.package_format,
        )
        context = replace(context, language=renewable.language)
        return await self._minter.renew(renewable.mailbox, context, renewed, limits)


class Renewals:
    """The chore that renews what ends soon, a few at a time."""

    def __init__(
        self, *, store: RenewalStore, renewer: Renewer, rules: RenewalRules, most: int = _BATCH
    ) -> None:
        self._store = store
        self._renewer = renewer
        self._rules = rules
        self._most = most
        self._seen: Renewable | None = None

    async def perform(self, now: datetime) -> int:
        """Look at a batch and renew what may be; 0 when all was looked at, or enough was done for now."""
        batch = await self._store.ending(
            now=now, until=now + self._rules.before, after=self._seen, most=self._most
        )
        # What stands in the way of one must not keep others from it: each is looked at once in a round.
        self._seen = batch[-1] if len(batch) == self._most else None
        for renewable in batch:
            context = await self._renewer.judge(renewable)
            if not isinstance(context, MintContext):
                continue
            answer = await self._renewer.renew(renewable, context, self._rules.limits)
            if isinstance(answer, Deferred) and answer.refusal in _FOR_EVERYBODY:
                self._seen = None
                return 0
        return len(batch) if self._seen else 0


class RenewalDesk:
    """What an operator can do: have a certificate renewed now."""

    def __init__(self, *, store: RenewalStore, renewer: Renewer, clock: Clock) -> None:
        self._store = store
        self._renewer = renewer
        self._clock = clock

    async def renew_enrolment(self, enrolment_id: str, *, anyway: bool) -> Minted:
        """Renew the certificate of an enrolment; `anyway` overrules what is only policy.

        Raises:
            Unknown: there is no such enrolment.
            RenewalRefused: it must not be renewed.
        """
        return await self._renew(
            await self._store.of_enrolment(enrolment_id, self._clock.now()), anyway=anyway
        )

    async def renew_address(self, mailbox: Mailbox, *, anyway: bool) -> Minted:
        """Renew the certificate that leads an address.

        Raises:
            Unknown: none was minted for it.
            RenewalRefused: it must not be renewed, or organizations that share nothing have one each.
        """
        leading = await self._store.of_address(mailbox, self._clock.now())
        if not leading:
            raise Unknown(kind="minted certificate of", name=str(mailbox))
        if len(leading) > 1:
            raise RenewalRefused(
                code="renewal.several",
                reason=f"it has several: name one with --enrolment: {_names(leading)}",
                is_policy=False,
            )
        return await self._renew(leading[0], anyway=anyway)

    async def _renew(self, renewable: Renewable, *, anyway: bool) -> Minted:
        judgement = await self._renewer.judge(
            renewable, overruled=MATTERS_OF_POLICY if anyway else frozenset()
        )
        if not isinstance(judgement, MintContext):
            raise _refused(judgement)
        match await self._renewer.renew(renewable, judgement):
            case Minted() as minted:
                return minted
            case Found():
                raise _refused(Obstacle.RENEWED_ALREADY)
            case Absent(refusal=refusal) | Deferred(refusal=refusal):
                raise _refused(refusal)


def _refused(why: Obstacle | Refusal) -> RenewalRefused:
    reason = REASONS[why] if isinstance(why, Obstacle) else "nothing is minted for the address just now"
    return RenewalRefused(code=why.value, reason=reason, is_policy=why in MATTERS_OF_POLICY)


def _names(several: Iterable[Renewable]) -> str:
    return ", ".join(one.enrolment_id for one in several)


def _obstacles(
    renewable: Renewable, context: MintContext | None, now: datetime, *, due_from: datetime
) -> Iterable[Obstacle]:
    """Yield what stands in the way, what nobody can overrule first."""
    wanted = context.organization.renewal if context else Renewal.NONE
    reasons = (
        (Obstacle.NOT_LIVE, not renewable.live or renewable.not_after <= now),
        (Obstacle.RENEWED_ALREADY, renewable.is_renewed),
        (Obstacle.NOT_LEADING, renewable.place is not Place.LEADING),
        (Obstacle.UNDELIVERED, renewable.delivery not in _DELIVERED),
        (Obstacle.DISABLED, context is None or not context.gateway.may_mint),
        (Obstacle.SCOPE_CHANGED, context and context.organization.scope != renewable.gateway.scope),
        (Obstacle.BUDGET_SPENT, not renewable.has_room),
        (Obstacle.NOT_WANTED, wanted is Renewal.NONE),
        (Obstacle.UNPROVEN, wanted is Renewal.PROVEN and not renewable.is_proven),
        (Obstacle.OWN_CERTIFICATE, renewable.has_own_certificate),
        (Obstacle.NOT_DUE, now < due_from),
    )
    return (obstacle for obstacle, holds in reasons if holds)
