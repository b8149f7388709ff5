"""How long does it take to make the CRLs of a million revoked certificates, and how fast are they served?

On both databases. First every CRL is made, the complete one too, as before a first start; then in another
process those of all partitions anew, then one certificate is revoked and its partition's is made. At last the
service serves them: each partition in turn to connections that stay open, whole and to who has it already.
"""

import asyncio
import json
import os
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from cryptography import x509

from bench.figures import Bound, Cell, Result, Target
from bench.ldap_load import Exchange, compiled, write_exchanges
from bench.options import Options
from bench.premises import NotInstalled, require
from bench.revoked import load_revoked
from bench.subject import DatabaseKind, Subject, subject
from directory.cli.opening import installation
from directory.crls import CrlRhythm
from tests.service import Installed

CERTIFICATES: Final = 1_000_000
PARTITIONS: Final = 128
CONNECTIONS: Final = 16
SECONDS: Final = 10.0

WANTED_REBUILD_SECONDS: Final = 120
WANTED_REBUILD_MIB: Final = 1024
WANTED_ONE_SECONDS: Final = 2
WANTED_PER_SECOND: Final = 1_000

_PARTITIONED: Final = {"PUSHPKI_CA__CRL_PARTITIONS": str(PARTITIONS)}


def run(options: Options) -> Result:
    """Measure with as many revoked certificates as wanted."""
    number = options.certificates or CERTIFICATES
    rows: list[dict[str, Cell]] = []
    targets: list[Target] = []
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="pushpki-bench-")))
        client = compiled("http_load", folder)
        if client is None:
            raise NotInstalled("A C compiler")
        for kind in DatabaseKind:
            built: dict[str, float] = {}
            prepare = partial(_build, number=number, built=built)
            variables = {**_PARTITIONED, "PUSHPKI_CA__KEY_POOL_SIZE": "0"}
            with subject(kind, variables, prepare=prepare) as measured:
                _say(f"{kind}: serving")
                served = _served(measured, client, folder, seconds=options.seconds or SECONDS)
            rows.append({"database": kind.value, "revoked": number, **_cells(built), **served})
            targets += _targets(kind, built, served)
    return Result(
        title=f"CRLs of {number:,} revoked certificates in {PARTITIONS} partitions, served over "
        f"{CONNECTIONS} connections",
        rows=rows,
        targets=targets,
        notes=(
            "MiB: the peak of the process that makes them, and that of the one it starts for a long CRL.",
            "Stall: the longest that an event loop in the same process was kept waiting.",
        ),
    )


def _build(installed: Installed, *, number: int, built: dict[str, float]) -> None:
    _say(f"loading {number:,} revoked certificates")
    with _environment(_PARTITIONED):
        serial = asyncio.run(_load(installed.config, number))
        _say("making every CRL")
        built |= {f"first: {name}": value for name, value in _made(installed.config).items()}
        _say("making those of the partitions anew")
        built |= _made(installed.config, str(serial))
    require(built["entries"] == number + 1, "the partitions list every revoked certificate, once")
    follows = number <= CrlRhythm().at_once  # the complete one, as long as it is short
    require(built["made"] == 1 + follows, "after one revocation no more CRLs are made than must be")


async def _load(config: Path, number: int) -> int:
    async with installation(config) as opened:
        return await load_revoked(opened, number)


def _made(config: Path, *serial: str) -> dict[str, float]:
    command = (sys.executable, "-m", "bench.crl_builds", str(config), *serial)
    done = subprocess.run(command, check=True, capture_output=True, text=True)  # noqa: S603 - our own module
    figures: dict[str, float] = json.loads(done.stdout)
    return figures


def _served(measured: Subject, client: Path, folder: Path, *, seconds: float) -> dict[str, Cell]:
    """Return how many CRLs per second were served, whole, and not sent again."""
    url = measured.running.http
    whole, conditional = [], []
    for path in _paths(url):
        with urllib.request.urlopen(url + path, timeout=20) as answer:  # noqa: S310 - our own service
            body, etag = answer.read(), answer.headers["ETag"]
        head = f"GET {path} HTTP/1.1\r\nHost: {urlsplit(url).netloc}\r\n"
        whole.append(Exchange(request=f"{head}\r\n".encode(), expected=body))
        condition = f"{head}If-None-Match: {etag}\r\n\r\n"
        conditional.append(Exchange(request=condition.encode(), expected=b""))
    asked = {"whole": whole, "304": conditional}
    cells: dict[str, Cell] = {"KiB": sum(len(one.expected) for one in whole) / len(whole) / 1024}
    for name, exchanges in asked.items():
        file = write_exchanges(exchanges, folder / name)
        command = (client, urlsplit(url).port, CONNECTIONS, file, seconds)
        before = measured.cpu_time()
        done = subprocess.run(list(map(str, command)), check=True, capture_output=True)  # noqa: S603 - our own program
        used = measured.cpu_time() - before
        carried: dict[str, Any] = json.loads(done.stdout)
        cells[f"{name}/s"] = carried["answers"] / carried["seconds"]
        cells[f"{name}: cores"] = used.total / carried["seconds"]
        cells[f"{name}: client's"] = carried["cpu"] / carried["seconds"]
    return cells


def _paths(url: str) -> list[str]:
    """Return where the CRLs of the partitions are."""
    with urllib.request.urlopen(f"{url}/ca/chain.pem", timeout=20) as answer:  # noqa: S310 - our own service
        issuing = x509.load_pem_x509_certificates(answer.read())[0]
    key_id = issuing.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value.digest.hex()
    return [f"/crl/{key_id}/{partition}.crl" for partition in range(1, PARTITIONS + 1)]


def _cells(built: Mapping[str, float]) -> dict[str, Cell]:
    return {
        "all, first: s": built["first: first seconds"],
        "MiB": built["first: own MiB"] + built["first: child MiB"],
        "stall ms": built["first: first stall"] * 1000,
        "partitions anew: s": built["partitions seconds"],
        "MiB of these": built["own MiB"] + built["child MiB"],
        "stall ms of these": built["partitions stall"] * 1000,
        "one: s": built["one seconds"],
        "its stall ms": built["one stall"] * 1000,
    }


def _targets(kind: DatabaseKind, built: Mapping[str, float], served: Mapping[str, Cell]) -> list[Target]:
    at_most = {
        "seconds for all partitions": (built["partitions seconds"], WANTED_REBUILD_SECONDS),
        "MiB for them": (built["own MiB"] + built["child MiB"], WANTED_REBUILD_MIB),
        "seconds for one after a revocation": (built["one seconds"], WANTED_ONE_SECONDS),
    }
    at_least = {f"CRLs served per second, {name}": float(served[f"{name}/s"]) for name in ("whole", "304")}
    return [
        *(
            Target(name=f"{name}, {kind}", measured=measured, bound=Bound.AT_MOST, wanted=wanted)
            for name, (measured, wanted) in at_most.items()
        ),
        *(
            Target(name=f"{name}, {kind}", measured=measured, bound=Bound.AT_LEAST, wanted=WANTED_PER_SECOND)
            for name, measured in at_least.items()
        ),
    ]


@contextmanager
def _environment(variables: Mapping[str, str]) -> Iterator[None]:
    """Let what reads the settings here, and in processes begun here, find these."""
    os.environ.update(variables)
    try:
        yield
    finally:
        for name in variables:
            del os.environ[name]


def _say(what: str) -> None:
    print(f"crls: {what}", file=sys.stderr)
