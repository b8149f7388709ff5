"""Which issuers has the authority, in which state is each, and who of them signs for whom, when?

An issuing CA signs from the moment at which it becomes active until another one of the same scope does. So a
succession is set down beforehand, and every process finds it by its own clock at that moment. Whoever was
succeeded goes on telling what it has revoked, but does not sign again by itself: if the one that signs is
revoked or expires nobody does, until an operator makes another active.

The scope is that of certificates: an isolated organization may have issuing CAs of its own. Once it has one
that became active, nobody else signs for it any more.
"""

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Self, TypeAlias

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from ca.pkcs11 import TokenKey
from ca.profiles import Purpose
from ca.revocation import RevocationReason
from ca.sealing import SealedSecret
from directory.organization import SHARED_SCOPE


class IssuerState(StrEnum):
    """What an issuer does."""

    PENDING = "pending"
    """It waits: for the moment in which it becomes active, or for somebody to say when."""
    ACTIVE = "active"
    """An issuing CA that certifies recipients; a root, or somebody else's CA, that is valid."""
    SUCCEEDED = "succeeded"
    """Another one certifies in its place; it goes on telling what it has revoked."""
    REVOKED = "revoked"
    EXPIRED = "expired"


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredIssuer:
    """An issuer as stored."""

    issuer_id: str
    """The subject key identifier of its certificate, in hex."""
    parent_id: str | None
    """None for a root."""
    purpose: Purpose
    subject: str
    certificate: bytes
    """DER."""
    serial: int
    not_before: datetime
    not_after: datetime
    sealed_key: SealedSecret | None
    """None where the key is elsewhere: in a token, or off-line."""
    token_key: TokenKey | None = None
    """Where in a token the key is."""
    is_foreign: bool = False
    """Whether it is somebody else's CA, who tells himself what it has revoked."""
    organization_id: str | None = None
    """Whom alone it serves; None: everybody who has none of his own."""
    active_from: datetime | None
    """When it begins to certify recipients; None as long as nobody has said."""
    created_at: datetime
    revoked_at: datetime | None = None
    revocation_reason: RevocationReason | None = None

    @classmethod
    def of(
        cls,
        certificate: x509.Certificate,
        *,
        parent_id: str | None,
        purpose: Purpose,
        created_at: datetime,
        sealed_key: SealedSecret | None = None,
        token_key: TokenKey | None = None,
        is_foreign: bool = False,
        organization_id: str | None = None,
        active_from: datetime | None = None,
    ) -> Self:
        """Return the issuer that a certificate makes of its subject."""
        return cls(
            issuer_id=issuer_id_of(certificate),
            parent_id=parent_id,
            purpose=purpose,
            subject=certificate.subject.rfc4514_string(),
            certificate=certificate.public_bytes(Encoding.DER),
            serial=certificate.serial_number,
            not_before=certificate.not_valid_before_utc,
            not_after=certificate.not_valid_after_utc,
            sealed_key=sealed_key,
            token_key=token_key,
            is_foreign=is_foreign,
            organization_id=organization_id,
            active_from=active_from,
            created_at=created_at,
        )

    @property
    def scope(self) -> str:
        """Whose certificates it signs."""
        return self.organization_id or SHARED_SCOPE

    @property
    def key_is_here(self) -> bool:
        """Whether it can sign in some service: its key is sealed, or in a token."""
        return self.sealed_key is not None or self.token_key is not None

    def ended(self, now: datetime) -> IssuerState | None:
        """Tell how it came to its end; None while it has not."""
        if self.revoked_at is not None:
            return IssuerState.REVOKED
        return IssuerState.EXPIRED if self.not_after <= now else None


HasKey: TypeAlias = Callable[[StoredIssuer], bool]
"""Tells whether the key of an issuer is here: sealed, or in the token that is configured."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hierarchy:
    """Every issuer, at one moment."""

    issuers: tuple[StoredIssuer, ...]

    def signer(self, scope: str, now: datetime, *, only_own: bool = False) -> StoredIssuer | None:
        """Return the issuing CA that certifies recipients of a scope at that moment; None if nobody may.

        With `only_own` the shared one does not sign for an organization that has none of its own yet.
        """
        latest = self._latest(scope, now)
        if latest is None and not only_own:
            latest = self._latest(SHARED_SCOPE, now)
        if latest is None or latest.ended(now) or latest.not_before > now or not latest.key_is_here:
            return None
        return latest

    def signers(self, now: datetime) -> Collection[StoredIssuer]:
        """Return everybody who certifies recipients now, or will as things are set down."""
        present = {
            signer.issuer_id: signer
            for scope in {issuer.scope for issuer in self._issuing()}
            if (signer := self.signer(scope, now, only_own=True))
        }
        future = {
            issuer.issuer_id: issuer
            for issuer in self._issuing()
            if issuer.active_from is not None
            and issuer.active_from > now
            and issuer.key_is_here
            and not issuer.ended(now)
        }
        return (present | future).values()

    def state(self, issuer: StoredIssuer, now: datetime) -> IssuerState:
        """Tell what an issuer does at that moment."""
        if (ended := issuer.ended(now)) is not None:
            return ended
        if issuer.purpose is not Purpose.ISSUING_CA or issuer.is_foreign:
            return IssuerState.ACTIVE
        if issuer.active_from is None or issuer.active_from > now:
            return IssuerState.PENDING
        return IssuerState.ACTIVE if issuer is self._latest(issuer.scope, now) else IssuerState.SUCCEEDED

    def chain(self, issuer_id: str) -> tuple[bytes, ...]:
        """Return the certificates from an issuer's to its root's, DER."""
        return chain_of(issuer_id, {one.issuer_id: (one.parent_id, one.certificate) for one in self.issuers})

    def _issuing(self) -> Iterator[StoredIssuer]:
        return (one for one in self.issuers if one.purpose is Purpose.ISSUING_CA and not one.is_foreign)

    def _latest(self, scope: str, now: datetime) -> StoredIssuer | None:
        """Return whoever became active last, whether he still may sign or not."""
        begun = [
            (issuer.active_from, issuer.created_at, issuer.issuer_id, issuer)
            for issuer in self._issuing()
            if issuer.scope == scope and issuer.active_from is not None and issuer.active_from <= now
        ]
        return max(begun, key=lambda one: one[:3])[3] if begun else None


def issuer_id_of(certificate: x509.Certificate) -> str:
    """Return the subject key identifier of a CA's certificate, in hex."""
    identifier = certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    return identifier.digest.hex()


def chain_of(issuer_id: str, issuers_by_id: Mapping[str, tuple[str | None, bytes]]) -> tuple[bytes, ...]:
    """Follow the parents from an issuer to its root; return their certificates in that order."""
    certificates: list[bytes] = []
    next_id: str | None = issuer_id
    while next_id is not None:
        next_id, certificate = issuers_by_id[next_id]
        certificates.append(certificate)
    return tuple(certificates)
