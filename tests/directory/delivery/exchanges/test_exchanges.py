import hashlib
from datetime import timedelta
from pathlib import Path

import pytest

from directory.delivery.exchanges.settings import LeastProtection
from directory.delivery.replies import Accepted, Permanent, Phase, Transient
from directory.delivery.tls_faults import TlsFault
from tests.directory.delivery.exchanges.servers import Credential, PolicyHost, a_server, an_exchanger
from tests.directory.delivery.exchanges.world import DOMAIN, World, a_world
from tests.directory.delivery.sink import Fate, SmtpSink, Stage

TESTING = b"version: STSv1\r\nmode: testing\r\nmx: *.example.org\r\nmax_age: 86400\r\n"


def tlsa_for(der: bytes, *, usage: int = 3) -> str:
    return f"{usage} 0 1 {hashlib.sha256(der).hexdigest()}"


def publish(world: World, record: str, *, host: str = f"mx1.{DOMAIN}") -> None:
    world.dns.add(f"_{world.port}._tcp.{host}", "TLSA", record)


async def test_goes_to_the_preferred_exchanger_under_tls(tmp_path: Path) -> None:
    first, second = an_exchanger("mx1.example.org"), an_exchanger("mx2.example.org")
    async with a_world(tmp_path, first, second) as world:
        assert isinstance(await world.send(), Accepted)
        assert isinstance(await world.send(), Accepted)
    assert first.connections == 1, "the connection is kept for the next mail"
    assert all(transaction.under_tls for transaction in first.accepted)
    assert second.connections == 0
    assert world.tally.results == [("no-policy-found", "ok")]


@pytest.mark.parametrize("stage", [Stage.GREETING, Stage.EHLO, Stage.STARTTLS])
async def test_goes_to_the_next_exchanger_when_one_fails(tmp_path: Path, stage: Stage) -> None:
    first, second = an_exchanger("mx1.example.org"), an_exchanger("mx2.example.org")
    first.always = {stage: Fate.DROP}
    async with a_world(tmp_path, first, second) as world:
        assert isinstance(await world.send(), Accepted)
    assert first.transactions == []
    assert len(second.accepted) == 1


async def test_without_mx_records_the_domain_itself_is_its_exchanger(tmp_path: Path) -> None:
    sink = an_exchanger("example.org")
    async with a_world(tmp_path, sink, mx=[]) as world:
        world.dns.add(DOMAIN, "A", "127.0.0.1")
        assert isinstance(await world.send(), Accepted)
    assert len(sink.accepted) == 1


async def test_a_domain_that_takes_no_mail_is_permanent(tmp_path: Path) -> None:
    async with a_world(tmp_path, mx=["0 ."]) as world:
        outcome = await world.send()
    assert isinstance(outcome, Permanent)
    assert outcome.failure.phase is Phase.ROUTE


async def test_a_domain_that_does_not_exist_is_permanent_only_if_dnssec_says_so(tmp_path: Path) -> None:
    async with a_world(tmp_path, dnssec=True) as world:
        assert isinstance(await world.send("nowhere.example"), Permanent)
        world.dns.insecure_names.add("elsewhere.example")
        assert isinstance(await world.send("elsewhere.example"), Transient)


async def test_a_resolver_that_cannot_tell_is_transient(tmp_path: Path) -> None:
    async with a_world(tmp_path, an_exchanger("mx1.example.org")) as world:
        world.dns.failing.add((DOMAIN, "MX"))
        outcome = await world.send()
    assert isinstance(outcome, Transient)
    assert outcome.failure.phase is Phase.ROUTE


async def test_private_addresses_are_not_gone_to(tmp_path: Path) -> None:
    sink = an_exchanger("mx1.example.org")
    async with a_world(tmp_path, sink, allow_private=False) as world:
        outcome = await world.send()
    assert isinstance(outcome, Transient)
    assert outcome.failure.reason == "mx1.example.org has no public address"
    assert sink.connections == 0


async def test_nothing_goes_out_in_clear(tmp_path: Path) -> None:
    sink = SmtpSink()
    async with a_world(tmp_path, sink) as world:
        outcome = await world.send()
    assert isinstance(outcome, Transient)
    assert outcome.failure.tls is TlsFault.NOT_OFFERED
    assert sink.transactions == []
    assert world.tally.results == [("no-policy-found", "starttls-not-supported")]


@pytest.mark.parametrize(
    ("certified", "fault"),
    [
        (a_server("mx1.example.org", issuer="Somebody"), TlsFault.NOT_TRUSTED),
        (a_server("other.example.org"), TlsFault.HOST_MISMATCH),
        (a_server("mx1.example.org", valid=timedelta(minutes=-30)), TlsFault.EXPIRED),
    ],
)
async def test_a_certificate_counts_only_where_the_operator_asks_for_one(
    tmp_path: Path, certified: Credential, fault: TlsFault
) -> None:
    sink = SmtpSink(extensions=(b"STARTTLS",), tls=certified.context())
    async with a_world(tmp_path, sink, least=LeastProtection.AUTHENTICATED) as world:
        outcome = await world.send()
    assert isinstance(outcome, Transient)
    assert outcome.failure.tls is fault
    assert sink.transactions == []
    async with a_world(tmp_path, sink) as world:
        assert isinstance(await world.send(), Accepted)


