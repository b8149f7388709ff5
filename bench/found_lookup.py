"""How many lookups of known addresses does one process answer per second?

A closed loop: so many connections, each bound once, with one search under way, for random addresses out of
many. Every answer must hold, octet for octet, the certificate of the address asked.
"""

import asyncio
import random
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from sqlalchemy import Connection, insert

from bench.figures import Cell, Result
from bench.gateways import bind_request, search_request
from bench.ldap_load import Exchange, Load, put_load
from bench.subject import DatabaseKind, Subject, subject
from ca.address import Mailbox
from directory.lookup import Origin
from directory.organization import SHARED_SCOPE
from directory.store.opening import open_database
from directory.store.tables import certificates

SECONDS = 20.0
CERTIFICATES = 10_000
CONNECTIONS = 64

_YEAR = timedelta(days=365)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Known:
    """A recipient whose certificate the directory has."""

    mailbox: Mailbox
    certificate: x509.Certificate

    @property
    def der(self) -> bytes:
        return self.certificate.public_bytes(Encoding.DER)


def run(seconds: float | None) -> Result:
    """Measure on both databases."""
    print(f"found_lookup: making {CERTIFICATES:,} certificates", file=sys.stderr)
    known = list(_recipients(CERTIFICATES))
    rows = [_row(kind, known, seconds or SECONDS) for kind in DatabaseKind]
    return Result(
        title=f"Lookup of known addresses over LDAP: one process, {CONNECTIONS} connections, "
        f"{CERTIFICATES:,} certificates",
        rows=rows,
    )


def _row(kind: DatabaseKind, known: list[_Known], seconds: float) -> dict[str, Cell]:
    with subject(kind, {"PUSHPKI_CA__KEY_POOL_SIZE": "0"}) as measured:
        asyncio.run(_import(measured.database_url, known))
        print(f"found_lookup: {kind}: searching", file=sys.stderr)
        return {"database": kind.value, **_loaded(measured, known, seconds)}


def _loaded(measured: Subject, known: list[_Known], seconds: float) -> dict[str, Cell]:
    exchanges = [Exchange(request=search_request(str(one.mailbox)), expected=one.der) for one in known]
    random.shuffle(exchanges)
    load = Load(
        port=measured.running.ports["ldap"],
        connections=CONNECTIONS,
        bind=bind_request(measured.running.installed.gateway_token),
        exchanges=exchanges,
    )
    with tempfile.TemporaryDirectory(prefix="pushpki-bench-") as folder:
        return put_load(load, seconds=seconds, folder=Path(folder), server=measured.running.process.pid)


async def _import(url: str, known: list[_Known]) -> None:
    """Put the certificates into the directory as recipients' own, in one transaction."""
    database = open_database(url)
    await database.write(partial(_insert, known=known))
    await database.close()


def _insert(connection: Connection, *, known: list[_Known]) -> None:
    connection.execute(
        insert(certificates),
        [
            {
                "id": f"{number:032x}",
                "serial": f"{one.certificate.serial_number:x}",
                "scope": SHARED_SCOPE,
                "address": str(one.mailbox),
                "address_key": one.mailbox.key,
                "origin": Origin.FOUND.value,
                "der": one.der,
                "not_before": one.certificate.not_valid_before_utc,
                "not_after": one.certificate.not_valid_after_utc,
                "published_at": one.certificate.not_valid_before_utc,
            }
            for number, one in enumerate(known)
        ],
    )
    if connection.dialect.name == "postgresql":
        # Within a minute it would do so by itself.
        connection.exec_driver_sql("ANALYZE certificates")


def _recipients(number: int) -> Iterator[_Known]:
    """Yield recipients with certificates of the usual size, from a CA that is not ours."""
    authority = rsa.generate_private_key(65537, 2048)
    key = rsa.generate_private_key(65537, 3072).public_key()
    issuer = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Somebody Else's Issuing CA")])
    today = datetime.now(UTC).replace(microsecond=0)
    extensions = (
        x509.SubjectKeyIdentifier.from_public_key(key),
        x509.AuthorityKeyIdentifier.from_issuer_public_key(authority.public_key()),
        x509.ExtendedKeyUsage([ExtendedKeyUsageOID.EMAIL_PROTECTION]),
    )
    for count in range(number):
        mailbox = Mailbox.parse(f"known.recipient.{count:06d}@example.com")
        address = str(mailbox)
        builder = x509.CertificateBuilder(
            issuer, x509.Name([x509.NameAttribute(NameOID.EMAIL_ADDRESS, address)]), key
        )
        builder = builder.serial_number(x509.random_serial_number())
        builder = builder.not_valid_before(today - _YEAR).not_valid_after(today + _YEAR)
        for extension in (*extensions, x509.SubjectAlternativeName([x509.RFC822Name(address)])):
            builder = builder.add_extension(extension, critical=False)
        yield _Known(mailbox=mailbox, certificate=builder.sign(authority, hashes.SHA256()))
