"""What does a certificate of each purpose contain, and how long may it live?

Everything here follows from the purpose and the profile alone. Whose certificate it is, who issues it and
where its status is published is settled in `ca.issuance`.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum, unique
from typing import Self

from cryptography import x509
from cryptography.x509.oid import CertificatePoliciesOID, ExtendedKeyUsageOID

from ca.address import MailDomain
from ca.constraints import permitted_domains
from ca.errors import AddressRefused, ProfileRefused
from ca.keys import KeyAlgorithm

DOCUMENTATION_POLICY_OID = "1.3.6.1.4.1.32473.1.1"
"""The policy asserted until the operator names his own: an arc reserved for examples (RFC 5612)."""

_CABF_RESERVED_ARC = "2.23.140"
"""The CA/Browser Forum's policies: promises of audited public CAs, which a private one must not make."""

_BACKDATED = timedelta(hours=1)
"""Certificates begin in the past, so that a client whose clock is slow can use them at once."""

_INCLUSIVE_END = timedelta(seconds=2)
"""notAfter belongs to the validity period (RFC 5280 section 4.1.2.5), so a period of N days ends a second
before N days. One second more keeps it off the CA/B maximum itself, at which linters warn."""

_SHORTEST_VALIDITY = timedelta(days=1)

# aes256-CBC, aes128-CBC: the order is the preference, parameters are absent (RFC 5911, cea-aes256-cbc). RFC
# 4262 puts this into the certificate: without it a gateway that never had signed mail from the recipient
# must assume that he reads nothing better than 3DES. A test compares it with a library's encoding.
SMIME_CAPABILITIES = x509.UnrecognizedExtension(
    x509.ObjectIdentifier("1.2.840.113549.1.9.15"),
    bytes.fromhex("301a300b060960864801650304012a300b0609608648016503040102"),
)


DOMAIN_AUTHORITY = "domain-confidentiality-authority"
"""The local part under which a domain's gateway decrypts for everybody in it (RFC 3183 section 4.1)."""


@unique
class Purpose(StrEnum):
    """What a certificate is for."""

    ROOT_CA = "root-ca"
    ISSUING_CA = "issuing-ca"
    RECIPIENT_ENCRYPTION = "recipient-encryption"
    RECIPIENT_DUAL = "recipient-dual"
    PROXY = "proxy"
    """One address, whose mail a gateway decrypts with a key of its own."""
    DOMAIN = "domain"
    """The address that stands for a whole domain, likewise."""
    TLS_SERVER = "tls-server"
    OCSP_RESPONDER = "ocsp-responder"
    KEY_RECOVERY = "key-recovery"
    """What recipients' keys are escrowed to; its own key is off line."""

    @property
    def is_recipient(self) -> bool:
        """Whether it certifies a mailbox."""
        return self in {
            Purpose.RECIPIENT_ENCRYPTION,
            Purpose.RECIPIENT_DUAL,
            Purpose.PROXY,
            Purpose.DOMAIN,
        }


LONGEST_VALIDITY = {
    Purpose.ROOT_CA: timedelta(days=9131),  # 25 years
    Purpose.ISSUING_CA: timedelta(days=3652),  # 10 years
    Purpose.RECIPIENT_ENCRYPTION: timedelta(days=825),  # CA/B S/MIME BR 6.3.2, generation Strict
    Purpose.RECIPIENT_DUAL: timedelta(days=825),
    Purpose.PROXY: timedelta(days=825),
    Purpose.DOMAIN: timedelta(days=825),
    Purpose.TLS_SERVER: timedelta(days=825),  # what Apple's clients accept even from a private issuer
    Purpose.OCSP_RESPONDER: timedelta(days=90),  # nobody asks whether it was revoked: it must end soon
    Purpose.KEY_RECOVERY: timedelta(days=3652),
}

