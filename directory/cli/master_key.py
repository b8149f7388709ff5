"""`pushpki master-key`: look at the key that seals everything, and replace it."""

from typing import Annotated

import typer

from directory.cli.opening import Config, confirm, installation, operator, run
from directory.cli.output import Json, progress, show
from directory.rotation import Rotated

app = typer.Typer(no_args_is_help=True)


@app.command("show")
def show_keys(*, config: Config = None, as_json: Json = False) -> None:
    """Show which master keys there are, never the keys themselves."""

    async def work() -> tuple[str, list[str]]:
        async with installation(config) as opened:
            return opened.sealer.active_key_id, list(await opened.master_keys.ids())

    active, known = run(work())
    lines = [f"{key_id}{' (active)' if key_id == active else ''}" for key_id in known]
    show({"active": active, "known": known}, as_json=as_json, lines=lines)


@app.command("rotate")
def rotate(
    *,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Make a new master key, wrap every secret with it, drop the old one; safe while the service runs.

    Every service on this database must read this very file. If it is interrupted, run it again: it goes on
    where it stopped.
    """
    confirm("Replace the master key? Back the new file up before the old backups are useless.", yes=yes)

    async def work() -> Rotated:
        async with installation(config) as opened:
            rotated = await opened.rotation(operator()).rotate()
            await opened.database.erase_traces()
            return rotated

    with progress.status("Wrapping every secret anew …"):
        rotated = run(work())
    lines = [
        f"Master key {rotated.active_key_id} is in force; {rotated.rewrapped} secrets were wrapped anew.",
        "Back the key file up now.",
    ]
    document = {"active": rotated.active_key_id, "rewrapped": rotated.rewrapped}
    show(document, as_json=as_json, lines=lines)
