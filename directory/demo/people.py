"""What do the people of the story do? The gateway asks, the agent reveals, the recipient opens."""

import http.client
import json
import time
from dataclasses import dataclass
from email.message import EmailMessage
from typing import Any

import ldap3
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, pkcs7, pkcs12

_TIMEOUT_SECONDS = 10


class StoryFailed(Exception):
    """A step of the demonstration did not turn out as it must."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LookupResult:
    """What the gateway got, and how long it waited."""

    certificate: x509.Certificate
    milliseconds: float


class SendingGateway:
    """A mail-encryption gateway, as its administrator would configure it: an LDAP server, a bind, a base."""

    def __init__(self, *, ldap_port: int, suffix: str, name: str, token: str) -> None:
        server = ldap3.Server(
            "127.0.0.1", port=ldap_port, get_info=ldap3.NONE, connect_timeout=_TIMEOUT_SECONDS
        )
        self._connection = ldap3.Connection(
            server,
            user=f"cn={name},ou=gateways,{suffix}",
            password=token,
            receive_timeout=_TIMEOUT_SECONDS,
            check_names=False,
        )
        self._suffix = suffix
        if not self._connection.bind():
            raise StoryFailed(f"the gateway's bind failed: {self._connection.result['description']}")

    def look_up(self, address: str) -> LookupResult:
        """Ask for the certificate of one address, as mail gateways do."""
        started = time.perf_counter()
        self._connection.search(
            self._suffix, f"(mail={address})", attributes=["userCertificate;binary"], size_limit=2
        )
        milliseconds = (time.perf_counter() - started) * 1000
        entries = self._connection.response or []
        values = [value for entry in entries for value in entry["raw_attributes"]["userCertificate;binary"]]
        if not values:
            raise StoryFailed(f"no certificate came back: {self._connection.result['description']}")
        return LookupResult(certificate=x509.load_der_x509_certificate(values[0]), milliseconds=milliseconds)

    def encrypt(self, content: bytes, certificate: x509.Certificate) -> bytes:
        """Encrypt a mail to the certificate: CMS EnvelopedData (RFC 8551 section 3.3), DER."""
        return (
            pkcs7.PKCS7EnvelopeBuilder()
            .set_data(content)
            .add_recipient(certificate)
            .encrypt(Encoding.DER, [pkcs7.PKCS7Options.Binary])
        )

    def close(self) -> None:
        """Unbind."""
        self._connection.unbind()


class RegistrationAgent:
    """A person with a telephone and a list of people to call."""

    def __init__(self, *, http_port: int, token: str) -> None:
        self._http_port = http_port
        self._token = token

    def reveal_password(self, enrolment_id: str) -> str:
        """See the password, once."""
        return str(self._post(f"/api/v1/enrolments/{enrolment_id}/password/reveal", {})["password"])

    def report_relayed(self, enrolment_id: str) -> None:
        """Say that the recipient has it."""
        self._post(
            f"/api/v1/enrolments/{enrolment_id}/relay",
            {"outcome": "relayed", "note": "called back on the number in our file"},
        )

    def _post(self, path: str, body: dict[str, str]) -> dict[str, Any]:
        return call_api(self._http_port, "POST", path, token=self._token, body=body)


def call_api(
    http_port: int, method: str, path: str, *, token: str, body: dict[str, str] | None = None
) -> dict[str, Any]:
    """Call the JSON API of the service on loopback."""
    connection = http.client.HTTPConnection("127.0.0.1", http_port, timeout=_TIMEOUT_SECONDS)
    try:
        connection.request(
            method,
            path,
            body=None if body is None else json.dumps(body),
            headers={"Authorization": f"Bearer {token}", "Content-Type": "application/json"},
        )
        response = connection.getresponse()
        content = response.read()
        if response.status != http.client.OK:
            raise StoryFailed(f"{method} {path} answered {response.status}: {content.decode()}")
        result: dict[str, Any] = json.loads(content)
        return result
    finally:
        connection.close()


def key_package_in(message: EmailMessage) -> tuple[str, bytes]:
    """Return file name and content of the key package attached to a key mail."""
    for part in message.iter_attachments():
        if part.get_content_type() in {"application/x-pkcs12", "application/pkcs12"}:
            return part.get_filename() or "", part.get_content()
    raise StoryFailed("no key package is attached to the key mail")


def open_and_decrypt(key_package: bytes, password: str, encrypted: bytes) -> tuple[x509.Certificate, bytes]:
    """Do what the recipient's mail program does: install the key package, then decrypt with it."""
    key, certificate, _ = pkcs12.load_key_and_certificates(key_package, password.encode())
    if not isinstance(key, rsa.RSAPrivateKey) or certificate is None:
        raise StoryFailed("the key package holds no RSA key with its certificate")
    return certificate, pkcs7.pkcs7_decrypt_der(encrypted, certificate, key, [])
