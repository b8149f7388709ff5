"""`pushpki gateway` and `pushpki agent`: who may ask, and who may see passwords."""

from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.x509 import load_pem_x509_certificate

from directory.cli.opening import Config, confirm, installation, operator, run
from directory.cli.output import Json, show
from directory.errors import ConfigurationRefused
from directory.settings import parse_mailbox
from directory.tokens import IssuedToken

gateways = typer.Typer(no_args_is_help=True)
agents = typer.Typer(no_args_is_help=True)

Organization = Annotated[str, typer.Option("--org", help="The organization's short name.")]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask.")]


@gateways.command("add")
def add_gateway(
    name: Annotated[str, typer.Argument(help="Its name, as in cn=NAME,ou=gateways,SUFFIX.")],
    *,
    org: Organization,
    mint: Annotated[bool, typer.Option(help="Whether it may cause mints, or only read.")] = True,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Add a gateway and print its token, once."""

    async def work() -> IssuedToken:
        async with installation(config) as opened:
            return await opened.administration(operator()).add_gateway(name, org, may_mint=mint)

    _show_token("gateway", name, run(work()), as_json=as_json)


@gateways.command("list")
def list_gateways(*, org: Organization, config: Config = None, as_json: Json = False) -> None:
    """List an organization's gateways, disabled ones too."""

    async def work() -> list[dict[str, object]]:
        async with installation(config) as opened:
            organization = await opened.organizations.by_slug(org)
            return [
                {
                    "name": listed.gateway.name,
                    "may_mint": listed.gateway.may_mint,
                    "certificate_sha256": _shown(listed.certificate_sha256),
                    **_dates(listed.created_at, listed.disabled_at),
                }
                for listed in await opened.callers.gateways(organization.organization_id)
            ]

    _show_callers("gateways", run(work()), as_json=as_json)


@gateways.command("disable")
def disable_gateway(
    name: Annotated[str, typer.Argument(help="Its name.")],
    *,
    org: Organization,
    yes: Yes = False,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Take a gateway's rights away, for good; effective at once, on open connections too."""
    confirm(f"Disable gateway {name} of {org} for good?", yes=yes)

    async def work() -> None:
        async with installation(config) as opened:
            await opened.administration(operator()).disable_gateway(name, org)

    run(work())
    show({"gateway": name, "disabled": True}, as_json=as_json, lines=[f"Gateway {name} disabled."])


@gateways.command("certificate")
def set_certificate(
    name: Annotated[str, typer.Argument(help="Its name.")],
    file: Annotated[Path | None, typer.Argument(help="Its TLS client certificate, PEM.")] = None,
    *,
    org: Organization,
    remove: Annotated[bool, typer.Option("--remove", help="Take the certificate away.")] = False,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Let a gateway log in by its TLS certificate too (SASL EXTERNAL), or take that away."""
    if remove == (file is not None):
        raise typer.BadParameter("give a file, or --remove")
    digest = None if file is None else _digest(file)

    async def work() -> None:
        async with installation(config) as opened:
            administration = opened.administration(operator())
            if digest is None:
                await administration.remove_gateway_certificate(name, org)
            else:
                await administration.set_gateway_certificate(name, org, digest)

    run(work())
    what = "has no certificate" if digest is None else f"has the certificate with SHA-256 {_shown(digest)}"
    document = {"gateway": name, "certificate_sha256": _shown(digest)}
    show(document, as_json=as_json, lines=[f"Gateway {name} {what}."])


def _shown(digest: bytes | None) -> str | None:
    return None if digest is None else digest.hex()


def _digest(file: Path) -> bytes:
    try:
        certificate = load_pem_x509_certificate(file.read_bytes())
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not a PEM certificate"
        raise ConfigurationRefused(
            key="FILE", reason=f"{file}: {reason}", remedy="give the gateway's TLS client certificate in PEM"
        ) from error
    return certificate.fingerprint(SHA256())


@agents.command("add")
def add_agent(
    email: Annotated[str, typer.Argument(help="The agent's own mail address.")],
    *,
    org: Organization,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Add a registration agent and print the token, once."""
    mailbox = parse_mailbox("EMAIL", email)

    async def work() -> IssuedToken:
        async with installation(config) as opened:
            return await opened.administration(operator()).add_agent(mailbox, org)

    _show_token("agent", mailbox.key, run(work()), as_json=as_json)


@agents.command("list")
def list_agents(*, org: Organization, config: Config = None, as_json: Json = False) -> None:
    """List an organization's registration agents, disabled ones too."""

    async def work() -> list[dict[str, object]]:
        async with installation(config) as opened:
            organization = await opened.organizations.by_slug(org)
            return [
                {"name": listed.agent.email, **_dates(listed.created_at, listed.disabled_at)}
                for listed in await opened.callers.agents(organization.organization_id)
            ]

    _show_callers("agents", run(work()), as_json=as_json)


@agents.command("disable")
def disable_agent(
    email: Annotated[str, typer.Argument(help="The agent's own mail address.")],
    *,
    org: Organization,
    yes: Yes = False,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Take a registration agent's rights away, for good."""
    mailbox = parse_mailbox("EMAIL", email)
    confirm(f"Disable agent {mailbox.key} of {org} for good?", yes=yes)

    async def work() -> None:
        async with installation(config) as opened:
            await opened.administration(operator()).disable_agent(mailbox, org)

    run(work())
    show({"agent": mailbox.key, "disabled": True}, as_json=as_json, lines=[f"Agent {mailbox.key} disabled."])


def _show_token(kind: str, name: str, token: IssuedToken, *, as_json: bool) -> None:
    lines = [
        f"{kind.capitalize()} {name} added. Its token is shown this once, and stored nowhere:",
        token.text,
    ]
    show({kind: name, "token": token.text}, as_json=as_json, lines=lines)


def _dates(created_at: datetime, disabled_at: datetime | None) -> dict[str, object]:
    return {
        "created_at": created_at.isoformat(),
        "disabled_at": disabled_at.isoformat() if disabled_at else None,
    }


def _show_callers(kind: str, callers: list[dict[str, object]], *, as_json: bool) -> None:
    lines = [f"{caller['name']}\t{'disabled' if caller['disabled_at'] else 'active'}" for caller in callers]
    show({kind: callers}, as_json=as_json, lines=lines)
