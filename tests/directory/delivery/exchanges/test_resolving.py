from ipaddress import ip_address

import pytest

from directory.delivery.exchanges.resolving import (
    DnsResolver,
    MxRecord,
    ResolvingFailed,
    TlsaRecord,
)
from directory.delivery.exchanges.settings import DirectSettings
from tests.directory.delivery.exchanges.nameserver import FakeDns, name_server


def asking(dns: FakeDns, *, dnssec: bool = False) -> DnsResolver:
    return DnsResolver(DirectSettings(resolver=dns.name_server, dnssec=dnssec))


async def test_reads_what_mail_needs() -> None:
    async with name_server() as dns:
        dns.add("example.org", "MX", "10 MX1.Example.ORG.", "0 .")
        dns.add("mx1.example.org", "A", "192.0.2.1")
        dns.add("mx1.example.org", "AAAA", "2001:db8::1")
        dns.add("_25._tcp.mx1.example.org", "TLSA", "3 1 0 00ff")
        dns.add("_mta-sts.example.org", "TXT", '"v=STSv1; " "id=1;"')
        resolver = asking(dns)
        exchangers = await resolver.mail_exchangers("example.org")
        assert set(exchangers.records) == {
            MxRecord(preference=10, host="mx1.example.org"),
            MxRecord(preference=0, host=""),
        }
        assert (await resolver.addresses("mx1.example.org")).records == (
            ip_address("2001:db8::1"),
            ip_address("192.0.2.1"),
        )
        [record] = (await resolver.tlsa("mx1.example.org", 25)).records
        assert record == TlsaRecord(usage=3, selector=1, matching=0, data=b"\x00\xff")
        assert str(record) == "3 1 0 00ff"
        assert (await resolver.texts("_mta-sts.example.org")).records == ("v=STSv1; id=1;",)


async def test_that_there_is_nothing_is_an_answer() -> None:
    async with name_server() as dns:
        dns.add("example.org", "A", "192.0.2.1")
        nothing = await asking(dns).mail_exchangers("example.org")
        nobody = await asking(dns).mail_exchangers("nobody.example.org")
    assert (nothing.records, nothing.name_exists) == ((), True)
    assert (nobody.records, nobody.name_exists) == ((), False)


@pytest.mark.parametrize("name", ["example.org", "x" * 64 + ".org", "a..b"])
async def test_that_nobody_could_tell_is_none(name: str) -> None:
    async with name_server() as dns:
        dns.failing.add(("example.org", "MX"))
        with pytest.raises(ResolvingFailed):
            await asking(dns).mail_exchangers(name)


async def test_believes_the_validation_only_where_it_was_told_to() -> None:
    async with name_server(FakeDns(secure=True)) as dns:
        dns.add("example.org", "MX", "10 mx1.example.org.")
        for dnssec in (True, False):
            resolver = asking(dns, dnssec=dnssec)
            assert (await resolver.mail_exchangers("example.org")).secure is dnssec
            assert (await resolver.mail_exchangers("nobody.example.org")).secure is dnssec
        dns.insecure_names.add("example.org")
        assert not (await asking(dns, dnssec=True).mail_exchangers("example.org")).secure


async def test_follows_an_alias_and_says_so() -> None:
    async with name_server() as dns:
        dns.aliases["mx.example.org"] = "host.provider.example"
        dns.add("host.provider.example", "A", "192.0.2.7")
        found = await asking(dns).addresses("mx.example.org")
    assert found.records == (ip_address("192.0.2.7"),)
    assert found.canonical_name == "host.provider.example"


async def test_asks_again_over_tcp_for_what_is_too_long() -> None:
    async with name_server() as dns:
        dns.add("example.org", "TXT", *(f'"{number:03}{"x" * 200}"' for number in range(5)))
        found = await asking(dns).texts("example.org")
    assert len(found.records) == 5
    assert dns.over_tcp == 1


async def test_remembers_answers() -> None:
    async with name_server() as dns:
        dns.add("example.org", "MX", "10 mx1.example.org.")
        resolver = asking(dns)
        for _ in range(3):
            await resolver.mail_exchangers("example.org")
    assert dns.asked == [("example.org", "MX")]
