"""How must the connection to an exchanger be protected? As DANE says, else MTA-STS, else the operator.

A usable TLSA record wins over an MTA-STS policy (RFC 8461 section 2). Nothing goes out in clear, whatever
the domain published: what we carry is somebody's private key.
"""

import ssl
from collections.abc import Callable
from dataclasses import dataclass, field

from directory.clock import Clock
from directory.delivery.exchanges.dane import authenticates, presented_chain, usable
from directory.delivery.exchanges.mta_sts import Discovery, StsMode, StsPolicy
from directory.delivery.exchanges.resolving import Resolver, ResolvingFailed, TlsaRecord
from directory.delivery.exchanges.settings import DirectSettings, LeastProtection
from directory.delivery.exchanges.tls_reports import Policy, PolicyKind
from directory.delivery.replies import Failure, Phase, Transient
from directory.delivery.tls_faults import TlsFault

Check = Callable[[ssl.SSLObject], TlsFault | None]
"""Looks at what the server showed; says what is wrong with it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Protection:
    """What a connection must prove before mail goes over it."""

    policy: Policy
    context: ssl.SSLContext = field(repr=False)
    check: Check = field(repr=False)
    fault: TlsFault | None = None
    """What the domain should hear of although mail goes on: its policy is in the testing mode."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchanger:
    """A mail exchanger that mail for a domain may go to."""

    host: str
    domain: str
    canonical_name: str
    secure: bool
    """Whether DNSSEC vouches for its name and its addresses."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """The exchanger may not be used: why, and under whose policy."""

    policy: Policy
    verdict: Transient


class Protections:
    """Decides what a connection to an exchanger must prove."""

    def __init__(
        self, *, resolver: Resolver, trust: ssl.SSLContext, clock: Clock, settings: DirectSettings
    ) -> None:
        self._resolver = resolver
        self._clock = clock
        self._settings = settings
        self._verifying = trust
        self._encrypting = encrypting_context()

    async def of(self, exchanger: Exchanger, sts: Discovery) -> tuple[Protection, ...] | Refused:
        """Return what to demand; where there are several, the first that works, for a policy under test."""
        if self._settings.dnssec and exchanger.secure:
            try:
                records = await self._tlsa(exchanger)
            except ResolvingFailed as error:
                # Somebody may be holding the records back: leave it alone (RFC 7672 section 2.1.2).
                policy = Policy(kind=PolicyKind.TLSA)
                return _refused(policy, TlsFault.DNSSEC_INVALID, str(error))
            if records:
                return self._by_dane(exchanger, records)
        if sts.policy is not None and sts.policy.mode is not StsMode.NONE:
            return self._by_sts(exchanger, sts.policy)
        return (self._least(Policy(kind=PolicyKind.NONE), fault=sts.fault),)

    async def _tlsa(self, exchanger: Exchanger) -> tuple[TlsaRecord, ...]:
        """Return the usable records, of the name behind an alias first (RFC 7672 section 2.2.2)."""
        for name in dict.fromkeys((exchanger.canonical_name, exchanger.host)):
            answer = await self._resolver.tlsa(name, self._settings.smtp_port)
            if answer.secure and answer.records:
                return usable(answer.records)
        return ()

    def _by_dane(self, exchanger: Exchanger, records: tuple[TlsaRecord, ...]) -> tuple[Protection, ...]:
        names = tuple(dict.fromkeys((exchanger.host, exchanger.canonical_name, exchanger.domain)))

        def check(connection: ssl.SSLObject) -> TlsFault | None:
            chain = presented_chain(connection)
            good = authenticates(records, chain, names=names, now=self._clock.now())
            return None if good else TlsFault.INVALID

        policy = Policy(kind=PolicyKind.TLSA, lines=tuple(str(record) for record in records))
        return (Protection(policy=policy, context=self._encrypting, check=check),)

    def _by_sts(self, exchanger: Exchanger, sts: StsPolicy) -> tuple[Protection, ...] | Refused:
        policy = Policy(kind=PolicyKind.STS, lines=sts.lines)
        verified = Protection(policy=policy, context=self._verifying, check=_nothing_more)
        if sts.mode is StsMode.TESTING:
            if not sts.covers(exchanger.host):
                return (self._least(policy, fault=TlsFault.INVALID),)
            return (verified, self._least(policy))
        if not sts.covers(exchanger.host):
            return _refused(policy, TlsFault.INVALID, f"the domain's policy does not name {exchanger.host}")
        return (verified,)

    def _least(self, policy: Policy, *, fault: TlsFault | None = None) -> Protection:
        authenticated = self._settings.least is LeastProtection.AUTHENTICATED
        context = self._verifying if authenticated else self._encrypting
        return Protection(policy=policy, context=context, check=_nothing_more, fault=fault)


def encrypting_context() -> ssl.SSLContext:
    """Return TLS that takes any certificate; whoever wants more looks at what was shown."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def _nothing_more(connection: ssl.SSLObject) -> TlsFault | None:
    del connection
    return None


def _refused(policy: Policy, fault: TlsFault, reason: str) -> Refused:
    return Refused(
        policy=policy, verdict=Transient(failure=Failure(phase=Phase.TLS, reason=reason, tls=fault))
    )
