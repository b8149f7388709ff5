"""`python -m bench.crl_builds CONFIG [SERIAL]`: make CRLs as a service does, in a process of its own.

Prints as JSON how long it took, how long an event loop beside it was kept waiting, and how much memory this
process and the largest one it started took at their peaks.
"""

import asyncio
import json
import resource
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from sqlalchemy import Connection, update

from directory.authorities import AuthorityBoard
from directory.cli.opening import installation
from directory.revocation import RevocationReason
from directory.store.tables import crl_scopes
from directory.wiring.authorities import crl_production
from directory.wiring.installation import Installation

_TICK_SECONDS: Final = 0.002


class _Watch:
    """How late an event loop comes to what is due every two milliseconds."""

    def __init__(self) -> None:
        self.latest = 0.0

    async def keep(self) -> None:
        while True:
            due = time.perf_counter() + _TICK_SECONDS
            await asyncio.sleep(_TICK_SECONDS)
            self.latest = max(self.latest, time.perf_counter() - due)


@asynccontextmanager
async def _watching(figures: dict[str, float], name: str) -> AsyncIterator[None]:
    watch = _Watch()
    task = asyncio.create_task(watch.keep())
    began = time.perf_counter()
    yield
    figures[f"{name} seconds"] = time.perf_counter() - began
    figures[f"{name} stall"] = watch.latest
    task.cancel()


async def _first(opened: Installation, figures: dict[str, float]) -> None:
    """Make every CRL, the complete one too."""
    async with _watching(figures, "first"):
        await crl_production(opened, AuthorityBoard()).start()


async def _again(opened: Installation, figures: dict[str, float], serial: int) -> None:
    """Make those of all partitions anew, then, after one revocation, that of one."""
    board = AuthorityBoard()
    production = crl_production(opened, board)
    await production.start()
    await opened.database.write(_touch)
    async with _watching(figures, "partitions"):
        await production.refresh()
    before = {crl.partition: crl.number for crl in board.crls()}
    await opened.revocation().revoke_serial(serial, RevocationReason.SUPERSEDED, "operator:bench")
    async with _watching(figures, "one"):
        await production.refresh()
    after = {crl.partition: crl.number for crl in board.crls()}
    figures["made"] = sum(1 for partition, number in after.items() if number != before[partition])
    figures["entries"] = sum(crl.entries for crl in board.crls() if crl.partition is not None)


def _touch(connection: Connection) -> None:
    # As if one certificate of each had been revoked; the complete one, which is so long, would not follow.
    changes = crl_scopes.c.changes + 1
    connection.execute(update(crl_scopes).where(crl_scopes.c.partition > 0).values(changes=changes))


async def _measure(config: Path, serial: int | None) -> dict[str, float]:
    figures: dict[str, float] = {}
    async with installation(config) as opened:
        if serial is None:
            await _first(opened, figures)
        else:
            await _again(opened, figures, serial)
    figures["own MiB"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    figures["child MiB"] = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    return figures


if __name__ == "__main__":
    config, *serial = sys.argv[1:]
    print(json.dumps(asyncio.run(_measure(Path(config), int(serial[0]) if serial else None))))
