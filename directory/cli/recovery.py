"""`pushpki recovery`: an escrowed key is asked for, approved and fetched; it opens elsewhere."""

import asyncio
from collections.abc import Coroutine, Sequence
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer

from directory.callers import Authentication
from directory.cli import recovery_agents, recovery_certificates, recovery_opening
from directory.cli.keyfiles import take_place
from directory.cli.opening import Config, installation, operator, run
from directory.cli.output import Json, show
from directory.errors import ConfigurationRefused
from directory.recovery import RecoveryDesk, Released
from directory.recovery_requests import Recovery, Requester
from directory.settings import parse_mailbox, read_secret_text

app = typer.Typer(no_args_is_help=True)
app.add_typer(recovery_certificates.app, name="certificate", help="What keys are escrowed to.")
app.add_typer(recovery_agents.app, name="agent", help="People who hold shares, and approve recoveries.")
app.command("open")(recovery_opening.open_envelope)

Outcome = TypeVar("Outcome")
RecoveryId = Annotated[str, typer.Argument(metavar="RECOVERY", help="The request's identifier.")]


@app.command("request")
def request(
    enrolment: Annotated[str, typer.Argument(help="The enrolment whose key is wanted.")],
    *,
    reason: Annotated[str, typer.Option(help="Why; it is on record, and the recovery agents read it.")],
    email: Annotated[str, typer.Option(help="Your own mail address: you cannot approve it yourself.")],
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Ask for an escrowed key; the recovery agents have to approve it."""
    requester = Requester.operator(operator(), parse_mailbox("--email", email))

    async def work() -> tuple[Recovery, datetime]:
        async with installation(config) as opened:
            desk = opened.recovery_desk()
            return await desk.request(enrolment, requester, reason), opened.clock.now()

    recovery, now = run(work())
    lines = [
        f"Recovery {recovery.recovery_id} requested.",
        f"Recovery agents have to approve it: {recovery.approvals_needed} people, by {_until(recovery)}.",
    ]
    show(_document(recovery, now), as_json=as_json, lines=lines)


@app.command("list")
def list_all(*, config: Config = None, as_json: Json = False) -> None:
    """List the latest requests."""

    async def work() -> tuple[Sequence[Recovery], datetime]:
        async with installation(config) as opened:
            return await opened.recovery_desk().recoveries(None), opened.clock.now()

    found, now = run(work())
    lines = [
        f"{one.recovery_id}\t{one.state_at(now)}\t{one.approved_by}/{one.approvals_needed}\t{one.mailbox}\t"
        f"{one.requested_by}\t{one.reason}"
        for one in found
    ]
    show({"recoveries": [_document(one, now) for one in found]}, as_json=as_json, lines=lines)


@app.command("approve")
def approve(
    recovery: RecoveryId,
    *,
    token_file: Annotated[Path, typer.Option(help="File with the recovery agent's token.")],
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Approve a request, as the recovery agent whose token it is."""
    token = read_secret_text("--token-file", token_file).strip()

    async def work() -> tuple[Recovery, datetime]:
        async with installation(config) as opened:
            agent = await Authentication(opened.callers).recovery_agent(token)
            if agent is None:
                raise ConfigurationRefused(
                    key="--token-file", reason=f"{token_file} holds no recovery agent's token"
                )
            return await opened.recovery_desk().approve(recovery, agent), opened.clock.now()

    approved, now = run(work())
    lines = [f"Recovery {recovery}: {approved.approved_by} of {approved.approvals_needed} have approved it."]
    show(_document(approved, now), as_json=as_json, lines=lines)


@app.command("fetch")
def fetch(
    recovery: RecoveryId,
    *,
    out: Annotated[Path, typer.Option(help="The file to create, such as key.p7m.")],
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Take an approved key out of escrow, once: the envelope, which opens off line. The recipient is told."""
    # Before it is released: that happens once.
    take_place("--out", out)

    async def release(desk: RecoveryDesk) -> Released:
        released = await desk.fetch(recovery, actor=operator(), organization_id=None)
        out.write_bytes(released.envelope)
        return released

    async def work() -> Released:
        async with installation(config) as opened:
            return await _to_its_end(release(opened.recovery_desk()))

    try:
        released = run(work())
    except BaseException:
        # What was released is nowhere else.
        if not out.stat().st_size:
            out.unlink()
        raise
    lines = [
        f"The escrowed key of {released.recovery.mailbox} is in {out}.",
        "It opens off line: pushpki recovery open, with the recovery key and its shares.",
        "The recipient is told by mail."
        if released.recipient_is_told
        else "The recipient wants no mail from anybody: tell him yourselves.",
    ]
    document = {
        "recovery_id": recovery,
        "file": str(out),
        "address": str(released.recovery.mailbox),
        "recipient_is_told": released.recipient_is_told,
    }
    show(document, as_json=as_json, lines=lines)


async def _to_its_end(work: Coroutine[Any, Any, Outcome]) -> Outcome:
    """Do what happens once to its end, though somebody interrupts the command meanwhile."""
    task = asyncio.create_task(work)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait({task})
        raise


def _until(recovery: Recovery) -> str:
    return f"{recovery.expires_at:%Y-%m-%d %H:%M} UTC"


def _document(recovery: Recovery, now: datetime) -> dict[str, object]:
    return {
        "recovery_id": recovery.recovery_id,
        "enrolment_id": recovery.enrolment_id,
        "address": str(recovery.mailbox),
        "state": recovery.state_at(now).value,
        "requested_by": recovery.requested_by,
        "reason": recovery.reason,
        "requested_at": recovery.requested_at.isoformat(),
        "expires_at": recovery.expires_at.isoformat(),
        "approvals_needed": recovery.approvals_needed,
        "approved_by": [one.agent.name for one in recovery.approvals if not one.is_removed],
        "fetched_at": recovery.fetched_at.isoformat() if recovery.fetched_at else None,
    }
