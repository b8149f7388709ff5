"""`pushpki ca pool`: the keys that were made in advance and are stored, sealed."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from ca.keys import KeyAlgorithm
from directory.cli.opening import Config, confirm, installation, operator, run
from directory.cli.output import Json, progress, show

if TYPE_CHECKING:
    from directory.wiring.keystock import ShownStock

app = typer.Typer(no_args_is_help=True)


@app.command("show")
def show_pool(*, config: Config = None, as_json: Json = False) -> None:
    """Show how many keys are stored, by algorithm; `/metrics` shows those in memory."""
    from directory.wiring.keystock import stock_levels  # noqa: PLC0415 - for this command alone

    async def work() -> tuple[Sequence["ShownStock"], int]:
        async with installation(config) as opened:
            return await stock_levels(opened), opened.settings.ca.key_pool_persisted

    stocks, wanted = run(work())
    documents = [
        {
            "algorithm": one.algorithm.value,
            "stored": one.stored.keys,
            "usable": one.usable,
            "oldest": one.stored.oldest.isoformat(),
        }
        for one in stocks
    ]
    lines = [
        f"{one.algorithm}: {one.stored.keys} stored, {one.usable} for this machine to use, "
        f"the oldest of {one.stored.oldest:%Y-%m-%d %H:%M} UTC"
        for one in stocks
    ]
    show(
        {"algorithms": documents, "wanted": wanted},
        as_json=as_json,
        lines=lines or ["No keys are stored."],
    )


@app.command("fill")
def fill(
    *,
    until: Annotated[int, typer.Option(min=1, max=1_000_000, help="How many are to be stored.")],
    algorithm: Annotated[
        KeyAlgorithm | None, typer.Option(help="Of which kind; else that of ca.key_algorithm.")
    ] = None,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Make keys with all cores, at low priority, and store them; interrupted, it keeps what is stored."""
    from directory.wiring.keystock import fill_stock  # noqa: PLC0415 - for this command alone

    async def work() -> tuple[KeyAlgorithm, int]:
        async with installation(config) as opened:
            kind = algorithm or opened.settings.ca.key_algorithm
            made = await fill_stock(
                opened,
                kind,
                until=until,
                actor=operator(),
                on_stored=lambda made: status.update(f"Making keys … {made} stored"),
            )
            return kind, made

    with progress.status("Making keys …") as status:
        kind, made = run(work())
    show(
        {"algorithm": kind.value, "made": made},
        as_json=as_json,
        lines=[f"{made} keys for {kind} were made; at least {until} are stored."],
    )


@app.command("discard")
def discard(
    *,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Destroy every stored key, of every machine; running services make new ones."""
    from directory.wiring.keystock import key_pool_administration  # noqa: PLC0415 - for this command alone

    confirm("Destroy every key that was made in advance and is stored?", yes=yes)

    async def work() -> int:
        async with installation(config) as opened:
            discarded = await key_pool_administration(opened, operator()).discard()
            await opened.database.erase_traces()
            return discarded

    discarded = run(work())
    show({"discarded": discarded}, as_json=as_json, lines=[f"{discarded} keys were destroyed."])
