"""`pushpki resend`: the key mail once more, for the recipient whose device says "wrong password"."""

from typing import Annotated

import typer

from ca.keypackage import KeyPackageFormat
from directory.cli.opening import Config, installation, operator, run
from directory.cli.output import Json, show


def resend(
    enrolment_id: Annotated[str, typer.Argument(help="The enrolment, as lookups and lists show it.")],
    *,
    package_format: Annotated[
        KeyPackageFormat | None, typer.Option("--format", help="Of the key package; else as before.")
    ] = None,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Send the key package again: same key, same password, perhaps in the other format."""

    async def work() -> None:
        async with installation(config) as opened:
            await opened.resender().resend(enrolment_id, package_format, operator())

    run(work())
    show({"enrolment_id": enrolment_id, "queued": True}, as_json=as_json, lines=["The key mail is queued."])
