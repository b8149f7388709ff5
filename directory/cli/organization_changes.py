"""`pushpki org set`: an organization becomes another; what is not named stays as it is."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any

import typer

from ca.address import Mailbox
from ca.keypackage import KeyPackageFormat
from ca.passwords import PasswordStyle
from directory.cli.opening import Config, installation, operator, run
from directory.cli.organizations import as_document, refuse_unspoken, sealed_smtp_password, smtp_password
from directory.cli.output import Json, show
from directory.cli.smarthost import parse_route, refuse_clear_beyond_loopback
from directory.delivery.returnpath import LONGEST_LOCAL_PART, has_room_for_a_token
from directory.errors import ConfigurationRefused
from directory.organization import EndOfHold, KeyDelivery, Organization, Renewal
from directory.settings import parse_language, parse_mailbox
from directory.wiring.installation import Installation

NOBODY = "none"

_HOLD_NAMES = {"end": "end_of_hold", "escrows_signing_keys": "escrow_signing_keys"}

_Change = Callable[[Organization], Organization]


def change(
    slug: Annotated[str, typer.Argument(help="The organization's short name.")],
    *,
    name: Annotated[str | None, typer.Option(help="Its name, as recipients know it.")] = None,
    mail_from: Annotated[str | None, typer.Option(help="The address its mails come from.")] = None,
    sender_name: Annotated[str | None, typer.Option(help="What stands before that address.")] = None,
    contact: Annotated[str | None, typer.Option(help="How recipients reach its agents.")] = None,
    language: Annotated[str | None, typer.Option(help="Of its mails.")] = None,
    smtp: Annotated[
        str | None,
        typer.Option(help="Its smart host: smtp://[USER@]HOST[:PORT], smtps://; mx: sends directly."),
    ] = None,
    smtp_password_file: Annotated[
        Path | None, typer.Option(help="File with the smart host's password.")
    ] = None,
    key_delivery: Annotated[
        KeyDelivery | None, typer.Option(help="How key packages are handed over.")
    ] = None,
    package_format: Annotated[KeyPackageFormat | None, typer.Option(help="Of key packages.")] = None,
    package_chain: Annotated[bool | None, typer.Option(help="Whether they hold the chain.")] = None,
    password_style: Annotated[PasswordStyle | None, typer.Option(help="Of passwords.")] = None,
    bounce_address: Annotated[str | None, typer.Option(help="Where bounces go; none: to the sender.")] = None,
    notices_to: Annotated[str | None, typer.Option(help="Who is told what went wrong; none: nobody.")] = None,
    relay_days: Annotated[
        int | None, typer.Option(min=1, max=365, help="How long a password waits to be passed on.")
    ] = None,
    end_of_hold: Annotated[
        EndOfHold | None, typer.Option(help="What becomes of the service's copies of keys made from now on.")
    ] = None,
    escrow_signing_keys: Annotated[
        bool | None, typer.Option(help="Escrow keys too that could sign in a recipient's name.")
    ] = None,
    renewal: Annotated[
        Renewal | None, typer.Option(help="Which certificates are renewed before they end.")
    ] = None,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Change an organization; what is not named stays as it is."""
    fields = _given(
        name=name,
        mail_from=None if mail_from is None else parse_mailbox("--mail-from", mail_from),
        contact=contact,
        package_format=package_format,
        password_style=password_style,
        renewal=renewal,
    )
    letters = _given(
        sender_name=sender_name,
        language=None if language is None else parse_language(language),
        key_delivery=key_delivery,
        package_chain=package_chain,
        relay_lifetime=None if relay_days is None else timedelta(days=relay_days),
    )
    letters |= _bounce_address(bounce_address)
    letters |= _mailbox_or_nobody("notices_to", notices_to)
    at_the_end = _given(end=end_of_hold, escrows_signing_keys=escrow_signing_keys)
    route_name = {"smart_host"} if smtp is not None else set()
    named = sorted({*fields, *letters, *(_HOLD_NAMES[name] for name in at_the_end), *route_name})
    if smtp is None and smtp_password_file is not None:
        raise ConfigurationRefused(key="--smtp-password-file", reason="goes with --smtp")
    if not named:
        raise ConfigurationRefused(key="org set", reason="nothing to change was named")

    async def work() -> Organization:
        async with installation(config) as opened:
            _refuse_links_to_nowhere(opened, key_delivery)
            if language is not None:
                refuse_unspoken(opened, slug, language)
            route = _route(opened, smtp, smtp_password_file)

            def changed(organization: Organization) -> Organization:
                correspondence = replace(organization.correspondence, **letters)
                hold_policy = replace(organization.hold_policy, **at_the_end)
                return route(
                    replace(organization, correspondence=correspondence, hold_policy=hold_policy, **fields)
                )

            return await opened.administration(operator()).change_organization(
                slug, changed, changed=" ".join(named)
            )

    organization = run(work())
    show(
        as_document(organization),
        as_json=as_json,
        lines=[f"Organization {slug} changed: {', '.join(named)}."],
    )


def _given(**values: object) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}


def _mailbox_or_nobody(name: str, text: str | None) -> dict[str, Mailbox | None]:
    if text is None:
        return {}
    return {name: None if text == NOBODY else parse_mailbox(f"--{name.replace('_', '-')}", text)}


def _bounce_address(text: str | None) -> dict[str, Mailbox | None]:
    letters = _mailbox_or_nobody("bounce_address", text)
    address = letters.get("bounce_address")
    if address is not None and not has_room_for_a_token(address):
        raise ConfigurationRefused(
            key="--bounce-address",
            reason="leaves no room for the token that tells bounces apart",
            remedy=f"give one of at most {LONGEST_LOCAL_PART} characters before the @",
        )
    return letters


def _refuse_links_to_nowhere(opened: Installation, key_delivery: KeyDelivery | None) -> None:
    if key_delivery in {KeyDelivery.LINK, KeyDelivery.BOTH} and opened.settings.pages.url is None:
        raise ConfigurationRefused(
            key="--key-delivery",
            reason="there are no pages that a link could lead to",
            remedy="set pages.url to where recipients reach this service",
        )


def _route(opened: Installation, smtp: str | None, password_file: Path | None) -> _Change:
    if smtp is None:
        return lambda organization: organization
    smart_host = parse_route(smtp)
    password = smtp_password(smart_host, password_file)
    if smart_host and not opened.settings.delivery.allow_clear_beyond_loopback:
        refuse_clear_beyond_loopback(smart_host)

    def routed(organization: Organization) -> Organization:
        sealed = sealed_smtp_password(opened, password, organization.organization_id)
        host = replace(smart_host, sealed_password=sealed) if smart_host else None
        return replace(organization, smart_host=host)

    return routed
