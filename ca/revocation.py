"""What has been revoked, and how does the world learn of it? The CRLs of one issuer (RFC 5280 section 5).

A copy signed with a throw-away key goes to the linter first, as with certificates (`ca.signing`): there is no
way to a signature of the issuer's but through `CrlIssuer.issue`. Which certificates are revoked, and when a
CRL is due, is the directory's question.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum, unique

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, padding
from cryptography.hazmat.primitives.serialization import Encoding

from ca.crllinting import CrlLinter
from ca.errors import KeyRefused, LintFailed, ProfileRefused, SigningRefused
from ca.keys import PrivateKey, same_key
from ca.signers import Signer
from ca.signing import SIGNATURE_HASH, SignatureScheme, throwaway_key_like


@unique
class RevocationReason(StrEnum):
    """CRLReason (RFC 5280 section 5.3.1), by its names there.

    Without the two that belong to a hold, which CA/B S/MIME BR 4.9.13 forbids: a revocation here is for ever.
    """

    UNSPECIFIED = "unspecified"
    KEY_COMPROMISE = "keyCompromise"
    CA_COMPROMISE = "cACompromise"
    AFFILIATION_CHANGED = "affiliationChanged"
    SUPERSEDED = "superseded"
    CESSATION_OF_OPERATION = "cessationOfOperation"
    PRIVILEGE_WITHDRAWN = "privilegeWithdrawn"
    AA_COMPROMISE = "aACompromise"


@dataclass(frozen=True, slots=True, kw_only=True)
class RevokedCertificate:
    """One entry of a CRL (RFC 5280 section 5.3)."""

    serial_number: int
    revoked_at: datetime
    reason: RevocationReason


@dataclass(frozen=True, slots=True, kw_only=True)
class PreparedCrl:
    """All that a CRL says (RFC 5280 section 5.1), but for its issuer."""

    number: int
    """Greater than that of every CRL of the issuer's before, of this scope (section 5.2.3)."""
    this_update: datetime
    next_update: datetime
    revoked: Iterable[RevokedCertificate]
    """Read once, from the beginning to the end."""
    distribution_point: str | None = None
    """The URL by which certificates name this CRL and no other, in the same octets (section 5.2.5); None: it
    is complete."""


