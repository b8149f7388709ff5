"""Who is at the other end of the connection, and did what he sent travel in clear?

Two decisions hang on it: whether a token may be looked at, and whether an anonymous caller may read. So where
the answer is not certain, it is the careful one: an unknown address, a channel in clear.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

from starlette.datastructures import Headers
from starlette.types import Scope

from directory.access import AnonymousRead, is_loopback, may_read_anonymously

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

_FORWARDING_HEADERS = (
    "forwarded",
    "via",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-proto",
    "x-real-ip",
)


class Channel(Enum):
    """How the request travelled."""

    TLS = "tls"
    CLEAR = "clear"


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """The caller's end of the connection."""

    address: str | None
    """Numeric; None when it is not known for certain."""
    channel: Channel

    @property
    def is_local(self) -> bool:
        """Whether the caller is certainly on this machine."""
        return self.address is not None and is_loopback(self.address)

    def may_read_anonymously(self, policy: AnonymousRead) -> bool:
        """Whether the policy lets the caller read without credentials; a caller from nowhere is not local."""
        if self.address is None:
            return policy is AnonymousRead.EVERYONE
        return may_read_anonymously(policy, self.address)


def peer_of(scope: Scope, trusted_proxies: Iterable[Network]) -> Peer:
    """Return who sent the request.

    A connection from a trusted proxy is the caller's that the proxy names. From anybody else, forwarding
    headers are not believed; but they show that the connection is not the caller's own, so that a proxy on
    this machine which nobody declared does not make the whole world local.
    """
    proxies = tuple(trusted_proxies)
    client = scope.get("client")
    direct = _address(client[0]) if client else None
    headers = Headers(scope=scope)
    channel = Channel.TLS if scope["scheme"] == "https" else Channel.CLEAR

    if direct is None:
        return Peer(address=None, channel=channel)
    if not _is_within(direct, proxies):
        forwarded = any(name in headers for name in _FORWARDING_HEADERS)
        return Peer(address=None if forwarded else str(direct), channel=channel)
    origin = _nearest_stranger(headers, proxies)
    return Peer(address=None if origin is None else str(origin), channel=_forwarded_channel(headers))


def _address(text: str) -> Address | None:
    try:
        address = ip_address(text.strip().partition("%")[0])
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address


def _is_within(address: Address, networks: Iterable[Network]) -> bool:
    return any(address in network for network in networks)


def _nearest_stranger(headers: Headers, proxies: tuple[Network, ...]) -> Address | None:
    # Each proxy appends whom it spoke with, so what stands to the left of the first stranger is the
    # stranger's own tale.
    hops = ",".join(headers.getlist("x-forwarded-for")).split(",")
    for hop in reversed(hops):
        address = _address(hop)
        if address is None or not _is_within(address, proxies):
            return address
    return None


def _forwarded_channel(headers: Headers) -> Channel:
    said = headers.getlist("x-forwarded-proto")
    return Channel.TLS if said == ["https"] else Channel.CLEAR
