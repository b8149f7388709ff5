"""`pushpki org`: the organizations that send."""

import secrets
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from ca.keypackage import KeyPackageFormat
from ca.passwords import PasswordStyle
from ca.sealing import SealedSecret
from directory.cli.opening import Config, installation, operator, run
from directory.cli.output import Json, show
from directory.cli.smarthost import parse_smart_host, refuse_clear_beyond_loopback
from directory.errors import ConfigurationRefused
from directory.organization import Organization, SmartHost, smtp_password_identity
from directory.settings import parse_domain, parse_mailbox
from directory.wiring.installation import Installation, read_secret_text

app = typer.Typer(no_args_is_help=True)


@app.command("add")
def add(
    slug: Annotated[str, typer.Argument(help="Its short name in commands.")],
    *,
    name: Annotated[str, typer.Option(help="Its name, as recipients know it.")],
    domain: Annotated[list[str], typer.Option(help="A mail domain of its own; repeat for more.")],
    mail_from: Annotated[str, typer.Option(help="The address its key mails come from.")],
    smtp: Annotated[str, typer.Option(help="Its smart host: smtp://[USER@]HOST[:PORT], or smtps://.")],
    smtp_password_file: Annotated[
        Path | None, typer.Option(help="File with the smart host's password.")
    ] = None,
    contact: Annotated[str, typer.Option(help="How recipients reach its registration agents.")] = "",
    package_format: Annotated[
        KeyPackageFormat, typer.Option(help="Of key packages: for unknown devices, or for modern ones.")
    ] = KeyPackageFormat.COMPATIBLE,
    password_style: Annotated[PasswordStyle, typer.Option(help="Of passwords.")] = PasswordStyle.CHARACTERS,
    isolated: Annotated[bool, typer.Option(help="Share no minted certificate with others.")] = False,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Add an organization."""
    organization_id = secrets.token_hex(16)
    smart_host = parse_smart_host(smtp)
    password = _smtp_password(smart_host, smtp_password_file)
    sender = parse_mailbox("--mail-from", mail_from)

    def described(sealed_password: SealedSecret | None) -> Organization:
        return Organization(
            organization_id=organization_id,
            slug=slug,
            name=name,
            domains=frozenset(parse_domain("--domain", one) for one in domain),
            mail_from=sender,
            smart_host=replace(smart_host, sealed_password=sealed_password),
            isolated=isolated,
            package_format=package_format,
            password_style=password_style,
            contact=contact,
        )

    async def work() -> Organization:
        async with installation(config) as opened:
            if not opened.settings.delivery.allow_clear_beyond_loopback:
                refuse_clear_beyond_loopback(smart_host)
            organization = described(_sealed(opened, password, organization_id))
            await opened.administration(operator()).add_organization(organization)
            return organization

    organization = run(work())
    show(_as_document(organization), as_json=as_json, lines=[f"Organization {slug} added."])


@app.command("list")
def list_all(*, config: Config = None, as_json: Json = False) -> None:
    """List the organizations."""

    async def work() -> list[Organization]:
        async with installation(config) as opened:
            return await opened.organizations.all()

    found = run(work())
    lines = [f"{one.slug}\t{one.name}\t{', '.join(sorted(one.domains))}\t{one.mail_from}" for one in found]
    show({"organizations": [_as_document(one) for one in found]}, as_json=as_json, lines=lines)


def _smtp_password(smart_host: SmartHost, file: Path | None) -> str | None:
    if (smart_host.username is None) != (file is None):
        raise ConfigurationRefused(
            key="--smtp-password-file",
            reason="a smart host's user and password go together",
            remedy="give both smtp://USER@HOST and --smtp-password-file, or neither",
        )
    return read_secret_text("--smtp-password-file", file) if file is not None else None


def _sealed(opened: Installation, password: str | None, organization_id: str) -> SealedSecret | None:
    if password is None:
        return None
    return opened.sealer.seal(password.encode(), smtp_password_identity(organization_id))


def _as_document(organization: Organization) -> dict[str, object]:
    smart_host = organization.smart_host
    return {
        "slug": organization.slug,
        "name": organization.name,
        "domains": sorted(organization.domains),
        "mail_from": str(organization.mail_from),
        "smart_host": f"{smart_host.host}:{smart_host.port}",
        "smtp_security": smart_host.security.value,
        "package_format": organization.package_format.value,
        "password_style": organization.password_style.value,
        "isolated": organization.isolated,
        "contact": organization.contact,
    }
