"""`pushpki ca`: the authority itself, its issuers and what they publish."""

from collections.abc import Sequence

import typer

from directory.authorities import AuthorityBoard, PublishedCrl
from directory.cli import issuers, issuing
from directory.cli.opening import Config, installation, operator, run
from directory.cli.output import Json, show

app = typer.Typer(no_args_is_help=True)
crl = typer.Typer(no_args_is_help=True)
app.command("list")(issuers.list_issuers)
app.command("show")(issuers.show_issuer)
app.add_typer(issuing.app, name="issuing", help="CAs that certify recipients.")
app.add_typer(crl, name="crl", help="Revocation lists.")


@crl.command("issue")
def issue_crls(*, config: Config = None, as_json: Json = False) -> None:
    """Make every CRL of issuers whose key is here, due or not; running services publish them in seconds."""
    from directory.wiring.authorities import crl_production  # noqa: PLC0415 - for this command alone
    from directory.wiring.issuers import sound_issuers  # noqa: PLC0415 - likewise

    async def work() -> Sequence[PublishedCrl]:
        async with installation(config) as opened:
            await sound_issuers(opened)
            return await crl_production(opened, AuthorityBoard(), actor=operator()).issue_now()

    issued = run(work())
    documents = [
        {
            "issuer": one.issuer_id,
            "partition": one.partition,
            "number": one.number,
            "this_update": one.this_update.isoformat(),
            "next_update": one.next_update.isoformat(),
            "entries": one.entries,
        }
        for one in issued
    ]
    lines = [
        f"Issuer {one.issuer_id}{_of_partition(one)}: CRL {one.number}, "
        f"until {one.next_update:%Y-%m-%d %H:%M} UTC."
        for one in issued
    ]
    show({"crls": documents}, as_json=as_json, lines=lines)


def _of_partition(crl: PublishedCrl) -> str:
    return "" if crl.partition is None else f", partition {crl.partition}"
