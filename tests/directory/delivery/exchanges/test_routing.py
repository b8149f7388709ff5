from ipaddress import ip_address

import pytest

from directory.delivery.exchanges.resolving import DnsResolver
from directory.delivery.exchanges.routing import (
    MOST_EXCHANGERS,
    Route,
    find_addresses,
    find_route,
    is_public,
)
from directory.delivery.exchanges.settings import DirectSettings
from directory.delivery.replies import Permanent, Transient
from tests.directory.delivery.exchanges.nameserver import FakeDns, name_server


def asking(dns: FakeDns) -> DnsResolver:
    return DnsResolver(DirectSettings(resolver=dns.name_server))


async def test_exchangers_come_by_preference_and_among_equals_in_any_order() -> None:
    orders = set()
    async with name_server() as dns:
        dns.add("example.org", "MX", "20 c.example.", "10 a.example.", "10 b.example.")
        resolver = asking(dns)
        for _ in range(64):
            route = await find_route(resolver, "example.org")
            assert isinstance(route, Route)
            orders.add(route.hosts)
    assert orders == {("a.example", "b.example", "c.example"), ("b.example", "a.example", "c.example")}


async def test_a_domain_with_a_hundred_exchangers_has_only_some() -> None:
    async with name_server() as dns:
        dns.add("example.org", "MX", *(f"{number} mx{number}.example." for number in range(100)))
        route = await find_route(asking(dns), "example.org")
    assert isinstance(route, Route)
    assert len(route.hosts) == MOST_EXCHANGERS


async def test_a_null_record_counts_only_alone() -> None:
    async with name_server() as dns:
        dns.add("silent.example", "MX", "0 .")
        dns.add("odd.example", "MX", "0 .", "10 mx.odd.example.")
        assert isinstance(await find_route(asking(dns), "silent.example"), Permanent)
        route = await find_route(asking(dns), "odd.example")
    assert isinstance(route, Route)
    assert route.hosts == ("mx.odd.example",)


async def test_a_domain_that_nobody_vouches_is_gone_is_tried_again() -> None:
    async with name_server() as dns:
        assert isinstance(await find_route(asking(dns), "nowhere.example"), Transient)


async def test_goes_to_both_families_if_there_are_both() -> None:
    async with name_server() as dns:
        dns.add("mx.example", "A", "93.184.216.34", "93.184.216.35")
        dns.add("mx.example", "AAAA", "2606:2800::1", "2606:2800::2")
        found = await find_addresses(asking(dns), "mx.example", allow_private=False)
    assert [address.version for address in found.records] == [6, 4]


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "10.1.2.3",
        "192.168.0.1",
        "172.16.0.1",
        "169.254.169.254",
        "100.64.0.1",
        "0.0.0.0",  # noqa: S104 - an address to be refused
        "224.0.0.1",
        "255.255.255.255",
        "::1",
        "::",
        "fe80::1",
        "fd00::1",
        "ff0e::1",
        "::ffff:127.0.0.1",
        "2002:7f00:1::",
        "64:ff9b::10.0.0.1",
    ],
)
def test_addresses_that_are_nobodys_business_are_not_public(address: str) -> None:
    assert not is_public(ip_address(address))


@pytest.mark.parametrize("address", ["93.184.216.34", "2606:2800::1", "64:ff9b::93.184.216.34"])
def test_addresses_of_the_internet_are_public(address: str) -> None:
    assert is_public(ip_address(address))
