"""Which certificates do the servers hold that are compared? As many as wanted, cheap but real, made anew.

`user0@example.com` and so on, each with a certificate of its own from a CA that is not the service's. They
share one RSA-3072 key, because making keys is not the point; the CA signs with P-256, because it is quick.
Made by one process per core, and kept in files: a million of them would not leave room for what is measured.
"""

import mmap
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from multiprocessing import get_context
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_der_private_key,
    load_der_public_key,
)
from cryptography.x509.oid import AuthorityInformationAccessOID, ExtendedKeyUsageOID, NameOID

from bench.processes import cores

VALIDITY = timedelta(days=730)

_PART = 10_000
_LENGTH = 2
"""Octets that say how long a certificate is."""

_BEGIN = datetime.now(UTC).replace(microsecond=0) - timedelta(days=1)
_PKI = "http://pki.example.net"


@dataclass(frozen=True, slots=True, kw_only=True)
class Stocked:
    """A recipient and his certificate, DER."""

    number: int
    serial: int
    der: bytes

    @property
    def address(self) -> str:
        """Whom it is for."""
        return address_of(self.number)


@dataclass(frozen=True, slots=True, kw_only=True)
class Stock:
    """Certificates in files."""

    size: int
    not_before: datetime
    parts: Sequence[Path]

    @property
    def not_after(self) -> datetime:
        """When all of them expire."""
        return self.not_before + VALIDITY

    def __iter__(self) -> Iterator[Stocked]:
        for count, part in enumerate(self.parts):
            yield from _read(part, first=count * _PART)

    def first(self, size: int) -> "Stock":
        """Return so many of them, in whole files, from the beginning."""
        parts = -(-size // _PART)
        return Stock(size=min(parts * _PART, self.size), not_before=self.not_before, parts=self.parts[:parts])

    def some(self, number: int) -> Iterator[Stocked]:
        """Yield so many of them, evenly from all over; all if there are no more."""
        number = min(number, self.size)
        chosen = iter(range(number))
        following = next(chosen, None)
        for one in self:
            if following is not None and one.number == following * self.size // number:
                yield one
                following = next(chosen, None)


def address_of(number: int) -> str:
    """Return the address of one recipient."""
    return f"user{number}@example.com"


def make_stock(size: int, folder: Path) -> Stock:
    """Make so many certificates, with all cores."""
    authority = ec.generate_private_key(ec.SECP256R1())
    authority_der = authority.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    recipient = rsa.generate_private_key(65537, 3072).public_key()
    recipient_der = recipient.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    parts = [folder / f"part-{first // _PART:06d}" for first in range(0, size, _PART)]
    # Nothing of the threads and locks of this process must get into the others.
    with ProcessPoolExecutor(cores(), mp_context=get_context("spawn")) as processes:
        made = [
            processes.submit(
                _write,
                part,
                range(first, min(first + _PART, size)),
                authority=authority_der,
                recipient=recipient_der,
                begin=_BEGIN,
            )
            for part, first in zip(parts, range(0, size, _PART), strict=True)
        ]
        for one in made:
            one.result()
    return Stock(size=size, not_before=_BEGIN, parts=parts)


def _write(part: Path, numbers: range, *, authority: bytes, recipient: bytes, begin: datetime) -> None:
    signer = load_der_private_key(authority, None)
    key = load_der_public_key(recipient)
    assert isinstance(signer, ec.EllipticCurvePrivateKey)
    assert isinstance(key, rsa.RSAPublicKey)
    common = _common_extensions(signer.public_key(), key)
    with part.open("wb") as file:
        for number in numbers:
            der = _certificate(address_of(number), begin, key=key, signer=signer, common=common)
            file.write(len(der).to_bytes(_LENGTH) + der)


def _read(part: Path, *, first: int) -> Iterator[Stocked]:
    with part.open("rb") as file, closing(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)) as content:
        at, number = 0, first
        while at < len(content):
            begin = at + _LENGTH
            at = begin + int.from_bytes(content[at:begin])
            der = content[begin:at]
            yield Stocked(number=number, serial=_serial(der), der=der)
            number += 1


def _serial(der: bytes) -> int:
    return x509.load_der_x509_certificate(der).serial_number


def _common_extensions(
    authority: ec.EllipticCurvePublicKey, key: rsa.RSAPublicKey
) -> list[tuple[x509.ExtensionType, bool]]:
    """Return what a certificate for S/MIME has besides its address, so that they are of the usual size."""
    crl = x509.DistributionPoint([x509.UniformResourceIdentifier(f"{_PKI}/crl/1.crl")], None, None, None)
    issuer = x509.AccessDescription(
        AuthorityInformationAccessOID.CA_ISSUERS, x509.UniformResourceIdentifier(f"{_PKI}/ca/1.cer")
    )
    usage = {
        name: name == "key_encipherment"
        for name in (
            *("digital_signature", "content_commitment", "key_encipherment", "data_encipherment"),
            *("key_agreement", "key_cert_sign", "crl_sign", "encipher_only", "decipher_only"),
        )
    }
    policy = x509.PolicyInformation(x509.ObjectIdentifier("1.3.6.1.4.1.32473.2"), None)
    return [
        (x509.AuthorityKeyIdentifier.from_issuer_public_key(authority), False),
        (x509.SubjectKeyIdentifier.from_public_key(key), False),
        (x509.KeyUsage(**usage), True),
        (x509.ExtendedKeyUsage([ExtendedKeyUsageOID.EMAIL_PROTECTION]), False),
        (x509.CertificatePolicies([policy]), False),
        (x509.CRLDistributionPoints([crl]), False),
        (x509.AuthorityInformationAccess([issuer]), False),
    ]


def _certificate(
    address: str,
    begin: datetime,
    *,
    key: rsa.RSAPublicKey,
    signer: ec.EllipticCurvePrivateKey,
    common: list[tuple[x509.ExtensionType, bool]],
) -> bytes:
    issuer = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Somebody Else's Issuing CA")])
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, address)])
    serial = x509.random_serial_number()
    builder = x509.CertificateBuilder(issuer, subject, key, serial, begin, begin + VALIDITY)
    for extension, critical in common:
        builder = builder.add_extension(extension, critical)
    builder = builder.add_extension(x509.SubjectAlternativeName([x509.RFC822Name(address)]), critical=False)
    return builder.sign(signer, hashes.SHA256()).public_bytes(Encoding.DER)
