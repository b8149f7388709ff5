"""`pushpki certificate`: put certificates that recipients have from elsewhere into the directory."""

from pathlib import Path
from typing import Annotated

import typer

from directory.cli.opening import Config, installation, operator, run
from directory.cli.output import Json, show
from directory.errors import ConfigurationRefused
from directory.importing import ForeignCertificate

app = typer.Typer(no_args_is_help=True)

_MOST_READ = 1 << 20


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
    content = _read(file)

    async def work() -> ForeignCertificate:
        async with installation(config) as opened:
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


def _read(file: Path) -> bytes:
    try:
        with file.open("rb") as opened:
            return opened.read(_MOST_READ)
    except OSError as error:
        raise ConfigurationRefused(key="FILE", reason=f"{file} cannot be read: {error.strerror}") from error
