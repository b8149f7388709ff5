"""`pushpki suppression`: the addresses that get no mail from anybody."""

from collections.abc import Sequence
from typing import Annotated

import typer

from directory.cli.opening import Config, confirm, installation, operator, run
from directory.cli.output import Json, show
from directory.settings import parse_recipient
from directory.suppression import AlreadyStopped, Stopped, Suppression

app = typer.Typer(no_args_is_help=True)

Address = Annotated[str, typer.Argument(help="The mail address.")]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask.")]


@app.command("list")
def list_suppressions(*, config: Config = None, as_json: Json = False) -> None:
    """List the addresses that get no mail, the oldest first."""

    async def work() -> Sequence[Suppression]:
        async with installation(config) as opened:
            return await opened.suppressions(operator()).all()

    suppressions = run(work())
    document = [
        {"address": each.address, "since": each.since.isoformat(), "reason": each.reason.value}
        for each in suppressions
    ]
    lines = [f"{each.address}  since {each.since:%Y-%m-%d}  by the {each.reason}" for each in suppressions]
    show({"suppressions": document}, as_json=as_json, lines=lines or ["Every address may get mail."])


@app.command("add")
def add_suppression(
    address: Address, *, yes: Yes = False, config: Config = None, as_json: Json = False
) -> None:
    """Stop all mail to an address, of every organization; a certificate that is not proven is withdrawn."""
    mailbox = parse_recipient("ADDRESS", address)
    confirm(f"Stop all mail to {mailbox}, and withdraw its certificate unless it is proven?", yes=yes)

    async def work() -> Stopped | AlreadyStopped:
        async with installation(config) as opened:
            return await opened.suppressions(operator()).add(mailbox)

    answer = run(work())
    ended = answer.ended if isinstance(answer, Stopped) else 0
    show(
        {"address": answer.address, "suppressed": True, "certificates_withdrawn": ended},
        as_json=as_json,
        lines=[f"No mail goes to {answer.address} any more; certificates withdrawn: {ended}."],
    )


@app.command("lift")
def lift_suppression(
    address: Address, *, yes: Yes = False, config: Config = None, as_json: Json = False
) -> None:
    """Let an address get mail again, because its owner asked for it."""
    mailbox = parse_recipient("ADDRESS", address)
    confirm(f"Has the owner of {mailbox} asked to get mail again?", yes=yes)

    async def work() -> None:
        async with installation(config) as opened:
            await opened.suppressions(operator()).lift(mailbox)

    run(work())
    show(
        {"address": str(mailbox), "suppressed": False},
        as_json=as_json,
        lines=[f"{mailbox} may get mail again; the next question mints."],
    )
