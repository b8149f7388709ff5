"""Who sends: the organization, its smart host, its way of delivering keys and passwords."""

from dataclasses import dataclass
from enum import StrEnum

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


@dataclass(frozen=True, slots=True, kw_only=True)
class Organization:
    """A sending organization, tenant of the service."""

    organization_id: str
    slug: str
    name: str
    domains: frozenset[str]
    mail_from: Mailbox
    smart_host: SmartHost
    isolated: bool = False
    package_format: KeyPackageFormat = KeyPackageFormat.COMPATIBLE
    password_style: PasswordStyle = PasswordStyle.CHARACTERS
    contact: str = ""
    """How a recipient reaches the registration agents, such as a telephone number; shown in the key mail."""

    @property
    def scope(self) -> str:
        """Whose certificates the organization's gateways see, besides none but these."""
        return self.organization_id if self.isolated else SHARED_SCOPE


def smtp_password_identity(organization_id: str) -> SecretIdentity:
    """Return what an organization's sealed smart-host password is bound to."""
    return SecretIdentity(
        kind=SecretKind.SMTP_PASSWORD, record_id=organization_id, organization_id=organization_id
    )
