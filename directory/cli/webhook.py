"""`pushpki org webhook`: an organization's own system, told of passwords as soon as there are any."""

from collections.abc import Callable
from dataclasses import replace
from typing import Annotated

import typer

from directory.channels.signing import new_secret
from directory.channels.targets import parse_target
from directory.cli.opening import Config, confirm, installation, operator, run
from directory.cli.output import Json, show
from directory.errors import ConfigurationRefused
from directory.organization import Organization, Webhook, webhook_secret_identity
from directory.wiring.installation import Installation


def webhook(
    slug: Annotated[str, typer.Argument(help="The organization's short name.")],
    *,
    url: Annotated[str | None, typer.Option(help="Where passwords are posted: https://…")] = None,
    rotate: Annotated[bool, typer.Option("--rotate", help="Make a new secret.")] = False,
    remove: Annotated[bool, typer.Option("--remove", help="Tell nobody any more.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Have an organization's own system told of passwords; print its secret, once."""
    if [url is not None, rotate, remove].count(True) != 1:
        raise ConfigurationRefused(key="org webhook", reason="give one of --url, --rotate and --remove")
    if remove:
        confirm(f"Tell the webhook of {slug} nothing any more?", yes=yes)

    async def work() -> str | None:
        async with installation(config) as opened:
            if remove:
                await _set(opened, slug, lambda _: None)
                return None
            secret = new_secret()
            await _set(opened, slug, lambda organization: _webhook(opened, organization, url, secret))
            return secret

    secret = run(work())
    if secret is None:
        show({"organization": slug, "webhook": None}, as_json=as_json, lines=[f"{slug} has no webhook."])
        return
    lines = [f"The webhook of {slug} is set. Its secret is shown this once, and kept sealed:", secret]
    show({"organization": slug, "secret": secret}, as_json=as_json, lines=lines)


async def _set(opened: Installation, slug: str, wanted: Callable[[Organization], Webhook | None]) -> None:
    def changed(organization: Organization) -> Organization:
        letters = replace(organization.correspondence, webhook=wanted(organization))
        return replace(organization, correspondence=letters)

    await opened.administration(operator()).change_organization(slug, changed, changed="webhook")


def _webhook(opened: Installation, organization: Organization, url: str | None, secret: str) -> Webhook:
    """Return the webhook with the new secret: at the URL given, else at the one it has."""
    present = organization.correspondence.webhook
    where = url if url is not None else present.url if present is not None else None
    if where is None:
        raise ConfigurationRefused(
            key="--rotate", reason="there is no webhook", remedy="set one up with --url https://…"
        )
    parse_target(where, allow_private=opened.settings.webhook.allow_private)
    identity = webhook_secret_identity(organization.organization_id)
    return Webhook(url=where, sealed_secret=opened.sealer.seal(secret.encode(), identity))
