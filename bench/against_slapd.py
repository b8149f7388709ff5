"""Does the directory answer faster than OpenLDAP's slapd, holding the same certificates on the same machine?

All servers run at once and are put under load in turn, several times, by the same client: a closed loop, so
many connections, each bound once, with one search under way for a random address. Before that every address
has been asked, on every server, often enough that its memory holds what it can hold.
"""

import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from bench.figures import Bound, Cell, Result, Target
from bench.known import cache_for, exchanges, load_on
from bench.ldap_load import Carried, Load, ask_at_random, ask_each, ask_over_every, pooled, write_exchanges
from bench.options import Options
from bench.processes import cores
from bench.slapd import THREADS, slapd
from bench.stock import Stock, make_stock
from bench.subject import DatabaseKind, Subject, subject

CERTIFICATES = 100_000
SECONDS = 10.0
ROUNDS = 3
CONNECTIONS = 64
WORKERS = 2

TO_ALL_WORKERS = 8
"""Connections over each of which every address is asked beforehand: enough that each worker has one."""

_SLAPD = "slapd"
_ONE = "pushpki, SQLite, 1 process"
_TWO = f"pushpki, PostgreSQL, {WORKERS} workers"
_WANTED = {_ONE: 1.0, _TWO: 1.5}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Contestant:
    """A server, and how it answered when it was asked for each address for the first time."""

    name: str
    load: Load
    first: Carried


def run(options: Options) -> Result:
    """Measure all in turn."""
    number = options.certificates or CERTIFICATES
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="pushpki-bench-")))
        contestants = list(_contestants(stack, number, folder))
        rounds = [
            {one.name: _measured(one, options.seconds or SECONDS, folder, count) for one in contestants}
            for count in range(1, ROUNDS + 1)
        ]
    return Result(
        title=f"Known addresses over LDAP beside slapd: {number:,} certificates, {CONNECTIONS} connections, "
        f"each with a search under way, {cores()} cores for both sides",
        rows=[
            *(
                _row(count, name, one, of[_SLAPD])
                for count, of in enumerate(rounds, 1)
                for name, one in of.items()
            ),
            *(_row("first asked", one.name, one.first, contestants[0].first) for one in contestants),
        ],
        targets=list(_targets(rounds)),
        notes=_NOTES,
        details={
            f"{name}, {count}": {"answers": one.answers, "histogram": one.histogram}
            for count, of in enumerate(rounds, 1)
            for name, one in of.items()
        },
    )


_NOTES = (
    f"slapd: Debian's, back-mdb, `mail` indexed, {THREADS} threads. Nobody is bound to a core; `cores` are",
    "what a side used, as a mean. The answer cache has room for all answers. First asked: every address",
    "once, nothing cached yet; slapd's file has just been written. By slapd's: lookups/s by those of slapd",
    "in that round. Per connection: answers of the one that had the fewest and the most.",
)


def _contestants(stack: ExitStack, number: int, folder: Path) -> Iterator[_Contestant]:
    _say(f"making {number:,} certificates")
    stock = make_stock(number, folder)
    asked = write_exchanges(exchanges(stock), folder / "asked")
    _say("loading slapd")
    other = stack.enter_context(slapd(stock, folder / "slapd"))
    yield _acquainted(
        _SLAPD,
        Load(port=other.port, connections=CONNECTIONS, bind=other.bind, exchanges=asked, server=other.pid),
        folder,
        workers=1,
    )
    for name, kind, workers in ((_ONE, DatabaseKind.SQLITE, 1), (_TWO, DatabaseKind.POSTGRESQL, WORKERS)):
        _say(f"loading {name}")
        measured = stack.enter_context(_service(kind, stock, workers))
        load = load_on(measured, asked, connections=CONNECTIONS)
        yield _acquainted(name, load, folder, workers=workers)


@contextmanager
def _service(kind: DatabaseKind, stock: Stock, workers: int) -> Iterator[Subject]:
    variables: Mapping[str, str] = {"PUSHPKI_CA__KEY_POOL_SIZE": "0", **cache_for(stock.size)}
    with subject(kind, variables, stock=stock, workers=workers) as measured:
        yield measured


def _acquainted(name: str, load: Load, folder: Path, *, workers: int) -> _Contestant:
    """Ask for every address, so that every worker's memory holds all answers."""
    _say(f"{name}: asking for every address")
    first = ask_each(load, passes=1, folder=folder)
    if workers > 1:
        ask_over_every(replace(load, connections=TO_ALL_WORKERS), folder=folder)
    return _Contestant(name=name, load=load, first=first)


def _measured(one: _Contestant, seconds: float, folder: Path, count: int) -> Carried:
    _say(f"{one.name}: round {count}")
    return ask_at_random(one.load, seconds=seconds, folder=folder)


def _row(count: int | str, name: str, carried: Carried, slapds: Carried) -> dict[str, Cell]:
    return {
        "round": str(count),
        "server": name,
        **carried.cells(),
        "CPU µs/lookup": carried.server_cores / carried.per_second * 1e6,
        "by slapd's": carried.per_second / slapds.per_second,
        "per connection": f"{carried.fewest:,} to {carried.most:,}",
    }


def _targets(rounds: list[dict[str, Carried]]) -> Iterator[Target]:
    slapds = pooled([of[_SLAPD] for of in rounds])
    for name, wanted in _WANTED.items():
        own = pooled([of[name] for of in rounds])
        ratio = own.per_second / slapds.per_second
        yield Target(
            name=f"lookups/s by slapd's, {name}", measured=ratio, bound=Bound.AT_LEAST, wanted=wanted
        )
        yield Target(
            name=f"p99 by slapd's, {name}", measured=own.p99 / slapds.p99, bound=Bound.AT_MOST, wanted=1.0
        )


def _say(what: str) -> None:
    print(f"against_slapd: {what}", file=sys.stderr)
