"""What does the authority publish about itself? Its certificates and CRLs, as every front end shows them.

Knows neither where they come from nor which protocol shows them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishedAuthority:
    """One certification authority."""

    certificate: bytes
    """DER."""
    is_root: bool
    crl: bytes | None
    """Its current complete CRL, DER (RFC 5280 section 5); None while there is none."""
    cross_certificates: tuple[bytes, ...] = ()
    """What other CAs have certified of its key, DER."""


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


NO_AUTHORITIES: Final = FixedAuthorities()
"""Nothing is published."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishedCrl:
    """A current CRL of an issuer."""

    issuer_id: str
    """The subject key identifier of its certificate, in hex."""
    issuer_certificate: bytes
    """DER."""
    partition: int | None = None
    """None: the complete one."""
    entries: int
    der: bytes
    number: int
    this_update: datetime
    next_update: datetime


class CrlShelf(Protocol):
    """Has every current CRL at hand."""

    def crl(self, issuer_id: str, partition: int | None = None) -> PublishedCrl | None:
        """Return the issuer's complete CRL, or a partition's, from memory; None if there is no such one."""
        ...

    def complete_crls(self) -> Sequence[PublishedCrl]:
        """Return the complete CRL of every issuer that has one, from memory."""
        ...


class AuthorityBoard:
    """What is published now, in memory: one for all front ends of a process."""

    def __init__(self) -> None:
        self._authorities: tuple[PublishedAuthority, ...] = ()
        self._certificates: Mapping[str, bytes] = {}
        self._cross_certificates: Mapping[str, Sequence[bytes]] = {}
        self._crls: Mapping[tuple[str, int | None], PublishedCrl] = {}

    def show(self, authorities: Mapping[str, PublishedAuthority], crls: Sequence[PublishedCrl]) -> None:
        """Show these from now on; authorities by the identifier of the issuer."""
        self._certificates = {issuer_id: one.certificate for issuer_id, one in authorities.items()}
        self._cross_certificates = {
            issuer_id: one.cross_certificates for issuer_id, one in authorities.items()
        }
        self._crls = {(crl.issuer_id, crl.partition): crl for crl in crls}
        current = tuple(authorities.values())
        if current != self._authorities:  # whoever shows them asks for identity
            self._authorities = current

    def current(self) -> tuple[PublishedAuthority, ...]:
        """Return every authority; the same tuple as long as nothing has changed."""
        return self._authorities

    async def issuer_certificates(self) -> Mapping[str, bytes]:
        """Return the DER of every issuer by its identifier."""
        return self._certificates

    async def cross_certificates(self) -> Mapping[str, Sequence[bytes]]:
        """Return what other CAs have certified of each issuer's key, DER, by its identifier."""
        return self._cross_certificates

    def crl(self, issuer_id: str, partition: int | None = None) -> PublishedCrl | None:
        """Return the issuer's complete CRL, or a partition's; None if there is no such one."""
        return self._crls.get((issuer_id, partition))

    def crls(self) -> Sequence[PublishedCrl]:
        """Return every CRL."""
        return tuple(self._crls.values())

    def complete_crls(self) -> Sequence[PublishedCrl]:
        """Return the complete CRL of every issuer that has one."""
        return tuple(crl for crl in self._crls.values() if crl.partition is None)
