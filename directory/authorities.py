"""What does the authority publish about itself? Its certificates and CRLs, as every front end shows them.

Knows neither where they come from nor which protocol shows them.
"""

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishedAuthority:
    """One certification authority."""

    certificate: bytes
    """DER."""
    is_root: bool
    crl: bytes | None
    """Its current complete CRL, DER (RFC 5280 section 5); None while there is none."""


class Authorities(Protocol):
    """What is published now."""

    def current(self) -> tuple[PublishedAuthority, ...]:
        """Return every authority, from memory; the same tuple as long as nothing has changed."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class FixedAuthorities:
    """Authorities that do not change."""

    authorities: tuple[PublishedAuthority, ...] = ()

    def current(self) -> tuple[PublishedAuthority, ...]:
        """Return them."""
        return self.authorities
