"""`pushpki ca responder`: who signs OCSP responses."""

from typing import Annotated

import typer

from directory.cli.opening import Config, installation_with_issuers, operator, run
from directory.cli.output import Json, progress, show
from directory.issuers import find_issuer
from directory.ocsp_responders import StoredResponder

app = typer.Typer(no_args_is_help=True)


@app.command("renew")
def renew(
    issuer: Annotated[
        str, typer.Argument(metavar="ID", help="Of which issuing CA: how its key identifier begins.")
    ],
    *,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Certify the next OCSP responder of an issuing CA now, with a new key, where the setting says.

    Running services sign with it in seconds; the key of the one before is destroyed.
    """

    async def work() -> StoredResponder | None:
        from directory.wiring.ocsp import ocsp_responders  # noqa: PLC0415 - for this command alone
        from directory.wiring.timekeeping import refuse_doubted_clock  # noqa: PLC0415 - likewise

        async with installation_with_issuers(config) as opened:
            await refuse_doubted_clock(opened)
            found = find_issuer(await opened.issuers.hierarchy(), issuer)
            return await ocsp_responders(opened).renew(found.issuer_id, operator())

    with progress.status("Certifying the responder …"):
        made = run(work())
    if made is None:
        show({"responder": None}, as_json=as_json, lines=["Somebody else has just certified one."])
        return
    place = f"token {made.token_key.token}" if made.token_key else "sealed here"
    show(
        {
            "responder": made.responder_id,
            "issuer": made.issuer_id,
            "number": made.number,
            "key": place,
            "not_after": made.not_after.isoformat(),
        },
        as_json=as_json,
        lines=[f"OCSP responder {made.number} signs until {made.not_after:%Y-%m-%d}: key {place}."],
    )
