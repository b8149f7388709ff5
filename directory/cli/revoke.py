"""`pushpki revoke`: take certificates out of the directory before they expire."""

from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Annotated, TypeAlias

import typer

from ca.address import Addressee, MailDomain
from directory.cli.keyfiles import key_named
from directory.cli.opening import Config, confirm, installation, operator, run
from directory.cli.output import Json, show
from directory.errors import ConfigurationRefused
from directory.revocation import RevocableCertificate, RevocationReason
from directory.settings import parse_domain, parse_recipient
from directory.wiring.installation import Installation


def revoke(
    address: Annotated[
        str | None, typer.Argument(help="Revoke every certificate of this address, or of this domain alone.")
    ] = None,
    *,
    serial: Annotated[str | None, typer.Option(help="Revoke the one with this serial number, hex.")] = None,
    key: Annotated[
        str | None,
        typer.Option(help="Revoke all with this key: its SHA-256, or a file with it or a certificate of it."),
    ] = None,
    issuer: Annotated[
        str | None, typer.Option(help="Revoke all that this CA of ours issued: its key identifier, hex.")
    ] = None,
    org: Annotated[str | None, typer.Option(help="Revoke all that this organization minted.")] = None,
    reason: Annotated[
        RevocationReason,
        typer.Option(help="Why; only after 'superseded' may a lookup mint a new one."),
    ] = RevocationReason.UNSPECIFIED,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Revoke by address, serial number, key, issuer or organization; it cannot be undone."""
    given = {"ADDRESS": address, "--serial": serial, "--key": key, "--issuer": issuer, "--org": org}
    named = {option: text for option, text in given.items() if text is not None}
    if len(named) != 1:
        raise ConfigurationRefused(
            key="ADDRESS",
            reason=f"{' and '.join(named)} are given" if named else "nothing says what to revoke",
            remedy="give either an address or one of --serial, --key, --issuer and --org",
        )
    ((option, text),) = named.items()
    act = _act(option, text)
    confirm(f"Revoke {text} ({reason})?", yes=yes)

    async def work() -> Sequence[RevocableCertificate]:
        async with installation(config) as opened:
            return await act(opened, reason)

    revoked = run(work())
    documents = [
        {"address": str(one.mailbox) if one.mailbox else None, "serial": f"{one.serial:x}"} for one in revoked
    ]
    lines = [f"Revoked {one.serial:x} of {one.mailbox or 'a CA'}." for one in revoked]
    show({"revoked": documents, "reason": reason.value}, as_json=as_json, lines=lines)


_Act: TypeAlias = Callable[[Installation, RevocationReason], Awaitable[Sequence[RevocableCertificate]]]


def _act(option: str, text: str) -> _Act:
    """Return what revokes, once it is clear what the text means."""
    match option:
        case "--serial":
            serial = _parse_serial(text)
            return lambda opened, reason: opened.revocation().revoke_serial(serial, reason, operator())
        case "--key":
            key = key_named(option, text)
            return lambda opened, reason: opened.revocation().revoke_key(key, reason, operator())
        case "--issuer":
            issuer = text.replace(":", "").lower()
            return lambda opened, reason: opened.revocation().revoke_issuer(issuer, reason, operator())
        case "--org":
            return partial(_revoke_organization, text)
        case _:
            addressee = _addressee(text)
            return lambda opened, reason: opened.revocation().revoke_address(addressee, reason, operator())


async def _revoke_organization(
    slug: str, opened: Installation, reason: RevocationReason
) -> Sequence[RevocableCertificate]:
    organization = await opened.organizations.by_slug(slug)
    return await opened.revocation().revoke_organization(organization.organization_id, reason, operator())


def _addressee(text: str) -> Addressee:
    if "@" in text or "." not in text:
        return parse_recipient("ADDRESS", text)
    return MailDomain(domain=parse_domain("ADDRESS", text))


def _parse_serial(text: str) -> int:
    try:
        return int(text.replace(":", ""), 16)
    except ValueError:
        raise ConfigurationRefused(
            key="--serial", reason=f"{text!r} is not a serial number", remedy="give it in hexadecimal"
        ) from None
