"""`pushpki demo`: the whole story on this machine, set up in a temporary folder with the real commands."""

import asyncio
import secrets
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from directory.cli.output import Json, fail, progress, show

if TYPE_CHECKING:
    from directory.demo.story import Stage

EXIT_FAILED = 1


def demo(
    *,
    once: Annotated[bool, typer.Option("--once", help="End after the story instead of staying up.")] = False,
    as_json: Json = False,
) -> None:
    """Walk the whole story on this machine: lookup, mint, key mail, password, decryption."""
    from directory.demo.people import StoryFailed  # noqa: PLC0415 - LDAP and SMTP, for this command alone

    console = Console(quiet=as_json)
    with tempfile.TemporaryDirectory(prefix="pushpki-demo-") as folder:
        try:
            steps = asyncio.run(_play(Path(folder), console, once=once))
        except StoryFailed as error:
            fail(f"the demonstration failed: {error}", EXIT_FAILED)
        except KeyboardInterrupt:
            steps = []
            console.print("\nStopped; nothing is left behind.")
    if as_json:
        show({"steps": steps}, as_json=True, lines=())


async def _play(folder: Path, console: Console, *, once: bool) -> list[dict[str, str]]:
    from directory.demo.postbox import postbox  # noqa: PLC0415 - likewise
    from directory.demo.stage import installed  # noqa: PLC0415 - likewise
    from directory.demo.story import tell  # noqa: PLC0415 - likewise

    told: list[dict[str, str]] = []

    def say(title: str, outcome: str) -> None:
        told.append({"step": title, "outcome": outcome})
        console.print(f"[bold]{len(told)}. {title}[/bold]\n   [green]→[/green] {outcome}", highlight=False)

    async with postbox() as box, installed(folder, box.port, progress.status) as stage:
        say(
            "Set up: a root, an issuing CA, City Hospital, its gateway and a registration agent",
            f"in {stage.home}, by the commands pushpki init, org add, gateway add, agent add",
        )
        await tell(stage, box, say)
        if not once:
            console.print(_what_next(stage), highlight=False, soft_wrap=True)
            await asyncio.Event().wait()
    return told


def _what_next(stage: "Stage") -> str:
    from directory.demo.story import GATEWAY, KEY_MAIL_NAME, RECIPIENT  # noqa: PLC0415 - likewise

    home = stage.home
    ldap, http = f"ldap://127.0.0.1:{stage.ldap_port}", f"http://127.0.0.1:{stage.http_port}"
    somebody = f"{secrets.token_hex(3)}@example.org"
    return f"""
[bold]It stays up until Ctrl-C. Try:[/bold]

  ldapsearch -x -H {ldap} -D cn={GATEWAY},ou=gateways,{stage.suffix} -y {home}/gateway.token \\
      -b {stage.suffix} '(mail={somebody})' 'userCertificate;binary'

  curl -s -H "Authorization: Bearer $(cat {home}/gateway.token)" \\
      -H 'Content-Type: application/json' -d '{{"email": "{RECIPIENT}"}}' {http}/api/v1/lookup

  pushpki verify --config {home}/pushpki.toml

The key mail that arrived: {home}/{KEY_MAIL_NAME} · the API described: {http}/docs
"""
