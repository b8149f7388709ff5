"""`pushpki renew`: the next certificate now, not some weeks before the last one ends."""

from typing import Annotated

import typer

from directory.cli.opening import Config, installation, operator, run
from directory.cli.output import Json, show
from directory.errors import ConfigurationRefused
from directory.lookup import Minted
from directory.settings import parse_recipient
from directory.wiring.minting import CommandMinter
from directory.wiring.renewing import renewal_desk


def renew(
    address: Annotated[str | None, typer.Argument(help="The recipient's mail address.")] = None,
    *,
    enrolment: Annotated[
        str | None, typer.Option(help="The enrolment whose certificate is renewed, instead of the address.")
    ] = None,
    anyway: Annotated[
        bool, typer.Option("--anyway", help="Even if it is not due, or not wanted by its organization.")
    ] = False,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Mint the certificate that succeeds a minted one; that is served first until the new key is proven."""
    if (address is None) == (enrolment is None):
        raise ConfigurationRefused(key="renew", reason="name either an address or --enrolment")

    async def work() -> Minted:
        async with installation(config) as opened:
            desk = renewal_desk(opened, CommandMinter(opened, operator()))
            if enrolment is not None:
                return await desk.renew_enrolment(enrolment, anyway=anyway)
            return await desk.renew_address(parse_recipient("ADDRESS", str(address)), anyway=anyway)

    minted = run(work())
    certificate = minted.certificate
    document = {
        "address": str(certificate.mailbox),
        "enrolment_id": minted.enrolment_id,
        "serial": f"{certificate.serial:x}",
        "not_after": certificate.not_after.isoformat(),
    }
    lines = [f"Renewed until {certificate.not_after:%Y-%m-%d}: enrolment {minted.enrolment_id}."]
    show(document, as_json=as_json, lines=lines)
