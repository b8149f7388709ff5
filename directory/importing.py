"""Which certificates from elsewhere may an operator put into the directory, and whom are they for?

Who signed one is not looked at: that the operator imports it is the reason to trust it, and whoever encrypts
for it checks it again. What is looked at is whether mail could be encrypted with it at all.
"""

import secrets
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Protocol

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID

from ca.address import Addressee, Mailbox, MailDomain
from ca.errors import AddressRefused, KeyRefused, MailNameMalformed
from ca.keyquality import check_quality
from ca.keys import key_hash
from ca.mailnames import MailName, mail_names, mailbox_of
from directory.audit import AuditEvent, AuditKind
from directory.clock import Clock
from directory.errors import ConfigurationRefused
from directory.organization import SHARED_SCOPE, Organization

_LONGEST_FILE: Final = 64 * 1024
_LONGEST_SERIAL_BITS: Final = 160  # RFC 5280 section 4.1.2.2
_MOST_NAMES: Final = 64
_MAIL_PURPOSES: Final = frozenset(
    {ExtendedKeyUsageOID.EMAIL_PROTECTION, ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ForeignCertificate:
    """A certificate from elsewhere that mail can be encrypted with now."""

    der: bytes
    key_sha256: bytes
    """Of its SubjectPublicKeyInfo."""
    serial: int
    not_before: datetime
    not_after: datetime
    addressees: tuple[Addressee, ...]
    """Whom it names: mailboxes, or else the domains it is bound to."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportedCertificate:
    """A foreign certificate as one of those whom it names has it."""

    certificate_id: str
    addressee: Addressee
    scope: str
    certificate: ForeignCertificate


class ImportStore(Protocol):
    """Keeps imported certificates."""

    async def add(
        self, imported: Sequence[ImportedCertificate], at: datetime, events: Sequence[AuditEvent]
    ) -> None:
        """Publish all of them and record the events, or nothing.

        Raises:
            AlreadyExists: one of them is there already, even if it was revoked since.
            KeyBlocked: the key is known to be in wrong hands.
        """
        ...


class Organizations(Protocol):
    """Finds organizations."""

    async def by_slug(self, slug: str) -> Organization:
        """Return the organization.

        Raises:
            Unknown: there is none of that slug.
        """
        ...


class CertificateImport:
    """An operator who brings certificates."""

    def __init__(self, *, store: ImportStore, organizations: Organizations, clock: Clock, actor: str) -> None:
        self._store = store
        self._organizations = organizations
        self._clock = clock
        self._actor = actor

    async def publish(self, file: bytes, slug: str | None = None) -> ForeignCertificate:
        """Publish the certificate of a file for everybody, or for one isolated organization alone.

        Raises:
            ConfigurationRefused: the file or the certificate is not acceptable, or the organization, which is
                not isolated, has nothing of its own.
            Unknown: there is no such organization.
            AlreadyExists: the certificate was imported before.
            KeyBlocked: its key is known to be in wrong hands.
        """
        now = self._clock.now()
        certificate = read_certificate(file, now)
        organization = await self._organizations.by_slug(slug) if slug is not None else None
        if organization is not None and not organization.isolated:
            raise ConfigurationRefused(
                key="--org", reason=f"{slug} is not isolated", remedy="leave it out: what is found is shared"
            )
        imported = [
            ImportedCertificate(
                certificate_id=secrets.token_hex(16),
                addressee=addressee,
                scope=organization.scope if organization is not None else SHARED_SCOPE,
                certificate=certificate,
            )
            for addressee in certificate.addressees
        ]
        events = [
            AuditEvent(
                kind=AuditKind.CERTIFICATE_IMPORTED,
                at=now,
                actor=self._actor,
                subject=each.certificate_id,
                organization_id=organization.organization_id if organization is not None else None,
                detail={"serial": f"{certificate.serial:x}"},
            )
            for each in imported
        ]
        await self._store.add(imported, now, events)
        return certificate


def read_certificate(file: bytes, now: datetime) -> ForeignCertificate:
    """Read one certificate, DER or PEM, that mail can be encrypted with now.

    Raises:
        ConfigurationRefused: with what is wrong; the key is `FILE`.
    """
    certificate = _parsed(file)
    if certificate.not_valid_after_utc <= now:
        raise _refused(f"it expired on {certificate.not_valid_after_utc:%Y-%m-%d}")
    if certificate.not_valid_before_utc > now:
        raise _refused(f"it is not valid before {certificate.not_valid_before_utc:%Y-%m-%d}")
    if not 0 < certificate.serial_number.bit_length() <= _LONGEST_SERIAL_BITS:
        raise _refused("its serial number is not one of 1 to 20 octets")
    _check_key(certificate)
    try:
        _check_purpose(certificate.extensions)
        addressees = tuple(dict.fromkeys(_addressees(certificate.extensions)))
    except (ValueError, x509.DuplicateExtension, x509.UnsupportedGeneralNameType) as error:
        raise _refused("its extensions are not readable") from error
    if not 0 < len(addressees) <= _MOST_NAMES:
        raise _refused(
            f"its subjectAltName holds {len(addressees)} mail addresses or domains",
            remedy=f"it must name at least one, and at most {_MOST_NAMES}",
        )
    return ForeignCertificate(
        der=certificate.public_bytes(Encoding.DER),
        key_sha256=key_hash(certificate.public_key()),
        serial=certificate.serial_number,
        not_before=certificate.not_valid_before_utc,
        not_after=certificate.not_valid_after_utc,
        addressees=addressees,
    )


def _parsed(file: bytes) -> x509.Certificate:
    if len(file) > _LONGEST_FILE:
        raise _refused("it is longer than any certificate")
    try:
        if b"-----BEGIN" not in file:
            return x509.load_der_x509_certificate(file)
        certificates = x509.load_pem_x509_certificates(file)
    except ValueError as error:
        raise _refused("it is no X.509 certificate, neither DER nor PEM") from error
    if len(certificates) != 1:
        raise _refused("it holds several certificates", remedy="give one at a time, without its chain")
    return certificates[0]


def _check_key(certificate: x509.Certificate) -> None:
    try:
        key = certificate.public_key()
    except (ValueError, UnsupportedAlgorithm) as error:
        raise _refused("its key is of no known kind") from error
    try:
        check_quality(key)
    except KeyRefused as error:
        raise _refused(f"its key is refused: {error}") from error


def _check_purpose(extensions: x509.Extensions) -> None:
    """Refuse a certificate that says itself that it is not for encrypted mail (RFC 8550 section 4.4)."""
    for extension in extensions:
        match extension.value:
            case x509.BasicConstraints(ca=True):
                raise _refused("it is an authority's")
            case x509.KeyUsage(key_encipherment=False, key_agreement=False):
                raise _refused("its key usage does not allow encryption")
            case x509.ExtendedKeyUsage() as purposes if _MAIL_PURPOSES.isdisjoint(purposes):
                raise _refused("its extended key usage does not allow e-mail")
            case _:
                continue


def _addressees(extensions: x509.Extensions) -> Iterator[Addressee]:
    """Yield the mailboxes in the subjectAltName; if it has none, the domains (RFC 8550 section 3, RFC 9598).

    Some real certificates end an address with a blank. What is no acceptable address is passed over: nobody
    could ask for it. What is not even text is refused.
    """
    try:
        names = extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return
    mailboxes = mail_names(names)
    for name in mailboxes or names.get_values_for_type(x509.DNSName):
        try:
            yield _addressee(name)
        except MailNameMalformed as error:
            raise _refused(f"its subjectAltName is wrong: {error.reason}") from error
        except AddressRefused:
            continue


def _addressee(name: MailName | str) -> Addressee:
    match name:
        case x509.RFC822Name(value=text):
            return Mailbox.parse(text.strip(" "))
        case x509.OtherName():
            return mailbox_of(name)
        case domain:
            return MailDomain.parse(domain.strip(" "))


def _refused(reason: str, remedy: str = "") -> ConfigurationRefused:
    return ConfigurationRefused(key="FILE", reason=reason, remedy=remedy)
