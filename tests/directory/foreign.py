"""Certificates from elsewhere, with one deviation at a time."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import cache

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from tests.builders import NOW

PublicKey = rsa.RSAPublicKey | ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey

YEAR = timedelta(days=365)


@cache
def _signing_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def usage(*, encrypts: bool = True) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=encrypts,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=False,
        crl_sign=False,
        encipher_only=False,
        decipher_only=False,
    )


def a_foreign_certificate(
    *names: x509.GeneralName,
    key: PublicKey | None = None,
    serial: int = 0xABCDEF,
    not_before: datetime = NOW - YEAR,
    not_after: datetime = NOW + YEAR,
    extensions: Sequence[x509.ExtensionType] = (),
) -> x509.Certificate:
    builder = x509.CertificateBuilder(
        issuer_name=x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Elsewhere CA")]),
        subject_name=x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Somebody")]),
        public_key=key or _signing_key().public_key(),
        serial_number=serial,
        not_valid_before=not_before,
        not_valid_after=not_after,
    )
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    for extension in extensions:
        builder = builder.add_extension(extension, critical=False)
    return builder.sign(_signing_key(), hashes.SHA256())


def der(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(Encoding.DER)


def pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(Encoding.PEM)
