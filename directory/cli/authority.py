"""`pushpki ca`: the authority itself, its issuers and what they publish."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from ca.crlrequests import CrlRequest
from directory.authorities import AuthorityBoard, PublishedCrl
from directory.cli import cross, issuers, issuing, responders, roots
from directory.cli.keyfiles import read_file
from directory.cli.opening import Config, installation_with_issuers, operator, run
from directory.cli.output import Json, show
from directory.crls import StoredCrl
from directory.errors import ConfigurationRefused
from directory.issuers import find_issuer

app = typer.Typer(no_args_is_help=True)
crl = typer.Typer(no_args_is_help=True)
app.command("list")(issuers.list_issuers)
app.command("show")(issuers.show_issuer)
issuing.app.command("sign")(roots.sign_issuing)
app.add_typer(roots.app, name="root", help="Roots, and where they are off line.")
app.add_typer(issuing.app, name="issuing", help="CAs that certify recipients.")
app.add_typer(
    cross.app, name="cross", help="Cross-certificates: of our CAs by others, and of others by ours."
)
app.add_typer(crl, name="crl", help="Revocation lists.")
app.add_typer(responders.app, name="responder", help="Who signs OCSP responses.")


@crl.command("issue")
def issue_crls(*, config: Config = None, as_json: Json = False) -> None:
    """Make every CRL of issuers whose key is here, due or not; running services publish them in seconds."""
    from directory.wiring.authorities import crl_production  # noqa: PLC0415 - for this command alone
    from directory.wiring.timekeeping import refuse_doubted_clock  # noqa: PLC0415 - likewise

    async def work() -> Sequence[PublishedCrl]:
        async with installation_with_issuers(config) as opened:
            await refuse_doubted_clock(opened)
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


@crl.command("request")
def request_crl(
    *,
    out: Annotated[Path, typer.Option("--out", help="Where it is written, to be carried to the root's key.")],
    issuer: Annotated[str, typer.Option("--issuer", help="Whose CRL; see ca list.")],
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Write down what the next CRL of an issuer whose key is elsewhere must list."""
    from directory.wiring.issuing import crl_desk  # noqa: PLC0415 - for this command alone

    async def work() -> CrlRequest:
        async with installation_with_issuers(config) as opened:
            found = find_issuer(await opened.issuers.hierarchy(), issuer)
            return await crl_desk(opened, operator()).request(found.issuer_id)

    request = run(work())
    try:
        out.write_bytes(request.write())
    except OSError as error:
        raise ConfigurationRefused(
            key="--out", reason=f"{out} cannot be written: {error.strerror}"
        ) from error
    show(
        {"request": str(out), "number": request.number, "entries": len(request.revoked)},
        as_json=as_json,
        lines=[f"Take {out} to the key, and sign it there with pushpki ca root sign-crl."],
    )


@crl.command("import")
def import_crl(
    file: Annotated[Path, typer.Argument(help="The CRL, DER or PEM.")],
    *,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Publish a CRL that was signed where its issuer's key is; running services show it in seconds."""
    from directory.wiring.issuing import crl_desk  # noqa: PLC0415 - for this command alone

    content = read_file("FILE", file)

    async def work() -> StoredCrl:
        async with installation_with_issuers(config) as opened:
            return await crl_desk(opened, operator()).take_in(content)

    taken = run(work())
    until = taken.record.next_update
    show(
        {
            "issuer": taken.issuer_id,
            "number": taken.record.number,
            "next_update": taken.record.next_update.isoformat(),
        },
        as_json=as_json,
        lines=[f"Issuer {taken.issuer_id}: CRL {taken.record.number}, until {until:%Y-%m-%d %H:%M} UTC."],
    )


def _of_partition(crl: PublishedCrl) -> str:
    return "" if crl.partition is None else f", partition {crl.partition}"
