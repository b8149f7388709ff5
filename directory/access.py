"""From where may a caller without credentials read? One rule for every front end, one for the metrics."""

from enum import StrEnum
from ipaddress import ip_address


class AnonymousRead(StrEnum):
    """Who may look known certificates up without credentials."""

    NOBODY = "nobody"
    LOOPBACK = "loopback"
    EVERYONE = "everyone"


class MetricsAccess(StrEnum):
    """Who may read the metrics."""

    LOOPBACK = "loopback"
    ANYONE = "anyone"
    OFF = "off"


def is_loopback(peer_address: str) -> bool:
    """Whether the numeric address, as the socket gives it, is this machine's own."""
    address = ip_address(peer_address.partition("%")[0])
    mapped = getattr(address, "ipv4_mapped", None)
    return (mapped or address).is_loopback


def may_read_anonymously(policy: AnonymousRead, peer_address: str) -> bool:
    """Whether a caller at this address may read without credentials."""
    return policy is AnonymousRead.EVERYONE or (
        policy is AnonymousRead.LOOPBACK and is_loopback(peer_address)
    )
