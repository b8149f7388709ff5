"""Who else is connected while others are served? Many idle or slow clients, made by a program in C."""

import json
import resource
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from bench.ldap_load import Load, compiled, write_bind
from bench.premises import NotInstalled, require

_SPARE_FILES = 200
"""What a process has open besides its connections."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Dispersed:
    """What had become of a crowd."""

    connections: int
    answered: int
    """Searches; of an idle crowd one per connection, at the end."""
    octets: int
    """Sent one at a time."""
    ended: int
    """Connections that the server put an end to; each was opened again."""


class Crowd:
    """Clients that are connected, and bound."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        assert process.stdout is not None
        require(process.stdout.readline(), "all of the crowd can connect and bind")

    def disperse(self) -> Dispersed:
        """Hang up, after every idle connection has been asked for a last answer.

        Raises:
            PremiseBroken: one was not served any more.
        """
        line, _ = self._process.communicate()
        require(self._process.returncode == 0, "every idle connection is still served at the end")
        return Dispersed(**json.loads(line))


@contextmanager
def idle_crowd(load: Load, folder: Path) -> Iterator[Crowd]:
    """Hold connections over which nothing comes."""
    with _crowd(load, ("idle",), folder) as crowd:
        yield crowd


@contextmanager
def slow_crowd(load: Load, folder: Path, *, milliseconds_per_octet: float) -> Iterator[Crowd]:
    """Hold connections over which searches come an octet at a time."""
    with _crowd(load, ("slow", str(milliseconds_per_octet)), folder) as crowd:
        yield crowd


def of_connections(load: Load, number: int) -> Load:
    """Return the load with another number of connections."""
    return replace(load, connections=number)


def allow_open_files(connections: int) -> None:
    """Let this process, and those it starts, have so many connections open.

    Raises:
        PremiseBroken: the machine's administrator has set a lower limit.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = connections + _SPARE_FILES
    require(hard >= wanted, f"`ulimit -Hn` is at least {wanted}, here {hard}")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted), hard))


@contextmanager
def _crowd(load: Load, manner: tuple[str, ...], folder: Path) -> Iterator[Crowd]:
    program = compiled("ldap_crowd", folder)
    if program is None:
        raise NotInstalled("a C compiler")
    arguments = (load.port, load.connections, write_bind(load.bind, folder), load.exchanges)
    with subprocess.Popen(  # noqa: S603 - our own program
        [str(program), *map(str, arguments), *manner],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield Crowd(process)
        finally:
            process.terminate()
