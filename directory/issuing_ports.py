"""What does an operator who adds issuing CAs ask of others? A store, keys; and what he hands to them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from cryptography import x509

from ca.issuance import Issuer
from ca.keys import KeyAlgorithm, PrivateKey
from ca.pkcs11 import TokenKey
from ca.sealing import SealedSecret
from ca.signers import MadeKey
from directory.audit import AuditEvent
from directory.hierarchy import Hierarchy, StoredIssuer
from directory.organization import Organization


@dataclass(frozen=True, slots=True, kw_only=True)
class PendingIssuer:
    """A key that waits for the certificate which makes it an issuing CA's."""

    issuer_id: str
    """The subject key identifier that its certificate is expected to have, in hex."""
    subject: str
    request: bytes
    """DER (RFC 2986)."""
    sealed_key: SealedSecret | None
    """None where the key is in a token."""
    token_key: TokenKey | None = None
    """Where in a token the key is."""
    organization_id: str | None
    created_at: datetime

    @property
    def has_key(self) -> bool:
        """Whether its certificate would make an issuing CA of it; not if its record was damaged."""
        return self.sealed_key is not None or self.token_key is not None

    def readable(self) -> x509.CertificateSigningRequest | None:
        """Return the request; None if its record was damaged."""
        try:
            return x509.load_der_x509_csr(self.request)
        except (ValueError, TypeError):  # SQLite keeps a text where octets should be
            return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What the new issuing CA is to be."""

    common_name: str | None = None
    organization: Organization | None = None
    """Whom alone it serves; None: everybody who has none of his own."""
    key_algorithm: KeyAlgorithm = KeyAlgorithm.RSA_3072
    permitted_domains: frozenset[str] = frozenset()
    root_id: str | None = None
    in_token: bool = False
    """Whether its key is made in the token; else it is sealed."""


class IssuingStore(Protocol):
    """Keeps issuers and what is to become one; each change is one durable transaction with its events."""

    async def hierarchy(self) -> Hierarchy:
        """Return every issuer."""
        ...

    async def pending(self) -> Sequence[PendingIssuer]:
        """Return what waits for a certificate."""
        ...

    async def add(self, issuer: StoredIssuer, *events: AuditEvent) -> None:
        """Add an issuer.

        Raises:
            AlreadyExists: there is an issuer with this key.
        """
        ...

    async def succeed(self, issuer: StoredIssuer, former: StoredIssuer, events: Sequence[AuditEvent]) -> bool:
        """Add the issuer that follows another, if none of the scope does yet; tell whether that was so."""
        ...

    async def request(self, pending: PendingIssuer, *events: AuditEvent) -> None:
        """Keep a key until its certificate comes."""
        ...

    async def complete(
        self, pending_id: str, issuers: Sequence[StoredIssuer], events: Sequence[AuditEvent]
    ) -> None:
        """Add issuers, parents first, and forget what waited for them.

        Raises:
            AlreadyExists: there is an issuer with one of the keys.
            Unknown: nothing waits any more.
        """
        ...


class IssuerKeys(Protocol):
    """Keeps issuers' private keys."""

    def make(self, algorithm: KeyAlgorithm, name: str, *, in_token: bool) -> MadeKey:
        """Make a key pair for an issuer of this name; takes a while.

        Raises:
            CaError: there is no token, or it makes none.
        """
        ...

    def seal(self, key: PrivateKey, issuer_id: str) -> SealedSecret:
        """Seal a key for this issuer alone."""
        ...

    def try_key(self, issuer: StoredIssuer) -> None:
        """Let the key of an issuer sign a trial, and check it by the certificate; takes a while.

        Raises:
            TokenKeyMissing: it is not in its token any more.
            CaError: it is not here, does not open, or is another one.
        """
        ...

    def unseal(self, sealed: SealedSecret, issuer_id: str) -> PrivateKey:
        """Open it.

        Raises:
            SealBroken: it does not open.
        """
        ...

    def open(self, issuer: StoredIssuer) -> Issuer:
        """Return the issuer at work; takes a while.

        Raises:
            CaError: its key is not here, or does not open.
        """
        ...
