"""OpenSSL judges certificates by the CRLs that they name."""

from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from tests.interop.programs import authorities, mint, run
from tests.service import Running, succeed


@pytest.fixture
def chain_file(program: Callable[[str], str], service: Running, tmp_path: Path) -> Path:
    file = tmp_path / "chain.pem"
    chain = authorities(program, service)
    file.write_bytes(b"".join(certificate.public_bytes(Encoding.PEM) for certificate in chain))
    return file


def test_openssl_reads_and_verifies_every_crl(
    program: Callable[[str], str], service: Running, chain_file: Path
) -> None:
    for authority in authorities(program, service):
        der = fetched(program, service, key_id(authority))

        done = run(
            [program("openssl"), "crl", "-inform", "DER", "-noout", "-text", "-CAfile", str(chain_file)],
            data=der,
        )

        assert b"verify OK" in done.stderr
        assert b"Version 2" in done.stdout
        assert b"X509v3 CRL Number" in done.stdout


def test_openssl_refuses_what_was_revoked_and_nothing_else(
    program: Callable[[str], str], service: Running, chain_file: Path, tmp_path: Path
) -> None:
    address, revoked = mint(program, service)
    _, good = mint(program, service)
    config = ("--config", str(service.installed.config))
    succeed("revoke", address, "--reason", "superseded", "--yes", *config)
    succeed("ca", "crl", "issue", *config)
    serial = x509.load_der_x509_certificate(revoked).serial_number
    issuing, root = authorities(program, service)
    wait_for(program, service, issuing, serial)
    crls = tmp_path / "crls.pem"
    crls.write_bytes(
        b"".join(
            x509.load_der_x509_crl(fetched(program, service, key_id(one))).public_bytes(Encoding.PEM)
            for one in (issuing, root)
        )
    )

    def verified(der: bytes) -> bytes:
        certificate = x509.load_der_x509_certificate(der).public_bytes(Encoding.PEM)
        files = ("-CAfile", str(chain_file), "-CRLfile", str(crls))
        checks = ("-x509_strict", "-crl_check_all", "-purpose", "smimeencrypt")
        done = run([program("openssl"), "verify", *checks, *files], data=certificate)
        return done.stdout + done.stderr

    assert b"certificate revoked" in verified(revoked)
    assert b": OK" in verified(good)


def wait_for(program: Callable[[str], str], service: Running, issuer: x509.Certificate, serial: int) -> None:
    for _ in range(2000):
        crl = x509.load_der_x509_crl(fetched(program, service, key_id(issuer)))
        if crl.get_revoked_certificate_by_serial_number(serial) is not None:
            return
    pytest.fail("the revocation is not on the CRL")


def fetched(program: Callable[[str], str], service: Running, issuer_id: str) -> bytes:
    done = run([program("curl"), "-s", "--fail", f"{service.http}/crl/{issuer_id}.crl"])
    assert done.returncode == 0, done.stderr
    return done.stdout


def key_id(certificate: x509.Certificate) -> str:
    return certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value.digest.hex()
