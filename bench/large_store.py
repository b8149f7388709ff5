"""Do lookups stay as fast when the directory holds a million certificates, from memory and from the database?

The same load on a small store and a large one, in turn, in one run: first some addresses over one connection,
each for the first time, which the database must answer; then many connections and addresses that are in the
answer cache. These are as many for both sizes, from all over the store, so that what differs is the store.
"""

import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from bench.figures import Bound, Cell, Result, Target
from bench.known import cache_for, exchanges, load_on
from bench.ldap_load import Carried, Load, ask_at_random, ask_each, pooled, write_exchanges
from bench.options import Options
from bench.stock import Stock, make_stock
from bench.subject import DatabaseKind, subject

CERTIFICATES = 1_000_000
SMALL = 100_000
SECONDS = 3.0
ROUNDS = 8
CONNECTIONS = 64
CACHED = 20_000
FROM_DATABASE = 5_000

CACHED_RATIO = 0.9
P50_FROM_DATABASE = {DatabaseKind.SQLITE: 1.0, DatabaseKind.POSTGRESQL: 2.0}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Store:
    """A service with a store of one size, and its answers that came from the database."""

    kind: DatabaseKind
    size: int
    load: Load
    from_database: Carried


def run(options: Options) -> Result:
    """Measure on both databases; the small store has a tenth of the certificates, if these are not enough."""
    number = options.certificates or CERTIFICATES
    sizes = (min(SMALL, number // 10), number)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="pushpki-bench-")))
        _say(f"making {number:,} certificates")
        stock = make_stock(number, folder)
        stores = [_store(stack, kind, stock.first(size), folder) for kind in DatabaseKind for size in sizes]
        rounds = [
            [_measured(store, options.seconds or SECONDS, folder, count) for store in stores]
            for count in range(1, ROUNDS + 1)
        ]
    cached = [pooled(of) for of in zip(*rounds, strict=True)]
    return Result(
        title=f"Lookups in a large store: one process, {min(CACHED, sizes[0]):,} addresses from memory over "
        f"{CONNECTIONS} connections, {min(FROM_DATABASE, sizes[0]):,} from the database over one",
        rows=[_row(store, carried) for store, carried in zip(stores, cached, strict=True)],
        targets=list(chain.from_iterable(_targets(kind, stores, cached) for kind in DatabaseKind)),
        notes=(f"From memory: {ROUNDS} rounds in turn, taken together; percentiles are the median round's.",),
    )


def _store(stack: ExitStack, kind: DatabaseKind, stock: Stock, folder: Path) -> _Store:
    _say(f"{kind}: loading {stock.size:,} certificates")
    variables = {"PUSHPKI_CA__KEY_POOL_SIZE": "0", **cache_for(CACHED + FROM_DATABASE)}
    measured = stack.enter_context(subject(kind, variables, stock=stock))
    name = f"{stock.size}-{kind}"
    # Those asked for over one connection come first, when nothing is cached.
    some = write_exchanges(exchanges(stock.some(FROM_DATABASE)), folder / f"from-database-{name}")
    from_database = ask_each(load_on(measured, some, connections=1), passes=1, folder=folder)
    many = write_exchanges(exchanges(stock.some(CACHED)), folder / f"cached-{name}")
    load = load_on(measured, many, connections=CONNECTIONS)
    ask_each(load, passes=1, folder=folder)
    return _Store(kind=kind, size=stock.size, load=load, from_database=from_database)


def _measured(store: _Store, seconds: float, folder: Path, count: int) -> Carried:
    _say(f"{store.kind}, {store.size:,} certificates: round {count}")
    return ask_at_random(store.load, seconds=seconds, folder=folder)


def _row(store: _Store, cached: Carried) -> dict[str, Cell]:
    return {
        "database": store.kind.value,
        "certificates": store.size,
        "from it: p50 ms": store.from_database.p50,
        "p99 ms": store.from_database.p99,
        "from memory: lookups/s": cached.per_second,
        "p50 of these ms": cached.p50,
        "p99 of these ms": cached.p99,
        "cores: service": cached.server_cores,
        "cores: client": cached.client_cores,
    }


def _targets(kind: DatabaseKind, stores: list[_Store], cached: list[Carried]) -> Iterator[Target]:
    small, large = (
        (store, carried) for store, carried in zip(stores, cached, strict=True) if store.kind is kind
    )
    yield Target(
        name=f"from memory, large by small, {kind}",
        measured=large[1].per_second / small[1].per_second,
        bound=Bound.AT_LEAST,
        wanted=CACHED_RATIO,
    )
    yield Target(
        name=f"from the database, p50 ms, {kind}",
        measured=large[0].from_database.p50,
        bound=Bound.AT_MOST,
        wanted=P50_FROM_DATABASE[kind],
    )


def _say(what: str) -> None:
    print(f"large_store: {what}", file=sys.stderr)
