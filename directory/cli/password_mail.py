"""`pushpki org password-mail`: passwords by mail, encrypted to a certificate of the organization's own."""

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer
from cryptography import x509

from directory.cli.opening import Config, installation, operator, run
from directory.cli.output import Json, show
from directory.delivery import desk
from directory.errors import ConfigurationRefused
from directory.organization import Organization, PasswordMail
from directory.settings import parse_mailbox

_LARGEST_CERTIFICATE = 64 * 1024


def password_mail(
    slug: Annotated[str, typer.Argument(help="The organization's short name.")],
    mailbox: Annotated[str | None, typer.Argument(help="A mailbox of the organization's own.")] = None,
    certificate: Annotated[Path | None, typer.Argument(help="Its S/MIME certificate, PEM or DER.")] = None,
    *,
    remove: Annotated[bool, typer.Option("--remove", help="Send no passwords.")] = False,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Have an organization's passwords sent to a mailbox of its own, encrypted, or no longer."""
    if remove == (mailbox is not None) or (mailbox is None) != (certificate is None):
        raise ConfigurationRefused(
            key="org password-mail", reason="give a mailbox and its certificate, or --remove"
        )
    to = None if mailbox is None else parse_mailbox("MAILBOX", mailbox)
    read = None if certificate is None else _read_certificate(certificate)

    async def work() -> Organization:
        async with installation(config) as opened:

            def changed(organization: Organization) -> Organization:
                wanted: PasswordMail | None = None
                if to is not None and read is not None:
                    wanted = desk.password_mail(organization, to, read, opened.clock.now())
                letters = replace(organization.correspondence, password_mail=wanted)
                return replace(organization, correspondence=letters)

            administration = opened.administration(operator())
            return await administration.change_organization(slug, changed, changed="password_mail")

    organization = run(work())
    wanted = organization.correspondence.password_mail
    where = "to nobody" if wanted is None else f"to {wanted.mailbox}"
    document = {"organization": slug, "password_mail": None if wanted is None else str(wanted.mailbox)}
    show(document, as_json=as_json, lines=[f"Passwords of {slug} are sent {where}."])


def _read_certificate(file: Path) -> x509.Certificate:
    try:
        with file.open("rb") as opened:
            content = opened.read(_LARGEST_CERTIFICATE)
        if content.lstrip().startswith(b"-----BEGIN"):
            return x509.load_pem_x509_certificate(content)
        return x509.load_der_x509_certificate(content)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not a certificate"
        raise ConfigurationRefused(
            key="CERTIFICATE", reason=f"{file}: {reason}", remedy="give an S/MIME certificate, PEM or DER"
        ) from error
