from collections.abc import Mapping
from ipaddress import ip_network

import pytest

from directory.access import AnonymousRead
from directory.http.peers import Channel, Peer, peer_of

PROXIES = frozenset({ip_network("10.0.0.0/8"), ip_network("127.0.0.1/32")})


def a_peer(
    client: str | None = "192.0.2.7",
    *,
    scheme: str = "http",
    trusting: bool = False,
    headers: Mapping[str, str] | None = None,
) -> Peer:
    scope = {
        "type": "http",
        "scheme": scheme,
        "client": None if client is None else (client, 4711),
        "headers": [(name.encode(), value.encode()) for name, value in (headers or {}).items()],
    }
    return peer_of(scope, PROXIES if trusting else ())


def test_a_peer_is_who_the_socket_says() -> None:
    assert a_peer("192.0.2.7") == Peer(address="192.0.2.7", channel=Channel.CLEAR)
    assert a_peer("2001:db8::7", scheme="https") == Peer(address="2001:db8::7", channel=Channel.TLS)


@pytest.mark.parametrize("address", ["127.0.0.1", "127.8.8.8", "::1", "::ffff:127.0.0.1", "::1%lo"])
def test_this_machine_is_local_however_it_is_written(address: str) -> None:
    assert a_peer(address).is_local


@pytest.mark.parametrize("address", ["192.0.2.7", "::ffff:192.0.2.7", "2001:db8::1", "not-an-address", None])
def test_nobody_else_is_local(address: str | None) -> None:
    assert not a_peer(address).is_local


def test_forwarding_headers_of_a_stranger_are_not_believed() -> None:
    peer = a_peer("192.0.2.7", headers={"x-forwarded-for": "127.0.0.1", "x-forwarded-proto": "https"})

    assert peer == Peer(address=None, channel=Channel.CLEAR)


@pytest.mark.parametrize("header", ["forwarded", "via", "x-forwarded-for", "x-real-ip", "x-forwarded-proto"])
def test_a_proxy_on_this_machine_that_nobody_declared_does_not_make_the_world_local(header: str) -> None:
    assert not a_peer("127.0.0.1", headers={header: "127.0.0.1"}).is_local


def test_a_trusted_proxy_names_the_caller_and_his_channel() -> None:
    peer = a_peer(
        "10.1.1.1", trusting=True, headers={"x-forwarded-for": "192.0.2.9", "x-forwarded-proto": "https"}
    )

    assert peer == Peer(address="192.0.2.9", channel=Channel.TLS)


def test_what_the_caller_himself_wrote_into_the_header_does_not_count() -> None:
    peer = a_peer("10.1.1.1", trusting=True, headers={"x-forwarded-for": "127.0.0.1, 192.0.2.9, 10.2.2.2"})

    assert peer.address == "192.0.2.9"


@pytest.mark.parametrize("hops", ["", "unknown", "_hidden", "192.0.2.9:8080", "10.2.2.2", "192.0.2.9,"])
def test_a_trusted_proxy_that_names_nobody_vouches_for_nobody(hops: str) -> None:
    assert a_peer("127.0.0.1", trusting=True, headers={"x-forwarded-for": hops}).address is None


def test_a_trusted_proxy_that_says_nothing_is_not_the_caller() -> None:
    assert a_peer("127.0.0.1", trusting=True) == Peer(address=None, channel=Channel.CLEAR)


@pytest.mark.parametrize("said", ["http", "https, http", "HTTPS ", "wss", ""])
def test_only_a_plain_https_of_a_trusted_proxy_is_tls(said: str) -> None:
    assert a_peer("10.1.1.1", trusting=True, headers={"x-forwarded-proto": said}).channel is Channel.CLEAR


@pytest.mark.parametrize(
    ("policy", "address", "expected"),
    [
        (AnonymousRead.NOBODY, "127.0.0.1", False),
        (AnonymousRead.LOOPBACK, "127.0.0.1", True),
        (AnonymousRead.LOOPBACK, "192.0.2.7", False),
        (AnonymousRead.LOOPBACK, None, False),
        (AnonymousRead.EVERYONE, "192.0.2.7", True),
        (AnonymousRead.EVERYONE, None, True),
    ],
)
def test_a_caller_from_nowhere_reads_only_what_everybody_may(
    policy: AnonymousRead,
    address: str | None,
    expected: bool,  # noqa: FBT001 - a table's column
) -> None:
    assert Peer(address=address, channel=Channel.TLS).may_read_anonymously(policy) is expected
