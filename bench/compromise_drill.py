"""How long does it take until nothing of a compromised issuing CA is handed out, and is anew minted then?

The runbook of `docs/operations.md`, with a service that runs: another issuing CA is made and becomes active,
the old one is revoked with all that it has issued, and a gateway asks for the same addresses again. The store
is seeded with rows that say of the stock's certificates that the old issuing CA has minted them: what takes
time is the database's work, to which their bytes do not matter. They have no keys and mails, so `verify` is
not asked.
"""

import asyncio
import sys
import tempfile
import time
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path

from cryptography import x509
from sqlalchemy import Connection, insert, select

from bench.figures import Bound, Cell, Result, Target
from bench.options import Options
from bench.premises import require
from bench.smtp_sink import smtp_sink
from bench.stock import Stock, address_of, make_stock
from bench.subject import DURABLE, UNLIMITED, DatabaseKind
from directory.lookup import Origin
from directory.settings import load_settings
from directory.store.opening import open_database
from directory.store.tables import certificates, enrolments, gateways, issuers
from tests.databases import PostgresqlServer
from tests.gateways import certificates_of, ldap_connection
from tests.service import Installed, Running, install, serving, succeed

CERTIFICATES = 100_000
SECONDS = 20.0
WANTED_SECONDS = 600.0
_PART = 10_000
_AT_ONCE = 1_000
_QUICK = {"PUSHPKI_CA__KEY_ALGORITHM": "rsa-2048", "PUSHPKI_SERVICE__LOG_LEVEL": "warning"}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Drill:
    """What one drill took."""

    prepared: float
    out: float
    first_answer: float
    reminted: int
    seconds: float


def run(options: Options) -> Result:
    """Drill on both databases."""
    number = max(options.certificates or CERTIFICATES, _PART)
    with tempfile.TemporaryDirectory(prefix="pushpki-bench-") as folder:
        _say(f"making {number:,} certificates")
        stock = make_stock(number, Path(folder))
        drills = {kind: _drill(kind, stock, options.seconds or SECONDS) for kind in DatabaseKind}
    return Result(
        title=f"Compromise drill: {stock.size:,} certificates, one process, RSA-2048 recipients",
        rows=[_row(kind, drill) for kind, drill in drills.items()],
        targets=[
            Target(
                name=f"seconds from the first command until all are out and minting goes on, {kind}",
                measured=drill.prepared + drill.out + drill.first_answer,
                bound=Bound.AT_MOST,
                wanted=WANTED_SECONDS,
            )
            for kind, drill in drills.items()
        ],
        notes=(
            "Out: until the command has returned; a revoked address is answered from no memory 5 s later.",
            "Minted anew: one gateway in a closed loop, whose next question waits for the last answer.",
        ),
    )


def _drill(kind: DatabaseKind, stock: Stock, seconds: float) -> _Drill:
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="pushpki-bench-")))
        sink = stack.enter_context(smtp_sink(None))
        database = None
        if kind is DatabaseKind.POSTGRESQL:
            server = PostgresqlServer(options=DURABLE)
            stack.callback(server.remove)
            server.sql("CREATE DATABASE pushpki")
            database = server.url("pushpki")
        installed = install(folder / "pushpki", smtp=sink.url, database=database)
        _say(f"{kind}: seeding {stock.size:,} certificates")
        old = asyncio.run(_seed(load_settings(installed.config).database.url, stock))
        running = stack.enter_context(serving(installed, variables={**UNLIMITED, **_QUICK}))
        return _run(installed, running, old, stock, seconds)


def _run(installed: Installed, running: Running, old: str, stock: Stock, seconds: float) -> _Drill:
    config = ("--config", str(installed.config))
    require(_issuer(running, address_of(0)) is not None, "the stock is handed out before")
    _say("another issuing CA")
    began = time.monotonic()
    new = succeed("ca", "issuing", "create", "--activate", *config)["id"]
    prepared = time.monotonic()
    _say("revoking")
    revoked = succeed("ca", "issuing", "revoke", old, "--yes", *config)
    out = time.monotonic()
    require(revoked["certificates"] == stock.size, "every certificate of the old one is revoked")
    _say("asking again")
    numbers = iter(range(stock.size - 1, -1, -1))
    while _issuer(running, address_of(next(numbers))) != new:
        require(time.monotonic() - out < WANTED_SECONDS, "what is asked for is minted anew")
    first, reminted = time.monotonic(), 0
    with ldap_connection(running) as connection:
        while time.monotonic() - first < seconds and (count := next(numbers, None)) is not None:
            reminted += bool(certificates_of(connection, address_of(count)))
    return _Drill(
        prepared=prepared - began,
        out=out - prepared,
        first_answer=first - out,
        reminted=reminted,
        seconds=time.monotonic() - first,
    )


def _issuer(running: Running, address: str) -> str | None:
    """Ask for an address; return the key identifier of whoever certified what is answered, if anything is."""
    with ldap_connection(running) as connection:
        found = certificates_of(connection, address)
    if not found:
        return None
    certificate = x509.load_der_x509_certificate(found[0])
    authority = certificate.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value
    return None if authority.key_identifier is None else authority.key_identifier.hex()


async def _seed(url: str, stock: Stock) -> str:
    """Say of the stock that the issuing CA has minted it; return that one's identifier."""
    database = open_database(url)
    try:
        issuer_id, gateway_id, organization_id = await database.read(_whose)
        rest = iter(stock)
        while batch := tuple(islice(rest, _AT_ONCE)):
            rows = [
                {
                    "id": f"{one.number:032x}",
                    "organization_id": organization_id,
                    "gateway_id": gateway_id,
                    "scope": "shared",
                    "address": one.address,
                    "address_key": one.address,
                    "minted_at": stock.not_before,
                    "live": True,
                }
                for one in batch
            ]
            minted = [
                {
                    "id": f"{one.number:032x}",
                    "enrolment_id": f"{one.number:032x}",
                    "issuer_id": issuer_id,
                    "serial": f"{one.serial:x}",
                    "scope": "shared",
                    "address": one.address,
                    "address_key": one.address,
                    "origin": Origin.MINTED.value,
                    "der": one.der,
                    # They share one key, which no two minted ones may.
                    "key_sha256": one.number.to_bytes(32),
                    "not_before": stock.not_before,
                    "not_after": stock.not_after,
                    "published_at": stock.not_before,
                }
                for one in batch
            ]
            await database.write(partial(_insert, enrolled=rows, minted=minted))
    finally:
        await database.close()
    return issuer_id


def _whose(connection: Connection) -> tuple[str, str, str]:
    (issuer_id,) = connection.execute(select(issuers.c.id).where(issuers.c.active_from.is_not(None))).one()
    gateway_id, organization_id = connection.execute(select(gateways.c.id, gateways.c.organization_id)).one()
    return issuer_id, gateway_id, organization_id


def _insert(
    connection: Connection, *, enrolled: list[dict[str, object]], minted: list[dict[str, object]]
) -> None:
    connection.execute(insert(enrolments), enrolled)
    connection.execute(insert(certificates), minted)


def _row(kind: DatabaseKind, drill: _Drill) -> dict[str, Cell]:
    return {
        "database": kind.value,
        "new CA active: s": drill.prepared,
        "all out: s": drill.out,
        "first minted anew: s": drill.first_answer,
        "minted anew/s": drill.reminted / drill.seconds,
    }


def _say(what: str) -> None:
    print(f"compromise_drill: {what}", file=sys.stderr)
