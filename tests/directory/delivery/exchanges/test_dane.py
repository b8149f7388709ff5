import hashlib
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from directory.delivery.exchanges.dane import authenticates, usable
from directory.delivery.exchanges.resolving import TlsaRecord
from tests.directory.delivery.exchanges.servers import a_server

SERVER = a_server("mx1.example.org", issuer="Somebody")
NOW = datetime.now(UTC)


def a_record(certificate: bytes, *, usage: int = 3, selector: int = 0, matching: int = 1) -> TlsaRecord:
    selected = certificate
    if selector == 1:
        key = x509.load_der_x509_certificate(certificate).public_key()
        selected = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    digest = {0: lambda octets: octets, 1: _sha256, 2: _sha512}[matching]
    return TlsaRecord(usage=usage, selector=selector, matching=matching, data=digest(selected))


def _sha256(octets: bytes) -> bytes:
    return hashlib.sha256(octets).digest()


def _sha512(octets: bytes) -> bytes:
    return hashlib.sha512(octets).digest()


def holds(*records: TlsaRecord, name: str = "mx1.example.org", now: datetime = NOW) -> bool:
    return authenticates(records, SERVER.ders, names=[name], now=now)


@pytest.mark.parametrize("usage", [2, 3])
@pytest.mark.parametrize("selector", [0, 1])
@pytest.mark.parametrize("matching", [0, 1, 2])
def test_takes_what_a_record_names_in_every_way(usage: int, selector: int, matching: int) -> None:
    named = SERVER.ders[0] if usage == 3 else SERVER.ders[1]
    assert holds(a_record(named, usage=usage, selector=selector, matching=matching))
    other = a_server("mx2.example.org").ders[0 if usage == 3 else 1]
    assert not holds(a_record(other, usage=usage, selector=selector, matching=matching))


def test_one_of_several_records_is_enough() -> None:
    assert holds(a_record(b"\x30\x00"), a_record(SERVER.ders[0]))


def test_names_and_dates_count_for_an_issuer_only() -> None:
    later = NOW + timedelta(days=30)
    assert holds(a_record(SERVER.ders[0]), name="elsewhere.example", now=later)
    issuer = a_record(SERVER.ders[1], usage=2)
    assert not holds(issuer, name="elsewhere.example")
    assert not holds(issuer, now=later)


def test_an_issuer_that_did_not_sign_the_certificate_proves_nothing() -> None:
    stranger = a_server("mx1.example.org").ders[1]
    record = a_record(stranger, usage=2)
    chain = [SERVER.ders[0], stranger]
    assert not authenticates([record], chain, names=["mx1.example.org"], now=NOW)


def test_a_servers_certificate_is_no_issuer() -> None:
    assert not holds(a_record(SERVER.ders[0], usage=2))


def test_a_server_that_shows_nothing_or_nonsense_proves_nothing() -> None:
    for chain in ([], [b"nonsense"]):
        assert not authenticates([a_record(SERVER.ders[0])], chain, names=["mx1.example.org"], now=NOW)


GOOD = a_record(SERVER.ders[0])


@pytest.mark.parametrize(
    "record",
    [
        replace(GOOD, usage=0),
        replace(GOOD, usage=1),
        replace(GOOD, usage=4),
        replace(GOOD, selector=2),
        replace(GOOD, matching=3),
        replace(GOOD, data=GOOD.data[:-1]),
        replace(GOOD, matching=0, data=b""),
    ],
)
def test_records_that_mean_nothing_for_mail_are_left_out(record: TlsaRecord) -> None:
    assert usable([record, GOOD]) == (GOOD,)
