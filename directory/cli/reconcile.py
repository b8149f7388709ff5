"""`pushpki audit reconcile`: after the restore of an older database, what its log remembers."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, BinaryIO

import typer

from directory.cli.audit import Found, check_file, keys_in, open_file
from directory.cli.opening import Config, confirm, installation, operator, run
from directory.cli.output import Json, show
from directory.errors import ConfigurationRefused
from directory.evidence.checking import lines_of
from directory.evidence.telling import told_in
from directory.reconciling import Losses
from directory.wiring.installation import Installation

EXIT_BEYOND_HELP = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class _Wishes:
    keys: Sequence[bytes]
    yes: bool


def reconcile(
    file: Annotated[Path, typer.Argument(help="An export of the log as it was before the restore.")],
    *,
    public_key: Annotated[
        Path | None, typer.Option(help="PEM file with the audit key; else the database's own first one.")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Revoke certificates that the log knows and the database does not, and once more what was revoked.

    Exit code 1 if there are some that no CRL from here can list.
    """
    wishes = _Wishes(keys=keys_in(public_key), yes=yes)

    async def work(export: BinaryIO) -> Losses:
        async with installation(config) as opened:
            return await _reconciled(opened, export, wishes)

    with open_file("FILE", file) as export:
        losses = run(work(export))
    document = {
        "certificates": [
            {
                "serial": one.serial,
                "issuer": one.issuer_id,
                "subject": one.subject,
                "issued_at": one.issued_at.isoformat(),
                "reason": one.reason.value,
            }
            for one in losses.certificates
        ],
        "revocations": [{"serial": one.serial, "reason": one.reason.value} for one in losses.revocations],
        "issuer_revocations": [
            {"issuer": one.issuer_id, "reason": one.reason.value} for one in losses.issuer_revocations
        ],
        "beyond_help": [
            {"issuer": issuer_id, "certificates": count} for issuer_id, count in losses.beyond_help.items()
        ],
    }
    lines = [
        *(
            f"Issuing CA revoked once more: {one.issuer_id} ({one.reason})."
            for one in losses.issuer_revocations
        ),
        *(f"Lost, and revoked now: {one.serial} ({one.reason})." for one in losses.certificates),
        *(f"Revoked once more: {one.serial} ({one.reason})." for one in losses.revocations),
        *(
            f"Beyond help: {count} certificates of issuer {issuer_id}, whose CRL is not made here."
            for issuer_id, count in losses.beyond_help.items()
        ),
    ]
    show(document, as_json=as_json, lines=lines or ["Nothing was lost that is still valid."])
    if losses.beyond_help:
        raise SystemExit(EXIT_BEYOND_HELP)


async def _reconciled(opened: Installation, export: BinaryIO, wishes: _Wishes) -> Losses:
    from directory.wiring import evidence  # noqa: PLC0415 - for this command alone
    from directory.wiring.reconciling import reconciliation  # noqa: PLC0415 - likewise

    actor = operator()
    statements = await evidence.audit_keys(opened, actor).statements()
    found = Found()
    check_file(export, wishes.keys or [one.public_key for one in statements[:1]], None, found)
    if found.total:
        raise ConfigurationRefused(
            key="FILE",
            reason=f"the export is not whole: {found.findings[0]}",
            remedy="see 'pushpki audit verify --file'",
        )
    export.seek(0)
    work = reconciliation(opened, actor)
    losses = await work.losses(told_in(lines_of(export)))
    if losses:
        confirm(_question(losses), yes=wishes.yes)
        await work.make_good(losses)
    return losses


def _question(losses: Losses) -> str:
    lost, again = len(losses.certificates), len(losses.revocations)
    question = f"Revoke {lost} certificates that were lost, and {again} once more"
    issuers = ", ".join(one.issuer_id for one in losses.issuer_revocations)
    return f"{question}; and issuing CA {issuers} with all that it issued?" if issuers else f"{question}?"
