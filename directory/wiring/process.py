"""How does `serve` live and die as a process? Its log, its event loop, its signals."""

import asyncio
import logging.config
import signal
from collections.abc import Callable, Coroutine
from typing import Any

import uvloop

from directory.http.logs import logging_config
from directory.settings import Settings
from directory.sockets import Sharing
from directory.steps import StepListener, ignore_step
from directory.store.timelimits import A_GATEWAYS_PATIENCE
from directory.wiring import addresses
from directory.wiring.installation import open_installation
from directory.wiring.resources import allow_connections, spare_garbage_collection
from directory.wiring.service import serving


def configure_logging(settings: Settings, *, worker: int | None = None) -> None:
    """Log to standard error; nothing that is logged holds an address, a token or a password."""
    level = settings.service.log_level.upper()
    config = logging_config(level)
    if worker is not None:
        plain = config["formatters"]["plain"]["format"]
        config["formatters"]["plain"] = {"format": plain.replace("%(name)s", f"worker-{worker} %(name)s")}
    config["root"] = {"level": level, "handlers": ["stderr"]}
    config["loggers"]["httpcore"] = {"level": "WARNING"}  # would tell what webhooks answer
    # They say whose mail it is, and what a foreign message holds.
    config["loggers"] |= {"mail.log": {"level": "ERROR"}, "flufl.bounce": {"level": "CRITICAL"}}
    config["loggers"]["alembic"] = {"level": "WARNING"}  # says at every start which database it has met
    logging.config.dictConfig(config)


def run_until_stopped(work: Coroutine[Any, Any, None]) -> None:
    """Run the service on the fastest event loop there is."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(work)


async def serve_until_signalled(
    settings: Settings,
    passphrase: bytes | None,
    announce: Callable[[dict[str, str]], None],
    *,
    sharing: Sharing = Sharing.NOBODY,
    parent: int | None = None,
    on_step: StepListener = ignore_step,
) -> None:
    """Serve, announce each front end with its address, and stop in order when a signal comes.

    `parent` is the descriptor of a pipe whose other end closes with the process that started this one; then
    this one stops as well, so that nobody is left behind.

    Raises:
        ConfigurationRefused, MasterKeyUnusable, StoreUnavailable and others: see `open_installation` and
            `serving`; nothing was served then.
    """
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    if parent is not None:
        loop.add_reader(parent, _parent_is_gone, loop, parent, stopped)
    allow_connections(settings.ldap.connections)
    async with (
        open_installation(settings, passphrase, limits=A_GATEWAYS_PATIENCE) as installation,
        serving(installation, sharing=sharing, on_step=on_step) as listening,
    ):
        spare_garbage_collection()
        announce(addresses.as_document(listening))
        await stopped.wait()


def _parent_is_gone(loop: asyncio.AbstractEventLoop, parent: int, stopped: asyncio.Event) -> None:
    loop.remove_reader(parent)
    stopped.set()
