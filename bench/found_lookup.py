"""How many lookups of known addresses per second does one process answer, from memory and from the database?

A closed loop: so many connections, each bound once, with one search under way. First every address is asked
once, when nothing is in the answer cache yet; then addresses at random, when all are. Every answer must end
with the certificate of the address asked, octet for octet.
"""

import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from bench.figures import Cell, Result
from bench.known import cache_for, exchanges, load_on
from bench.ldap_load import ask_at_random, ask_each, write_exchanges
from bench.stock import Stock, make_stock
from bench.subject import DatabaseKind, subject

SECONDS = 20.0
CERTIFICATES = 10_000
CONNECTIONS = 64


def run(seconds: float | None) -> Result:
    """Measure on both databases."""
    print(f"found_lookup: making {CERTIFICATES:,} certificates", file=sys.stderr)
    with tempfile.TemporaryDirectory(prefix="pushpki-bench-") as folder:
        stock = make_stock(CERTIFICATES, Path(folder))
        rows = [row for kind in DatabaseKind for row in _rows(kind, stock, seconds or SECONDS, Path(folder))]
    return Result(
        title=f"Lookup of known addresses over LDAP: one process, {CONNECTIONS} connections, "
        f"{CERTIFICATES:,} certificates",
        rows=rows,
    )


def _rows(kind: DatabaseKind, stock: Stock, seconds: float, folder: Path) -> Iterator[dict[str, Cell]]:
    variables = {"PUSHPKI_CA__KEY_POOL_SIZE": "0", **cache_for(stock.size)}
    asked = write_exchanges(exchanges(stock), folder / "asked")
    with subject(kind, variables, stock=stock) as measured:
        print(f"found_lookup: {kind}: searching", file=sys.stderr)
        load = load_on(measured, asked, connections=CONNECTIONS)
        from_database = ask_each(load, passes=1, folder=folder)
        yield {"way": f"{kind}, each address once", **from_database.cells()}
        from_memory = ask_at_random(load, seconds=seconds, folder=folder)
        yield {"way": f"{kind}, from memory", **from_memory.cells()}
