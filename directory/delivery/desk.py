"""May an organization have its passwords sent there, encrypted to that? Asked when an operator sets it up."""

from collections.abc import Callable
from datetime import datetime
from functools import partial

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from ca.address import Mailbox
from ca.errors import AddressRefused
from ca.mailnames import mail_names, mailbox_of
from directory.delivery.enveloping import enveloped_for
from directory.errors import ConfigurationRefused, EnvelopeRefused
from directory.organization import Organization, PasswordMail

_KEY = "CERTIFICATE"
_MAIL_PURPOSES = frozenset({ExtendedKeyUsageOID.EMAIL_PROTECTION, ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE})


def password_mail(
    organization: Organization, mailbox: Mailbox, certificate: x509.Certificate, now: datetime
) -> PasswordMail:
    """Return where passwords are sent, if they may be.

    The mailbox must be in the organization's own domains: for them nothing is minted, so no recipient is on
    that channel.

    Raises:
        ConfigurationRefused: it is not; or the certificate is not for mail, not valid now, not for this
            mailbox, or its key is not RSA of 2048 bits or more.
    """
    if not any(
        mailbox.domain == domain or mailbox.domain.endswith(f".{domain}") for domain in organization.domains
    ):
        raise ConfigurationRefused(
            key="--password-mail",
            reason=f"{mailbox} is in none of the organization's domains",
            remedy=f"use a mailbox in {' or '.join(sorted(organization.domains))}",
        )
    if not certificate.not_valid_before_utc <= now <= certificate.not_valid_after_utc:
        raise ConfigurationRefused(key=_KEY, reason="is not valid now", remedy="give one that is")
    if mailbox.key not in _mailboxes_of(certificate):
        raise ConfigurationRefused(
            key=_KEY, reason=f"is not for {mailbox}", remedy="give one that names this mailbox"
        )
    if not _is_for_mail(certificate):
        raise ConfigurationRefused(key=_KEY, reason="is not for mail", remedy="give an S/MIME certificate")
    try:
        enveloped_for(certificate)
    except EnvelopeRefused as error:
        raise ConfigurationRefused(
            key=_KEY, reason=error.reason, remedy="give one with an RSA key that encrypts"
        ) from error
    return PasswordMail(mailbox=mailbox, certificate=certificate.public_bytes(Encoding.DER))


def _mailboxes_of(certificate: x509.Certificate) -> frozenset[str]:
    """Return the addresses in a certificate (RFC 8550 section 3), as they are compared."""
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        found = [partial(mailbox_of, one) for one in mail_names(names)]
    except (x509.ExtensionNotFound, x509.DuplicateExtension, ValueError):
        found = []
    attributes = certificate.subject.get_attributes_for_oid(NameOID.EMAIL_ADDRESS)
    found += [partial(Mailbox.parse, str(one.value)) for one in attributes]
    return frozenset(key for read in found if (key := _key(read)) is not None)


def _key(read: Callable[[], Mailbox]) -> str | None:
    try:
        return read().key
    except AddressRefused:
        return None


def _is_for_mail(certificate: x509.Certificate) -> bool:
    try:
        purposes = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except x509.ExtensionNotFound:
        return True
    except (x509.DuplicateExtension, ValueError):
        return False
    return not _MAIL_PURPOSES.isdisjoint(purposes)
