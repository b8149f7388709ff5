"""Good values to deviate from: an authority of three levels, sealed secrets, a due key mail."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache, partial

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from ca.address import Mailbox
from ca.keypackage import KeyPackageFormat
from ca.keys import PrivateKey, to_pkcs8
from ca.sealing import MasterKey, MasterKeyring, Sealer
from directory.audit import AuditEvent, AuditKind
from directory.delivery.keymail import KeyMailComposer
from directory.delivery.outbox import Acceptance, DueMail, MailKind
from directory.delivery.packing import pack
from directory.delivery.stationery import Stationery
from directory.enrolmentsecrets import recipient_key_identity, relay_password_identity
from directory.lookup import Origin, PublishedCertificate
from directory.mint_ports import EnrolmentRecord, FreshEnrolment, MailClaim, Reservation
from directory.organization import Organization
from directory.pages import Pages
from tests.directory.builders import an_organization

NOW = datetime(2026, 11, 22, 9, 30, tzinfo=UTC)
PASSWORD = "CANAR-Y0CAN-ARYC4-N4RYC-AN4RY"
ROOT_NAME = "Hospital Root CA"


@dataclass(frozen=True, slots=True, kw_only=True)
class Authority:
    """A root, an issuing CA, and the key of everybody they certify."""

    root: x509.Certificate
    issuing: x509.Certificate
    issuing_key: ec.EllipticCurvePrivateKey
    recipient_key: rsa.RSAPrivateKey

    @property
    def chain(self) -> tuple[bytes, ...]:
        return (self.issuing.public_bytes(Encoding.DER), self.root.public_bytes(Encoding.DER))

    def certify(self, mailbox: Mailbox) -> x509.Certificate:
        return _certificate(str(mailbox)[:64], self.recipient_key, "Issuing CA", self.issuing_key)


@cache
def an_authority() -> Authority:
    root_key, issuing_key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    return Authority(
        root=_certificate(ROOT_NAME, root_key, ROOT_NAME, root_key),
        issuing=_certificate("Issuing CA", issuing_key, ROOT_NAME, root_key),
        issuing_key=issuing_key,
        recipient_key=rsa.generate_private_key(65537, 2048),
    )


@cache
def a_sealer() -> Sealer:
    return Sealer(MasterKeyring(active=MasterKey(key_id="master-1", material=bytes(range(32)))))


@cache
def a_stationery() -> Stationery:
    return Stationery()


def a_key_mail_composer(
    *,
    packed: Callable[[DueMail], bytes] | None = None,
    stationery: Stationery | None = None,
    pages: Pages | None = None,
    hold: timedelta = timedelta(days=7),
) -> KeyMailComposer:
    return KeyMailComposer(
        packed=packed or partial(pack, sealer=a_sealer()),
        stationery=stationery or a_stationery(),
        pages=pages,
        hold=hold,
    )


def a_due_mail(
    *,
    mail_id: str = "mail-1",
    enrolment_id: str | None = None,
    address: str = "anna@recipient.example.org",
    created_at: datetime = NOW,
    give_up_at: datetime | None = None,
    attempts: int = 0,
    organization: Organization | None = None,
    private_key: PrivateKey | None = None,
    package_format: KeyPackageFormat = KeyPackageFormat.COMPATIBLE,
    kind: MailKind = MailKind.KEY,
    recipient: Mailbox | None = None,
    language: str = "en",
) -> DueMail:
    authority = an_authority()
    organization = organization or an_organization()
    mailbox = Mailbox.parse_international(address)
    enrolment_id = enrolment_id or f"enrolment-of-{mail_id}"
    whose = (enrolment_id, organization.organization_id)
    pkcs8 = to_pkcs8(private_key or authority.recipient_key)
    return DueMail(
        mail_id=mail_id,
        enrolment_id=enrolment_id,
        kind=kind,
        bounce_token=hashlib.sha256(mail_id.encode()).hexdigest()[:32],
        recipient=recipient or mailbox,
        language=language,
        minted_at=created_at,
        message_id=f"<{enrolment_id}.key@{organization.mail_from.domain}>",
        created_at=created_at,
        give_up_at=give_up_at or created_at + timedelta(days=5),
        attempts=attempts,
        mailbox=mailbox,
        certificate=authority.certify(mailbox).public_bytes(Encoding.DER),
        chain=authority.chain,
        sealed_key=a_sealer().seal(pkcs8, recipient_key_identity(*whose)),
        sealed_password=a_sealer().seal(PASSWORD.encode(), relay_password_identity(*whose)),
        package_format=package_format,
        organization=organization,
    )


def an_acceptance(
    at: datetime, *, hold_until: datetime | None = None, asks_for_proof: bool = False
) -> Acceptance:
    return Acceptance(
        at=at,
        hold_until=hold_until or at + timedelta(days=7),
        asks_for_proof=asks_for_proof,
        give_up_at=at + timedelta(days=5),
    )


def a_fresh_enrolment(mail: DueMail, claim: MailClaim | None) -> FreshEnrolment:
    """Return the mint that this key mail is of."""
    assert mail.sealed_key is not None
    assert mail.sealed_password is not None
    organization_id = mail.organization.organization_id
    return FreshEnrolment(
        record=EnrolmentRecord(
            reservation=Reservation(
                enrolment_id=mail.enrolment_id,
                organization_id=organization_id,
                gateway_id="gateway-1",
                scope=mail.organization.scope,
                mailbox=mail.mailbox,
                minted_at=mail.created_at,
                limits=(),
            ),
            certificate=PublishedCertificate(
                mailbox=mail.mailbox,
                der=mail.certificate,
                serial=1,
                not_before=mail.created_at,
                not_after=mail.created_at + timedelta(days=730),
                origin=Origin.MINTED,
            ),
            key_sha256=hashlib.sha256(mail.certificate).digest(),
            issuer_id="issuing-1",
            crl_partition=None,
            sealed_key=mail.sealed_key,
            key_fate=mail.key_fate,
            sealed_password=mail.sealed_password,
            package_format=mail.package_format,
            language=mail.language,
            relay_expires_at=mail.created_at + timedelta(days=30),
            mail_id=mail.mail_id,
            message_id=mail.message_id,
            bounce_token=mail.bounce_token,
            sender_domain=mail.organization.mail_from.domain,
            password_mail_to=None,
            tells_webhook=False,
            give_up_at=mail.give_up_at,
            claim=claim,
            event=AuditEvent(
                kind=AuditKind.CERTIFICATE_MINTED,
                at=mail.created_at,
                actor="gateway:gw",
                subject=mail.enrolment_id,
                organization_id=organization_id,
            ),
        ),
        organization=mail.organization,
        chain=mail.chain,
    )


def _certificate(
    subject: str, key: PrivateKey, issuer: str, issuer_key: ec.EllipticCurvePrivateKey
) -> x509.Certificate:
    return (
        x509.CertificateBuilder()
        .subject_name(_name(subject))
        .issuer_name(_name(issuer))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(NOW - timedelta(hours=1))
        .not_valid_after(NOW + timedelta(days=730))
        .sign(issuer_key, hashes.SHA256())
    )


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
