from dataclasses import dataclass, field, replace
from datetime import timedelta

import pytest

from directory.delivery.exchanges.mta_sts import (
    MtaSts,
    StsFailed,
    StsMode,
    StsPolicy,
    read_policy,
)
from directory.delivery.exchanges.resolving import DnsResolver
from directory.delivery.exchanges.settings import DirectSettings
from directory.delivery.tls_faults import TlsFault
from tests.directory.delivery.builders import NOW
from tests.directory.delivery.exchanges.nameserver import FakeDns, name_server
from tests.directory.delivery.exchanges.world import DOMAIN, KeptPolicies

TEXT = "version: STSv1\nmode: enforce\nmx: mx1.example.org\nmx: *.mail.example.org\nmax_age: 86400\n"
POLICY = read_policy(TEXT, DOMAIN, "1", NOW)
NAME = f"_mta-sts.{DOMAIN}"


@dataclass(slots=True)
class Fetcher:
    texts: list[str | StsFailed] = field(default_factory=lambda: [TEXT])
    fetched: int = 0

    async def fetch(self, domain: str) -> str:
        del domain
        self.fetched += 1
        text = self.texts[min(self.fetched, len(self.texts)) - 1]
        if isinstance(text, StsFailed):
            raise text
        return text

    async def close(self) -> None:
        return


def asking(dns: FakeDns, fetcher: Fetcher, kept: StsPolicy | None = None) -> MtaSts:
    cache = KeptPolicies({} if kept is None else {kept.domain: kept})
    resolver = DnsResolver(DirectSettings(resolver=dns.name_server))
    return MtaSts(resolver=resolver, fetcher=fetcher, cache=cache)


def announcing(policy_id: str = "1") -> FakeDns:
    dns = FakeDns()
    dns.add(NAME, "TXT", f'"v=STSv1; id={policy_id};"')
    return dns


async def test_fetches_a_policy_once_and_keeps_it() -> None:
    fetcher = Fetcher()
    async with name_server(announcing()) as dns:
        sts = asking(dns, fetcher)
        first = await sts.discover(DOMAIN, NOW)
        second = await sts.discover(DOMAIN, NOW + timedelta(hours=11))
    assert first.policy == second.policy == POLICY
    assert fetcher.fetched == 1


@pytest.mark.parametrize("after", [timedelta(hours=13), timedelta(hours=25)])
async def test_fetches_again_when_its_time_is_half_over(after: timedelta) -> None:
    fetcher = Fetcher()
    async with name_server(announcing()) as dns:
        found = await asking(dns, fetcher, POLICY).discover(DOMAIN, NOW + after)
    assert fetcher.fetched == 1
    assert found.policy is not None
    assert found.policy.fetched_at == NOW + after


async def test_fetches_again_when_another_policy_is_announced() -> None:
    fetcher = Fetcher(["version: STSv1\nmode: none\nmax_age: 60\n"])
    async with name_server(announcing("2")) as dns:
        found = await asking(dns, fetcher, POLICY).discover(DOMAIN, NOW)
    assert found.policy is not None
    assert (found.policy.policy_id, found.policy.mode) == ("2", StsMode.NONE)


async def test_a_kept_policy_holds_while_nothing_can_be_fetched() -> None:
    fetcher = Fetcher([StsFailed(TlsFault.STS_FETCH, "gone")])
    async with name_server(announcing("2")) as dns:
        sts = asking(dns, fetcher, POLICY)
        for minutes in (0, 1, 4):
            found = await sts.discover(DOMAIN, NOW + timedelta(minutes=minutes))
            assert found.policy == POLICY
            assert found.fault is TlsFault.STS_FETCH
        assert fetcher.fetched == 1, "what failed is not asked for again at once"
        await sts.discover(DOMAIN, NOW + timedelta(minutes=6))
    assert fetcher.fetched == 2


async def test_a_kept_policy_that_has_run_out_holds_no_longer() -> None:
    expired = replace(POLICY, expires_at=NOW)
    async with name_server() as dns:
        found = await asking(dns, Fetcher(), expired).discover(DOMAIN, NOW)
    assert found.policy is None


async def test_a_kept_policy_holds_while_the_dns_is_silent() -> None:
    async with name_server() as dns:
        dns.failing.add((NAME, "TXT"))
        found = await asking(dns, Fetcher(), POLICY).discover(DOMAIN, NOW)
    assert found.policy == POLICY


@pytest.mark.parametrize(
    "texts",
    [
        ['"v=STSv1; id=1;"', '"v=STSv1; id=2;"'],
        ['"v=STSv2; id=1;"'],
        ['"v=STSv1;"'],
        ['"v=STSv1; id=a-b;"'],
        ['"something else"'],
    ],
)
async def test_a_malformed_announcement_is_none(texts: list[str]) -> None:
    fetcher = Fetcher()
    dns = FakeDns()
    dns.add(NAME, "TXT", *texts)
    async with name_server(dns):
        found = await asking(dns, fetcher).discover(DOMAIN, NOW)
    assert found.policy is None
    assert fetcher.fetched == 0


async def test_a_policy_that_cannot_be_kept_is_in_force_all_the_same() -> None:
    async with name_server(announcing()) as dns:
        resolver = DnsResolver(DirectSettings(resolver=dns.name_server))
        cache = Unwritable()
        found = await MtaSts(resolver=resolver, fetcher=Fetcher(), cache=cache).discover(DOMAIN, NOW)
    assert found.policy == POLICY


class Unwritable(KeptPolicies):
    """Can be read, not written."""

    async def keep(self, policy: StsPolicy) -> None:
        self.is_away = True
        await super().keep(policy)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "version: STSv1\nmode: enforce\nmx: a.example\n",
        "version: STSv2\nmode: enforce\nmx: a.example\nmax_age: 60\n",
        "version: STSv1\nmode: enforce\nmax_age: 60\n",
        "version: STSv1\nmode: perhaps\nmx: a.example\nmax_age: 60\n",
        "version: STSv1\nmode: enforce\nmx: a.example\nmax_age: 999999999999\n",
        "<html>not found</html>",
    ],
)
def test_refuses_what_is_no_policy(text: str) -> None:
    with pytest.raises(StsFailed) as refused:
        read_policy(text, DOMAIN, "1", NOW)
    assert refused.value.fault is TlsFault.STS_POLICY_INVALID


@pytest.mark.parametrize(
    ("host", "covered"),
    [
        ("mx1.example.org", True),
        ("a.mail.example.org", True),
        ("mail.example.org", False),
        ("a.b.mail.example.org", False),
        ("mx1.example.org.evil.example", False),
        ("xmx1.example.org", False),
    ],
)
def test_a_policy_covers_the_hosts_it_names(host: str, covered: bool) -> None:  # noqa: FBT001 - a table column
    assert POLICY.covers(host) is covered


def test_a_report_repeats_the_policy() -> None:
    assert list(POLICY.lines) == TEXT.splitlines()
