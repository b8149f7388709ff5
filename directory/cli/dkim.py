"""`pushpki org dkim`: the key that an organization's mails are signed with."""

from dataclasses import replace
from typing import Annotated

import typer

from directory.cli.opening import Config, confirm, installation, operator, run
from directory.cli.output import Json, show
from directory.delivery.dkim_keys import (
    DkimAlgorithm,
    check_selector,
    generate_key,
    record_name,
    record_of,
    zone_line,
)
from directory.errors import ConfigurationRefused
from directory.organization import Dkim, Organization, dkim_key_identity
from directory.wiring.installation import Installation


def dkim(
    slug: Annotated[str, typer.Argument(help="The organization's short name.")],
    *,
    selector: Annotated[
        str | None, typer.Option(help="Make a new key of this name, such as pushpki2026.")
    ] = None,
    algorithm: Annotated[
        DkimAlgorithm, typer.Option(help="Of the new key; not every receiver knows ed25519.")
    ] = DkimAlgorithm.RSA,
    remove: Annotated[bool, typer.Option("--remove", help="Destroy the key and sign no more.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Make the key that an organization's mails are signed with, show its DNS record, or remove it."""
    if remove and selector is not None:
        raise ConfigurationRefused(key="--remove", reason="does not go with --selector")
    if remove:
        confirm(f"Destroy the DKIM key of {slug}?", yes=yes)

    async def work() -> dict[str, object]:
        async with installation(config) as opened:
            if remove:
                return _described(await _change(opened, slug, None), None)
            if selector is None:
                organization = await opened.organizations.by_slug(slug)
                return _described(organization, _opened_key(opened, organization))
            pem = generate_key(algorithm)
            return _described(await _add(opened, slug, check_selector(selector), pem), pem)

    document = run(work())
    show(document, as_json=as_json, lines=_lines(document))


async def _add(opened: Installation, slug: str, selector: str, pem: bytes) -> Organization:
    organization = await opened.organizations.by_slug(slug)
    former = organization.correspondence.dkim
    if former is not None and former.selector == selector:
        raise ConfigurationRefused(
            key="--selector",
            reason=f"{selector} names the present key, which mails under way are signed with",
            remedy="give the new key a new name",
        )
    sealed = opened.sealer.seal(pem, dkim_key_identity(organization.organization_id))
    return await _change(opened, slug, Dkim(selector=selector, sealed_key=sealed))


async def _change(opened: Installation, slug: str, dkim: Dkim | None) -> Organization:
    def changed(organization: Organization) -> Organization:
        return replace(organization, correspondence=replace(organization.correspondence, dkim=dkim))

    return await opened.administration(operator()).change_organization(slug, changed, changed="dkim")


def _opened_key(opened: Installation, organization: Organization) -> bytes | None:
    dkim = organization.correspondence.dkim
    if dkim is None:
        return None
    return opened.sealer.unseal(dkim.sealed_key, dkim_key_identity(organization.organization_id))


def _described(organization: Organization, pem: bytes | None) -> dict[str, object]:
    dkim = organization.correspondence.dkim
    if dkim is None or pem is None:
        return {"organization": organization.slug, "selector": None, "name": None, "record": None}
    name = record_name(dkim.selector, organization.mail_from.domain)
    return {
        "organization": organization.slug,
        "selector": dkim.selector,
        "name": name,
        "record": record_of(pem),
    }


def _lines(document: dict[str, object]) -> list[str]:
    if document["name"] is None:
        return [f"Mails of {document['organization']} are not signed."]
    return [
        f"Mails of {document['organization']} are signed. Publish, if it is not there yet:",
        zone_line(str(document["name"]), str(document["record"])),
        f"and then run: pushpki doctor mail --org {document['organization']}",
    ]
