"""Certification authorities to publish: those of the tests, and small ones with names to choose."""

from dataclasses import dataclass, field
from datetime import timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from ca.address import Mailbox
from ca.keys import PrivateKey
from directory.authorities import PublishedAuthority
from tests.builders import NOW, Authority, a_profile


@dataclass
class Board:
    """Authorities as long as nothing else is published: `Authorities`."""

    published: tuple[PublishedAuthority, ...] = field(default_factory=tuple)

    def current(self) -> tuple[PublishedAuthority, ...]:
        return self.published


def published(authority: Authority) -> Board:
    """Publish an issuing CA and its root, with octets that stand for their CRLs."""
    return Board(
        (
            PublishedAuthority(certificate=der(authority.issuer.certificate), is_root=False, crl=b"crl"),
            PublishedAuthority(certificate=der(authority.root.certificate), is_root=True, crl=b"arl"),
        )
    )


def certified(authority: Authority, key: PrivateKey, address: str = "alice@example.com") -> bytes:
    """Return a recipient's certificate of the authority, DER."""
    issuer = authority.issuer
    prepared = issuer.prepare(a_profile(), Mailbox.parse(address), key.public_key(), NOW)
    return der(issuer.sign(issuer.lint(prepared)))


def self_signed(*attributes: tuple[x509.ObjectIdentifier, str]) -> bytes:
    """Return a certificate of this name, its attributes from the root of the tree down, DER."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(oid, value) for oid, value in attributes])
    builder = x509.CertificateBuilder(
        issuer_name=name,
        subject_name=name,
        public_key=key.public_key(),
        serial_number=1,
        not_valid_before=NOW,
        not_valid_after=NOW + timedelta(days=1),
    )
    return der(builder.sign(key, hashes.SHA256()))


def der(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(Encoding.DER)
