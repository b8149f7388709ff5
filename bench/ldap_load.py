"""How is an LDAP server put under load by a client that is not itself the bottleneck? By one written in C.

It is compiled when it is needed. Where there is no C compiler, `bench.ldap_load_in_python` does the same, at
a cost that limits what can be measured; the figures then say so.
"""

import json
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bench.figures import Cell
from bench.premises import require
from bench.processes import cpu_time

WARM_UP_SECONDS = 2.0

_SOURCE = Path(__file__).with_name("ldap_load.c")
_FLAGS = ("-O2", "-std=gnu11", "-Wall", "-Wextra", "-Werror")


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange:
    """A search, encoded, and what the one entry of its answer must contain."""

    request: bytes
    expected: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """What to ask whom. Each search is chosen at random."""

    port: int
    connections: int
    bind: bytes = field(repr=False)
    exchanges: Sequence[Exchange] = field(repr=False)


def put_load(load: Load, *, seconds: float, folder: Path, server: int) -> dict[str, Cell]:
    """Keep a search under way on every connection; return what was measured of client and server process.

    Raises:
        PremiseBroken: an answer was not the expected one.
    """
    command, name = _client(folder)
    file = folder / "load"
    _write(load, file)
    arguments = (load.port, load.connections, WARM_UP_SECONDS, seconds, file)
    with subprocess.Popen([*command, *map(str, arguments)], stdout=subprocess.PIPE, text=True) as client:  # noqa: S603 - our own command
        assert client.stdout is not None
        client.stdout.readline()
        before = cpu_time(server)
        line = client.stdout.readline()
        used = cpu_time(server) - before
    require(client.returncode == 0, "every search is answered with the certificate of the address asked")
    figures = json.loads(line)
    return {
        "lookups/s": figures["answers"] / figures["seconds"],
        "p50 ms": figures["p50"],
        "p90 ms": figures["p90"],
        "p99 ms": figures["p99"],
        "max ms": figures["longest"],
        "cores: service": used.total / figures["seconds"],
        "cores: client": figures["cpu"] / figures["seconds"],
        "client": name,
    }


def _client(folder: Path) -> tuple[list[str], str]:
    compiler = shutil.which("cc")
    if compiler is None:
        return [sys.executable, "-m", "bench.ldap_load_in_python"], "in Python, for want of a C compiler"
    program = folder / "ldap_load"
    subprocess.run([compiler, *_FLAGS, str(_SOURCE), "-o", str(program)], check=True)  # noqa: S603 - our own source
    return [str(program)], "in C"


def _write(load: Load, file: Path) -> None:
    parts = [load.bind]
    for exchange in load.exchanges:
        parts += [exchange.request, exchange.expected]
    file.write_bytes(b"".join(len(part).to_bytes(4) + part for part in parts))
