"""`pushpki org format`: the format of key packages that the recipients in one mail domain need."""

from dataclasses import replace
from types import MappingProxyType
from typing import Annotated

import typer

from ca.keypackage import KeyPackageFormat
from directory.cli.opening import Config, installation, operator, run
from directory.cli.output import Json, show
from directory.errors import ConfigurationRefused, Unknown
from directory.organization import Organization
from directory.settings import parse_domain


def package_format(
    slug: Annotated[str, typer.Argument(help="The organization's short name.")],
    domain: Annotated[str, typer.Argument(help="The recipients' mail domain.")],
    chosen: Annotated[
        KeyPackageFormat | None,
        typer.Argument(metavar="[FORMAT]", help="For unknown devices, or for modern ones."),
    ] = None,
    *,
    remove: Annotated[bool, typer.Option("--remove", help="As for all others again.")] = False,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Say which format of key packages the recipients in a mail domain need.

    It counts for what is minted from then on; `pushpki resend --format` changes what was sent already.
    """
    if remove is (chosen is not None):
        raise ConfigurationRefused(key="org format", reason="takes either a format or --remove")
    recipients = parse_domain("DOMAIN", domain)

    def changed(organization: Organization) -> Organization:
        formats = dict(organization.correspondence.package_formats)
        if chosen is not None:
            formats[recipients] = chosen
        elif formats.pop(recipients, None) is None:
            raise Unknown(kind="format of its own for", name=recipients)
        letters = replace(organization.correspondence, package_formats=MappingProxyType(formats))
        return replace(organization, correspondence=letters)

    async def work() -> Organization:
        async with installation(config) as opened:
            return await opened.administration(operator()).change_organization(
                slug, changed, changed="package_formats"
            )

    organization = run(work())
    formats = {of: one.value for of, one in sorted(organization.correspondence.package_formats.items())}
    lines = [f"{of}\t{one}" for of, one in formats.items()]
    lines.append(f"all others\t{organization.package_format.value}")
    document = {
        "slug": slug,
        "package_format": organization.package_format.value,
        "package_formats": formats,
    }
    show(document, as_json=as_json, lines=lines)
