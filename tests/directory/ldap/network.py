"""The front end on a real loopback socket, and a client that speaks octets."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Self

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from directory.callers import Gateway
from directory.ldap.connection import Listener
from directory.ldap.framing import Framer
from directory.ldap.server import LdapServer
from directory.ldap.settings import LdapSettings
from directory.lookup import Answer, Question
from tests.builders import NOW
from tests.directory.ldap.memory import Directory
from tests.directory.ldap.wire import ReadResult, Response, responses

NamedGateway = Callable[[str, str], Awaitable[Gateway | None]]
HOST = "127.0.0.1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Tls:
    """A self-signed certificate for this machine, and who trusts it; perhaps one of the client's, too."""

    certificate: Path
    trusted: Path | None = None
    """What certificates of clients must chain to, or be; none is asked for without."""
    shown: Path | None = None
    """The certificate that the client shows where it is asked for one."""

    @property
    def server(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.certificate)
        if self.trusted is not None:
            context.load_verify_locations(self.trusted)
            context.verify_mode = ssl.CERT_OPTIONAL
            context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
        return context

    @property
    def client(self) -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=str(self.certificate))
        if self.shown is not None:
            context.load_cert_chain(self.shown)
        return context


def a_certificate_for_this_machine(folder: Path) -> Tls:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(NOW - timedelta(days=3650))
        .not_valid_after(NOW + timedelta(days=3650))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(
            x509.SubjectAlternativeName([x509.DNSName("localhost"), x509.IPAddress(ip_address(HOST))]),
            critical=False,
        )
        .sign(key, hashes.SHA256())
    )
    path = folder / "tls.pem"
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    path.write_bytes(private + certificate.public_bytes(Encoding.PEM))
    return Tls(certificate=path)


class Gated(Directory):
    """Answers when the gate is opened."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = asyncio.Event()
        self.asked = asyncio.Event()

    async def answer(self, question: Question) -> Answer:
        self.asked.set()
        await self.gate.wait()
        return self.answer_now(question)


class Failing(Directory):
    """Answers nothing, and fails in the given way."""

    def __init__(self, error: Exception) -> None:
        super().__init__()
        self._error = error

    async def answer(self, question: Question) -> Answer:
        self.questions.append(question)
        raise self._error

    async def named_gateway(self, name: str, token: str) -> Gateway | None:
        del name, token
        raise self._error


@dataclass(frozen=True, slots=True, kw_only=True)
class Serving:
    """A running front end."""

    server: LdapServer
    port: int


@asynccontextmanager
async def serving(
    directory: Directory | None = None,
    *,
    settings: LdapSettings | None = None,
    tls: Tls | None = None,
    listener: Listener = Listener.CLEAR,
    grace: float = 0,
) -> AsyncIterator[Serving]:
    directory = directory or Directory()
    server = LdapServer(
        answer=directory.answer,
        named_gateway=directory.named_gateway,
        certified_gateway=directory.certified_gateway,
        still_good=directory.still_good,
        settings=settings or LdapSettings(),
        tls=tls.server if tls else None,
    )
    port = await server.listen(HOST, 0, listener)
    try:
        yield Serving(server=server, port=port)
    finally:
        await server.stop(grace)


class Client:
    """Sends octets and reads responses."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._framer = Framer(1 << 30)

    @classmethod
    async def connect(cls, port: int, tls: Tls | None = None) -> Self:
        return cls(*await asyncio.open_connection(HOST, port, ssl=tls.client if tls else None))

    async def send(self, data: bytes) -> None:
        self._writer.write(data)
        await self._writer.drain()

    def send_no_more(self) -> None:
        self._writer.write_eof()

    async def response(self) -> Response | None:
        """Return the next response; None when the server has closed the connection."""
        while (pdu := self._framer.next_pdu()) is None:
            try:
                octets = await self._reader.read(65536)
            except ConnectionResetError:
                octets = b""
            if not octets:
                assert self._framer.pending == 0, "a response cut short"
                return None
            self._framer.feed(octets)
        (response,) = responses(pdu)
        return response

    async def result(self) -> ReadResult:
        """Return the next result, passing over entries."""
        while not isinstance(response := await self.response(), ReadResult):
            assert response is not None, "closed instead of answered"
        return response

    async def rest(self) -> list[Response]:
        """Return everything up to the end."""
        received = []
        while (response := await self.response()) is not None:
            received.append(response)
        return received

    async def until_the_end(self) -> None:
        """Read whatever comes until the server has closed the connection."""
        with suppress(ConnectionResetError):
            while await self._reader.read(65536):
                pass

    async def start_tls(self, tls: Tls) -> None:
        await self._writer.start_tls(tls.client, server_hostname="localhost")

    async def close(self) -> None:
        self._writer.close()
        with suppress(OSError):
            await self._writer.wait_closed()


@asynccontextmanager
async def client_of(serving: Serving, tls: Tls | None = None) -> AsyncIterator[Client]:
    client = await Client.connect(serving.port, tls)
    try:
        yield client
    finally:
        await client.close()