_STANDARD = {
    Purpose.ROOT_CA: (KeyAlgorithm.RSA_4096, timedelta(days=7305)),  # 20 years
    Purpose.ISSUING_CA: (KeyAlgorithm.RSA_3072, timedelta(days=3652)),
    Purpose.RECIPIENT_ENCRYPTION: (KeyAlgorithm.RSA_3072, timedelta(days=825)),
    Purpose.RECIPIENT_DUAL: (KeyAlgorithm.RSA_3072, timedelta(days=825)),
    Purpose.PROXY: (KeyAlgorithm.RSA_3072, timedelta(days=825)),
    Purpose.DOMAIN: (KeyAlgorithm.RSA_3072, timedelta(days=825)),
    Purpose.TLS_SERVER: (KeyAlgorithm.P_256, timedelta(days=825)),
    Purpose.OCSP_RESPONDER: (KeyAlgorithm.RSA_2048, timedelta(days=30)),
    Purpose.KEY_RECOVERY: (KeyAlgorithm.RSA_4096, timedelta(days=1827)),  # 5 years; what is escrowed lasts
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ProfileConfig:
    """A profile as configured, not yet judged."""

    purpose: Purpose
    key_algorithm: KeyAlgorithm
    validity: timedelta
    policy_oid: str | None = None
    """For recipients only, dotted; None asserts `DOCUMENTATION_POLICY_OID`."""
    permitted_domains: frozenset[str] = frozenset()
    """For issuing CAs only: at which hosts, or with a dot in front below which, it may certify addresses;
    anywhere if empty."""
    international_local_parts: bool = False
    """For recipients only: may local parts go beyond ASCII? Their certificates name the address in an
    SmtpUTF8Mailbox (RFC 9598), which many programs cannot read."""

    @classmethod
    def standard(cls, purpose: Purpose) -> Self:
        """The profile one gets without asking for another."""
        key_algorithm, validity = _STANDARD[purpose]
        return cls(purpose=purpose, key_algorithm=key_algorithm, validity=validity)


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """The rules for one kind of certificate. One that exists is within the limits of its purpose.

    Raises:
        ProfileRefused: the validity or the policy is outside what the purpose allows.
    """

    purpose: Purpose
    key_algorithm: KeyAlgorithm
    validity: timedelta
    policy_oid: x509.ObjectIdentifier | None
    permitted_domains: frozenset[str] = frozenset()
    international_local_parts: bool = False

    def __post_init__(self) -> None:
        longest = LONGEST_VALIDITY[self.purpose]
        if not _SHORTEST_VALIDITY <= self.validity <= longest:
            raise ProfileRefused("validity", f"{self.purpose} certificates live 1 to {longest.days} days")
        if self.purpose.is_recipient:
            if self.policy_oid is None or not is_private_policy(self.policy_oid):
                raise ProfileRefused("policy_oid", "must be private: not anyPolicy, not under 2.23.140")
        elif self.policy_oid is not None:
            raise ProfileRefused("policy_oid", f"{self.purpose} certificates assert no policy of their own")
        if self.permitted_domains and self.purpose is not Purpose.ISSUING_CA:
            raise ProfileRefused("permitted_domains", f"{self.purpose} certificates constrain nobody's names")
        if self.international_local_parts and not self.purpose.is_recipient:
            raise ProfileRefused("international_local_parts", f"{self.purpose} certificates name no mailbox")
        for domain in self.permitted_domains:
            _check_domain(domain.removeprefix("."))

    @classmethod
    def from_config(cls, config: ProfileConfig) -> Self:
        """Accept a configured profile.

        Raises:
            ProfileRefused: it asks for what the rules refuse.
        """
        dotted = config.policy_oid
        if dotted is None and config.purpose.is_recipient:
            dotted = DOCUMENTATION_POLICY_OID
        return cls(
            purpose=config.purpose,
            key_algorithm=config.key_algorithm,
            validity=config.validity,
            policy_oid=None if dotted is None else _object_identifier(dotted),
            permitted_domains=config.permitted_domains,
            international_local_parts=config.international_local_parts,
        )

    def __str__(self) -> str:
        policy = f", policy {self.policy_oid.dotted_string}" if self.policy_oid is not None else ""
        return f"{self.purpose}: {self.key_algorithm}, {self.validity.days} days{policy}"

    def validity_from(self, now: datetime) -> tuple[datetime, datetime]:
        """The first and the last second of a certificate issued at `now`; both belong to its validity."""
        not_before = now.replace(microsecond=0) - _BACKDATED
        return not_before, not_before + self.validity - _INCLUSIVE_END

    def extensions(self) -> tuple[x509.Extension[x509.ExtensionType], ...]:
        """What every certificate of this profile carries, whoever it is for (RFC 5280 section 4.2.1)."""
        extensions = [
            _extension(basic_constraints(self.purpose), critical=True),
            _extension(key_usage(self.purpose, self.key_algorithm), critical=True),
        ]
        if (usage := extended_key_usage(self.purpose)) is not None:
            extensions.append(_extension(usage, critical=False))
        if (policy := self._asserted_policy()) is not None:
            extensions.append(
                _extension(x509.CertificatePolicies([x509.PolicyInformation(policy, None)]), critical=False)
            )
        if self.permitted_domains:
            # Critical, as RFC 5280 section 4.2.1.10 asks: who does not understand it must not go by it.
            extensions.append(_extension(permitted_domains(self.permitted_domains), critical=True))
        if self.purpose.is_recipient:
            extensions.append(_extension(SMIME_CAPABILITIES, critical=False))
        if self.purpose is Purpose.OCSP_RESPONDER:
            # Else whoever checks an answer would ask for the status of whoever signed it, and so on for ever
            # (RFC 6960 section 4.2.2.2.1).
            extensions.append(_extension(x509.OCSPNoCheck(), critical=False))
        return tuple(extensions)

    def _asserted_policy(self) -> x509.ObjectIdentifier | None:
        # A CA's policies limit those of the certificates below it (RFC 5280 section 4.2.1.4). anyPolicy
        # leaves the operator free to change the recipients' policy without a new issuing CA.
        return CertificatePoliciesOID.ANY_POLICY if self.purpose is Purpose.ISSUING_CA else self.policy_oid


def basic_constraints(purpose: Purpose) -> x509.BasicConstraints:
    """Who may issue, and how many CAs may follow (RFC 5280 section 4.2.1.9)."""
    match purpose:
        case Purpose.ROOT_CA:
            return x509.BasicConstraints(ca=True, path_length=1)
        case Purpose.ISSUING_CA:
            return x509.BasicConstraints(ca=True, path_length=0)
        case _:
            return x509.BasicConstraints(ca=False, path_length=None)


def key_usage(purpose: Purpose, algorithm: KeyAlgorithm) -> x509.KeyUsage:
    """What the key may do (RFC 5280 section 4.2.1.3; for EC keys RFC 8813 section 3)."""
    signs_status = purpose is Purpose.ISSUING_CA  # its own OCSP responses, for which digitalSignature is due
    is_encrypted_to = purpose.is_recipient or purpose is Purpose.KEY_RECOVERY
    return x509.KeyUsage(
        digital_signature=signs_status
        or purpose in {Purpose.RECIPIENT_DUAL, Purpose.TLS_SERVER, Purpose.OCSP_RESPONDER},
        content_commitment=False,
        key_encipherment=is_encrypted_to and algorithm.is_rsa,
        data_encipherment=False,
        key_agreement=is_encrypted_to and not algorithm.is_rsa,
        key_cert_sign=purpose in {Purpose.ROOT_CA, Purpose.ISSUING_CA},
        crl_sign=purpose in {Purpose.ROOT_CA, Purpose.ISSUING_CA},
        encipher_only=False,
        decipher_only=False,
    )


def extended_key_usage(purpose: Purpose) -> x509.ExtendedKeyUsage | None:
    """What the key may be used for (RFC 5280 section 4.2.1.12).

    The issuing CA is held to mail as well: recipients install its root, and a key that is on line must
    not be able to make TLS or code-signing certificates which they would trust. It must not have OCSPSigning
    either, although it certifies responders: that would make it a responder of the root's (RFC 6960 section
    4.2.2.2), whose certificates it could then call good.
    """
    match purpose:
        case Purpose.ROOT_CA:
            return None
        case Purpose.TLS_SERVER:
            return x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH])
        case Purpose.OCSP_RESPONDER:
            return x509.ExtendedKeyUsage([ExtendedKeyUsageOID.OCSP_SIGNING])
        case _:
            return x509.ExtendedKeyUsage([ExtendedKeyUsageOID.EMAIL_PROTECTION])