class CrlIssuer:
    """An issuer's key behind the linter of its CRLs. Safe to share among threads.

    Raises:
        KeyRefused: the signer's key is not the certificate's.
        ProfileRefused: the certificate's key may not sign CRLs (section 6.3.3 (f)).
    """

    def __init__(
        self,
        certificate: x509.Certificate,
        signer: Signer,
        linter: CrlLinter,
        *,
        scheme: SignatureScheme = SignatureScheme.PKCS1,
    ) -> None:
        if not same_key(signer.public_key, certificate.public_key()):
            raise KeyRefused("the signer's key does not belong to the issuer's certificate")
        self._certificate = certificate
        self._key_identifier = _key_identifier_of(certificate)
        self._signer = signer
        self._linter = linter
        self._scheme = scheme
        self._throwaway_key = throwaway_key_like(signer.public_key)

    def __repr__(self) -> str:
        return f"<CrlIssuer {self._certificate.subject.rfc4514_string()}>"

    @property
    def scheme(self) -> SignatureScheme:
        """How an RSA key signs."""
        return self._scheme

    def issue(self, prepared: PreparedCrl) -> x509.CertificateRevocationList:
        """Lint, sign and verify a CRL; 10 µs of CPU per entry, under the interpreter lock.

        A third of that is two calls that do not let go of the lock; memory is 300 octets per entry.

        The linter sees the header and one entry of each kind: it takes 0.2 ms per entry, and all of a kind
        are written alike.

        Raises:
            LintFailed: it breaks a rule, or cannot even be encoded; the issuer's key was not used.
            SigningRefused: what the key returned is not a signature of the issuer's over those bytes.
        """
        try:
            entries, kinds = [], _Kinds()
            for place, one in enumerate(prepared.revoked):
                entries.append(_entry(one, prepared))
                kinds.saw(one, place)
            linted = self._signed(prepared, [entries[place] for place in kinds.places], self._throwaway_key)
            copy = self._signed(prepared, entries, self._throwaway_key)
        except ValueError as error:  # a serial number of zero, an end before the beginning
            raise LintFailed(("pushpki.not_encodable (FATAL)",)) from error
        if findings := self._linter.findings(linted.public_bytes(Encoding.DER)):
            raise LintFailed(tuple(str(finding) for finding in findings))
        crl = self._signed(prepared, entries, self._signer.signing_key)
        if crl.tbs_certlist_bytes != copy.tbs_certlist_bytes:
            raise SigningRefused("is not what was linted", what="CRL")
        if not crl.is_signature_valid(
            self._signer.public_key
        ):  # a failing token, or a fault in the arithmetic
            raise SigningRefused("came back with a signature that does not verify", what="CRL")
        return crl

    def unsafe_sign(self, octets: bytes) -> bytes:
        """Sign what another `CrlIssuer` has linted, in a process that has everything but the key.

        Which octets are signed is the caller's to answer for: nothing is linted in here.
        """
        key = self._signer.signing_key
        if isinstance(key, ec.EllipticCurvePrivateKey):
            return key.sign(octets, ec.ECDSA(SIGNATURE_HASH))
        return key.sign(octets, self._scheme.padding_for(key) or padding.PKCS1v15(), SIGNATURE_HASH)

    def _signed(
        self, prepared: PreparedCrl, entries: list[x509.RevokedCertificate], key: PrivateKey
    ) -> x509.CertificateRevocationList:
        builder = (
            # All at once: `add_revoked_certificate` copies what is there for every entry more.
            x509.CertificateRevocationListBuilder(revoked_certificates=entries)
            .issuer_name(self._certificate.subject)
            .last_update(prepared.this_update.replace(microsecond=0))
            .next_update(prepared.next_update.replace(microsecond=0))
            .add_extension(
                x509.AuthorityKeyIdentifier(self._key_identifier.digest, None, None), critical=False
            )
            .add_extension(x509.CRLNumber(prepared.number), critical=False)
        )
        if prepared.distribution_point is not None:
            builder = builder.add_extension(_scope(prepared.distribution_point), critical=True)
        return builder.sign(key, SIGNATURE_HASH, rsa_padding=self._scheme.padding_for(key))


def _entry(revoked: RevokedCertificate, prepared: PreparedCrl) -> x509.RevokedCertificate:
    # A node whose clock is ahead may have revoked it a moment from now.
    revoked_at = min(revoked.revoked_at, prepared.this_update).replace(microsecond=0)
    builder = (
        x509.RevokedCertificateBuilder().serial_number(revoked.serial_number).revocation_date(revoked_at)
    )
    if revoked.reason is not RevocationReason.UNSPECIFIED:  # which is said by saying nothing (section 5.3.1)
        builder = builder.add_extension(_REASONS[revoked.reason], critical=False)
    return builder.build()


_REASONS = {reason: x509.CRLReason(x509.ReasonFlags(reason.value)) for reason in RevocationReason}


class _Kinds:
    """Where the entries are that stand for all: the first of each reason, and the greatest serial number."""

    def __init__(self) -> None:
        self._first: dict[RevocationReason, int] = {}
        self._greatest = (-1, 0)

    def saw(self, revoked: RevokedCertificate, place: int) -> None:
        self._first.setdefault(revoked.reason, place)
        self._greatest = max(self._greatest, (revoked.serial_number, place))

    @property
    def places(self) -> list[int]:
        return sorted({*self._first.values(), self._greatest[1]}) if self._first else []


def _scope(distribution_point: str) -> x509.IssuingDistributionPoint:
    """Every certificate that names this distribution point, whatever it is for, and every reason."""
    return x509.IssuingDistributionPoint(
        full_name=[x509.UniformResourceIdentifier(distribution_point)],
        relative_name=None,
        only_contains_user_certs=False,
        only_contains_ca_certs=False,
        only_some_reasons=None,
        indirect_crl=False,
        only_contains_attribute_certs=False,
    )


def _key_identifier_of(certificate: x509.Certificate) -> x509.SubjectKeyIdentifier:
    try:
        usage = certificate.extensions.get_extension_for_class(x509.KeyUsage).value
        key_identifier = certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    except x509.ExtensionNotFound as error:
        raise ProfileRefused("issuer", "is not a CA certificate") from error
    if not usage.crl_sign:
        raise ProfileRefused("issuer", "may not sign CRLs")
    return key_identifier
