"""How does a public key become somebody's certificate?

    prepare(profile, mailbox, public key, now) ──► lint ──► sign

Pure but for the random serial number and the use of the issuer's key. Whether the mailbox deserves a
certificate is the directory's question.
"""

from collections.abc import Sequence
from datetime import datetime

from cryptography import x509
from cryptography.x509.oid import AuthorityInformationAccessOID, NameOID

from ca.address import Mailbox
from ca.constraints import specimen
from ca.errors import KeyRefused, ProfileRefused
from ca.keys import PublicKey, algorithm_of, same_key
from ca.linting import CertificateLinter
from ca.mailnames import mail_name
from ca.profiles import DOMAIN_AUTHORITY, Profile, Purpose
from ca.publication import Publication
from ca.signers import Signer
from ca.signing import LintedCertificate, PreparedCertificate, SignatureScheme, SigningGate

__all__ = ["Issuer", "LintedCertificate", "PreparedCertificate", "Publication"]

_LONGEST_COMMON_NAME = 64
"""ub-common-name (RFC 5280 appendix A.1); an address may be longer."""
_RESPONDER_SUFFIX = " OCSP"


class Issuer:
    """A CA at work: its certificate, its key behind the linter, and where it publishes.

    Recipients' certificates are spread evenly over the `partitions` of its CRL, by their serial numbers;
    where there are none, all name the complete CRL.

    Raises:
        KeyRefused: the signer's key is not the certificate's.
        ProfileRefused: the certificate is neither a root's nor an issuing CA's.
    """

    def __init__(
        self,
        certificate: x509.Certificate,
        signer: Signer,
        publication: Publication,
        linter: CertificateLinter,
        *,
        scheme: SignatureScheme = SignatureScheme.PKCS1,
        partitions: Sequence[int] = (),
    ) -> None:
        if not same_key(signer.public_key, certificate.public_key()):
            raise KeyRefused("the signer's key does not belong to the issuer's certificate")
        self._certificate = certificate
        self._role, self._key_identifier = _standing_of(certificate)
        self._publication = publication
        self._partitions = tuple(partitions)
        self._gate = SigningGate(signer, linter, certificate, scheme)

    def __repr__(self) -> str:
        return f"<Issuer {self.name.rfc4514_string()}>"

    @property
    def certificate(self) -> x509.Certificate:
        """The CA's own certificate."""
        return self._certificate

    @property
    def name(self) -> x509.Name:
        """The CA's distinguished name."""
        return self._certificate.subject

    @property
    def key_id(self) -> str:
        """The CA's subject key identifier in hexadecimal: its name in URLs."""
        return self._key_identifier.digest.hex()

    @property
    def publication(self) -> Publication:
        """Where the CA publishes."""
        return self._publication

    def prepare(
        self, profile: Profile, mailbox: Mailbox, public_key: PublicKey, now: datetime
    ) -> PreparedCertificate:
        """Write down the certificate of a mailbox. CN, emailAddress and rfc822Name are the same bytes.

        Some clients read only the subject, some only the SAN, and some compare with case. An address longer
        than a CN may be does without one. One with a local part beyond ASCII does without emailAddress, which
        cannot hold it, and is in an SmtpUTF8Mailbox (RFC 9598 section 3) alone.

        Raises:
            KeyRefused: the key is not of the profile's algorithm.
            ProfileRefused: not a recipient's profile, not an issuing CA, or the issuer ends too soon; or the
                address stands for a whole domain and the profile does not, or the other way round; or its
                local part is beyond ASCII and the profile's are not.
        """
        if not profile.purpose.is_recipient:
            raise ProfileRefused("purpose", f"{profile.purpose} certificates do not belong to a mailbox")
        if (mailbox.local_part.lower() == DOMAIN_AUTHORITY) is not (profile.purpose is Purpose.DOMAIN):
            raise ProfileRefused("purpose", f"{DOMAIN_AUTHORITY} and nobody else decrypts for a whole domain")
        if mailbox.is_international and not profile.international_local_parts:
            raise ProfileRefused("international_local_parts", "local parts beyond ASCII are not certified")
        san = x509.SubjectAlternativeName([mail_name(mailbox)])
        return self._prepare(profile, _subject_of(mailbox), public_key, now, san)

    def prepare_issuing_ca(
        self, profile: Profile, name: x509.Name, public_key: PublicKey, now: datetime
    ) -> PreparedCertificate:
        """Write down the certificate of an issuing CA under this root.

        Raises:
            KeyRefused: the key is not of the profile's algorithm.
            ProfileRefused: not an issuing CA's profile, not a root, or the root ends too soon.
        """
        if profile.purpose is not Purpose.ISSUING_CA:
            raise ProfileRefused("purpose", f"{profile.purpose} is not the purpose of an issuing CA")
        return self._prepare(profile, name, public_key, now)

    def prepare_ocsp_responder(
        self, profile: Profile, public_key: PublicKey, now: datetime
    ) -> PreparedCertificate:
        """Write down the certificate of an OCSP responder for this issuing CA (RFC 6960 section 4.2.2.2).

        It points to its issuer by key alone: it is never asked about, so it names no place of status.

        Raises:
            KeyRefused: the key is not of the profile's algorithm.
            ProfileRefused: not a responder's profile, or not an issuing CA, or not a valid one.
        """
        if profile.purpose is not Purpose.OCSP_RESPONDER:
            raise ProfileRefused("purpose", f"{profile.purpose} is not the purpose of an OCSP responder")
        return self._prepare(profile, self._responder_name(), public_key, now)

    def require_signer(self) -> None:
        """Return unless it is known that the CA's key cannot sign now, before anything is spent on it.

        Raises:
            SignerUnavailable: it is.
        """
        self._gate.require_available()

    def lint(self, prepared: PreparedCertificate) -> LintedCertificate:
        """Judge it before the CA's key sees it.

        Raises:
            LintFailed: it breaks a rule; nothing was signed with the CA's key.
        """
        return self._gate.lint(prepared)

    def sign(self, linted: LintedCertificate) -> x509.Certificate:
        """Sign what this issuer has linted, once.

        Raises:
            SigningRefused: linted by another issuer, signed before, or the key returned something else.
            SignerUnavailable: the key is in a token that does not sign now.
        """
        return self._gate.sign(linted)

    def rehearse(self, profile: Profile, public_key: PublicKey, now: datetime) -> None:
        """Find out at start, not at the first lookup, that this issuer can serve this profile.

        Raises:
            KeyRefused, ProfileRefused, LintFailed: as the first recipient's certificate would.
        """
        self.lint(self.prepare(profile, specimen(self._certificate), public_key, now))

    def _prepare(
        self,
        profile: Profile,
        subject: x509.Name,
        public_key: PublicKey,
        now: datetime,
        *identity: x509.ExtensionType,
    ) -> PreparedCertificate:
        if self._role is not _issuer_of(profile.purpose):
            raise ProfileRefused("purpose", f"{self._role} keys do not sign {profile.purpose} certificates")
        _check_key(public_key, profile)
        not_before, not_after = self._validity(profile, now)
        serial_number = x509.random_serial_number()  # 159 random bits; CA/B asks for 64
        partition = self._partition_of(serial_number) if profile.purpose.is_recipient else None
        return PreparedCertificate(
            purpose=profile.purpose,
            issuer_name=self.name,
            subject_name=subject,
            public_key=public_key,
            serial_number=serial_number,
            not_before=not_before,
            not_after=not_after,
            extensions=(
                *profile.extensions(),
                *(
                    x509.Extension(value.oid, critical=_is_critical(value, subject), value=value)
                    for value in (*identity, *self._keys_named(public_key), *self._places(profile, partition))
                ),
            ),
            crl_partition=partition,
        )

    def _partition_of(self, serial_number: int) -> int | None:
        return self._partitions[serial_number % len(self._partitions)] if self._partitions else None

    def _validity(self, profile: Profile, now: datetime) -> tuple[datetime, datetime]:
        """The profile's period, begun no earlier than the issuer's own; refused if it would end later."""
        begin, end = self._certificate.not_valid_before_utc, self._certificate.not_valid_after_utc
        if now < begin:
            raise ProfileRefused("validity", "the issuer's own certificate is not yet valid")
        not_before, not_after = profile.validity_from(now)
        if profile.purpose is Purpose.OCSP_RESPONDER and now < end:
            return max(not_before, begin), min(not_after, end)  # there is nothing to answer for afterwards
        if not_after > end:
            # Shortening it instead would end as certificates of a day, and nobody would know why.
            raise ProfileRefused("validity", f"would outlive the issuer, which ends on {end:%Y-%m-%d}")
        return max(not_before, begin), not_after

    def _responder_name(self) -> x509.Name:
        """The issuer's own name but for its CN, so that nobody takes the responder for somebody else's."""
        others = [one for one in self.name if one.oid != NameOID.COMMON_NAME]
        own = [str(one.value) for one in self.name if one.oid == NameOID.COMMON_NAME]
        room = _LONGEST_COMMON_NAME - len(_RESPONDER_SUFFIX)
        common_name = f"{''.join(own[:1])[:room].rstrip()}{_RESPONDER_SUFFIX}".strip()
        return x509.Name([*others, x509.NameAttribute(NameOID.COMMON_NAME, common_name)])

    def _keys_named(self, public_key: PublicKey) -> tuple[x509.ExtensionType, ...]:
        """By key from the certificate to its issuer, and from the certificates below to it."""
        return (
            x509.SubjectKeyIdentifier.from_public_key(public_key),
            x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(self._key_identifier),
        )

    def _places(self, profile: Profile, partition: int | None) -> tuple[x509.ExtensionType, ...]:
        """Where the certificate's issuer and its status are."""
        if profile.purpose is Purpose.OCSP_RESPONDER:
            return ()
        crl_url = self._publication.crl_url(self.key_id, partition)
        return (
            x509.CRLDistributionPoints([x509.DistributionPoint([_uri(crl_url)], None, None, None)]),
            x509.AuthorityInformationAccess(self._access_descriptions()),
        )

    def _access_descriptions(self) -> list[x509.AccessDescription]:
        descriptions = [
            x509.AccessDescription(
                AuthorityInformationAccessOID.CA_ISSUERS,
                _uri(self._publication.certificate_url(self.key_id)),
            )
        ]
        # A root answers no OCSP requests: its key can be taken off line, and its CRL is enough.
        if self._role is Purpose.ISSUING_CA:
            descriptions.append(
                x509.AccessDescription(AuthorityInformationAccessOID.OCSP, _uri(self._publication.ocsp_url))
            )
        return descriptions


