"""One node of several, as a process to be killed: writes events and signs its head, over and over.

    python -m tests.faults.auditing_node URL NODE SKEW_SECONDS

It says each event that is durable on standard output. Its clock is wrong by so many seconds.
"""

import asyncio
import sys
from datetime import datetime, timedelta

from directory.audit import AuditEvent, AuditKind
from directory.clock import SystemClock
from directory.errors import StoreUnavailable
from directory.evidence.keys import AuditKeys
from directory.store.audit_log import SqlAuditLog
from directory.store.evidence import SqlAuditKeys
from directory.store.opening import open_database
from tests.contracts.world import SEALER
from tests.databases import PATIENT
from tests.directory.evidence.builders import a_notary


class SkewedClock:
    """The system's clock, wrong."""

    def __init__(self, skew: timedelta) -> None:
        self._skew = skew
        self._clock = SystemClock()

    def now(self) -> datetime:
        return self._clock.now() + self._skew


async def main(url: str, node: str, skew: timedelta) -> None:
    """Write until killed."""
    database = open_database(url, limits=PATIENT)
    clock = SkewedClock(skew)
    keys = AuditKeys(store=SqlAuditKeys(database, node=node), sealer=SEALER, clock=clock, actor="service")
    await keys.ensure()
    notary = a_notary(database, keys, clock, node=node)
    log = SqlAuditLog(database, node=node)
    number = 0
    while True:
        number += 1
        subject = f"{clock.now().timestamp()}-{number}"
        event = AuditEvent(kind=AuditKind.CRL_ISSUED, at=clock.now(), actor="service", subject=subject)
        try:
            await log.append(event)
        except StoreUnavailable:
            continue  # others are writing to the same file; nothing was changed
        sys.stdout.write(f"{subject}\n")
        sys.stdout.flush()
        if number % 5 == 0:
            await notary.attempt()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], timedelta(seconds=float(sys.argv[3]))))
