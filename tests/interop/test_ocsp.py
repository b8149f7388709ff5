"""OpenSSL asks about certificates where they say that one may, and believes the answers."""

import base64
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp

from tests.interop.programs import authorities, mint, run
from tests.service import Running, succeed

Program = Callable[[str], str]
MOST_ATTEMPTS = 2000


@pytest.fixture
def files(program: Program, service: Running, tmp_path: Path) -> dict[str, str]:
    """Issuer, chain, and the certificate of somebody."""
    issuing, root = authorities(program, service)
    _, der = mint(program, service)
    certificate = x509.load_der_x509_certificate(der)
    contents = {
        "issuer": [issuing],
        "chain": [issuing, root],
        "certificate": [certificate],
    }
    for name, certificates in contents.items():
        pem = b"".join(one.public_bytes(Encoding.PEM) for one in certificates)
        (tmp_path / name).write_bytes(pem)
    return {name: str(tmp_path / name) for name in contents}


def asked(program: Program, service: Running, files: dict[str, str], *arguments: str) -> str:
    """Ask as OpenSSL does, by POST."""
    done = run(
        [
            *(program("openssl"), "ocsp", "-issuer", files["issuer"], "-CAfile", files["chain"]),
            *("-url", f"{service.http}/ocsp", *arguments),
        ]
    )
    return (done.stdout + done.stderr).decode()


@pytest.mark.parametrize("hash_option", ["-sha1", "-sha256"])
def test_openssl_believes_that_a_fresh_certificate_is_good(
    program: Program, service: Running, files: dict[str, str], hash_option: str
) -> None:
    answer = asked(program, service, files, hash_option, "-cert", files["certificate"])

    assert "Response verify OK" in answer
    assert f"{files['certificate']}: good" in answer


def test_openssl_is_told_of_several_certificates_at_once(
    program: Program, service: Running, files: dict[str, str]
) -> None:
    answer = asked(
        program,
        service,
        files,
        *("-no_nonce", "-cert", files["certificate"], "-serial", "4711", "-sha256", "-serial", "4712"),
    )

    assert "Response verify OK" in answer
    assert f"{files['certificate']}: good" in answer
    assert "4711: revoked" in answer
    assert "Reason: certificateHold" in answer


def test_openssl_learns_of_a_revocation(program: Program, service: Running, files: dict[str, str]) -> None:
    options = ("-no_nonce", "-cert", files["certificate"])
    assert ": good" in asked(program, service, files, *options)
    certificate = x509.load_pem_x509_certificate(Path(files["certificate"]).read_bytes())
    config = ("--config", str(service.installed.config))
    serial = f"{certificate.serial_number:x}"
    succeed("revoke", "--serial", serial, "--reason", "keyCompromise", "--yes", *config)

    answers = (asked(program, service, files, *options) for _ in range(MOST_ATTEMPTS))
    answer = next(one for one in answers if ": revoked" in one)

    assert "Response verify OK" in answer
    assert "Reason: keyCompromise" in answer


def test_curl_is_answered_by_get_and_may_keep_the_answer(
    program: Program, service: Running, files: dict[str, str], tmp_path: Path
) -> None:
    request, head, body = tmp_path / "request", tmp_path / "head", tmp_path / "body"
    made = run(
        [
            *(program("openssl"), "ocsp", "-issuer", files["issuer"], "-cert", files["certificate"]),
            *("-no_nonce", "-reqout", str(request)),
        ]
    )
    assert made.returncode == 0, made.stderr
    path = base64.b64encode(request.read_bytes()).decode().replace("+", "%2B").replace("/", "%2F")

    done = run(
        [program("curl"), "-s", "--fail", "-D", str(head), "-o", str(body), f"{service.http}/ocsp/{path}"]
    )

    assert done.returncode == 0, done.stderr
    headers = head.read_text().lower()
    assert "content-type: application/ocsp-response" in headers
    for name in ("cache-control: max-age=", "etag:", "last-modified:", "expires:"):
        assert name in headers
    response = ocsp.load_der_ocsp_response(body.read_bytes())
    assert response.certificate_status is ocsp.OCSPCertStatus.GOOD
    verified = run(
        [
            *(program("openssl"), "ocsp", "-respin", str(body), "-reqin", str(request), "-no_nonce"),
            *("-CAfile", files["chain"]),
        ]
    )
    assert b"Response verify OK" in verified.stdout + verified.stderr
