"""TLS for smart hosts on loopback: an authority of our own, server certificates for any name."""

import ipaddress
import ssl
import tempfile
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID


@cache
def _authority() -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Smart Host Test CA")])
    certificate = (
        _builder(name, name, key)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    return certificate, key


def write_ca_file(folder: Path) -> Path:
    """Write what a client must trust."""
    file = folder / "ca.pem"
    file.write_bytes(_authority()[0].public_bytes(Encoding.PEM))
    return file


@cache
def server_context(host: str = "127.0.0.1", *, valid_for: timedelta = timedelta(days=1)) -> ssl.SSLContext:
    """Return the TLS of a server with a certificate for `host`, an IP address or a name.

    It became valid an hour ago, and is so for a time that may be over.
    """
    return _context(*_certified(host, valid_for))


def write_identity(folder: Path, host: str = "127.0.0.1") -> Path:
    """Write the private key of a server and its certificate for `host`."""
    certificate, key = _certified(host, timedelta(days=1))
    file = folder / "server.pem"
    file.touch(mode=0o600)
    file.write_bytes(_pem(certificate, key))
    return file


def _certified(host: str, valid_for: timedelta) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
    authority, authority_key = _authority()
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, host)])
    certificate = (
        _builder(name, authority.subject, key, valid_for)
        .add_extension(x509.SubjectAlternativeName([_general_name(host)]), critical=False)
        .sign(authority_key, hashes.SHA256())
    )
    return certificate, key


@cache
def self_signed_context(host: str = "127.0.0.1") -> ssl.SSLContext:
    """Return the TLS of a server that vouches for itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, host)])
    names = x509.SubjectAlternativeName([_general_name(host)])
    builder = _builder(name, name, key).add_extension(names, critical=False)
    return _context(builder.sign(key, hashes.SHA256()), key)


def _context(certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with tempfile.NamedTemporaryFile() as file:
        file.write(_pem(certificate, key))
        file.flush()
        context.load_cert_chain(file.name)
    return context


def _pem(certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> bytes:
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return private + certificate.public_bytes(Encoding.PEM)


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePrivateKey,
    valid_for: timedelta = timedelta(days=1),
) -> x509.CertificateBuilder:
    # TLS knows no clock but the system's.
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + valid_for)
    )


def _general_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)
