"""A delivery worker that kills itself at a named step, over and over, as a thousand power cuts would.

Usage: crashing_delivery.py DATABASE-URL

For each line `STEP OCCURRENCE` on its standard input it forks a worker on that database, which gives up the
claims of its former life, sends what is due, and dies by SIGKILL when the step is taken for that time; one
that comes to the end of the outbox before stops in order. It says `killed` or `done` on its standard output.
"""

import asyncio
import os
import signal
import sys

from directory.delivery.dkim import DkimSigner
from directory.delivery.settings import DeliverySettings
from directory.delivery.smarthosts import SmartHosts
from directory.delivery.worker import DeliveryWorker
from directory.steps import Step, StepListener
from directory.store.opening import open_database
from directory.store.outbox import SqlOutbox
from tests.databases import PATIENT
from tests.directory.clocks import StoppedClock
from tests.directory.delivery.builders import NOW, a_sealer
from tests.directory.delivery.composers import every_composer

NEVER = "never"
WORKER = "worker"
IN_FLIGHT = 4
"""So that others are under way when one dies."""


def killer(at: Step | None, occurrence: int, recorded: asyncio.Event) -> StepListener:
    left = occurrence

    def listen(step: Step) -> None:
        nonlocal left
        if step is Step.MAIL_RECORDED:
            recorded.set()
        if step is at:
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)

    return listen


async def send_until_empty(url: str, at: Step | None, occurrence: int) -> None:
    """Work on the outbox until nothing is queued, or until death."""
    recorded = asyncio.Event()
    database = open_database(url, limits=PATIENT)
    clock, settings = StoppedClock(NOW), DeliverySettings(in_flight=IN_FLIGHT)
    outbox = SqlOutbox(database, node=WORKER)
    worker = DeliveryWorker(
        name=WORKER,
        outbox=outbox,
        sealer=a_sealer(),
        composers=every_composer(),
        carriers=SmartHosts(sealer=a_sealer(), clock=clock, settings=settings),
        signer=DkimSigner(a_sealer()),
        settings=settings,
        clock=clock,
        on_step=killer(at, occurrence, recorded),
    )
    running = asyncio.create_task(worker.run())
    try:
        while await outbox.next_due() is not None:
            worker.notify()
            await recorded.wait()
            recorded.clear()
    finally:
        worker.stop()
        await running
        await database.close()


def outcome_of(url: str, step: str, occurrence: int) -> str:
    """Fork a worker; say what became of it."""
    child = os.fork()
    if child == 0:
        status = 1
        try:
            at = None if step == NEVER else Step(step)
            asyncio.run(send_until_empty(url, at, occurrence))
            status = 0
        finally:
            os._exit(status)
    _, ended = os.waitpid(child, 0)
    if os.WIFSIGNALED(ended) and os.WTERMSIG(ended) == signal.SIGKILL:
        return "killed"
    return "done" if ended == 0 else f"failed {ended}"


def main() -> None:
    every_composer()  # dear to make, made once for all children
    for line in sys.stdin:
        step, occurrence = line.split()
        sys.stdout.write(outcome_of(sys.argv[1], step, int(occurrence)) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
