"""Where may a webhook call go? HTTPS, to the outside world, and to no address that a name was bent to.

The URL is an organization's, the network is the operator's: a URL must not make the service talk to the
machines around it, or to a cloud's metadata service. A name is resolved once for each call, every address it
has is judged, and the connection goes to an address that was judged: a second answer of the name server
(DNS rebinding) changes nothing.
"""

import re
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from typing import Final
from urllib.parse import urlsplit

from directory.errors import ConfigurationRefused

LONGEST_URL = 2000
_HTTPS_PORT = 443
_HTTP_PORT = 80
_HOST_NAME = re.compile(r"(?=.{1,253}\Z)(?:[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?\.)*[a-z0-9-]{1,63}")
_URL = re.compile(r"[!-~]+")

# Whatever else is allowed: who reaches these is handed the credentials of the machine.
_METADATA: Final = frozenset(
    ip_address(one) for one in ("169.254.169.254", "fd00:ec2::254", "100.100.100.200", "192.0.0.192")
)
_NAT64: Final = IPv6Network("64:ff9b::/96")  # RFC 6052 section 2.1

Address = IPv4Address | IPv6Address


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookTarget:
    """A URL that a webhook may have, taken apart."""

    host: str
    """A name in A-labels, or an address without brackets."""
    port: int
    path: str
    """With the query."""
    is_tls: bool

    @property
    def address(self) -> Address | None:
        """The address, where the URL names no host but that."""
        try:
            return ip_address(self.host)
        except ValueError:
            return None


def parse_target(url: str, *, allow_private: bool) -> WebhookTarget:
    """Take a webhook URL apart.

    Raises:
        ConfigurationRefused: it is not https, has user or password or fragment, or names an address that is
            refused. With `allow_private`, http is taken for this machine alone.
    """
    if len(url) > LONGEST_URL or _URL.fullmatch(url) is None:
        raise _refused(f"a URL has at most {LONGEST_URL} visible ASCII characters")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise _refused("is not a URL") from error
    host = parts.hostname or ""
    if "@" in parts.netloc:
        raise _refused("names a user or a password; the signature is what authenticates the call")
    if parts.fragment or url.endswith("#"):
        raise _refused("has a fragment, which is never sent")
    is_tls = parts.scheme == "https"
    target = WebhookTarget(
        host=host,
        port=port or (_HTTPS_PORT if is_tls else _HTTP_PORT),
        path=(parts.path or "/") + (f"?{parts.query}" if parts.query else ""),
        is_tls=is_tls,
    )
    if "%" in host or (target.address is None and _HOST_NAME.fullmatch(host) is None):
        raise _refused("names no host")
    if target.address is None and host.rpartition(".")[2].isdecimal():
        raise _refused("names a host that some take for an address")
    if not is_tls and not (allow_private and parts.scheme == "http" and _is_this_machine(target)):
        raise _refused("is not https")
    if target.address is not None and not may_connect(target.address, allow_private=allow_private):
        raise _refused("names an address of a private network or of this machine")
    return target


def may_connect(address: Address, *, allow_private: bool) -> bool:
    """Whether a call may go to this address.

    Refused are addresses that are not globally reachable (RFC 6890), and IPv6 addresses in which such an IPv4
    address is embedded. `allow_private` lets through private networks and loopback; link-local, multicast,
    unspecified addresses and those of metadata services never.
    """
    if isinstance(address, IPv6Address):
        if address in _NAT64:
            # A translator's way to an IPv4 address, and reserved for nothing else.
            return may_connect(IPv4Address(int(address) & 0xFFFFFFFF), allow_private=allow_private)
        embedded = _embedded(address)
        if embedded is not None and not may_connect(embedded, allow_private=allow_private):
            return False
        if address.is_site_local and not allow_private:
            return False
    if address in _METADATA or address.is_link_local or address.is_multicast or address.is_unspecified:
        return False
    return allow_private or (address.is_global and not address.is_reserved)


def _embedded(address: IPv6Address) -> IPv4Address | None:
    teredo = address.teredo
    return address.ipv4_mapped or address.sixtofour or (teredo[1] if teredo else None)


def _is_this_machine(target: WebhookTarget) -> bool:
    return target.host == "localhost" or (target.address is not None and target.address.is_loopback)


def _refused(reason: str) -> ConfigurationRefused:
    return ConfigurationRefused(
        key="--url", reason=reason, remedy="give https://HOST/PATH, reachable from the Internet"
    )
