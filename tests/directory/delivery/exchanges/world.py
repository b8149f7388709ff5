"""Everything together: a name server, exchangers, a policy's host, and a sender that goes to them."""

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from ca.address import Mailbox
from directory.delivery.exchanges.exchanges import Exchanges
from directory.delivery.exchanges.fetching import HttpsPolicyFetcher
from directory.delivery.exchanges.mta_sts import MtaSts, StsPolicy
from directory.delivery.exchanges.protecting import Protections
from directory.delivery.exchanges.resolving import DnsResolver
from directory.delivery.exchanges.settings import DirectSettings, LeastProtection
from directory.delivery.exchanges.tls_reports import TlsSession
from directory.delivery.replies import Outcome, Permanent, Transient
from directory.delivery.settings import DeliverySettings, SmtpTimeouts
from directory.delivery.smtp import Envelope, tls_context
from directory.errors import StoreUnavailable
from tests.directory.clocks import StoppedClock
from tests.directory.delivery.exchanges.nameserver import FakeDns, name_server
from tests.directory.delivery.exchanges.servers import (
    PolicyHost,
    a_server,
    listening,
    policy_host,
    write_ca_file,
)
from tests.directory.delivery.sink import SmtpSink

DOMAIN = "example.org"
_BRIEF = timedelta(seconds=2)


@dataclass(slots=True)
class KeptPolicies:
    """Policies in memory."""

    policies: dict[str, StsPolicy] = field(default_factory=dict)
    is_away: bool = False

    async def find(self, domain: str) -> StsPolicy | None:
        if self.is_away:
            raise StoreUnavailable(reason="away")
        return self.policies.get(domain)

    async def keep(self, policy: StsPolicy) -> None:
        if self.is_away:
            raise StoreUnavailable(reason="away")
        self.policies[policy.domain] = policy


@dataclass(slots=True)
class Tally:
    """Counts in a list."""

    sessions: list[TlsSession] = field(default_factory=list)
    is_away: bool = False

    async def count(self, session: TlsSession, *, day: date) -> None:
        del day
        if self.is_away:
            raise StoreUnavailable(reason="away")
        self.sessions.append(session)

    @property
    def results(self) -> list[tuple[str, str]]:
        return [(each.policy.kind.value, each.fault.value if each.fault else "ok") for each in self.sessions]


@dataclass(slots=True, kw_only=True)
class World:
    """A sender and all that he meets."""

    dns: FakeDns
    exchanges: Exchanges
    kept: KeptPolicies
    tally: Tally
    clock: StoppedClock
    port: int

    async def send(self, domain: str = DOMAIN) -> Outcome:
        async with self.exchanges.session(domain) as session:
            if isinstance(session, Transient | Permanent):
                return session
            return await session.submit(an_envelope(domain))


def an_envelope(domain: str = DOMAIN) -> Envelope:
    return Envelope(
        envelope_id="mail-1",
        sender=Mailbox.parse("keys@hospital.org"),
        recipient=Mailbox.parse(f"anna@{domain}"),
        message=b"Subject: hello\r\n\r\nhello\r\n",
    )


@asynccontextmanager
async def a_world(
    folder: Path,
    *sinks: SmtpSink,
    dnssec: bool = False,
    least: LeastProtection = LeastProtection.ENCRYPTED,
    policy: PolicyHost | None = None,
    policy_certificate: str = f"mta-sts.{DOMAIN}",
    mx: Sequence[str] | None = None,
    allow_private: bool = True,
) -> AsyncIterator[World]:
    """Run exchangers mx1, mx2 and so on of example.org, preferred in this order."""
    async with AsyncExitStack() as stack:
        dns = await stack.enter_async_context(name_server(FakeDns(secure=dnssec)))
        port = await stack.enter_async_context(listening(*sinks))
        served = await stack.enter_async_context(
            policy_host(policy or PolicyHost(), a_server(policy_certificate))
        )
        for number, _ in enumerate(sinks, start=1):
            dns.add(f"mx{number}.{DOMAIN}", "A", f"127.0.0.{number}")
        numbers = range(1, len(sinks) + 1)
        dns.add(DOMAIN, "MX", *(mx if mx is not None else [f"{10 * n} mx{n}.{DOMAIN}." for n in numbers]))
        if policy is not None:
            dns.add(f"_mta-sts.{DOMAIN}", "TXT", '"v=STSv1; id=20261122;"')
            dns.add(f"mta-sts.{DOMAIN}", "A", "127.0.0.1")
        direct = DirectSettings(
            resolver=dns.name_server,
            dnssec=dnssec,
            least=least,
            allow_private=allow_private,
            smtp_port=port,
            https_port=served.port,
            dns_timeout=_BRIEF,
            policy_timeout=_BRIEF,
        )
        trust = tls_context(write_ca_file(folder))
        # TLS knows no clock but the system's; so DANE's chains must be checked at the same time.
        clock, kept, tally = StoppedClock(datetime.now(UTC)), KeptPolicies(), Tally()
        resolver = DnsResolver(direct)
        fetcher = HttpsPolicyFetcher(resolver=resolver, tls=trust, settings=direct)
        exchanges = Exchanges(
            resolver=resolver,
            mta_sts=MtaSts(resolver=resolver, fetcher=fetcher, cache=kept),
            protections=Protections(resolver=resolver, trust=trust, clock=clock, settings=direct),
            tally=tally,
            clock=clock,
            settings=DeliverySettings(timeouts=SmtpTimeouts(connect=_BRIEF, command=_BRIEF, data=_BRIEF)),
            direct=direct,
        )
        stack.push_async_callback(exchanges.close)
        yield World(dns=dns, exchanges=exchanges, kept=kept, tally=tally, clock=clock, port=port)