def _subject_of(mailbox: Mailbox) -> x509.Name:
    address = str(mailbox)
    attributes = []
    if not mailbox.is_international:
        attributes.append(x509.NameAttribute(NameOID.EMAIL_ADDRESS, address))
    if len(address) <= _LONGEST_COMMON_NAME:
        attributes.append(x509.NameAttribute(NameOID.COMMON_NAME, address))
    return x509.Name(attributes)


def _is_critical(value: x509.ExtensionType, subject: x509.Name) -> bool:
    """Whether the certificate has no other name than this (RFC 5280 section 4.2.1.6)."""
    return isinstance(value, x509.SubjectAlternativeName) and not list(subject)


def _check_key(public_key: PublicKey, profile: Profile) -> None:
    """Hold a key to its profile.

    Raises:
        KeyRefused: too weak, of no accepted kind, or another kind than the profile's.
    """
    algorithm = algorithm_of(public_key)
    if algorithm is not profile.key_algorithm:
        raise KeyRefused(f"the profile asks for {profile.key_algorithm}, the key is {algorithm}")


def _issuer_of(purpose: Purpose) -> Purpose | None:
    match purpose:
        case Purpose.ISSUING_CA:
            return Purpose.ROOT_CA
        case Purpose.OCSP_RESPONDER:
            return Purpose.ISSUING_CA
        case _ if purpose.is_recipient:
            return Purpose.ISSUING_CA
        case _:
            return None


def _standing_of(certificate: x509.Certificate) -> tuple[Purpose, x509.SubjectKeyIdentifier]:
    """Which of our CAs the certificate makes its holder, and under which key identifier."""
    try:
        constraints = certificate.extensions.get_extension_for_class(x509.BasicConstraints).value
        key_identifier = certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    except x509.ExtensionNotFound as error:
        raise ProfileRefused("issuer", "is not a CA certificate") from error
    if not constraints.ca:
        raise ProfileRefused("issuer", "is neither a root's certificate nor an issuing CA's")
    # An issuing CA that somebody else certified may have another path length than ours.
    is_root = certificate.subject == certificate.issuer
    return Purpose.ROOT_CA if is_root else Purpose.ISSUING_CA, key_identifier


def _uri(url: str) -> x509.UniformResourceIdentifier:
    return x509.UniformResourceIdentifier(url)
