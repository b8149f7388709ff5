"""`pushpki serve`: LDAP, HTTP and delivery in one process or in several, until told to stop."""

import asyncio
from typing import Annotated

import typer

from directory.cli.opening import Config, passphrase_of, read_settings
from directory.cli.output import Json, show

_MOST_WORKERS = 64

Workers = Annotated[
    int,
    typer.Option(
        "--workers",
        min=1,
        max=_MOST_WORKERS,
        help="How many processes serve the same ports; more than one needs PostgreSQL.",
    ),
]


def serve(*, workers: Workers = 1, config: Config = None, as_json: Json = False) -> None:
    """Serve lookups and deliver key mails until SIGTERM or SIGINT."""
    # A second of imports that no other command needs.
    from directory.cli import worker  # noqa: PLC0415 - see above
    from directory.wiring import process, supervisor  # noqa: PLC0415 - see above

    settings = read_settings(config)
    process.configure_logging(settings)

    def announce(document: dict[str, str]) -> None:
        line = f"Listening: {', '.join(f'{name} on {address}' for name, address in document.items())}"
        show({"listening": document}, as_json=as_json, lines=[line])

    passphrase = passphrase_of(settings)
    if workers == 1:
        process.run_until_stopped(process.serve_until_signalled(settings, passphrase, announce))
        return
    code = asyncio.run(
        supervisor.supervise(settings, passphrase, announce, workers=workers, command=worker.COMMAND)
    )
    raise typer.Exit(code)
