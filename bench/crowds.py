"""Are good clients served as well when many others are connected, and what memory do these take?

The load of `found_lookup` from memory: alone, beside idle connections, beside ones that send a search an
octet at a time, and alone again in between. Crowd and service share the machine; what the crowd itself costs
is in the figures.
"""

import statistics
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from bench.crowd import Crowd, allow_open_files, idle_crowd, of_connections, slow_crowd
from bench.figures import Bound, Cell, Result, Target
from bench.known import cache_for, exchanges, load_on
from bench.ldap_load import Carried, Load, ask_at_random, ask_each, write_exchanges
from bench.options import Options
from bench.processes import memory
from bench.stock import make_stock
from bench.subject import DatabaseKind, subject

CERTIFICATES = 10_000
SECONDS = 10.0
CONNECTIONS = 64
IDLE = 10_000
SLOW = 1_000
MILLISECONDS_PER_OCTET = 200.0

P99_RATIO = 2.0
KIBIBYTES_PER_IDLE_CONNECTION = 40.0

_ALONE = "alone"
_WITH_IDLE = f"{IDLE:,} idle"
_WITH_SLOW = f"{SLOW:,} slow"
_KIBIBYTE = 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class _Served:
    """How the good clients were served beside a crowd."""

    crowd: str
    carried: Carried
    kibibytes: float = 0.0
    """Memory that each of the crowd's connections took of the service's."""
    ended: int = 0


def run(options: Options) -> Result:
    """Measure."""
    allow_open_files(IDLE + CONNECTIONS)
    served = list(_served(options.seconds or SECONDS))
    alone = statistics.mean(one.carried.p99 for one in served if one.crowd == _ALONE)
    idle, slow = (one for one in served if one.crowd != _ALONE)
    return Result(
        title=f"Lookups beside a crowd: one process, SQLite, {CONNECTIONS} connections, "
        f"{CERTIFICATES:,} certificates in the answer cache",
        rows=[_row(one, alone) for one in served],
        targets=[
            Target(
                name=f"p99 by alone, {one.crowd}",
                measured=one.carried.p99 / alone,
                bound=Bound.AT_MOST,
                wanted=P99_RATIO,
            )
            for one in (idle, slow)
        ]
        + [
            Target(
                name="KiB per idle connection",
                measured=idle.kibibytes,
                bound=Bound.AT_MOST,
                wanted=KIBIBYTES_PER_IDLE_CONNECTION,
            )
        ],
        notes=_NOTES,
    )


_NOTES = (
    f"Slow: every connection sends an octet of a search each {MILLISECONDS_PER_OCTET:g} ms; one that the",
    "service ends is opened again. Idle: bound, then silent; at the end each was asked, and answered. KiB:",
    "what the service's resident memory grew by, per connection. By alone: by the mean of the rows alone.",
)


def _served(seconds: float) -> Iterator[_Served]:
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="pushpki-bench-")))
        stock = make_stock(CERTIFICATES, folder)
        variables = {
            "PUSHPKI_CA__KEY_POOL_SIZE": "0",
            "PUSHPKI_LDAP__CONNECTIONS": str(IDLE + SLOW + CONNECTIONS),
            **cache_for(stock.size),
        }
        measured = stack.enter_context(subject(DatabaseKind.SQLITE, variables, stock=stock))
        load = load_on(measured, write_exchanges(exchanges(stock), folder / "asked"), connections=CONNECTIONS)
        ask_each(load, passes=1, folder=folder)
        yield _Served(crowd=_ALONE, carried=_asked(load, seconds, folder, _ALONE))
        yield _beside_idle(load, seconds, folder)
        yield _Served(crowd=_ALONE, carried=_asked(load, seconds, folder, _ALONE))
        yield _beside_slow(load, seconds, folder)
        yield _Served(crowd=_ALONE, carried=_asked(load, seconds, folder, _ALONE))


def _beside_idle(load: Load, seconds: float, folder: Path) -> _Served:
    before = memory(load.server)
    with idle_crowd(of_connections(load, IDLE), folder) as crowd:
        taken = memory(load.server) - before
        return _beside(crowd, _asked(load, seconds, folder, _WITH_IDLE), _WITH_IDLE, taken / IDLE)


def _beside_slow(load: Load, seconds: float, folder: Path) -> _Served:
    before = memory(load.server)
    slowly = of_connections(load, SLOW)
    with slow_crowd(slowly, folder, milliseconds_per_octet=MILLISECONDS_PER_OCTET) as crowd:
        carried = _asked(load, seconds, folder, _WITH_SLOW)
        return _beside(crowd, carried, _WITH_SLOW, (memory(load.server) - before) / SLOW)


def _beside(crowd: Crowd, carried: Carried, name: str, octets: float) -> _Served:
    return _Served(crowd=name, carried=carried, kibibytes=octets / _KIBIBYTE, ended=crowd.disperse().ended)


def _asked(load: Load, seconds: float, folder: Path, beside: str) -> Carried:
    print(f"crowds: asking, {beside}", file=sys.stderr)
    return ask_at_random(load, seconds=seconds, folder=folder)


def _row(one: _Served, alone: float) -> dict[str, Cell]:
    return {
        "crowd": one.crowd,
        **one.carried.cells(),
        "p99 by alone": one.carried.p99 / alone,
        "KiB/connection": one.kibibytes,
        "ended": one.ended,
    }
