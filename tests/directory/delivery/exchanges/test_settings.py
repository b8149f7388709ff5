from ipaddress import ip_address

import pytest

from directory.delivery.exchanges.settings import DirectSettings, NameServer
from directory.errors import ConfigurationRefused


@pytest.mark.parametrize(
    ("text", "address", "port"),
    [
        ("127.0.0.1", "127.0.0.1", 53),
        ("127.0.0.1:5353", "127.0.0.1", 5353),
        ("::1", "::1", 53),
        ("[::1]:5353", "::1", 5353),
    ],
)
def test_reads_a_name_server(text: str, address: str, port: int) -> None:
    assert NameServer.parse(text) == NameServer(address=ip_address(address), port=port)


@pytest.mark.parametrize("text", ["", "localhost", "127.0.0.1:", "127.0.0.1:0", "127.0.0.1:65536", "[::1]"])
def test_refuses_what_is_no_name_server(text: str) -> None:
    with pytest.raises(ConfigurationRefused):
        NameServer.parse(text)


@pytest.mark.parametrize("resolver", [None, "192.0.2.1", "2001:db8::1"])
def test_dnssec_needs_a_resolver_on_this_machine(resolver: str | None) -> None:
    with pytest.raises(ConfigurationRefused):
        DirectSettings(dnssec=True, resolver=None if resolver is None else NameServer.parse(resolver))
    assert DirectSettings(dnssec=True, resolver=NameServer.parse("::1")).dnssec
