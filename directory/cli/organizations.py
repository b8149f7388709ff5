"""`pushpki org`: the organizations that send."""

import secrets
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Annotated

import typer

from ca.address import Mailbox
from ca.keypackage import KeyPackageFormat
from ca.passwords import PasswordStyle
from ca.sealing import SealedSecret
from directory.cli.opening import Config, installation, operator, run
from directory.cli.output import Json, show
from directory.cli.smarthost import parse_route, refuse_clear_beyond_loopback
from directory.delivery.keymail import MESSAGE as KEY_MESSAGE
from directory.delivery.stationery import Stationery
from directory.errors import ConfigurationRefused
from directory.hierarchy import StoredIssuer
from directory.issuing_ports import PendingIssuer, Wish
from directory.organization import (
    Correspondence,
    EndOfHold,
    HoldPolicy,
    Organization,
    SmartHost,
    smtp_password_identity,
)
from directory.settings import parse_domain, parse_language, parse_mailbox, read_secret_text
from directory.wiring.installation import Installation

app = typer.Typer(no_args_is_help=True)


@app.command("add")
def add(
    slug: Annotated[str, typer.Argument(help="Its short name in commands.")],
    *,
    name: Annotated[str, typer.Option(help="Its name, as recipients know it.")],
    domain: Annotated[list[str], typer.Option(help="A mail domain of its own; repeat for more.")],
    mail_from: Annotated[str, typer.Option(help="The address its key mails come from.")],
    smtp: Annotated[
        str, typer.Option(help="Its smart host: smtp://[USER@]HOST[:PORT], or smtps://; mx: sends directly.")
    ],
    smtp_password_file: Annotated[
        Path | None, typer.Option(help="File with the smart host's password.")
    ] = None,
    contact: Annotated[str, typer.Option(help="How recipients reach its registration agents.")] = "",
    language: Annotated[
        str, typer.Option(help="Of its mails: en, de, fr, es, or one with templates.")
    ] = "en",
    package_format: Annotated[
        KeyPackageFormat, typer.Option(help="Of key packages: for unknown devices, or for modern ones.")
    ] = KeyPackageFormat.COMPATIBLE,
    password_style: Annotated[PasswordStyle, typer.Option(help="Of passwords.")] = PasswordStyle.CHARACTERS,
    end_of_hold: Annotated[
        EndOfHold, typer.Option(help="What becomes of the service's copies of keys.")
    ] = EndOfHold.DESTROY,
    escrow_signing_keys: Annotated[
        bool, typer.Option(help="Escrow keys too that could sign in a recipient's name.")
    ] = False,
    isolated: Annotated[
        bool, typer.Option(help="Share no minted certificate with others, and have an issuing CA of its own.")
    ] = False,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Add an organization."""
    organization_id = secrets.token_hex(16)
    smart_host = parse_route(smtp)
    password = smtp_password(smart_host, smtp_password_file)
    sender = parse_mailbox("--mail-from", mail_from)

    def described(sealed_password: SealedSecret | None) -> Organization:
        return Organization(
            organization_id=organization_id,
            slug=slug,
            name=name,
            domains=frozenset(parse_domain("--domain", one) for one in domain),
            mail_from=sender,
            smart_host=replace(smart_host, sealed_password=sealed_password) if smart_host else None,
            isolated=isolated,
            package_format=package_format,
            password_style=password_style,
            contact=contact,
            correspondence=Correspondence(language=parse_language(language)),
            hold_policy=HoldPolicy(end=end_of_hold, escrows_signing_keys=escrow_signing_keys),
        )

    async def work() -> tuple[Organization, StoredIssuer | PendingIssuer | None]:
        async with installation(config) as opened:
            if smart_host and not opened.settings.delivery.allow_clear_beyond_loopback:
                refuse_clear_beyond_loopback(smart_host)
            refuse_unspoken(opened, slug, language)
            organization = described(sealed_smtp_password(opened, password, organization_id))
            await opened.administration(operator()).add_organization(organization)
            own = await _own_issuer(opened, organization) if isolated else None
            return organization, own

    organization, own = run(work())
    lines = [f"Organization {slug} added."]
    if own is not None:
        lines.append(f"Its own issuing CA is {own.issuer_id}: {own.subject}; see pushpki ca list.")
    show(as_document(organization), as_json=as_json, lines=lines)


async def _own_issuer(opened: Installation, organization: Organization) -> StoredIssuer | PendingIssuer:
    """Make an isolated organization an issuing CA of its own, or ask for one if no root's key is here."""
    from directory.wiring.issuing import issuing_desk  # noqa: PLC0415 - for isolated organizations alone

    desk, wish = issuing_desk(opened, operator()), Wish(organization=organization)
    try:
        made = await desk.create(wish)
    except ConfigurationRefused:
        return await desk.request(wish)
    validity = timedelta(days=opened.settings.ca.validity_days)
    return await opened.issuer_desk(operator()).activate(made.issuer_id, None, validity=validity)


@app.command("list")
def list_all(*, config: Config = None, as_json: Json = False) -> None:
    """List the organizations."""

    async def work() -> list[Organization]:
        async with installation(config) as opened:
            return await opened.organizations.all()

    found = run(work())
    lines = [f"{one.slug}\t{one.name}\t{', '.join(sorted(one.domains))}\t{one.mail_from}" for one in found]
    show({"organizations": [as_document(one) for one in found]}, as_json=as_json, lines=lines)


def refuse_unspoken(opened: Installation, slug: str, language: str) -> None:
    """Refuse a language that there are no words in: mails would be in English, and nobody told.

    Raises:
        ConfigurationRefused: as said, or the operator's templates cannot be used.
    """
    spoken = Stationery(opened.settings.delivery.templates).languages(KEY_MESSAGE, slug)
    if language not in spoken:
        raise ConfigurationRefused(
            key="--language",
            reason=f"there is no mail in {language!r}",
            remedy=f"put templates into delivery.templates, or choose of {', '.join(sorted(spoken))}",
        )


def smtp_password(smart_host: SmartHost | None, file: Path | None) -> str | None:
    """Read the password that goes with a smart host's user.

    Raises:
        ConfigurationRefused: one of the two is missing, or the file cannot be used.
    """
    if (smart_host is None or smart_host.username is None) != (file is None):
        raise ConfigurationRefused(
            key="--smtp-password-file",
            reason="a smart host's user and password go together",
            remedy="give both smtp://USER@HOST and --smtp-password-file, or neither",
        )
    return read_secret_text("--smtp-password-file", file) if file is not None else None


def sealed_smtp_password(
    opened: Installation, password: str | None, organization_id: str
) -> SealedSecret | None:
    """Seal the password of an organization's smart host."""
    if password is None:
        return None
    return opened.sealer.seal(password.encode(), smtp_password_identity(organization_id))


def as_document(organization: Organization) -> dict[str, object]:
    """Describe an organization to a machine; what is secret is only said to be there."""
    smart_host, letters = organization.smart_host, organization.correspondence
    return {
        "slug": organization.slug,
        "name": organization.name,
        "domains": sorted(organization.domains),
        "mail_from": str(organization.mail_from),
        "smart_host": f"{smart_host.host}:{smart_host.port}" if smart_host else None,
        "smtp_security": smart_host.security.value if smart_host else None,
        "package_format": organization.package_format.value,
        "package_formats": {domain: one.value for domain, one in letters.package_formats.items()},
        "package_chain": letters.package_chain,
        "password_style": organization.password_style.value,
        "isolated": organization.isolated,
        "contact": organization.contact,
        "language": letters.language,
        "sender_name": letters.sender_name,
        "key_delivery": letters.key_delivery.value,
        "bounce_address": _text(letters.bounce_address),
        "dkim_selector": letters.dkim.selector if letters.dkim else None,
        "webhook_url": letters.webhook.url if letters.webhook else None,
        "password_mail": _text(letters.password_mail.mailbox if letters.password_mail else None),
        "notices_to": _text(letters.notices_to),
        "relay_days": letters.relay_lifetime.days,
        "end_of_hold": organization.hold_policy.end.value,
        "escrow_signing_keys": organization.hold_policy.escrows_signing_keys,
        "renewal": organization.renewal.value,
    }


def _text(mailbox: Mailbox | None) -> str | None:
    return None if mailbox is None else str(mailbox)
