"""Which URLs a webhook may have, and which addresses it may reach."""

from ipaddress import IPv4Address, IPv6Address, ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from directory.channels.targets import LONGEST_URL, may_connect, parse_target
from directory.errors import ConfigurationRefused


def test_takes_a_url_apart() -> None:
    target = parse_target("https://hooks.hospital.org:8443/pushpki?team=ra", allow_private=False)

    assert (target.host, target.port, target.path) == ("hooks.hospital.org", 8443, "/pushpki?team=ra")
    assert (target.is_tls, target.address) == (True, None)


def test_a_url_without_path_means_the_root() -> None:
    assert parse_target("https://hooks.hospital.org", allow_private=False).path == "/"


def test_an_address_in_place_of_a_name_is_taken() -> None:
    assert parse_target("https://[2606:4700::1]/", allow_private=False).address == IPv6Address("2606:4700::1")
    assert parse_target("https://1.1.1.1/", allow_private=False).port == 443


@pytest.mark.parametrize(
    "url",
    [
        "http://hooks.hospital.org/",
        "ftp://hooks.hospital.org/",
        "file:///etc/passwd",
        "//hooks.hospital.org/",
        "hooks.hospital.org",
        "https://",
        "https://user@hooks.hospital.org/",
        "https://user:secret@hooks.hospital.org/",
        "https://@hooks.hospital.org/",
        "https://good.example\\@10.0.0.1/",
        "https://hooks.hospital.org/#here",
        "https://hooks.hospital.org/#",
        "https://hooks.hospital.org:99999/",
        "https://hooks.hospital.org:x/",
        "https://hooks hospital.org/",
        "https://hooks.hospital.org/a\r\nX-Injected: 1",
        "https://hooks.hospital.org./",
        "https://bücher.example/",
        "https://127.1/",
        "https://2130706433/",
        "https://[fe80::1%25eth0]/",
        "https://[2606:4700::1%25eth0]/",
        "https://[::1",
        f"https://hooks.hospital.org/{'a' * LONGEST_URL}",
    ],
)
@pytest.mark.parametrize("allow_private", [True, False])
def test_refuses_what_is_no_webhook(url: str, allow_private: bool) -> None:  # noqa: FBT001 - a column
    with pytest.raises(ConfigurationRefused):
        parse_target(url, allow_private=allow_private)


@pytest.mark.parametrize("url", ["https://127.0.0.1/", "https://10.1.2.3/", "http://localhost:8080/x"])
def test_private_addresses_are_for_who_allows_them(url: str) -> None:
    with pytest.raises(ConfigurationRefused):
        parse_target(url, allow_private=False)

    assert parse_target(url, allow_private=True).host in url


def test_http_is_for_this_machine_alone() -> None:
    with pytest.raises(ConfigurationRefused):
        parse_target("http://10.1.2.3/", allow_private=True)


@pytest.mark.parametrize(
    "address",
    [
        "0.0.0.0",  # noqa: S104 - an address that is refused
        "10.0.0.1",
        "100.64.0.1",
        "127.0.0.1",
        "169.254.169.254",
        "172.16.0.1",
        "192.168.0.1",
        "198.18.0.1",
        "224.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "::ffff:10.0.0.1",
        "64:ff9b::a00:1",
        "2001:0:4136:e378:8000:63bf:f5ff:fffe",  # Teredo to 10.0.0.1
        "2002:a00:1::",
        "fc00::1",
        "fe80::1",
        "fec0::1",
        "ff02::1",
    ],
)
def test_refuses_addresses_that_are_not_the_internets(address: str) -> None:
    assert not may_connect(ip_address(address), allow_private=False)


@pytest.mark.parametrize("address", ["1.1.1.1", "2606:4700::1", "64:ff9b::101:101", "::ffff:1.1.1.1"])
def test_reaches_the_internet(address: str) -> None:
    allowed = may_connect(ip_address(address), allow_private=False)

    # A mapped address is of no use on the wire, and Python says it is not global.
    assert allowed is (address != "::ffff:1.1.1.1")


@pytest.mark.parametrize(
    "address",
    [
        "169.254.169.254",
        "169.254.0.1",
        "fe80::1",
        "fd00:ec2::254",
        "100.100.100.200",
        "192.0.0.192",
        "0.0.0.0",  # noqa: S104 - likewise
        "224.0.0.1",
        "::ffff:169.254.169.254",
        "64:ff9b::a9fe:a9fe",
    ],
)
def test_metadata_services_are_reached_by_nobody(address: str) -> None:
    assert not may_connect(ip_address(address), allow_private=True)


@given(st.ip_addresses(v=4))
def test_no_private_address_hides_in_another(address: IPv4Address) -> None:
    for form in (
        IPv6Address(f"::ffff:{address}"),
        IPv6Address(int(IPv6Address("64:ff9b::")) | int(address)),
        IPv6Address(int(IPv6Address("2002::")) | int(address) << 80),
    ):
        if may_connect(form, allow_private=False):
            assert may_connect(address, allow_private=False)


@given(st.text(max_size=60))
def test_any_text_is_taken_or_refused(text: str) -> None:
    for url in (text, f"https://{text}", f"https://a.example/{text}"):
        try:
            target = parse_target(url, allow_private=False)
        except ConfigurationRefused:
            continue
        assert target.is_tls
        assert (target.host + target.path).isascii()
