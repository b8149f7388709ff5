"""Which servers take mail for a domain, in which order? Its MX records, or itself (RFC 5321 section 5.1).

The addresses come from a stranger's DNS. Whoever answers with `127.0.0.1` or `10.0.0.1` must not make us
talk to what listens there, so only addresses of the public Internet are gone to.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, IPv6Network

from directory.delivery.exchanges.resolving import (
    Answer,
    IpAddress,
    MxRecord,
    Resolver,
    ResolvingFailed,
)
from directory.delivery.replies import Failure, Permanent, Phase, Transient

MOST_EXCHANGERS = 5
"""RFC 5321 section 5.1 asks for at least two addresses to be tried."""
_MOST_ADDRESSES = 2
"""Per exchanger."""
_NAT64 = IPv6Network("64:ff9b::/96")
_EMBEDDED_IPV4 = 0xFFFFFFFF

_SHUFFLE = random.SystemRandom().shuffle


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """Where mail for a domain goes."""

    domain: str
    hosts: tuple[str, ...]
    """The exchangers' names, the preferred first."""
    secure: bool
    """Whether DNSSEC vouches for the names."""


async def find_route(resolver: Resolver, domain: str) -> Route | Transient | Permanent:
    """Say which servers take mail for the domain, or that none does.

    Exchangers of one preference come in random order, which spreads the load (RFC 5321 section 5.1). For good
    is only what the domain says itself: that it takes no mail (RFC 7505), or, validated, that it does not
    exist. Without DNSSEC a resolver that is misconfigured knows no domain at all, and that passes.
    """
    try:
        found = await resolver.mail_exchangers(domain)
    except ResolvingFailed as error:
        return Transient(failure=_failure(str(error)))
    if not found.name_exists:
        failure = _failure("the domain does not exist")
        return Permanent(failure=failure) if found.secure else Transient(failure=failure)
    if not found.records:
        return Route(domain=domain, hosts=(domain,), secure=found.secure)
    hosts = tuple(record.host for record in _in_order(found.records) if record.host)
    if not hosts:
        return Permanent(failure=_failure("the domain takes no mail (RFC 7505)"))
    return Route(domain=domain, hosts=hosts[:MOST_EXCHANGERS], secure=found.secure)


async def find_addresses(resolver: Resolver, host: str, *, allow_private: bool) -> Answer[IpAddress]:
    """Return where the exchanger is, at most two addresses, of both families if it has both.

    Raises:
        ResolvingFailed: nobody could tell.
    """
    found = await resolver.addresses(host)
    allowed = [address for address in found.records if allow_private or is_public(address)]
    sixes = [address for address in allowed if isinstance(address, IPv6Address)]
    fours = [address for address in allowed if isinstance(address, IPv4Address)]
    chosen = (sixes[:1] + fours + sixes[1:])[:_MOST_ADDRESSES]
    return Answer(
        records=tuple(chosen),
        name_exists=found.name_exists,
        secure=found.secure,
        canonical_name=found.canonical_name,
    )


def is_public(address: IpAddress) -> bool:
    """Whether the address is one of the public Internet, also if an IPv4 address is wrapped into it."""
    if isinstance(address, IPv6Address):
        wrapped = address.ipv4_mapped or address.sixtofour
        if address in _NAT64:
            wrapped = IPv4Address(int(address) & _EMBEDDED_IPV4)
        if wrapped is not None:
            return is_public(wrapped)
    return address.is_global and not address.is_multicast


def _in_order(records: Sequence[MxRecord]) -> list[MxRecord]:
    shuffled = list(records)
    _SHUFFLE(shuffled)
    return sorted(shuffled, key=lambda record: record.preference)


def _failure(reason: str) -> Failure:
    return Failure(phase=Phase.ROUTE, reason=reason)
