"""Who certifies recipients, and what does such a certificate say?"""

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from ca.address import Mailbox
from ca.constraints import permits
from ca.issuance import Issuer, LintedCertificate
from ca.keys import PublicKey
from ca.profiles import Profile
from directory.lookup import Origin, PublishedCertificate
from directory.organization import Organization


@dataclass(frozen=True, slots=True, kw_only=True)
class CertificateMaker:
    """Who certifies recipients, and what such a certificate says."""

    issuer: Issuer
    issuer_id: str
    chain: tuple[bytes, ...]
    """DER of the issuer's certificate, then of its issuers up to the root."""
    profile: Profile
    constrained: tuple[x509.Certificate, ...] = ()
    """Those of the chain that name constraints are in."""

    def permits(self, mailbox: Mailbox) -> bool:
        """Whether the mailbox may be certified below this chain (RFC 5280 section 4.2.1.10)."""
        return all(permits(certificate, mailbox) for certificate in self.constrained)

    def prepare(self, mailbox: Mailbox, public_key: PublicKey, now: datetime) -> LintedCertificate:
        """Return all of a certificate but its signature, linted; takes milliseconds.

        Raises:
            LintFailed: it would break a rule.
            ProfileRefused: the issuer cannot certify recipients.
        """
        return self.issuer.lint(self.issuer.prepare(self.profile, mailbox, public_key, now))

    def sign(
        self, linted: LintedCertificate, mailbox: Mailbox, *, origin: Origin = Origin.MINTED
    ) -> PublishedCertificate:
        """Sign what was linted, once. `origin` is whose the key is: ours, or one that was brought.

        Raises:
            SignerUnavailable: the key is in a token that does not sign now.
        """
        certificate = self.issuer.sign(linted)
        return PublishedCertificate(
            mailbox=mailbox,
            der=certificate.public_bytes(Encoding.DER),
            serial=certificate.serial_number,
            not_before=certificate.not_valid_before_utc,
            not_after=certificate.not_valid_after_utc,
            origin=origin,
        )


class CertificateMakers(Protocol):
    """Knows who certifies whom."""

    def maker(self, organization: Organization, now: datetime) -> CertificateMaker | None:
        """Return whoever certifies recipients for the organization at that moment; None if nobody can."""
        ...
