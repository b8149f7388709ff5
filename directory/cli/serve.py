"""`pushpki serve`: LDAP, HTTP and delivery in one process, until told to stop."""

import asyncio
import logging.config
import signal
from collections.abc import Callable, Coroutine
from typing import Any

import uvloop

from directory.cli.opening import Config, passphrase_of, read_settings
from directory.cli.output import Json, show
from directory.http.logs import logging_config
from directory.settings import Settings
from directory.steps import StepListener, ignore_step
from directory.wiring import Listening, open_installation, serving


def serve(*, config: Config = None, as_json: Json = False) -> None:
    """Serve lookups and deliver key mails until SIGTERM or SIGINT."""
    settings = read_settings(config)
    configure_logging(settings)
    run_until_stopped(
        serve_until_signalled(settings, lambda listening: _announce(listening, as_json=as_json))
    )


def configure_logging(settings: Settings) -> None:
    """Log to standard error; nothing that is logged holds an address, a token or a password."""
    level = settings.service.log_level.upper()
    logging.config.dictConfig(logging_config(level) | {"root": {"level": level, "handlers": ["stderr"]}})


def run_until_stopped(work: Coroutine[Any, Any, None]) -> None:
    """Run the service on the fastest event loop there is."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(work)


async def serve_until_signalled(
    settings: Settings,
    announce: Callable[[Listening], None],
    *,
    on_step: StepListener = ignore_step,
) -> None:
    """Serve, say where once everything answers, and stop in order when a signal comes.

    Raises:
        ConfigurationRefused, MasterKeyUnusable, StoreUnavailable and others: see `open_installation` and
            `serving`; nothing was served then.
    """
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    async with (
        open_installation(settings, passphrase_of(settings)) as installation,
        serving(installation, on_step=on_step) as listening,
    ):
        announce(listening)
        await stopped.wait()


def _announce(listening: Listening, *, as_json: bool) -> None:
    document = listening.as_document()
    lines = [f"Listening: {', '.join(f'{name} on {address}' for name, address in document.items())}"]
    show({"listening": document}, as_json=as_json, lines=lines)
