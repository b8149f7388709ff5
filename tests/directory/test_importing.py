"""What may be imported, and for whom."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import ExtendedKeyUsageOID

from ca.mailnames import SMTP_UTF8_MAILBOX
from directory.audit import AuditEvent, AuditKind
from directory.errors import ConfigurationRefused
from directory.importing import CertificateImport, ImportedCertificate, read_certificate
from directory.organization import SHARED_SCOPE, Organization
from tests.builders import NOW
from tests.ca.weakkeys import WEAK
from tests.directory.builders import an_organization
from tests.directory.clocks import StoppedClock
from tests.directory.foreign import a_foreign_certificate, der, pem, usage

ANNA = x509.RFC822Name("Anna@example.org")
BERT = x509.RFC822Name("bert@example.org ")
DOMAIN = x509.DNSName("Example.org")
AUTHORITY = x509.RFC822Name("domain-confidentiality-authority@example.org")


def an_international(text: str) -> x509.OtherName:
    return x509.OtherName(SMTP_UTF8_MAILBOX, bytes([0x0C, len(text.encode())]) + text.encode())


JOERG = an_international("jörg@example.org")


def addressees(certificate: x509.Certificate) -> list[str]:
    return [str(each) for each in read_certificate(der(certificate), NOW).addressees]


def refusal(file: bytes) -> str:
    with pytest.raises(ConfigurationRefused) as refused:
        read_certificate(file, NOW)
    assert refused.value.key == "FILE"
    return refused.value.reason


@pytest.mark.parametrize("written", [der, pem])
def test_reads_a_certificate_in_either_form(written: Callable[[x509.Certificate], bytes]) -> None:
    certificate = a_foreign_certificate(ANNA)

    read = read_certificate(written(certificate), NOW)

    assert read.der == der(certificate)
    assert read.serial == certificate.serial_number
    assert (read.not_before, read.not_after) == (
        certificate.not_valid_before_utc,
        certificate.not_valid_after_utc,
    )


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        ((ANNA,), ["Anna@example.org"]),
        ((ANNA, BERT), ["Anna@example.org", "bert@example.org"]),
        ((ANNA, ANNA), ["Anna@example.org"]),
        ((ANNA, DOMAIN), ["Anna@example.org"]),
        ((ANNA, x509.RFC822Name("@example.org")), ["Anna@example.org"]),
        ((JOERG,), ["jörg@example.org"]),
        ((JOERG, ANNA, DOMAIN), ["jörg@example.org", "Anna@example.org"]),
        ((an_international("anna@example.org"), ANNA), ["Anna@example.org"]),
        ((an_international("jörg@EXAMPLE.org"), ANNA), ["Anna@example.org"]),
        ((DOMAIN,), ["example.org"]),
        ((x509.DNSName("*.example.org"), DOMAIN), ["example.org"]),
        ((AUTHORITY,), ["domain-confidentiality-authority@example.org"]),
    ],
)
def test_is_for_the_mailboxes_it_names_or_else_for_the_domains(
    names: tuple[x509.GeneralName, ...], expected: list[str]
) -> None:
    assert addressees(a_foreign_certificate(*names)) == expected


@pytest.mark.parametrize(
    "names",
    [
        (),
        (x509.RFC822Name("@example.org"),),
        (x509.DNSName("localhost"),),
        (x509.UniformResourceIdentifier("urn:x"),),
    ],
)
def test_refuses_a_certificate_that_names_nobody(names: tuple[x509.GeneralName, ...]) -> None:
    assert "0 mail addresses" in refusal(der(a_foreign_certificate(*names)))


def test_refuses_a_certificate_that_names_everybody() -> None:
    names = (x509.RFC822Name(f"p{number}@example.org") for number in range(65))

    assert "65 mail addresses" in refusal(der(a_foreign_certificate(*names)))


def test_refuses_what_is_not_valid_now() -> None:
    second = timedelta(seconds=1)

    assert "expired" in refusal(der(a_foreign_certificate(ANNA, not_after=NOW)))
    assert "not valid before" in refusal(der(a_foreign_certificate(ANNA, not_before=NOW + second)))
    assert addressees(a_foreign_certificate(ANNA, not_before=NOW, not_after=NOW + second))


@pytest.mark.parametrize("name", WEAK)
def test_refuses_a_key_that_is_weak_or_does_not_encrypt_in_fifty_milliseconds(name: str) -> None:
    key = WEAK[name][0]()
    assert isinstance(key, rsa.RSAPublicKey | ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey)
    file = der(a_foreign_certificate(ANNA, key=key))
    refusal(file)  # what is computed once is not the file's to pay

    began = time.process_time()
    reason = refusal(file)

    assert time.process_time() - began < 0.05
    assert "key" in reason


def test_refuses_a_point_that_is_not_on_its_curve() -> None:
    certificate = a_foreign_certificate(ANNA, key=ec.generate_private_key(ec.SECP256R1()).public_key())
    key = certificate.public_key()
    assert isinstance(key, ec.EllipticCurvePublicKey)
    point = key.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    spoiled = point[:-1] + bytes([point[-1] ^ 1])

    assert "of no known kind" in refusal(der(certificate).replace(point, spoiled))


@pytest.mark.parametrize("curve", [ec.SECP256R1(), ec.SECP384R1(), ec.SECP521R1()])
def test_takes_stronger_keys_than_it_makes(curve: ec.EllipticCurve) -> None:
    key = ec.generate_private_key(curve).public_key()

    assert addressees(a_foreign_certificate(ANNA, key=key)) == ["Anna@example.org"]


@pytest.mark.parametrize(
    ("extension", "reason"),
    [
        (x509.BasicConstraints(ca=True, path_length=None), "authority"),
        (usage(encrypts=False), "key usage"),
        (x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), "extended key usage"),
    ],
)
def test_refuses_a_certificate_for_another_purpose(extension: x509.ExtensionType, reason: str) -> None:
    assert reason in refusal(der(a_foreign_certificate(ANNA, extensions=[extension])))


@pytest.mark.parametrize(
    "extension",
    [
        x509.BasicConstraints(ca=False, path_length=None),
        usage(),
        x509.ExtendedKeyUsage([ExtendedKeyUsageOID.EMAIL_PROTECTION]),
        x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE]),
    ],
)
def test_takes_a_certificate_whose_extensions_allow_mail(extension: x509.ExtensionType) -> None:
    assert addressees(a_foreign_certificate(ANNA, extensions=[extension])) == ["Anna@example.org"]


@pytest.mark.parametrize(
    "file", [b"", b"nonsense", b"-----BEGIN CERTIFICATE-----\n", b"\x30\x82" + bytes(70_000)]
)
def test_refuses_what_is_no_certificate(file: bytes) -> None:
    assert refusal(file).startswith("it is")


def test_refuses_a_whole_chain() -> None:
    assert "several" in refusal(pem(a_foreign_certificate(ANNA)) * 2)


@dataclass
class Shelf:
    """An `ImportStore` that remembers."""

    imported: list[ImportedCertificate] = field(default_factory=list)
    events: list[AuditEvent] = field(default_factory=list)

    async def add(
        self, imported: Sequence[ImportedCertificate], at: datetime, events: Sequence[AuditEvent]
    ) -> None:
        assert at == NOW
        self.imported += imported
        self.events += events


@dataclass
class Register:
    """One organization."""

    organization: Organization

    async def by_slug(self, _slug: str) -> Organization:
        return self.organization


def an_import(shelf: Shelf, *, isolated: bool = False) -> CertificateImport:
    return CertificateImport(
        store=shelf,
        organizations=Register(an_organization(isolated=isolated)),
        clock=StoppedClock(NOW),
        actor="operator:olga",
    )


async def test_everybody_sees_what_is_imported_and_each_addressee_has_an_event() -> None:
    shelf = Shelf()

    await an_import(shelf).publish(der(a_foreign_certificate(ANNA, BERT)))

    assert [(str(each.addressee), each.scope) for each in shelf.imported] == [
        ("Anna@example.org", SHARED_SCOPE),
        ("bert@example.org", SHARED_SCOPE),
    ]
    assert [event.subject for event in shelf.events] == [each.certificate_id for each in shelf.imported]
    assert {(event.kind, event.actor, event.detail["serial"]) for event in shelf.events} == {
        (AuditKind.CERTIFICATE_IMPORTED, "operator:olga", "abcdef")
    }


async def test_an_isolated_organization_may_have_certificates_of_its_own() -> None:
    shelf = Shelf()
    organization = an_organization(isolated=True)

    await an_import(shelf, isolated=True).publish(der(a_foreign_certificate(ANNA)), organization.slug)

    assert [each.scope for each in shelf.imported] == [organization.scope]
    assert [event.organization_id for event in shelf.events] == [organization.organization_id]


async def test_others_share_what_is_found() -> None:
    with pytest.raises(ConfigurationRefused) as refused:
        await an_import(Shelf()).publish(der(a_foreign_certificate(ANNA)), "hospital")

    assert refused.value.key == "--org"


@pytest.mark.parametrize(
    "der_of_name", [b"\x16\x11j\xc3\xb6rg@example.org", b"\x01\x01\xff", b"\x0c\x02\xef\xbb", b"\x05\x00"]
)
def test_refuses_a_certificate_whose_names_are_of_another_type_than_they_say(der_of_name: bytes) -> None:
    malformed = x509.OtherName(SMTP_UTF8_MAILBOX, der_of_name)
    assert "subjectAltName is wrong" in refusal(der(a_foreign_certificate(ANNA, malformed)))
