"""The real service, as an operator runs it: installed by the command, served by a process of its own."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.command import pushpki

SUFFIX = "dc=example,dc=com"
GATEWAY = "gw"
AGENT = "agent@hospital.org"
STARTS_WITHIN_SECONDS = 60
STOPS_WITHIN_SECONDS = 30

UNHURRIED = {"PUSHPKI_CA__KEY_ALGORITHM": "rsa-2048", "PUSHPKI_MINT__PATIENCE_SECONDS": "4"}
"""For services that are asked how they answer, not how fast: on a busy machine a key takes its time."""

_ANYWHERE = {f"PUSHPKI_{section}__LISTEN": "127.0.0.1:0" for section in ("HTTP", "LDAP", "LDAPS")}


@dataclass(frozen=True, slots=True, kw_only=True)
class Installed:
    """An installation in a folder, with one organization, one gateway and one agent."""

    config: Path
    gateway_token: str
    agent_token: str

    @property
    def folder(self) -> Path:
        return self.config.parent


@dataclass(frozen=True, slots=True, kw_only=True)
class Running:
    """The service, running."""

    installed: Installed
    process: subprocess.Popen[str]
    ports: Mapping[str, int]

    @property
    def http(self) -> str:
        return f"http://127.0.0.1:{self.ports['http']}"

    @property
    def ldap(self) -> str:
        return f"ldap://127.0.0.1:{self.ports['ldap']}"

    @property
    def ldaps(self) -> str:
        return f"ldaps://127.0.0.1:{self.ports['ldaps']}"


def succeed(*arguments: str) -> dict[str, Any]:
    """Run the command, which must succeed, and return its document."""
    return pushpki(*arguments, "--json").document


def install(folder: Path, *, smtp: str, database: str | None = None, init: tuple[str, ...] = ()) -> Installed:
    """Make an installation with the commands an operator would type; `init` holds further options of it."""
    where = ("--database", database) if database else ()
    config = succeed("init", "--dir", str(folder), "--suffix", SUFFIX, *where, *init)["configuration"]
    succeed(
        *("org", "add", "hospital", "--name", "City Hospital", "--domain", "hospital.org"),
        *("--mail-from", "keys@hospital.org", "--contact", "+49 30 1234567", "--smtp", smtp),
        *("--config", config),
    )
    gateway = succeed("gateway", "add", GATEWAY, "--org", "hospital", "--config", config)
    agent = succeed("agent", "add", AGENT, "--org", "hospital", "--config", config)
    return Installed(config=Path(config), gateway_token=gateway["token"], agent_token=agent["token"])


@contextmanager
def serving(
    installed: Installed, *, variables: Mapping[str, str] | None = None, command: tuple[str, ...] = ()
) -> Iterator[Running]:
    """Serve on free loopback ports; afterwards the service must stop in order, without a traceback."""
    log = (installed.folder / "serve.log").open("a+", encoding="utf-8")
    process = subprocess.Popen(  # noqa: S603 - our own command
        [
            sys.executable,
            *(command or ("-m", "directory", "serve")),
            "--config",
            str(installed.config),
            "--json",
        ],
        stdout=subprocess.PIPE,
        stderr=log,
        text=True,
        env={**os.environ, **_ANYWHERE, **(variables or {})},
    )
    with log, process:
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            assert line, f"the service did not start: {_read(log.name)}"
            listening = json.loads(line)["listening"]
            ports = {name: int(address.rpartition(":")[2]) for name, address in listening.items()}
            yield Running(installed=installed, process=process, ports=ports)
        finally:
            if process.poll() is None:
                process.terminate()
            process.wait(timeout=STOPS_WITHIN_SECONDS)
    assert process.returncode in {0, -9}, _read(log.name)
    assert "Traceback" not in _read(log.name), _read(log.name)


def _read(path: str) -> str:
    return Path(path).read_text(encoding="utf-8")
