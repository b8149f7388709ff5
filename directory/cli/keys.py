"""`pushpki key`: keys that are in wrong hands, and stay out of the directory."""

from pathlib import Path
from typing import Annotated

import typer

from directory.cli.keyfiles import key_named, read_file
from directory.cli.opening import Config, confirm, installation, operator, run
from directory.cli.output import Json, show
from directory.errors import ConfigurationRefused
from directory.keyblocking import read_key_list

app = typer.Typer(no_args_is_help=True)

Key = Annotated[
    str | None,
    typer.Argument(
        metavar="KEY",
        help="Its SHA-256 (SubjectPublicKeyInfo) in hex, or a file with it or a certificate of it.",
    ),
]


@app.command("block")
def block(
    key: Key = None,
    *,
    listed: Annotated[
        Path | None, typer.Option("--list", help="File with a SHA-256 in hex on each line.")
    ] = None,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Block a key, or a list of them: nothing is certified or published with it any more."""
    match key, listed:
        case str(), None:
            keys = [key_named("KEY", key)]
        case None, Path():
            keys = list(read_key_list(read_file("--list", listed)))
        case _:
            raise ConfigurationRefused(key="KEY", reason="either a key or --list", remedy="give one of them")

    async def work() -> int:
        async with installation(config) as opened:
            return await opened.key_blocking(operator()).block(keys)

    blocked = run(work())
    lines = [f"Keys blocked: {blocked}. What already has one is served on: see pushpki revoke --key."]
    show({"blocked": blocked}, as_json=as_json, lines=lines)


@app.command("unblock")
def unblock(
    key: Annotated[str, typer.Argument(metavar="KEY", help="As for block.")],
    *,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Let a key in again that was blocked by mistake."""
    key_sha256 = key_named("KEY", key)
    confirm(f"Let key {key_sha256.hex()} in again?", yes=yes)

    async def work() -> None:
        async with installation(config) as opened:
            await opened.key_blocking(operator()).lift(key_sha256)

    run(work())
    show({"unblocked": key_sha256.hex()}, as_json=as_json, lines=[f"Unblocked {key_sha256.hex()}."])
