"""How do several workers live and die as one service? Started, watched, replaced, stopped by a parent.

The parent serves nobody and opens no database. It keeps the ports, so that their numbers stay the service's
own while workers come and go. The first worker starts alone: what keeps it from starting would keep the
others from it too, and is said once.
"""

import asyncio
import logging
import os
import signal
import tempfile
from asyncio.subprocess import PIPE, Process
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any, Final

from directory.metrics import SHARED_FOLDER_VARIABLE, forget_process
from directory.settings import Settings
from directory.sockets import reserve
from directory.wiring import addresses
from directory.wiring.workers import READY, WorkerOrders, orders_for, refuse_workers

logger = logging.getLogger(__name__)

_SHORTEST_PAUSE: Final = 1.0
_LONGEST_PAUSE: Final = 30.0
_STEADY_SECONDS: Final = 60.0
"""After so long a life a worker's death is a new story: the next is started after the shortest pause."""
_LONGEST_STOP: Final = 60.0
"""What a worker may take to stop in order; its own limits are shorter."""
_DIED_OF_A_SIGNAL: Final = 70
"""The exit code of a service whose worker was killed while it started."""


async def supervise(
    settings: Settings,
    passphrase: bytes | None,
    announce: Callable[[dict[str, str]], None],
    *,
    workers: int,
    command: Sequence[str],
) -> int:
    """Serve with several workers until a signal comes; return the exit code.

    That is 0 after an orderly stop, and a worker's own where one could not start; it has said why. `command`
    starts a worker, which reads its orders from standard input.

    Raises:
        ConfigurationRefused: the database is served by one process only, or an address cannot be taken.
    """
    refuse_workers(settings, workers)
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    with ExitStack() as stack:
        reserved = stack.enter_context(addresses.taken(settings, reserve))
        listening = addresses.found(settings, reserved)
        settled = addresses.settled(settings, listening)
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="pushpki-metrics-"))
        team = [
            _Worker(orders_for(settled, passphrase, number=number, workers=workers), command, Path(folder))
            for number in range(1, workers + 1)
        ]
        return await _work(team, lambda: announce(addresses.as_document(listening)), stopped)


async def _work(team: Sequence["_Worker"], on_ready: Callable[[], None], stopped: asyncio.Event) -> int:
    """Start the team and keep it complete until told to stop; return the exit code."""
    starting = asyncio.create_task(_start(team))
    waiting = asyncio.create_task(stopped.wait())
    tasks: list[asyncio.Task[Any]] = [starting, waiting]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        if starting.done():
            starting.result()
            on_ready()
            keeping = [asyncio.create_task(worker.keep()) for worker in team]
            tasks += keeping
            await asyncio.wait([waiting, *keeping], return_when=asyncio.FIRST_COMPLETED)
    except _NotStarted as failure:
        return failure.exit_code if failure.exit_code > 0 else _DIED_OF_A_SIGNAL
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.gather(*(worker.stop() for worker in team))
    return 0


async def _start(team: Sequence["_Worker"]) -> None:
    """Start all, the first one alone.

    Raises:
        _NotStarted: one did not start.
    """
    first, *others = team
    await first.begin()
    await first.serves()
    for worker in others:
        await worker.begin()
    for worker in others:
        await worker.serves()


class _NotStarted(Exception):
    """A worker ended before it served."""

    def __init__(self, exit_code: int) -> None:
        super().__init__(exit_code)
        self.exit_code = exit_code


class _Worker:
    """One place in the team, and the process that fills it now."""

    def __init__(self, orders: WorkerOrders, command: Sequence[str], metrics: Path) -> None:
        self._orders = orders
        self._command = tuple(command)
        self._metrics = metrics
        self._process: Process | None = None
        self._pause = _SHORTEST_PAUSE

    async def begin(self) -> None:
        """Start a process, and tell it what to do."""
        environment = {**os.environ, SHARED_FOLDER_VARIABLE: str(self._metrics)}
        # In a process group of its own: Control-C at the terminal is the parent's to hear, and to pass on.
        self._process = await asyncio.create_subprocess_exec(
            *self._command, stdin=PIPE, stdout=PIPE, env=environment, process_group=0
        )
        logger.info("worker %d is process %d", self._orders.number, self._process.pid)
        if self._process.stdin is not None:
            with suppress(ConnectionError):  # it ended at once, and `serves` will tell
                self._process.stdin.write(self._orders.encoded())
                await self._process.stdin.drain()

    async def serves(self) -> None:
        """Return when the process serves.

        Raises:
            _NotStarted: it has ended.
        """
        process = self._process
        if process is None or process.stdout is None:
            raise AssertionError("`begin` comes first")
        if await process.stdout.readline() != READY:
            raise _NotStarted(await process.wait())

    async def keep(self) -> None:
        """Start another process whenever one ends, after a pause that grows while they do not last."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        while True:
            if self._process is not None:
                code = await self._process.wait()
                forget_process(self._metrics, self._process.pid)
                logger.error("worker %d has ended: exit code %d", self._orders.number, code)
            if loop.time() - began >= _STEADY_SECONDS:
                self._pause = _SHORTEST_PAUSE
            await asyncio.sleep(self._pause)
            self._pause = min(2 * self._pause, _LONGEST_PAUSE)
            began = loop.time()
            await self.begin()

    async def stop(self) -> None:
        """Let the process stop in order; end it if it does not."""
        process = self._process
        if process is None or process.returncode is not None:
            return
        with suppress(ProcessLookupError):
            process.terminate()
        try:
            async with asyncio.timeout(_LONGEST_STOP):
                await process.wait()
        except TimeoutError:
            logger.warning("worker %d did not stop and was killed", self._orders.number)
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()
