"""`pushpki certificate`: certificates from elsewhere, and of gateways' own keys, for the directory."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from ca.address import Mailbox
from ca.keys import PublicKey, key_hash
from directory.cli.keyfiles import certifiable_key, read_file, requested_key
from directory.cli.opening import Config, installation, operator, run
from directory.cli.output import Json, show
from directory.cli.refusals import refusals_on_record
from directory.errors import ConfigurationRefused
from directory.importing import ForeignCertificate
from directory.lookup import PublishedCertificate
from directory.proxies import ProxyCertification, refuse_other_names
from directory.settings import parse_mailbox
from directory.store.proxies import SqlProxies

app = typer.Typer(no_args_is_help=True)


@app.command("import")
def import_certificate(
    file: Annotated[Path, typer.Argument(help="One certificate, PEM or DER.")],
    *,
    org: Annotated[
        str | None, typer.Option("--org", help="Only for this organization, which must be isolated.")
    ] = None,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Publish a recipient's own certificate, or one bound to a domain; it goes before a minted one."""
    content = read_file("FILE", file)

    async def work() -> ForeignCertificate:
        async with installation(config) as opened, refusals_on_record(opened, "request:import"):
            return await opened.certificate_import(operator()).publish(content, org)

    imported = run(work())
    addresses = [str(addressee) for addressee in imported.addressees]
    show(
        {
            "addresses": addresses,
            "serial": f"{imported.serial:x}",
            "not_after": imported.not_after.isoformat(),
        },
        as_json=as_json,
        lines=[f"Published for {address}, until {imported.not_after:%Y-%m-%d}." for address in addresses],
    )


@app.command("proxy")
def certify_proxy(
    addresses: Annotated[list[str] | None, typer.Argument(metavar="ADDRESS…", help="Whom to bind.")] = None,
    *,
    org: Annotated[str, typer.Option("--org", help="Whose addresses, and whose gateway's key.")],
    csr: Annotated[
        Path | None,
        typer.Option("--csr", help="The gateway's certificate request: shows that it has the key."),
    ] = None,
    public_key: Annotated[
        Path | None, typer.Option("--public-key", help="Its public key, if you know that the gateway has it.")
    ] = None,
    listed: Annotated[Path | None, typer.Option("--list", help="File with an address on each line.")] = None,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Certify a gateway's own key for addresses of its organization, and publish that.

    The address domain-confidentiality-authority@DOMAIN binds the whole domain to the key (RFC 3183).
    """
    from directory.wiring.minting import certificate_maker  # noqa: PLC0415 - for this command alone
    from directory.wiring.timekeeping import refuse_doubted_clock  # noqa: PLC0415 - likewise

    mailboxes = _mailboxes(addresses or [], listed)

    async def work() -> tuple[PublicKey, Sequence[PublishedCertificate]]:
        async with installation(config) as opened, refusals_on_record(opened, "request:proxy"):
            key = _gateway_key(csr, public_key, mailboxes)
            await refuse_doubted_clock(opened)
            organization = await opened.organizations.by_slug(org)
            certification = ProxyCertification(
                store=SqlProxies(opened.database, node=opened.node),
                maker=await certificate_maker(opened, organization),
                clock=opened.clock,
                actor=operator(),
            )
            return key, await certification.certify(organization, mailboxes, key)

    key, published = run(work())
    documents = [
        {"address": str(one.mailbox), "serial": f"{one.serial:x}", "not_after": one.not_after.isoformat()}
        for one in published
    ]
    lines = [f"Published for {one.mailbox}, until {one.not_after:%Y-%m-%d}." for one in published]
    show(
        {"published": documents, "key": key_hash(key).hex()},
        as_json=as_json,
        lines=lines or ["Every address has a certificate of this key already."],
    )


def _mailboxes(addresses: Sequence[str], listed: Path | None) -> Sequence[Mailbox]:
    lines = [] if listed is None else read_file("--list", listed).decode(errors="replace").splitlines()
    return [
        *(parse_mailbox("ADDRESS", address) for address in addresses),
        *(parse_mailbox("--list", line.strip()) for line in lines if line.strip()),
    ]


def _gateway_key(csr: Path | None, public_key: Path | None, mailboxes: Sequence[Mailbox]) -> PublicKey:
    match csr, public_key:
        case Path(), None:
            request = requested_key("--csr", csr)
            refuse_other_names(request, mailboxes)
            return request.public_key
        case None, Path():
            return certifiable_key("--public-key", public_key)
        case _:
            raise ConfigurationRefused(
                key="--csr",
                reason="nothing says which key, or two say so",
                remedy="give --csr or --public-key",
            )
