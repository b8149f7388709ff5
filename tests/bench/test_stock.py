"""The certificates that the servers under comparison hold."""

from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa

from bench.known import exchanges
from bench.ldap_load import Load, ask_each, write_exchanges
from bench.loading import load
from bench.premises import NotInstalled
from bench.slapd import slapd
from bench.stock import Stock, make_stock
from ca.address import Mailbox
from directory.callers import Anonymous
from directory.store.lookup import SqlDirectoryReader
from directory.store.opening import open_database
from tests.databases import PATIENT, Databases

SIZE = 12


@pytest.fixture(scope="module")
def stock(tmp_path_factory: pytest.TempPathFactory) -> Stock:
    return make_stock(SIZE, tmp_path_factory.mktemp("stock"))


def test_every_recipient_has_a_certificate_of_his_own_for_his_address(stock: Stock) -> None:
    certificates = [x509.load_der_x509_certificate(one.der) for one in stock]
    names = [
        certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        for certificate in certificates
    ]

    assert [name.get_values_for_type(x509.RFC822Name) for name in names] == [
        [f"user{number}@example.com"] for number in range(SIZE)
    ]
    assert len({certificate.serial_number for certificate in certificates}) == SIZE
    assert [certificate.serial_number for certificate in certificates] == [one.serial for one in stock]


def test_keys_and_validity_are_what_is_said(stock: Stock) -> None:
    first, *_ = stock
    certificate = x509.load_der_x509_certificate(first.der)
    key = certificate.public_key()

    assert isinstance(key, rsa.RSAPublicKey)
    assert key.key_size == 3072
    assert certificate.not_valid_before_utc == stock.not_before
    assert certificate.not_valid_after_utc == stock.not_after


@pytest.mark.parametrize(
    ("wanted", "numbers"), [(3, [0, 4, 8]), (12, list(range(12))), (99, list(range(12)))]
)
def test_some_come_from_all_over(stock: Stock, wanted: int, numbers: list[int]) -> None:
    assert [one.number for one in stock.some(wanted)] == numbers


def test_the_first_are_in_whole_files(stock: Stock) -> None:
    assert stock.first(1).size == SIZE


async def test_the_directory_answers_from_what_was_loaded(stock: Stock, databases: Databases) -> None:
    url = await databases.fresh("sqlite")

    await load(url, stock)

    database = open_database(url, limits=PATIENT)
    reader = SqlDirectoryReader(database)
    *_, last = stock
    found = await reader.live_certificates(
        Mailbox.parse(last.address).key, Anonymous(may_read=True), stock.not_before
    )
    await database.close()
    assert [certificate.der for certificate in found] == [last.der]


def test_slapd_answers_with_the_same_certificates(stock: Stock, tmp_path: Path) -> None:
    asked = write_exchanges(exchanges(stock), tmp_path / "asked")
    try:
        with slapd(stock, tmp_path / "slapd") as other:
            carried = ask_each(
                Load(port=other.port, connections=2, bind=other.bind, exchanges=asked, server=other.pid),
                passes=1,
                folder=tmp_path,
            )
    except NotInstalled as missing:
        pytest.skip(str(missing))

    assert carried.answers == SIZE
