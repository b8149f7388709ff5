"""What a mail domain has: exchangers with certificates of their own, and a place for its MTA-STS policy."""

import asyncio
import ssl
import tempfile
from asyncio import StreamReader, StreamWriter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from tests.directory.delivery.sink import SmtpSink

TRUSTED = "Exchange Test CA"


@dataclass(frozen=True, slots=True, kw_only=True)
class Credential:
    """A certificate with its key and what issued it."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey
    chain: tuple[x509.Certificate, ...] = ()

    @property
    def ders(self) -> list[bytes]:
        """The certificate and its chain, as a server shows them."""
        return [each.public_bytes(Encoding.DER) for each in (self.certificate, *self.chain)]

    def context(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        with tempfile.NamedTemporaryFile() as file:
            file.write(self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
            for each in (self.certificate, *self.chain):
                file.write(each.public_bytes(Encoding.PEM))
            file.flush()
            context.load_cert_chain(file.name)
        return context


@cache
def an_authority(name: str) -> Credential:
    key = ec.generate_private_key(ec.SECP256R1())
    certificate = (
        _builder(name, name, key)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(certifies=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    return Credential(certificate=certificate, key=key)


@cache
def a_server(host: str, *, issuer: str = TRUSTED, valid: timedelta = timedelta(days=1)) -> Credential:
    authority, key = an_authority(issuer), ec.generate_private_key(ec.SECP256R1())
    certificate = (
        _builder(host, issuer, key, valid=valid)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(host)]), critical=False)
        .add_extension(_usage(certifies=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(authority.key.public_key()), critical=False
        )
        .sign(authority.key, hashes.SHA256())
    )
    return Credential(certificate=certificate, key=key, chain=(authority.certificate,))


def write_ca_file(folder: Path) -> Path:
    """Write what a client must trust."""
    file = folder / "exchange-ca.pem"
    file.write_bytes(an_authority(TRUSTED).certificate.public_bytes(Encoding.PEM))
    return file


def an_exchanger(host: str, *, issuer: str = TRUSTED) -> SmtpSink:
    """Return an exchanger that offers STARTTLS with a certificate in its name."""
    return SmtpSink(
        extensions=(b"STARTTLS",),
        extensions_under_tls=(b"8BITMIME",),
        tls=a_server(host, issuer=issuer).context(),
    )


@asynccontextmanager
async def listening(*sinks: SmtpSink) -> AsyncIterator[int]:
    """Run exchangers on one port, the first at 127.0.0.1, the second at 127.0.0.2, and so on."""
    servers: list[asyncio.Server] = []
    port = 0
    try:
        for number, sink in enumerate(sinks, start=1):
            servers.append(await asyncio.start_server(sink.serve, f"127.0.0.{number}", port, limit=1 << 20))
            port = servers[-1].sockets[0].getsockname()[1]
            sink.port = port
        yield port
    finally:
        for server in servers:
            server.close()
        for sink in sinks:
            await sink.close()
        for server in servers:
            await server.wait_closed()


@dataclass(slots=True, kw_only=True)
class PolicyHost:
    """A web server that has one answer."""

    body: bytes = b"version: STSv1\r\nmode: enforce\r\nmx: mx1.example.org\r\nmax_age: 86400\r\n"
    status: bytes = b"200 OK"
    content_type: bytes = b"text/plain"
    headers: bytes = b""
    hangs: bool = False
    requests: list[bytes] | None = None
    port: int = 0


@asynccontextmanager
async def policy_host(host: PolicyHost, credential: Credential) -> AsyncIterator[PolicyHost]:
    """Run it on a free port of loopback."""
    over = asyncio.Event()
    host.requests = requests = []

    async def serve(reader: StreamReader, writer: StreamWriter) -> None:
        try:
            requests.append(await reader.readuntil(b"\r\n\r\n"))
            if host.hangs:
                await over.wait()
            writer.write(
                b"HTTP/1.1 %s\r\nContent-Type: %s\r\n%sContent-Length: %d\r\nConnection: close\r\n\r\n%s"
                % (host.status, host.content_type, host.headers, len(host.body), host.body)
            )
            await writer.drain()
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=credential.context())
    host.port = server.sockets[0].getsockname()[1]
    try:
        yield host
    finally:
        over.set()
        server.close()
        await server.wait_closed()


def _builder(
    subject: str, issuer: str, key: ec.EllipticCurvePrivateKey, *, valid: timedelta = timedelta(days=1)
) -> x509.CertificateBuilder:
    # TLS knows no clock but the system's.
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(_name(subject))
        .issuer_name(_name(issuer))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + valid)
    )


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _usage(*, certifies: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=certifies,
        crl_sign=certifies,
        encipher_only=False,
        decipher_only=False,
    )