def is_private_policy(oid: x509.ObjectIdentifier) -> bool:
    """Whether a private CA may assert the policy: neither anyPolicy nor one the CA/B Forum reserves."""
    dotted = f"{oid.dotted_string}."
    return oid != CertificatePoliciesOID.ANY_POLICY and not dotted.startswith(f"{_CABF_RESERVED_ARC}.")


def _extension(value: x509.ExtensionType, *, critical: bool) -> x509.Extension[x509.ExtensionType]:
    return x509.Extension(value.oid, critical, value)


def _check_domain(domain: str) -> None:
    try:
        is_usual = str(MailDomain.parse(domain)) == domain
    except AddressRefused as error:
        raise ProfileRefused("permitted_domains", f"{domain!r} is no mail domain") from error
    if not is_usual:
        raise ProfileRefused("permitted_domains", f"{domain!r} is not in lower case, in ASCII")


def _object_identifier(dotted: str) -> x509.ObjectIdentifier:
    try:
        oid = x509.ObjectIdentifier(dotted)
    except ValueError as error:
        raise ProfileRefused("policy_oid", "is not a dotted object identifier") from error
    if oid.dotted_string != dotted:  # such as 1.02.3, which would be written as 1.2.3
        raise ProfileRefused("policy_oid", "is not in the usual spelling of an object identifier")
    return oid
