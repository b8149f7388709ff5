"""Certificates as gateways get them, without an authority."""

from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

_BEGIN = datetime(2026, 11, 22, tzinfo=UTC)


def a_certificate(address: str, *, serial: int) -> bytes:
    """Return a certificate of the address, DER."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([])
    builder = x509.CertificateBuilder(
        name, name, key.public_key(), serial, _BEGIN, _BEGIN + timedelta(days=1)
    )
    san = x509.SubjectAlternativeName([x509.RFC822Name(address)])
    return builder.add_extension(san, critical=False).sign(key, hashes.SHA256()).public_bytes(Encoding.DER)
