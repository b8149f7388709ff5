"""Java 17: a gateway that asks through JNDI, and the CertStore of the JDK's path builders."""

import base64
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from tests.interop.programs import CERTIFICATE, authorities, mint, run
from tests.service import GATEWAY, SUFFIX, Running

Find = Callable[[str], str]
SOURCES = Path(__file__).parent / "java"
GATEWAY_NAME = f"cn={GATEWAY},ou=gateways,{SUFFIX}"


def java(find: Find, source: str, *arguments: str, data: bytes = b"") -> list[str]:
    # The compiler only for what it is needed once: most of the time is the start of the machine.
    options = ("-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC")
    done = run([find("java"), *options, str(SOURCES / source), *arguments], data=data)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout.decode().splitlines()


def look_up(find: Find, service: Running, url: str, address: str, *how: str) -> dict[str, list[str]]:
    shown: dict[str, list[str]] = {}
    arguments = (str(service.installed.folder / "tls.crt"), GATEWAY_NAME, SUFFIX, f"(mail={address})", *how)
    for line in java(find, "LookUp.java", url, *arguments, data=service.installed.gateway_token.encode()):
        what, _, value = line.partition(": ")
        shown.setdefault(what, []).append(value)
    return shown


@pytest.mark.parametrize(
    ("url", "how"),
    [
        ("ldap://localhost:{ldap}", ()),
        ("ldaps://localhost:{ldaps}", ()),
        ("ldap://localhost:{ldap}", ("tls",)),
    ],
    ids=["clear", "ldaps", "starttls"],
)
def test_jndi_finds_a_certificate(program: Find, service: Running, url: str, how: tuple[str, ...]) -> None:
    address, certificate = mint(program, service)

    shown = look_up(program, service, url.format(**service.ports), address, *how)

    assert shown[CERTIFICATE] == [base64.b64encode(certificate).decode()]
    assert shown["mail"] == [address]
    assert "userCertificate" not in shown
    assert shown["context"] == [SUFFIX]
    assert shown["version"] == ["3"]
    assert shown["nowhere"] == ["name not found"]


def test_jndi_reads_the_schema(program: Find, service: Running) -> None:
    address, _ = mint(program, service)

    shown = look_up(program, service, service.ldap.replace("127.0.0.1", "localhost"), address)

    assert {"inetOrgPerson", "pkiUser", "pkiCA"} <= set(shown["ClassDefinition"][0].split())
    assert {"mail", "cn", "userCertificate", "cACertificate"} <= set(shown["AttributeDefinition"][0].split())


def test_l14_cert_store_finds_a_recipient_by_his_name(program: Find, service: Running) -> None:
    address, certificate = mint(program, service)
    subject = x509.load_der_x509_certificate(certificate).subject.rfc4514_string()

    for name in (subject, f"CN={address}"):
        found = from_cert_store(program, service, "subject", name)

        # It takes what has exactly the subject it was asked for.
        assert found == ([certificate] if name == subject else [])


def test_l14_cert_store_finds_the_authorities_and_their_crls(program: Find, service: Running) -> None:
    for authority in authorities(program, service):
        name = authority.subject.rfc4514_string()

        assert from_cert_store(program, service, "ca", name) == [authority.public_bytes(Encoding.DER)]

        (crl,) = map(x509.load_der_x509_crl, from_cert_store(program, service, "crl", name))
        assert crl.issuer == authority.subject


def from_cert_store(find: Find, service: Running, kind: str, name: str) -> list[bytes]:
    printed = java(find, "FromCertStore.java", "127.0.0.1", str(service.ports["ldap"]), kind, name)
    return [base64.b64decode(line) for line in printed]
