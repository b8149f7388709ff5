"""How is the stage set? By the real commands, in a folder of its own, with the real service on free ports."""

import asyncio
import contextlib
import json
import os
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

from directory.demo.people import StoryFailed
from directory.demo.story import AGENT, GATEWAY, Stage
from directory.settings.sections import ENVIRONMENT_PREFIX

SUFFIX = "o=directory"
_STARTS_WITHIN_SECONDS = 60
_STOPS_WITHIN_SECONDS = 30

Progress = Callable[[str], AbstractContextManager[object]]
"""Shows what is being done while it is done."""


@asynccontextmanager
async def installed(folder: Path, smtp_port: int, progress: Progress) -> AsyncIterator[Stage]:
    """Install, serve, and end the service afterwards.

    Raises:
        StoryFailed: a command failed, or the service did not start or stop.
    """
    home = folder / "pushpki"
    tokens = await _set_up(home, smtp_port, progress)
    async with _service(home, progress) as ports:
        yield Stage(
            suffix=SUFFIX,
            http_port=ports["http"],
            ldap_port=ports["ldap"],
            gateway_token=tokens["gateway"],
            agent_token=tokens["agent"],
            home=home,
        )


async def _set_up(home: Path, smtp_port: int, progress: Progress) -> dict[str, str]:
    config = str(home / "pushpki.toml")
    with progress("Making master key, root and issuing CA …"):
        await _pushpki("init", "--dir", str(home), "--suffix", SUFFIX)
    with progress("Adding the organization, its gateway and its agent …"):
        await _pushpki(
            *("org", "add", "hospital", "--name", "City Hospital", "--domain", "hospital.example.com"),
            *("--mail-from", "keys@hospital.example.com", "--contact", "+49 30 5550123"),
            *("--smtp", f"smtp://127.0.0.1:{smtp_port}", "--config", config),
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
        command = " ".join(word for word in arguments[:2] if not word.startswith("-"))
        raise StoryFailed(f"pushpki {command}: {errors.decode().strip()}")
    result: dict[str, Any] = json.loads(output)
    return result


async def _start(*arguments: str) -> Process:
    # Settings of a real installation must not lead the demonstration there.
    environment = {name: text for name, text in os.environ.items() if not name.startswith(ENVIRONMENT_PREFIX)}
    for section in ("HTTP", "LDAP", "LDAPS"):
        environment[f"{ENVIRONMENT_PREFIX}{section}__LISTEN"] = "127.0.0.1:0"
    # A few keys are enough here; making many would slow down what is shown, on a small machine.
    environment[f"{ENVIRONMENT_PREFIX}CA__KEY_POOL_SIZE"] = "4"
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "directory",
        *arguments,
        stdout=PIPE,
        stderr=PIPE,
        env=environment,
    )


@asynccontextmanager
async def _service(home: Path, progress: Progress) -> AsyncIterator[dict[str, int]]:
    """Run `pushpki serve` on free loopback ports; it says on its first line which."""
    process = await _start("serve", "--config", str(home / "pushpki.toml"), "--json")
    if process.stdout is None or process.stderr is None:
        raise StoryFailed("the service has no output")
    drained = asyncio.create_task(process.stderr.read())
    try:
        with progress("Starting the service …"):
            line = await asyncio.wait_for(process.stdout.readline(), _STARTS_WITHIN_SECONDS)
        if not line:
            raise StoryFailed(f"the service did not start: {(await drained).decode().strip()}")
        listening = json.loads(line)["listening"]
        yield {name: int(address.rpartition(":")[2]) for name, address in listening.items()}
    finally:
        await _stop(process)
        await drained


async def _stop(process: Process) -> None:
    with contextlib.suppress(ProcessLookupError):
        process.terminate()
    try:
        await asyncio.wait_for(process.wait(), _STOPS_WITHIN_SECONDS)
    except TimeoutError:
        process.kill()
        raise StoryFailed("the service did not stop when it was told to") from None
