"""How are mail exchangers found and spoken to? The operator's choices, as one frozen value."""

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from ipaddress import IPv4Address, IPv6Address, ip_address

from directory.errors import ConfigurationRefused


class LeastProtection(StrEnum):
    """What a mail exchanger must offer where its domain has published no policy of its own."""

    ENCRYPTED = "encrypted"
    """TLS with whatever certificate: read by nobody who only listens, but by who steps in between."""
    AUTHENTICATED = "authenticated"
    """A certificate that chains to a trusted one and names the exchanger."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NameServer:
    """A resolver to ask, by its numeric address."""

    address: IPv4Address | IPv6Address
    port: int = 53

    @classmethod
    def parse(cls, text: str) -> "NameServer":
        """Read `127.0.0.1`, `127.0.0.1:5353`, `::1` or `[::1]:5353`.

        Raises:
            ConfigurationRefused: it is no numeric address.
        """
        host, port = text, "53"
        if text.startswith("["):
            host, _, port = text[1:].partition("]:")
        elif text.count(":") == 1:
            host, _, port = text.partition(":")
        try:
            address = ip_address(host)
        except ValueError as error:
            raise ConfigurationRefused(
                key="direct.resolver", reason=f"{text!r} is no numeric address"
            ) from error
        if not port.isascii() or not port.isdecimal() or not 0 < int(port) < 1 << 16:
            raise ConfigurationRefused(key="direct.resolver", reason=f"{port!r} is no port")
        return cls(address=address, port=int(port))


@dataclass(frozen=True, slots=True, kw_only=True)
class DirectSettings:
    """How mail goes directly to recipients' mail exchangers.

    Raises:
        ConfigurationRefused: `dnssec` without a resolver on this machine.
    """

    resolver: NameServer | None = None
    """None: whatever the system is configured to ask."""
    dnssec: bool = False
    """Whether the resolver validates, so that its word (the AD bit) is worth something. It must be on this
    machine: on the way from another one, anybody could set the bit (RFC 6840 section 5.8)."""
    least: LeastProtection = LeastProtection.ENCRYPTED
    allow_private: bool = False
    """Whether mail exchangers may be at loopback and private addresses."""
    smtp_port: int = 25
    https_port: int = 443
    """Where MTA-STS policies are fetched."""
    dns_timeout: timedelta = timedelta(seconds=10)
    policy_timeout: timedelta = timedelta(seconds=15)
    """Until an MTA-STS policy is there; RFC 8461 section 3.3 suggests a minute, and the mail waits."""

    def __post_init__(self) -> None:
        if self.dnssec and (self.resolver is None or not self.resolver.address.is_loopback):
            raise ConfigurationRefused(
                key="direct.dnssec",
                reason="the resolver that validates must be on this machine",
                remedy="run one, such as unbound, and set direct.resolver to its loopback address",
            )
