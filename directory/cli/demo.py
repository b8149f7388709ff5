"""`pushpki demo`: set everything up in a temporary folder with the real commands, and tell the story."""

import asyncio
import json
import os
import secrets
import sys
import tempfile
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from directory.cli.output import Json, fail, progress, show
from directory.demo.people import StoryFailed
from directory.demo.postbox import postbox
from directory.demo.story import AGENT, GATEWAY, RECIPIENT, Stage, tell

SUFFIX = "o=directory"
_STARTS_WITHIN_SECONDS = 60
_STOPS_WITHIN_SECONDS = 30


def demo(
    *,
    once: Annotated[bool, typer.Option("--once", help="End after the story instead of staying up.")] = False,
    as_json: Json = False,
) -> None:
    """Walk the whole story on this machine: lookup, mint, key mail, password, decryption."""
    console = Console(quiet=as_json)
    with tempfile.TemporaryDirectory(prefix="pushpki-demo-") as folder:
        try:
            steps = asyncio.run(_play(Path(folder), console, once=once))
        except StoryFailed as error:
            fail(f"the demonstration failed: {error}", 1)
        except TimeoutError:
            fail("the demonstration failed: a step took too long", 1)
        except KeyboardInterrupt:
            steps = []
            console.print("\nStopped; nothing is left behind.")
    if as_json:
        show({"steps": steps}, as_json=True, lines=())


async def _play(folder: Path, console: Console, *, once: bool) -> list[dict[str, str]]:
    told: list[dict[str, str]] = []

    def say(title: str, outcome: str) -> None:
        told.append({"step": title, "outcome": outcome})
        console.print(f"[bold]{len(told)}. {title}[/bold]\n   [green]→[/green] {outcome}", highlight=False)

    async with postbox() as box:
        home = folder / "pushpki"
        tokens = await _set_up(home, box.port)
        say(
            "Set up: a root, an issuing CA, City Hospital, its gateway and a registration agent",
            f"in {home}, by the commands pushpki init, org add, gateway add, agent add",
        )
        async with _service(home) as ports:
            stage = Stage(
                suffix=SUFFIX,
                http_port=ports["http"],
                ldap_port=ports["ldap"],
                gateway_token=tokens["gateway"],
                agent_token=tokens["agent"],
                folder=folder,
            )
            await tell(stage, box, say)
            if not once:
                console.print(_what_next(stage, home), highlight=False, soft_wrap=True)
                await asyncio.Event().wait()
    return told


async def _set_up(home: Path, smtp_port: int) -> dict[str, str]:
    config = str(home / "pushpki.toml")
    with progress.status("Making master key, root and issuing CA …"):
        await _pushpki("init", "--dir", str(home), "--suffix", SUFFIX)
    organization = ["City Hospital", "hospital.example.com", "keys@hospital.example.com"]
    name, domain, mail_from = organization
    with progress.status("Adding the organization, its gateway and its agent …"):
        await _pushpki(
            *("org", "add", "hospital", "--name", name, "--domain", domain, "--mail-from", mail_from),
            *("--smtp", f"smtp://127.0.0.1:{smtp_port}", "--contact", "+49 30 5550123", "--config", config),
        )
        gateway = await _pushpki("gateway", "add", GATEWAY, "--org", "hospital", "--config", config)
        agent = await _pushpki("agent", "add", AGENT, "--org", "hospital", "--config", config)
    for file_name, token in (("gateway.token", gateway["token"]), ("agent.token", agent["token"])):
        path = home / file_name
        path.touch(mode=0o600)
        path.write_text(token, encoding="ascii")
    return {"gateway": gateway["token"], "agent": agent["token"]}


async def _pushpki(*arguments: str) -> dict[str, Any]:
    process = await _start(*arguments, "--json")
    output, errors = await process.communicate()
    if process.returncode != 0:
        raise StoryFailed(f"pushpki {' '.join(arguments[:2])}: {errors.decode().strip()}")
    result: dict[str, Any] = json.loads(output)
    return result


async def _start(*arguments: str) -> Process:
    anywhere = {f"PUSHPKI_{section}__LISTEN": "127.0.0.1:0" for section in ("HTTP", "LDAP", "LDAPS")}
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "directory",
        *arguments,
        stdout=PIPE,
        stderr=PIPE,
        env={**os.environ, **anywhere},
    )


@asynccontextmanager
async def _service(home: Path) -> AsyncIterator[dict[str, int]]:
    """Run `pushpki serve` on free loopback ports; it says on its first line which."""
    process = await _start("serve", "--config", str(home / "pushpki.toml"), "--json")
    if process.stdout is None or process.stderr is None:
        raise StoryFailed("the service has no output")
    drained = asyncio.create_task(process.stderr.read())
    try:
        with progress.status("Starting the service …"):
            line = await asyncio.wait_for(process.stdout.readline(), _STARTS_WITHIN_SECONDS)
        if not line:
            raise StoryFailed(f"the service did not start: {(await drained).decode().strip()}")
        listening = json.loads(line)["listening"]
        yield {name: int(address.rpartition(":")[2]) for name, address in listening.items()}
    finally:
        if process.returncode is None:
            process.terminate()
        await asyncio.wait_for(process.wait(), _STOPS_WITHIN_SECONDS)
        await drained


def _what_next(stage: Stage, home: Path) -> str:
    ldap, http = f"ldap://127.0.0.1:{stage.ldap_port}", f"http://127.0.0.1:{stage.http_port}"
    somebody = f"{secrets.token_hex(3)}@example.org"
    return f"""
[bold]It stays up until Ctrl-C. Try:[/bold]

  ldapsearch -x -H {ldap} -D cn={GATEWAY},ou=gateways,{SUFFIX} -y {home}/gateway.token \\
      -b {SUFFIX} '(mail={somebody})' 'userCertificate;binary'

  curl -s -H "Authorization: Bearer $(cat {home}/gateway.token)" \\
      -H 'Content-Type: application/json' -d '{{"email": "{RECIPIENT}"}}' {http}/api/v1/lookup

  pushpki verify --config {home}/pushpki.toml

The key mail that arrived: {stage.folder}/key-mail.eml · the API described: {http}/docs
"""
