"""`pushpki recovery agent`: the people who hold shares, and approve that a key is got back."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.x509 import load_pem_x509_certificate

from directory.cli.keyfiles import read_file
from directory.cli.opening import Config, confirm, installation, operator, run
from directory.cli.output import Json, show
from directory.errors import ConfigurationRefused
from directory.recovery_setup import ListedRecoveryAgent
from directory.settings import parse_mailbox
from directory.tokens import IssuedToken

app = typer.Typer(no_args_is_help=True)


@app.command("add")
def add(
    name: Annotated[str, typer.Argument(help="A short name.")],
    *,
    email: Annotated[str, typer.Option(help="The agent's own mail address.")],
    certificate: Annotated[
        Path | None, typer.Option(help="A certificate of that person, PEM: whoever shares it is one person.")
    ] = None,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Add a recovery agent and print the token, once."""
    mailbox = parse_mailbox("--email", email)
    digest = None if certificate is None else _digest(certificate)

    async def work() -> IssuedToken:
        async with installation(config) as opened:
            return await opened.recovery_setup(operator()).add_agent(name, mailbox, certificate_sha256=digest)

    token = run(work())
    lines = [
        f"Recovery agent {name} added. The token is shown this once, and stored nowhere:",
        token.text,
    ]
    show({"recovery_agent": name, "token": token.text}, as_json=as_json, lines=lines)


@app.command("list")
def list_all(*, config: Config = None, as_json: Json = False) -> None:
    """List the recovery agents, removed ones too."""

    async def work() -> Sequence[ListedRecoveryAgent]:
        async with installation(config) as opened:
            return await opened.recovery_setup(operator()).agents()

    found = run(work())
    lines = [
        f"{one.agent.name}\t{one.agent.email}\t{'removed' if one.removed_at else 'active'}" for one in found
    ]
    show({"recovery_agents": [_document(one) for one in found]}, as_json=as_json, lines=lines)


@app.command("remove")
def remove(
    name: Annotated[str, typer.Argument(help="The short name.")],
    *,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Take a recovery agent's rights away; approvals that were not made use of count no more."""
    confirm(f"Remove recovery agent {name}?", yes=yes)

    async def work() -> None:
        async with installation(config) as opened:
            await opened.recovery_setup(operator()).remove_agent(name)

    run(work())
    lines = [
        f"Recovery agent {name} removed.",
        "The share is still in that person's hands: make a new recovery key where it must not be of use.",
    ]
    show({"recovery_agent": name, "removed": True}, as_json=as_json, lines=lines)


def _digest(file: Path) -> bytes:
    content = read_file("--certificate", file)
    try:
        return load_pem_x509_certificate(content).fingerprint(SHA256())
    except ValueError as error:
        raise ConfigurationRefused(key="--certificate", reason=f"{file} is not a PEM certificate") from error


def _document(one: ListedRecoveryAgent) -> dict[str, object]:
    digest = one.agent.certificate_sha256
    return {
        "name": one.agent.name,
        "email": one.agent.email,
        "certificate_sha256": None if digest is None else digest.hex(),
        "created_at": one.created_at.isoformat(),
        "removed_at": one.removed_at.isoformat() if one.removed_at else None,
    }
