"""Where are recipients' certificates linted: in the service, or in a process beside it?"""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from ca.linting import CertificateLinter, Linter
from directory.linting import LintingProcess
from directory.sockets import Sharing


def in_this_process() -> Linter:
    """Return a linter that is ready: the first certificate does not wait for it."""
    linter = Linter()
    linter.warm()
    return linter


@asynccontextmanager
async def linting(sharing: Sharing) -> AsyncIterator[CertificateLinter]:
    """Have a linter at hand, ready, until the context ends.

    Several workers share the cores already, each with an interpreter lock of its own; and where there is but
    one core, nothing is won by a second process.
    """
    if sharing is not Sharing.NOBODY or _cores() == 1:
        yield await asyncio.to_thread(in_this_process)
        return
    process = LintingProcess()
    try:
        await asyncio.to_thread(process.start)
        yield process
    finally:
        await asyncio.to_thread(process.stop)


def _cores() -> int:
    """Return how many cores this process may use; not every system says which."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