async def test_an_enforced_policy_asks_for_a_good_certificate(tmp_path: Path) -> None:
    good, bad = an_exchanger("mx1.example.org"), an_exchanger("mx1.example.org", issuer="Somebody")
    async with a_world(tmp_path, good, policy=PolicyHost()) as world:
        assert isinstance(await world.send(), Accepted)
        assert world.tally.results == [("sts", "ok")]
    async with a_world(tmp_path, bad, policy=PolicyHost()) as world:
        outcome = await world.send()
        assert world.tally.results == [("sts", "certificate-not-trusted")]
    assert isinstance(outcome, Transient)
    assert bad.transactions == []


async def test_an_enforced_policy_excludes_exchangers_it_does_not_name(tmp_path: Path) -> None:
    forged, good = an_exchanger("mx1.example.org"), an_exchanger("mx2.example.org")
    policy = PolicyHost(body=b"version: STSv1\nmode: enforce\nmx: mx2.example.org\nmax_age: 86400\n")
    async with a_world(tmp_path, forged, good, policy=policy) as world:
        assert isinstance(await world.send(), Accepted)
    assert forged.connections == 0
    assert len(good.accepted) == 1
    assert world.tally.results == [("sts", "validation-failure"), ("sts", "ok")]


async def test_a_policy_under_test_is_reported_and_stops_no_mail(tmp_path: Path) -> None:
    bad = an_exchanger("mx1.example.org", issuer="Somebody")
    async with a_world(tmp_path, bad, policy=PolicyHost(body=TESTING)) as world:
        assert isinstance(await world.send(), Accepted)
    assert world.tally.results == [("sts", "certificate-not-trusted")]


async def test_a_kept_policy_holds_although_the_domain_seems_to_have_none(tmp_path: Path) -> None:
    good, bad = an_exchanger("mx1.example.org"), an_exchanger("mx1.example.org", issuer="Somebody")
    async with a_world(tmp_path, good, policy=PolicyHost()) as world:
        await world.send()
        kept = world.kept.policies
    async with a_world(tmp_path, bad) as world:
        world.kept.policies = kept
        assert isinstance(await world.send(), Transient)
    assert bad.transactions == []


async def test_no_mail_leaves_while_kept_policies_cannot_be_read(tmp_path: Path) -> None:
    sink = an_exchanger("mx1.example.org")
    async with a_world(tmp_path, sink) as world:
        world.kept.is_away = True
        outcome = await world.send()
    assert isinstance(outcome, Transient)
    assert outcome.failure.phase is Phase.SERVICE
    assert sink.connections == 0


async def test_dane_takes_the_certificate_it_names_whoever_issued_it(tmp_path: Path) -> None:
    sink = an_exchanger("mx1.example.org", issuer="Somebody")
    async with a_world(tmp_path, sink, dnssec=True) as world:
        publish(world, tlsa_for(a_server("mx1.example.org", issuer="Somebody").ders[0]))
        assert isinstance(await world.send(), Accepted)
    assert world.tally.results == [("tlsa", "ok")]


async def test_dane_takes_the_issuer_it_names(tmp_path: Path) -> None:
    sink = an_exchanger("mx1.example.org", issuer="Somebody")
    async with a_world(tmp_path, sink, dnssec=True) as world:
        publish(world, tlsa_for(a_server("mx1.example.org", issuer="Somebody").ders[1], usage=2))
        assert isinstance(await world.send(), Accepted)
    assert world.tally.results == [("tlsa", "ok")]


async def test_dane_refuses_every_other_certificate_also_a_trusted_one(tmp_path: Path) -> None:
    sink = an_exchanger("mx1.example.org")
    async with a_world(tmp_path, sink, dnssec=True, policy=PolicyHost()) as world:
        publish(world, tlsa_for(b"another"))
        outcome = await world.send()
    assert isinstance(outcome, Transient)
    assert sink.transactions == []
    assert world.tally.results == [("tlsa", "validation-failure")], "a usable TLSA record wins over MTA-STS"


async def test_records_that_could_not_be_looked_up_keep_the_mail_back(tmp_path: Path) -> None:
    sink = an_exchanger("mx1.example.org")
    async with a_world(tmp_path, sink, dnssec=True) as world:
        world.dns.failing.add((f"_{world.port}._tcp.mx1.example.org", "TLSA"))
        outcome = await world.send()
    assert isinstance(outcome, Transient)
    assert outcome.failure.tls is TlsFault.DNSSEC_INVALID
    assert sink.connections == 0


async def test_records_that_dnssec_does_not_vouch_for_mean_nothing(tmp_path: Path) -> None:
    sink = an_exchanger("mx1.example.org")
    async with a_world(tmp_path, sink, dnssec=True) as world:
        publish(world, tlsa_for(b"another"))
        world.dns.insecure_names.add(DOMAIN)
        assert isinstance(await world.send(), Accepted)
    assert world.tally.results == [("no-policy-found", "ok")]


async def test_a_resolver_that_need_not_validate_is_not_believed(tmp_path: Path) -> None:
    sink = an_exchanger("mx1.example.org")
    async with a_world(tmp_path, sink) as world:
        world.dns.secure = True
        publish(world, tlsa_for(b"another"))
        assert isinstance(await world.send(), Accepted)
    assert not any(kind == "TLSA" for _, kind in world.dns.asked)


async def test_a_session_that_cannot_be_counted_stops_no_mail(tmp_path: Path) -> None:
    async with a_world(tmp_path, an_exchanger("mx1.example.org")) as world:
        world.tally.is_away = True
        assert isinstance(await world.send(), Accepted)
