"""Which secrets has an enrolment, and what are they bound to? The recipient's key, and its password."""

from dataclasses import dataclass

from ca.keys import PrivateKey, key_hash, to_pkcs8
from ca.passwords import PasswordRule, PasswordStyle, generate
from ca.sealing import SealedSecret, Sealer, SecretIdentity, SecretKind
from directory.organization import Organization

PASSWORD_RULES = {style: PasswordRule.usual(style) for style in PasswordStyle}


@dataclass(frozen=True, slots=True, kw_only=True)
class EnrolmentSecrets:
    """The secrets of one mint, sealed."""

    key: SealedSecret
    key_sha256: bytes
    """Of its public half."""
    password: SealedSecret


def seal(sealer: Sealer, enrolment_id: str, organization: Organization, key: PrivateKey) -> EnrolmentSecrets:
    """Seal a key, and a password that is made here, to an enrolment and its organization."""
    password = generate(PASSWORD_RULES[organization.password_style])
    key_identity = recipient_key_identity(enrolment_id, organization.organization_id)
    password_identity = relay_password_identity(enrolment_id, organization.organization_id)
    return EnrolmentSecrets(
        key=sealer.seal(to_pkcs8(key), key_identity),
        key_sha256=key_hash(key.public_key()),
        password=sealer.seal(password.reveal().encode(), password_identity),
    )


def recipient_key_identity(enrolment_id: str, organization_id: str) -> SecretIdentity:
    """Return what a recipient's sealed private key is bound to."""
    return SecretIdentity(
        kind=SecretKind.RECIPIENT_KEY, record_id=enrolment_id, organization_id=organization_id
    )


def relay_password_identity(enrolment_id: str, organization_id: str) -> SecretIdentity:
    """Return what the sealed password of a key package is bound to."""
    return SecretIdentity(kind=SecretKind.PASSWORD, record_id=enrolment_id, organization_id=organization_id)
