"""How does an authority come into being: its root, its issuing CA, the TLS certificate of its first start?

Every certificate made here is linted first, as a recipient's is. Where the keys are kept afterwards is
decided by whoever asked for them.
"""

import ipaddress
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from cryptography import x509
from cryptography.x509.oid import NameOID

from ca.errors import KeyRefused, ProfileRefused
from ca.issuance import Issuer
from ca.keys import PrivateKey, PublicKey, algorithm_of, generate
from ca.linting import Linter
from ca.profiles import Profile, ProfileConfig, Purpose
from ca.signers import Signer, SoftwareSigner
from ca.signing import PreparedCertificate, SignatureScheme, SigningGate

_LONGEST_ATTRIBUTE = 64
"""ub-organization-name and ub-common-name (RFC 5280 appendix A.1)."""

_LABEL = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
_HOST_NAME = re.compile(rf"(?!.{{254}}){_LABEL}(?:\.{_LABEL})*")
"""The preferred name syntax that RFC 5280 section 4.2.1.6 prescribes for dNSName: LDH labels."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthorityName:
    """What a CA is called.

    Raises:
        ProfileRefused: a part is empty, longer than 64 characters, or holds invisible ones.
    """

    organization: str
    common_name: str

    def __post_init__(self) -> None:
        for field, text in (("organization", self.organization), ("common_name", self.common_name)):
            if not 0 < len(text) <= _LONGEST_ATTRIBUTE or not text.isprintable() or text != text.strip():
                raise ProfileRefused(field, "must be 1 to 64 visible characters")

    @property
    def distinguished_name(self) -> x509.Name:
        """The name as written in certificates: `CN=…,O=…` in the order of RFC 4514.

        The CN is the last RDN, hence the first in text. gpgsm cuts whatever precedes `CN=` off an issuer's
        name before it looks the issuer up in a directory, and so loses nothing.
        """
        return x509.Name(
            [
                x509.NameAttribute(NameOID.ORGANIZATION_NAME, self.organization),
                x509.NameAttribute(NameOID.COMMON_NAME, self.common_name),
            ]
        )


def certify_root(
    signer: Signer,
    profile: Profile,
    name: AuthorityName,
    now: datetime,
    linter: Linter,
    *,
    scheme: SignatureScheme = SignatureScheme.PKCS1,
) -> x509.Certificate:
    """Let a key that is there already, perhaps in a token, certify itself as a root.

    Raises:
        KeyRefused: the key is not of the profile's algorithm.
        ProfileRefused: the profile is not a root's.
        LintFailed: it breaks a rule; nothing was signed.
        SignerUnavailable: the token does not sign.
    """
    if profile.purpose is not Purpose.ROOT_CA:
        raise ProfileRefused("purpose", f"{profile.purpose} is not the purpose of a root")
    if algorithm_of(signer.public_key) is not profile.key_algorithm:
        raise KeyRefused(f"a root's key is {profile.key_algorithm}")
    return _self_signed(signer, profile, name.distinguished_name, now, linter, scheme=scheme)


def create_issuing(
    root: Issuer, profile: Profile, name: AuthorityName, public_key: PublicKey, now: datetime
) -> x509.Certificate:
    """Certify the key of an issuing CA under the root; the private half may be in a token.

    Raises:
        KeyRefused: the key is not of the profile's algorithm.
        ProfileRefused: not an issuing CA's profile, not a root, or the root ends too soon.
        LintFailed: it breaks a rule; nothing was signed.
    """
    return root.sign(root.lint(root.prepare_issuing_ca(profile, name.distinguished_name, public_key, now)))


def create_recovery_certificate(
    name: AuthorityName, now: datetime, linter: Linter
) -> tuple[x509.Certificate, PrivateKey]:
    """Make what recipients' keys are escrowed to: an RSA-4096 key and its self-signed certificate.

    A leaf of its own, outside the S/MIME hierarchy: nobody trusts it, it is only encrypted to.

    Raises:
        LintFailed: it breaks a rule; nothing was signed.
    """
    profile = Profile.from_config(ProfileConfig.standard(Purpose.KEY_RECOVERY))
    key = generate(profile.key_algorithm)
    return _self_signed(SoftwareSigner(key), profile, name.distinguished_name, now, linter), key


def create_tls_server(
    hosts: Sequence[str], now: datetime, linter: Linter
) -> tuple[x509.Certificate, PrivateKey]:
    """Make a self-signed TLS server certificate for host names and IP addresses, to start with.

    A leaf of its own, outside the S/MIME hierarchy: whoever trusts it trusts one server and no CA.

    Raises:
        ProfileRefused: no host was given, or one is neither an IP address nor a host name.
        LintFailed: it breaks a rule; nothing was signed.
    """
    if not hosts:
        raise ProfileRefused("hosts", "must name at least one host")
    alternatives = x509.SubjectAlternativeName([_general_name(host) for host in hosts])
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, hosts[0])])
    profile = Profile.from_config(ProfileConfig.standard(Purpose.TLS_SERVER))
    key = generate(profile.key_algorithm)
    return _self_signed(SoftwareSigner(key), profile, subject, now, linter, alternatives), key


def _self_signed(
    signer: Signer,
    profile: Profile,
    subject: x509.Name,
    now: datetime,
    linter: Linter,
    *identity: x509.ExtensionType,
    scheme: SignatureScheme = SignatureScheme.PKCS1,
) -> x509.Certificate:
    public_key = signer.public_key
    not_before, not_after = profile.validity_from(now)
    # OpenSSL in strict mode and pkilint want the authority key identifier even where it points to itself.
    pointers = (
        x509.SubjectKeyIdentifier.from_public_key(public_key),
        x509.AuthorityKeyIdentifier.from_issuer_public_key(public_key),
    )
    prepared = PreparedCertificate(
        purpose=profile.purpose,
        issuer_name=subject,
        subject_name=subject,
        public_key=public_key,
        serial_number=x509.random_serial_number(),
        not_before=not_before,
        not_after=not_after,
        extensions=(
            *profile.extensions(),
            *(x509.Extension(value.oid, critical=False, value=value) for value in (*identity, *pointers)),
        ),
    )
    gate = SigningGate(signer, linter, certificate=None, scheme=scheme)
    return gate.sign(gate.lint(prepared))


def _general_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return _dns_name(host)


def _dns_name(host: str) -> x509.DNSName:
    if not _HOST_NAME.fullmatch(host):
        raise ProfileRefused("hosts", "must be IP addresses or host names in lower case")
    return x509.DNSName(host)
