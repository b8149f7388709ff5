"""`pushpki clock`: what the service goes by, where it is in doubt."""

from datetime import datetime
from typing import Annotated

import typer

from directory.cli.opening import Config, confirm, installation, operator, run
from directory.cli.output import Json, show
from directory.wiring.timekeeping import clock_acceptance, timekeeper

app = typer.Typer(no_args_is_help=True)


@app.command("show")
def show_clock(*, config: Config = None, as_json: Json = False) -> None:
    """Tell what the clock shows, and whether anything contradicts it."""

    async def work() -> tuple[datetime, str | None]:
        async with installation(config) as opened:
            keeper = timekeeper(opened)
            await keeper.compare()
            return opened.clock.now(), keeper.doubt()

    now, doubt = run(work())
    lines = [f"{now:%Y-%m-%d %H:%M:%S} UTC: {doubt or 'nothing contradicts that.'}"]
    show({"now": now.isoformat(), "doubt": doubt}, as_json=as_json, lines=lines)


@app.command("accept")
def accept(
    *,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Take what this machine's clock shows for the time, whatever later moment is on record."""
    confirm("Is this machine's clock right? What is on record as later will count as a mistake.", yes=yes)

    async def work() -> datetime:
        async with installation(config) as opened:
            return await clock_acceptance(opened, operator()).accept()

    now = run(work())
    show(
        {"now": now.isoformat()}, as_json=as_json, lines=[f"It is {now:%Y-%m-%d %H:%M:%S} UTC from here on."]
    )
