"""How do a million certificates get into the directory at once? Straight into its tables, for a benchmark.

They are recipients' own, published for everybody, as `directory.store` would hold them one by one.
"""

from collections.abc import Sequence
from functools import partial
from itertools import islice

from cryptography import x509
from sqlalchemy import Connection, insert

from bench.stock import Stock, Stocked
from ca.address import Mailbox
from ca.keys import key_hash
from directory.lookup import Origin
from directory.organization import SHARED_SCOPE
from directory.store.database import Database
from directory.store.opening import open_database
from directory.store.tables import certificates

_AT_ONCE = 2_000
"""Few enough for the time limits of the store."""


async def load(url: str, stock: Stock) -> None:
    """Put the stock into the database, which nobody serves from yet."""
    database = open_database(url)
    try:
        await _insert_all(database, stock)
    finally:
        await database.close()


async def _insert_all(database: Database, stock: Stock) -> None:
    rest = iter(stock)
    while batch := tuple(islice(rest, _AT_ONCE)):
        await database.write(partial(_insert, stock=stock, batch=batch))
    # Of so many rows it takes longer than a statement may in service.
    await database.restructure(_analyze)


def _insert(connection: Connection, *, stock: Stock, batch: Sequence[Stocked]) -> None:
    # All of a stock share one key.
    key_sha256 = key_hash(x509.load_der_x509_certificate(batch[0].der).public_key())
    connection.execute(insert(certificates), [_row(stock, one, key_sha256) for one in batch])


def _row(stock: Stock, one: Stocked, key_sha256: bytes) -> dict[str, object]:
    mailbox = Mailbox.parse(one.address)
    return {
        "id": f"{one.number:032x}",
        "serial": f"{one.serial:x}",
        "scope": SHARED_SCOPE,
        "address": str(mailbox),
        "address_key": mailbox.key,
        "origin": Origin.FOUND.value,
        "der": one.der,
        "key_sha256": key_sha256,
        "not_before": stock.not_before,
        "not_after": stock.not_after,
        "published_at": stock.not_before,
    }


def _analyze(connection: Connection) -> None:
    # Within a minute PostgreSQL would do so by itself.
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql("ANALYZE certificates")
