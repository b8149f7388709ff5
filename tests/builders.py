"""Good values of the authority to deviate from, one thing at a time."""

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import NoReturn, Self

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import NoDigestInfo, Prehashed
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    KeySerializationEncryption,
    PrivateFormat,
)
from typing_extensions import override

from ca.address import Mailbox
from ca.hierarchy import AuthorityName, certify_root, create_issuing
from ca.issuance import Issuer
from ca.keys import KeyAlgorithm, PrivateKey, PublicKey, generate
from ca.linting import Linter
from ca.profiles import Profile, ProfileConfig, Purpose
from ca.publication import Publication
from ca.signers import Signer, SoftwareSigner
from ca.signing import PreparedCertificate

NOW = datetime(2026, 11, 22, 9, 30, tzinfo=UTC)
ALICE = Mailbox.parse("alice@example.com")
JOERG = Mailbox.parse_international("jörg@example.com")
"""Of a local part beyond ASCII."""
PUBLICATION = Publication("http://pki.example.com")


@dataclass(frozen=True, slots=True, kw_only=True)
class Authority:
    """A root and an issuing CA below it, with their keys."""

    root: Issuer
    root_key: PrivateKey
    issuer: Issuer
    issuing_key: PrivateKey
    linter: Linter

    @property
    def chain(self) -> tuple[x509.Certificate, x509.Certificate]:
        return self.issuer.certificate, self.root.certificate

    def issuer_with(self, signer: Signer) -> Issuer:
        return Issuer(self.issuer.certificate, signer, PUBLICATION, self.linter)

    def with_partitions(self, *partitions: int) -> "Authority":
        """Return the same, whose certificates are spread over the partitions of its CRL."""
        signer = SoftwareSigner(self.issuing_key)
        issuer = Issuer(self.issuer.certificate, signer, PUBLICATION, self.linter, partitions=partitions)
        return replace(self, issuer=issuer)


def a_profile(
    purpose: Purpose = Purpose.RECIPIENT_ENCRYPTION,
    *,
    key_algorithm: KeyAlgorithm = KeyAlgorithm.RSA_2048,
    validity: timedelta | None = None,
    policy_oid: str | None = None,
    international_local_parts: bool = False,
) -> Profile:
    standard = ProfileConfig.standard(purpose)
    return Profile.from_config(
        replace(
            standard,
            key_algorithm=key_algorithm,
            validity=validity or standard.validity,
            policy_oid=policy_oid,
            international_local_parts=international_local_parts,
        )
    )


def create_root(
    profile: Profile, name: AuthorityName, now: datetime, linter: Linter
) -> tuple[x509.Certificate, PrivateKey]:
    """Make a root: a fresh key and its self-signed certificate."""
    key = generate(profile.key_algorithm)
    return certify_root(SoftwareSigner(key), profile, name, now, linter), key


def an_authority(
    linter: Linter,
    *,
    key_algorithm: KeyAlgorithm = KeyAlgorithm.RSA_2048,
    name: str = "Example",
    now: datetime = NOW,
    issuing_validity: timedelta | None = None,
) -> Authority:
    root_certificate, root_key = create_root(
        a_profile(Purpose.ROOT_CA, key_algorithm=key_algorithm),
        AuthorityName(organization=name, common_name=f"{name} Root 2026"),
        now,
        linter,
    )
    root = Issuer(root_certificate, SoftwareSigner(root_key), PUBLICATION, linter)
    issuing_key = generate(key_algorithm)
    issuing_certificate = create_issuing(
        root,
        a_profile(Purpose.ISSUING_CA, key_algorithm=key_algorithm, validity=issuing_validity),
        AuthorityName(organization=name, common_name=f"{name} Issuing CA 2026"),
        issuing_key.public_key(),
        now,
    )
    return Authority(
        root=root,
        root_key=root_key,
        issuer=Issuer(issuing_certificate, SoftwareSigner(issuing_key), PUBLICATION, linter),
        issuing_key=issuing_key,
        linter=linter,
    )


def a_prepared_certificate(
    authority: Authority,
    public_key: PublicKey,
    *,
    profile: Profile | None = None,
    mailbox: Mailbox = ALICE,
    now: datetime = NOW,
) -> PreparedCertificate:
    return authority.issuer.prepare(profile or a_profile(), mailbox, public_key, now)


def a_certificate(
    authority: Authority,
    public_key: PublicKey,
    *,
    profile: Profile | None = None,
    mailbox: Mailbox = ALICE,
    now: datetime = NOW,
) -> x509.Certificate:
    prepared = a_prepared_certificate(authority, public_key, profile=profile, mailbox=mailbox, now=now)
    return authority.issuer.sign(authority.issuer.lint(prepared))


class KeyStaysInsideError(Exception):
    """Somebody asked a token for the key itself."""


class TokenKey(rsa.RSAPrivateKey):
    """An RSA key as a PKCS#11 token would lend it: it signs, counts its signatures, and hands out nothing."""

    def __init__(self, inside: rsa.RSAPrivateKey) -> None:
        self._inside = inside
        self.signatures = 0

    def sign(
        self,
        data: bytes,
        padding: padding.AsymmetricPadding,
        algorithm: Prehashed | hashes.HashAlgorithm | NoDigestInfo,
    ) -> bytes:
        self.signatures += 1
        return self._inside.sign(data, padding, algorithm)

    def public_key(self) -> rsa.RSAPublicKey:
        return self._inside.public_key()

    @property
    def key_size(self) -> int:
        return self._inside.key_size

    @override
    def decrypt(self, ciphertext: bytes, padding: padding.AsymmetricPadding) -> NoReturn:
        raise KeyStaysInsideError

    def private_numbers(self) -> NoReturn:
        raise KeyStaysInsideError

    @override
    def private_bytes(
        self,
        encoding: Encoding,
        format: PrivateFormat,
        encryption_algorithm: KeySerializationEncryption,
    ) -> NoReturn:
        raise KeyStaysInsideError

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: dict[int, object]) -> Self:
        return self


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenSigner:
    """A signer whose key object forwards to a token."""

    signing_key: TokenKey

    @property
    def public_key(self) -> PublicKey:
        return self.signing_key.public_key()

    def require_available(self) -> None:
        pass
