"""How many OCSP requests per second does one core of one process answer from memory?

A closed loop over HTTP connections that stay open, each with one request under way, for certificates that
were asked about before. Every response is compared, octet for octet, with the first one given for its
certificate, which must say "good". The processor time is the service's alone.
"""

import asyncio
import random
import sys
import time
import urllib.request
from dataclasses import dataclass
from urllib.parse import urlsplit

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp

from bench.figures import Bound, Result, Target, percentile
from bench.premises import PremiseBroken, require
from bench.subject import DatabaseKind, Subject, subject
from tests.gateways import look_up
from tests.service import Running

SECONDS = 10.0
CERTIFICATES = 20
CONNECTIONS = 32
WANTED_PER_CORE = 2_000
_MOST_ATTEMPTS = 30


@dataclass(frozen=True, slots=True, kw_only=True)
class _Question:
    """A request as sent, and the response that is expected."""

    octets: bytes
    expected: bytes


def run(seconds: float | None) -> Result:
    """Measure on SQLite; from memory the database is not asked."""
    variables = {"PUSHPKI_CA__KEY_ALGORITHM": "rsa-2048", "PUSHPKI_SERVICE__LOG_LEVEL": "warning"}
    with subject(DatabaseKind.SQLITE, variables) as measured:
        print(f"ocsp: minting {CERTIFICATES} certificates", file=sys.stderr)
        questions = _questions(measured)
        measured.wait_until_idle(within=120)
        print("ocsp: asking", file=sys.stderr)
        before, began = measured.cpu_time(), time.monotonic()
        waits = asyncio.run(_ask(measured.running.http, questions, seconds or SECONDS))
        elapsed, used = time.monotonic() - began, measured.cpu_time() - before
    per_core = len(waits) / used.total
    row = {
        "answers/s": len(waits) / elapsed,
        "service's cores": used.total / elapsed,
        "answers/s per core": per_core,
        "p50 ms": percentile(waits, 0.5),
        "p99 ms": percentile(waits, 0.99),
    }
    return Result(
        title=f"OCSP from memory: one process, {CONNECTIONS} connections, {CERTIFICATES} certificates",
        rows=[row],
        targets=[
            Target(
                name="answers per second and core",
                measured=per_core,
                bound=Bound.AT_LEAST,
                wanted=WANTED_PER_CORE,
            )
        ],
    )


def _questions(measured: Subject) -> list[_Question]:
    """Mint certificates, and ask about each once."""
    running = measured.running
    with urllib.request.urlopen(f"{running.http}/ca/chain.pem", timeout=20) as answer:  # noqa: S310 - our service
        issuer = x509.load_pem_x509_certificates(answer.read())[0]
    questions = []
    for number in range(CERTIFICATES):
        certificate = _minted(running, f"status.{number:04d}@example.com")
        builder = ocsp.OCSPRequestBuilder().add_certificate(certificate, issuer, hashes.SHA256())
        body = builder.build().public_bytes(Encoding.DER)
        request = urllib.request.Request(f"{running.http}/ocsp", data=body, method="POST")  # noqa: S310 - likewise
        with urllib.request.urlopen(request, timeout=20) as answer:  # noqa: S310 - likewise
            expected = answer.read()
        response = ocsp.load_der_ocsp_response(expected)
        require(response.certificate_status is ocsp.OCSPCertStatus.GOOD, "what was minted is told to be good")
        host = urlsplit(running.http).netloc
        head = (
            f"POST /ocsp HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/ocsp-request\r\n"
            f"Content-Length: {len(body)}\r\n\r\n"
        )
        questions.append(_Question(octets=head.encode() + body, expected=expected))
    return questions


def _minted(running: Running, address: str) -> x509.Certificate:
    """Ask until there is a certificate: making keys takes longer than a gateway's question may."""
    for _ in range(_MOST_ATTEMPTS):
        if certificates := look_up(running, address):
            return x509.load_der_x509_certificate(certificates[0])
    raise PremiseBroken("every address is minted in the end")


async def _ask(url: str, questions: list[_Question], seconds: float) -> list[float]:
    """Ask on all connections; return how many milliseconds each answer took."""
    until = time.monotonic() + seconds
    asked = [_on_one_connection(url, questions, until) for _ in range(CONNECTIONS)]
    return [wait for waits in await asyncio.gather(*asked) for wait in waits]


async def _on_one_connection(url: str, questions: list[_Question], until: float) -> list[float]:
    where = urlsplit(url)
    reader, writer = await asyncio.open_connection(where.hostname, where.port)
    waits = []
    while (began := time.monotonic()) < until:
        question = random.choice(questions)  # noqa: S311 - which is asked next is no secret
        writer.write(question.octets)
        head = await reader.readuntil(b"\r\n\r\n")
        require(head.startswith(b"HTTP/1.1 200 "), "every request is answered")
        body = await reader.readexactly(len(question.expected))
        require(body == question.expected, "the response is the one given before")
        waits.append((time.monotonic() - began) * 1000)
    writer.close()
    return waits
