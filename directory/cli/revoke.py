"""`pushpki revoke`: take certificates out of the directory before they expire."""

from collections.abc import Sequence
from typing import Annotated

import typer

from ca.address import Addressee, MailDomain
from directory.cli.opening import Config, confirm, installation, operator, run
from directory.cli.output import Json, show
from directory.errors import ConfigurationRefused
from directory.revocation import RevocableCertificate, RevocationReason
from directory.settings import parse_domain, parse_mailbox


def revoke(
    address: Annotated[
        str | None, typer.Argument(help="Revoke every certificate of this address, or of this domain alone.")
    ] = None,
    *,
    serial: Annotated[str | None, typer.Option(help="Revoke the one with this serial number, hex.")] = None,
    reason: Annotated[
        RevocationReason, typer.Option(help="Why; only after 'superseded' may a lookup mint a new one.")
    ] = RevocationReason.UNSPECIFIED,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Revoke by address or by serial number; it cannot be undone."""
    sought = _sought(address, serial)
    confirm(f"Revoke {address or serial} ({reason})?", yes=yes)

    async def work() -> Sequence[RevocableCertificate]:
        async with installation(config) as opened:
            revocation = opened.revocation()
            if isinstance(sought, int):
                return await revocation.revoke_serial(sought, reason, operator())
            return await revocation.revoke_address(sought, reason, operator())

    revoked = run(work())
    documents = [{"address": str(one.mailbox), "serial": f"{one.serial:x}"} for one in revoked]
    lines = [f"Revoked {one.serial:x} of {one.mailbox}." for one in revoked]
    show({"revoked": documents, "reason": reason.value}, as_json=as_json, lines=lines)


def _sought(address: str | None, serial: str | None) -> Addressee | int:
    if address is not None and serial is None:
        if "@" in address or "." not in address:
            return parse_mailbox("ADDRESS", address)
        return MailDomain(domain=parse_domain("ADDRESS", address))
    if serial is not None and address is None:
        return _parse_serial(serial)
    raise ConfigurationRefused(
        key="ADDRESS",
        reason="nothing says what to revoke" if serial is None else "--serial is given as well",
        remedy="give either an address or --serial",
    )


def _parse_serial(text: str) -> int:
    try:
        return int(text.replace(":", ""), 16)
    except ValueError:
        raise ConfigurationRefused(
            key="--serial", reason=f"{text!r} is not a serial number", remedy="give it in hexadecimal"
        ) from None
