"""How many LDAP lookups per second does the front end alone carry, when the answers cost nothing?

Protocol, session and sockets, without a store behind them: what is left of `found_lookup` is the store's.

    python -m bench.ldap_front_end

serves such answers, and prints the port.
"""

import asyncio
import subprocess
import sys
import tempfile
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import uvloop

from bench.figures import Result
from bench.gateways import bind_request, search_request
from bench.ldap_load import Exchange, Load, ask_at_random, write_exchanges
from directory.callers import Credential, Gateway
from directory.ldap.connection import Listener
from directory.ldap.server import LdapServer
from directory.ldap.settings import LdapSettings
from directory.lookup import Answer, Found, Origin, PublishedCertificate, Question
from directory.organization import SHARED_SCOPE
from tests.service import SUFFIX

SECONDS = 10.0
CONNECTIONS = 64

CERTIFICATE = bytes(range(256)) * 5 + b"as long as a certificate is"
_NOW = datetime.now(UTC)
_ANYBODY = Gateway(gateway_id="1", name="anything", organization_id="1", scope=SHARED_SCOPE, may_mint=True)


def run(seconds: float | None) -> Result:
    """Measure."""
    exchange = Exchange(request=search_request("anna@example.com"), expected=CERTIFICATE)
    with front_end() as (server, port), tempfile.TemporaryDirectory(prefix="pushpki-bench-") as folder:
        load = Load(
            port=port,
            connections=CONNECTIONS,
            bind=bind_request("anything"),
            exchanges=write_exchanges([exchange], Path(folder) / "asked"),
            server=server,
        )
        carried = ask_at_random(load, seconds=seconds or SECONDS, folder=Path(folder))
    return Result(
        title=f"LDAP front end alone: {CONNECTIONS} connections, answers that cost nothing",
        rows=[carried.cells()],
    )


@contextmanager
def front_end() -> Iterator[tuple[int, int]]:
    """Run the front end in a process of its own; yield that process and the port."""
    command = [sys.executable, "-m", "bench.ldap_front_end"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:  # noqa: S603 - our own command
        try:
            assert server.stdout is not None
            yield server.pid, int(server.stdout.readline())
        finally:
            server.terminate()


async def _answer(question: Question) -> Answer:
    """Answer at once, with the address that was asked and octets for a certificate."""
    return Found(
        certificate=PublishedCertificate(
            mailbox=question.mailbox,
            der=CERTIFICATE,
            serial=1,
            not_before=_NOW,
            not_after=_NOW + timedelta(days=1),
            origin=Origin.FOUND,
        )
    )


async def _anybody(name: str, _token: str) -> Gateway | None:
    return replace(_ANYBODY, name=name)


async def _nobody(_sha256: bytes) -> Gateway | None:
    return None


async def _all_good(credentials: Collection[Credential]) -> Mapping[Credential, Gateway]:
    return dict.fromkeys(credentials, _ANYBODY)


async def _serve() -> None:
    server = LdapServer(
        answer=_answer,
        named_gateway=_anybody,
        certified_gateway=_nobody,
        still_good=_all_good,
        settings=LdapSettings(suffix=SUFFIX),
    )
    print(await server.listen("127.0.0.1", 0, Listener.CLEAR), flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(_serve())
