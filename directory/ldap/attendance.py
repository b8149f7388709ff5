"""How many connections are there, and from where? The limits on both, handshakes included."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import IPv6Address, ip_address

from directory.access import is_loopback

_NETWORK_BITS = 64


class Attendance:
    """The connections of one front end, by their number and by where they come from.

    This machine's own are limited only together with all others: a proxy or the gateway may run beside us.
    """

    def __init__(self, *, most: int, most_of_peer: int) -> None:
        self._most = most
        self._most_of_peer = most_of_peer
        self._of_peers: Counter[str] = Counter()
        self._count = 0

    def has_room(self, peer_address: str) -> bool:
        """Whether one more connection from this address is within the limits."""
        if self._count >= self._most:
            return False
        return is_loopback(peer_address) or self._of_peers[_origin(peer_address)] < self._most_of_peer

    def enter(self, peer_address: str) -> None:
        """Count one more."""
        self._count += 1
        self._of_peers[_origin(peer_address)] += 1

    def leave(self, peer_address: str) -> None:
        """Count one less."""
        origin = _origin(peer_address)
        self._count -= 1
        self._of_peers[origin] -= 1
        if not self._of_peers[origin]:
            del self._of_peers[origin]

    @contextmanager
    def present(self, peer_address: str) -> Iterator[None]:
        """Count one for a while."""
        self.enter(peer_address)
        try:
            yield
        finally:
            self.leave(peer_address)


def _origin(peer_address: str) -> str:
    """Return what counts as one place: an IPv4 address, or an IPv6 network, of which each site has one."""
    address = ip_address(peer_address.partition("%")[0])
    if not isinstance(address, IPv6Address):
        return peer_address
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return str(int(address) >> (128 - _NETWORK_BITS))
