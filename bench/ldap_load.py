"""How is an LDAP server put under load by a client that is not itself the bottleneck? By one written in C.

It is compiled when it is needed. Where there is no C compiler, `bench.ldap_load_in_python` does the same, at
a cost that limits what can be measured; the figures then say so.
"""

import json
import shutil
import subprocess
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from bench.figures import Cell
from bench.premises import require
from bench.processes import cpu_time

WARM_UP_SECONDS = 2.0

_SOURCES = Path(__file__).parent
_FLAGS = ("-O2", "-std=gnu11", "-Wall", "-Wextra", "-Werror")


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange:
    """A search, encoded, and what the one entry of its answer must end with."""

    request: bytes
    expected: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """What to ask whom. `exchanges` is a file of `write_exchanges`."""

    port: int
    connections: int
    bind: bytes = field(repr=False)
    exchanges: Path
    server: int
    """The process whose processor time is counted, with its children."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Carried:
    """How a server carried a load. Times in milliseconds, cores as a mean over the measured time."""

    answers: int
    seconds: float
    p50: float
    p90: float
    p99: float
    longest: float
    fewest: int
    """Answers of the connection that had the fewest, and the most."""
    most: int
    histogram: Sequence[tuple[float, int]] = field(repr=False)
    """Milliseconds, and how many answers took at most as long, but longer than the pair before."""
    server_cores: float
    client_cores: float
    client: str

    @property
    def per_second(self) -> float:
        """Searches answered per second."""
        return self.answers / self.seconds

    def cells(self) -> dict[str, Cell]:
        """Return it as cells of a table's row."""
        return {
            "lookups/s": self.per_second,
            "p50 ms": self.p50,
            "p90 ms": self.p90,
            "p99 ms": self.p99,
            "max ms": self.longest,
            "cores: service": self.server_cores,
            "cores: client": self.client_cores,
            "client": self.client,
        }


def pooled(rounds: Sequence[Carried]) -> Carried:
    """Return several rounds as one; everything but the lookups per second is the median round's."""
    by_p99 = sorted(rounds, key=lambda carried: carried.p99)
    return replace(
        by_p99[len(by_p99) // 2],
        answers=sum(carried.answers for carried in rounds),
        seconds=sum(carried.seconds for carried in rounds),
    )


def write_exchanges(exchanges: Iterable[Exchange], file: Path) -> Path:
    """Write them for `Load`, in the order in which they are asked when each of them is; return the file."""
    with file.open("wb") as written:
        for exchange in exchanges:
            written.write(_part(exchange.request) + _part(exchange.expected))
    return file


def ask_at_random(load: Load, *, seconds: float, folder: Path) -> Carried:
    """Keep a search under way on every connection for so long, each chosen at random.

    Raises:
        PremiseBroken: an answer was not the expected one.
    """
    return _put(load, ("for", WARM_UP_SECONDS, seconds), folder)


def ask_each(load: Load, *, passes: int, folder: Path) -> Carried:
    """Keep a search under way on every connection until each of the file's was asked so often.

    Raises:
        PremiseBroken: an answer was not the expected one.
    """
    return _put(load, ("each", passes), folder)


def ask_over_every(load: Load, *, folder: Path) -> Carried:
    """Ask each of the file's over every connection, so that every process behind the port is asked for all.

    Raises:
        PremiseBroken: an answer was not the expected one.
    """
    return _put(load, ("every",), folder)


def compiled(name: str, folder: Path) -> Path | None:
    """Return one of the C programs, compiled into the folder; None where there is no C compiler."""
    compiler = shutil.which("cc")
    if compiler is None:
        return None
    program = folder / name
    if not program.exists():
        source = _SOURCES / f"{name}.c"
        subprocess.run([compiler, *_FLAGS, str(source), "-o", str(program)], check=True)  # noqa: S603 - our own source
    return program


def write_bind(bind: bytes, folder: Path) -> Path:
    """Write the bind request into a file that only its owner can read: it holds a token."""
    file = folder / "bind"
    file.touch(mode=0o600)
    file.write_bytes(_part(bind))
    return file


def _put(load: Load, how: tuple[str | float, ...], folder: Path) -> Carried:
    command, name = _client(folder)
    arguments = (load.port, load.connections, write_bind(load.bind, folder), load.exchanges, *how)
    with subprocess.Popen([*command, *map(str, arguments)], stdout=subprocess.PIPE, text=True) as client:  # noqa: S603 - our own command
        try:
            assert client.stdout is not None
            client.stdout.readline()
            before = cpu_time(load.server)
            line = client.stdout.readline()
            used = cpu_time(load.server) - before
        finally:
            client.terminate()
    require(line, "every search is answered with the certificate of the address asked")
    return _carried(json.loads(line), server_seconds=used.total, client=name)


def _carried(figures: dict[str, Any], *, server_seconds: float, client: str) -> Carried:
    # The client calls its figures what the fields are called.
    cpu, seconds = figures.pop("cpu"), figures["seconds"]
    return Carried(
        **figures,
        server_cores=server_seconds / seconds,
        client_cores=cpu / seconds,
        client=client,
    )


def _client(folder: Path) -> tuple[list[str], str]:
    program = compiled("ldap_load", folder)
    if program is None:
        return [sys.executable, "-m", "bench.ldap_load_in_python"], "in Python, for want of a C compiler"
    return [str(program)], "in C"


def _part(octets: bytes) -> bytes:
    return len(octets).to_bytes(4) + octets
