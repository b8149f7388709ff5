"""What is measured? `pushpki serve` as an operator installs and runs it, with a smart host that is a sink."""

import asyncio
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from bench.asking import Answered
from bench.loading import load
from bench.premises import require
from bench.processes import CpuTime, cpu_time, wait_until_idle
from bench.smtp_sink import SinkProcess, smtp_sink
from bench.stock import Stock
from directory.settings import load_settings
from tests.databases import PostgresqlServer
from tests.directory.delivery.tls import write_ca_file, write_identity
from tests.service import Installed, Running, install, serving, succeed

UNLIMITED = {
    f"PUSHPKI_LIMITS__{limit}": "0"
    for limit in (
        "GATEWAY_BURST",
        "GATEWAY_PER_DAY",
        "ORGANIZATION_PER_DAY",
        "RECIPIENT_PER_DAY",
        "DOMAIN_PER_DAY",
    )
}
"""The limits on minting, switched off."""

DURABLE = "-c listen_addresses= -c max_connections=100"
"""PostgreSQL as it comes: fsync, full page writes and synchronous commit are on."""

_MAILS_WITHIN_SECONDS = 120.0


class DatabaseKind(StrEnum):
    """Where everything durable is."""

    SQLITE = "SQLite"
    POSTGRESQL = "PostgreSQL"


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """The service under measurement."""

    running: Running
    sink: SinkProcess

    @property
    def database_url(self) -> str:
        """Where the service keeps everything."""
        return load_settings(self.running.installed.config).database.url

    def cpu_time(self) -> CpuTime:
        """Return the processor time the service has used."""
        return cpu_time(self.running.process.pid)

    def wait_until_idle(self, *, within: float) -> None:
        """Wait until nothing is left to do, not even making keys for the pool."""
        wait_until_idle(self.running.process.pid, within=within)

    def require_key_mails(self, answers: list[Answered]) -> None:
        """Check that each recipient has been sent his key package, once.

        Raises:
            PremiseBroken: a mail came twice, or without a key package.
            TimeoutError: a mail did not come.
        """
        mails = self.sink.mails_to({answer.address for answer in answers}, within=_MAILS_WITHIN_SECONDS)
        require(len(mails) == len(answers), "every recipient is sent one key mail")
        require(all(mail.has_key_package for mail in mails), "every key mail carries a key package")


class SmartHost(StrEnum):
    """How mail is handed over."""

    CLEAR = "in clear"
    TLS = "under TLS"


@contextmanager
def subject(
    kind: DatabaseKind,
    variables: Mapping[str, str],
    *,
    stock: Stock | None = None,
    workers: int = 1,
    smart_host: SmartHost = SmartHost.CLEAR,
    prepare: Callable[[Installed], None] = lambda _installed: None,
) -> Iterator[Subject]:
    """Install, load the stock, prepare what else is wanted, and serve on free loopback ports.

    Afterwards no invariant may be broken.

    Raises:
        PremiseBroken: `pushpki verify` found a violation.
    """
    with ExitStack() as stack:
        outer = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="pushpki-bench-")))
        folder = outer / "pushpki"
        identity = write_identity(outer) if smart_host is SmartHost.TLS else None
        trusted = {"PUSHPKI_DELIVERY__CA_FILE": str(write_ca_file(outer))} if identity else {}
        sink = stack.enter_context(smtp_sink(identity))
        database = stack.enter_context(_postgresql()) if kind is DatabaseKind.POSTGRESQL else None
        installed = install(folder, smtp=sink.url, database=database)
        if stock is not None:
            asyncio.run(load(load_settings(installed.config).database.url, stock))
        prepare(installed)
        several = ("-m", "directory", "serve", "--workers", str(workers)) if workers > 1 else ()
        wanted = {**UNLIMITED, **trusted, **variables}
        with serving(installed, variables=wanted, command=several) as running:
            yield Subject(running=running, sink=sink)
        violations = succeed("verify", "--config", str(installed.config))["violations"]
        require(not violations, "no invariant is broken afterwards")


@contextmanager
def _postgresql() -> Iterator[str]:
    server = PostgresqlServer(options=DURABLE)
    try:
        server.sql("CREATE DATABASE pushpki")
        yield server.url("pushpki")
    finally:
        server.remove()
