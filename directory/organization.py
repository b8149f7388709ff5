"""Who sends: the organization, its smart host, its way of delivering keys and passwords."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from types import MappingProxyType

from ca.address import Mailbox
from ca.keypackage import KeyPackageFormat
from ca.passwords import PasswordStyle
from ca.sealing import SealedSecret, SecretIdentity, SecretKind

SHARED_SCOPE = "shared"
"""The scope of certificates that every organization may see."""


class SmtpSecurity(StrEnum):
    """How the connection to the smart host is protected."""

    STARTTLS = "starttls"  # RFC 3207, required: no TLS, no mail
    IMPLICIT = "tls"  # RFC 8314 section 3.3
    CLEAR = "clear"  # loopback, or by the operator's explicit word


@dataclass(frozen=True, slots=True, kw_only=True)
class SmartHost:
    """Where the organization's outgoing mail is handed over."""

    host: str
    port: int
    security: SmtpSecurity
    username: str | None = None
    sealed_password: SealedSecret | None = None


class Renewal(StrEnum):
    """Which of an organization's certificates are renewed before they end."""

    PROVEN = "proven"  # those whose recipient has shown that he can decrypt
    ALL = "all"  # those whose key mail arrived, as far as anybody knows
    NONE = "none"


class KeyDelivery(StrEnum):
    """How the key package reaches the recipient."""

    ATTACHMENT = "attachment"
    LINK = "link"
    BOTH = "both"


class EndOfHold(StrEnum):
    """What an organization wants done with the service's copies of keys that are held no longer."""

    DESTROY = "destroy"
    ESCROW = "escrow"


class KeyFate(StrEnum):
    """What is to become of one held key. Settled when it is made, for its recipient is told."""

    DESTROY = "destroy"
    ESCROW = "escrow"
    DESTROY_SIGNING = "destroy_signing"
    """The organization escrows keys, but none that could sign in a recipient's name, as this one could."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HoldPolicy:
    """What an organization wants done with keys at the end of their hold."""

    end: EndOfHold = EndOfHold.DESTROY
    escrows_signing_keys: bool = False
    """Whether keys that could sign in their recipients' names are escrowed as well."""

    def fate(self, *, may_sign: bool) -> KeyFate:
        """Return what becomes of a key that is made now."""
        if self.end is EndOfHold.DESTROY:
            return KeyFate.DESTROY
        return KeyFate.DESTROY_SIGNING if may_sign and not self.escrows_signing_keys else KeyFate.ESCROW


@dataclass(frozen=True, slots=True, kw_only=True)
class Dkim:
    """The key that the organization's mails are signed with; d= is the domain of its sender."""

    selector: str
    sealed_key: SealedSecret


@dataclass(frozen=True, slots=True, kw_only=True)
class Webhook:
    """Where the organization's own system is told of passwords."""

    url: str
    sealed_secret: SealedSecret


@dataclass(frozen=True, slots=True, kw_only=True)
class PasswordMail:
    """Whom passwords are sent to, encrypted to a certificate of the organization's own (DER)."""

    mailbox: Mailbox
    certificate: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Correspondence:
    """How an organization writes: to recipients, and to its own desk."""

    language: str = "en"
    """Of its mails, unless whoever looks up asks for another."""
    sender_name: str = ""
    """What stands before its address in From; its name, if empty."""
    key_delivery: KeyDelivery = KeyDelivery.ATTACHMENT
    package_chain: bool = True
    """Whether key packages hold the certificates above the recipient's."""
    package_formats: Mapping[str, KeyPackageFormat] = field(default_factory=lambda: MappingProxyType({}))
    """Formats that recipients' domains need, other than the organization's usual one."""
    bounce_address: Mailbox | None = None
    """Where bounces go, told apart by a tag; None: to the sender's address, tagged likewise."""
    dkim: Dkim | None = None
    webhook: Webhook | None = None
    password_mail: PasswordMail | None = None
    notices_to: Mailbox | None = None
    """Who is told what went wrong, such as a key mail that bounced."""
    relay_lifetime: timedelta = timedelta(days=30)
    """How long a password waits for somebody to pass it on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Organization:
    """A sending organization, tenant of the service."""

    organization_id: str
    slug: str
    name: str
    domains: frozenset[str]
    mail_from: Mailbox
    smart_host: SmartHost | None
    """None: mails go directly to the recipients' mail exchangers."""
    isolated: bool = False
    package_format: KeyPackageFormat = KeyPackageFormat.COMPATIBLE
    password_style: PasswordStyle = PasswordStyle.CHARACTERS
    contact: str = ""
    """How a recipient reaches the registration agents, such as a telephone number; shown in the key mail."""
    correspondence: Correspondence = field(default_factory=Correspondence)
    hold_policy: HoldPolicy = field(default_factory=HoldPolicy)
    """For keys that are made from now on."""
    renewal: Renewal = Renewal.PROVEN

    @property
    def scope(self) -> str:
        """Whose certificates the organization's gateways see, besides none but these."""
        return self.organization_id if self.isolated else SHARED_SCOPE

    def package_format_for(self, mailbox: Mailbox) -> KeyPackageFormat:
        """Return the format of a recipient's key package."""
        return self.correspondence.package_formats.get(mailbox.domain, self.package_format)


def smtp_password_identity(organization_id: str) -> SecretIdentity:
    """Return what an organization's sealed smart-host password is bound to."""
    return _identity(SecretKind.SMTP_PASSWORD, organization_id)


def dkim_key_identity(organization_id: str) -> SecretIdentity:
    """Return what an organization's sealed DKIM key is bound to."""
    return _identity(SecretKind.DKIM_KEY, organization_id)


def webhook_secret_identity(organization_id: str) -> SecretIdentity:
    """Return what an organization's sealed webhook secret is bound to."""
    return _identity(SecretKind.WEBHOOK_SECRET, organization_id)


def _identity(kind: SecretKind, organization_id: str) -> SecretIdentity:
    return SecretIdentity(kind=kind, record_id=organization_id, organization_id=organization_id)
