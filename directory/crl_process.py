"""How is a long CRL built outside the service? `python -m directory.crl_process`, which the service starts.

It has the issuer's certificate and no key, reads no settings and opens no database.
"""

import os
import pickle
import sys
from collections.abc import Iterator
from dataclasses import replace
from typing import BinaryIO, Final

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from ca.crllinting import CrlLinter
from ca.distantkeys import DistantSigner
from ca.errors import LintFailed
from ca.keyquality import check_quality
from ca.revocation import CrlIssuer, RevokedCertificate
from directory.crl_frames import Orders, Tag, framed, read_frame

_NICENESS: Final = 10
"""Lookups go first."""


def build(source: BinaryIO, sink: BinaryIO) -> None:
    """Build the CRL that is ordered; ask for its one signature."""

    def answer(tag: Tag, content: bytes) -> None:
        sink.write(framed(tag.value + content))
        sink.flush()

    def ask(octets: bytes) -> bytes:
        answer(Tag.TO_BE_SIGNED, octets)
        return read_frame(source)

    orders = Orders.decoded(read_frame(source))
    certificate = x509.load_der_x509_certificate(orders.certificate)
    signer = DistantSigner(check_quality(certificate.public_key()), ask)
    issuer = CrlIssuer(certificate, signer, CrlLinter(), scheme=orders.scheme)
    try:
        crl = issuer.issue(replace(orders.prepared, revoked=_entries(source)))
    except LintFailed as error:
        answer(Tag.FOUND_WANTING, "\n".join(error.findings).encode())
    else:
        answer(Tag.BUILT, crl.public_bytes(Encoding.DER))


def _entries(source: BinaryIO) -> Iterator[RevokedCertificate]:
    while page := read_frame(source):
        yield from pickle.loads(page)  # noqa: S301 - from our own parent process, over a pipe nobody else has


if __name__ == "__main__":
    os.nice(_NICENESS)
    build(sys.stdin.buffer, sys.stdout.buffer)
