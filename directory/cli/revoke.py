"""`pushpki revoke`: take certificates out of the directory before they expire."""

from collections.abc import Sequence
from typing import Annotated

import typer

from directory.cli.opening import Config, confirm, installation, operator, run
from directory.cli.output import Json, show
from directory.errors import ConfigurationRefused
from directory.revocation import RevocableCertificate, RevocationReason
from directory.settings import parse_mailbox


def revoke(
    address: Annotated[str | None, typer.Argument(help="Revoke every certificate of this address.")] = None,
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
    if (address is None) == (serial is None):
        raise ConfigurationRefused(key="ADDRESS", reason="give either an address or --serial, not both")
    confirm(f"Revoke {address or serial} ({reason})?", yes=yes)

    async def work() -> Sequence[RevocableCertificate]:
        async with installation(config) as opened:
            if address is not None:
                mailbox = parse_mailbox("ADDRESS", address)
                return await opened.revocation().revoke_address(mailbox, reason, operator())
            return await opened.revocation().revoke_serial(_parse_serial(serial or ""), reason, operator())

    revoked = run(work())
    documents = [{"address": str(one.mailbox), "serial": f"{one.serial:x}"} for one in revoked]
    lines = [f"Revoked {one.serial:x} of {one.mailbox}." for one in revoked]
    show({"revoked": documents, "reason": reason.value}, as_json=as_json, lines=lines)


def _parse_serial(text: str) -> int:
    try:
        return int(text.replace(":", ""), 16)
    except ValueError:
        raise ConfigurationRefused(
            key="--serial", reason=f"{text!r} is not a serial number", remedy="give it in hexadecimal"
        ) from None
