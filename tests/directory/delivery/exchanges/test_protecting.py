import hashlib
import ssl
from dataclasses import replace
from pathlib import Path

import pytest

from directory.delivery.exchanges.mta_sts import Discovery, StsMode, StsPolicy
from directory.delivery.exchanges.protecting import (
    Exchanger,
    Protection,
    Protections,
    Refused,
    encrypting_context,
)
from directory.delivery.exchanges.resolving import DnsResolver
from directory.delivery.exchanges.settings import DirectSettings, LeastProtection
from directory.delivery.exchanges.tls_reports import PolicyKind
from directory.delivery.replies import Accepted
from directory.delivery.smtp import tls_context
from directory.delivery.tls_faults import TlsFault
from tests.directory.clocks import StoppedClock
from tests.directory.delivery.exchanges.nameserver import FakeDns, name_server
from tests.directory.delivery.exchanges.servers import a_server, an_exchanger
from tests.directory.delivery.exchanges.test_mta_sts import POLICY
from tests.directory.delivery.exchanges.world import DOMAIN, a_world

TRUST = tls_context(None)
HOST = f"mx1.{DOMAIN}"
EXCHANGER = Exchanger(host=HOST, domain=DOMAIN, canonical_name=HOST, secure=True)
NO_POLICY = Discovery(policy=None)
SHA256 = "ab" * 32


async def demanded(
    dns: FakeDns,
    sts: StsPolicy | None = None,
    *,
    exchanger: Exchanger = EXCHANGER,
    least: LeastProtection = LeastProtection.ENCRYPTED,
) -> tuple[Protection, ...] | Refused:
    dns.secure = True
    async with name_server(dns):
        settings = DirectSettings(resolver=dns.name_server, dnssec=True, least=least)
        protections = Protections(
            resolver=DnsResolver(settings), trust=TRUST, clock=StoppedClock(), settings=settings
        )
        return await protections.of(exchanger, Discovery(policy=sts))


def with_tlsa(*records: str, host: str = HOST) -> FakeDns:
    dns = FakeDns()
    dns.add(f"_25._tcp.{host}", "TLSA", *records)
    return dns


@pytest.mark.parametrize(
    ("least", "context_verifies"), [(LeastProtection.ENCRYPTED, False), (LeastProtection.AUTHENTICATED, True)]
)
async def test_without_a_policy_the_operator_decides(
    least: LeastProtection,
    context_verifies: bool,  # noqa: FBT001 - a table column
) -> None:
    found = await demanded(FakeDns(), least=least)
    assert isinstance(found, tuple)
    [protection] = found
    assert protection.policy.kind is PolicyKind.NONE
    assert (protection.context is TRUST) is context_verifies


async def test_a_usable_record_wins_over_mta_sts() -> None:
    found = await demanded(with_tlsa(f"3 1 1 {SHA256}"), replace(POLICY, patterns=("other.example",)))
    assert isinstance(found, tuple)
    [protection] = found
    assert protection.policy.kind is PolicyKind.TLSA
    assert protection.policy.lines == (f"3 1 1 {SHA256}",)


async def test_records_that_mean_nothing_for_mail_leave_it_to_mta_sts() -> None:
    found = await demanded(with_tlsa(f"1 1 1 {SHA256}"), POLICY)
    assert isinstance(found, tuple)
    [protection] = found
    assert protection.policy.kind is PolicyKind.STS
    assert protection.context is TRUST


async def test_the_record_of_the_name_behind_an_alias_comes_first() -> None:
    dns = with_tlsa(f"3 1 1 {SHA256}", host="host.provider.example")
    dns.add(f"_25._tcp.{HOST}", "TLSA", f"3 1 1 {'cd' * 32}")
    found = await demanded(dns, exchanger=replace(EXCHANGER, canonical_name="host.provider.example"))
    assert isinstance(found, tuple)
    assert found[0].policy.lines == (f"3 1 1 {SHA256}",)


async def test_an_exchanger_that_dnssec_does_not_vouch_for_has_no_records() -> None:
    dns = with_tlsa(f"3 1 1 {SHA256}")
    found = await demanded(dns, exchanger=replace(EXCHANGER, secure=False))
    assert isinstance(found, tuple)
    assert found[0].policy.kind is PolicyKind.NONE
    assert dns.asked == []


async def test_an_exchanger_that_the_policy_does_not_name_is_refused_or_reported() -> None:
    other = replace(EXCHANGER, host="mx9.example.org")
    enforced = await demanded(FakeDns(), POLICY, exchanger=other)
    assert isinstance(enforced, Refused)
    assert enforced.verdict.failure.tls is TlsFault.INVALID
    tested = await demanded(FakeDns(), replace(POLICY, mode=StsMode.TESTING), exchanger=other)
    assert isinstance(tested, tuple)
    [protection] = tested
    assert protection.fault is TlsFault.INVALID


async def test_a_policy_that_asks_for_nothing_is_none() -> None:
    found = await demanded(FakeDns(), replace(POLICY, mode=StsMode.NONE, patterns=()))
    assert isinstance(found, tuple)
    assert found[0].policy.kind is PolicyKind.NONE


def test_encryption_alone_takes_any_certificate_and_no_old_version() -> None:
    context = encrypting_context()
    assert context.verify_mode is ssl.CERT_NONE
    assert context.minimum_version is ssl.TLSVersion.TLSv1_2


async def test_what_a_policy_that_could_not_be_had_means_is_told_the_domain(tmp_path: Path) -> None:
    async with a_world(tmp_path, an_exchanger(HOST)) as world:
        world.dns.add(f"_mta-sts.{DOMAIN}", "TXT", '"v=STSv1; id=1;"')
        assert isinstance(await world.send(), Accepted)
    assert world.tally.results == [("no-policy-found", "sts-policy-fetch-error")]


async def test_the_servers_own_chain_is_looked_at(tmp_path: Path) -> None:
    """The whole handshake: what `presented_chain` takes from the connection is what the server has."""
    certificate = a_server(HOST, issuer="Somebody").ders[1]
    async with a_world(tmp_path, an_exchanger(HOST, issuer="Somebody"), dnssec=True) as world:
        digest = hashlib.sha512(certificate).hexdigest()
        world.dns.add(f"_{world.port}._tcp.{HOST}", "TLSA", f"2 0 2 {digest}")
        assert isinstance(await world.send(), Accepted)
