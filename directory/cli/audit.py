"""`pushpki audit`: the key that signs the audit log, the log for others, and its check."""

import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, BinaryIO

import typer

from directory.cli.opening import Config, confirm, installation, operator, run
from directory.cli.output import Json, show
from directory.cli.store import EXIT_VIOLATED
from directory.errors import ConfigurationRefused
from directory.evidence.checking import EvidenceCheck, KeptHeads, Origin, announced_keys, lines_of
from directory.evidence.following import Finding
from directory.evidence.trust import TrustedKeys, pem_of, public_keys_in

app = typer.Typer(no_args_is_help=True)

_MOST_SHOWN = 1000
"""Of a file that is something else, every line is a finding."""


@app.command("key")
def key(
    *,
    rotate: Annotated[
        bool, typer.Option("--rotate", help="Let a new key take its place, signed by the old one.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Print the public key by which the audit log is checked; give it to auditors, once, by hand."""
    from directory.wiring import evidence  # noqa: PLC0415 - checking a file needs none of it

    if rotate:
        confirm("Replace the audit key? The old one can then sign nothing more.", yes=yes)

    async def work() -> tuple[str, bytes, int]:
        async with installation(config) as opened:
            keys = evidence.audit_keys(opened, operator())
            if rotate:
                # What the old key has not signed yet is its to sign.
                await evidence.notary(opened, keys).sign()
                await keys.rotate()
                await opened.database.erase_traces()
                await evidence.notary(opened, keys).sign()
            current = (await keys.statements())[-1]
            return current.key_id, current.public_key, current.number

    key_id, public_key, number = run(work())
    pem = pem_of(public_key)
    show({"key": key_id, "number": number, "public_key": pem}, as_json=as_json, lines=pem.splitlines())


@app.command("export")
def export(
    *,
    node: Annotated[str | None, typer.Option(help="Of this node alone.")] = None,
    since: Annotated[int, typer.Option(min=0, help="After this event of each node.")] = 0,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Write the audit log to standard output as JSON lines, with its signed heads, signed as a whole."""
    from directory.wiring import evidence  # noqa: PLC0415 - checking a file needs none of it

    del as_json  # it is JSON in any case

    async def work() -> None:
        async with installation(config) as opened:
            async for line in evidence.export(opened, actor=operator(), node=node, since=since):
                sys.stdout.write(line)

    run(work())


@dataclass(slots=True)
class Found:
    """What a check has found."""

    findings: list[Finding] = field(default_factory=list)
    total: int = 0

    def add(self, findings: Sequence[Finding] | Iterator[Finding]) -> None:
        """Keep the first ones, count all."""
        for finding in findings:
            self.total += 1
            if len(self.findings) < _MOST_SHOWN:
                self.findings.append(finding)


@app.command("verify")
def verify(
    *,
    file: Annotated[
        Path | None, typer.Option(help="An export; without, the database that the configuration names.")
    ] = None,
    public_key: Annotated[
        Path | None, typer.Option(help="PEM file with the audit key, as it was given to you.")
    ] = None,
    heads: Annotated[
        Path | None, typer.Option(help="Signed heads that were kept elsewhere, as in [audit] heads_file.")
    ] = None,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Check that the audit log is whole; exit code 1 if it is not. With --file nothing else is needed."""
    given = keys_in(public_key)
    if file is not None and not given:
        raise ConfigurationRefused(
            key="--public-key",
            reason="an export is checked by a key that is not in it",
            remedy="print it with 'pushpki audit key', and keep it",
        )
    found = Found()
    with ExitStack() as stack:
        kept_lines = stack.enter_context(open_file("--heads", heads)) if heads else None
        if file is not None:
            check = check_file(stack.enter_context(open_file("--file", file)), given, kept_lines, found)
        else:
            check = run(_verify_store(config, given, kept_lines, found))
    _tell(check, found, as_json=as_json)
    if found.total:
        raise SystemExit(EXIT_VIOLATED)


def check_file(
    file: BinaryIO, given: Sequence[bytes], kept_heads: BinaryIO | None, found: Found
) -> EvidenceCheck:
    """Check an export by the keys that are given; what is wrong with it is found."""
    trusted = TrustedKeys(given)
    # Either file may be the one that tells how a key came to be trusted.
    for statement in announced_keys(lines_of(file)):
        trusted.learn(statement)
    file.seek(0)
    check = EvidenceCheck(trusted, kept=_kept(kept_heads, trusted, found))
    for line in lines_of(file):
        found.add(check.line(line))
    found.add(check.end())
    return check


def _kept(file: BinaryIO | None, trusted: TrustedKeys, found: Found) -> KeptHeads:
    kept = KeptHeads(trusted)
    if file is not None:
        for statement in announced_keys(lines_of(file)):
            trusted.learn(statement)
        file.seek(0)
        found.add(kept.read(lines_of(file)))
    return kept


async def _verify_store(
    config: Path | None, given: Sequence[bytes], kept_heads: BinaryIO | None, found: Found
) -> EvidenceCheck:
    from directory.wiring import evidence  # noqa: PLC0415 - checking a file needs none of it

    async with installation(config) as opened:
        standings = await evidence.standings(opened)
        statements = await evidence.audit_keys(opened, operator()).statements()
        trusted = TrustedKeys(given or [statements[0].public_key])
        for statement in statements:
            trusted.learn(statement)
        kept = _kept(kept_heads, trusted, found)
        check = EvidenceCheck(trusted, kept=kept, origin=Origin.STORE)
        async for line in evidence.stored_lines(opened, standings):
            found.add(check.line(line.encode()))
        found.add(check.end([standing.head for standing in standings]))
        return check


def _tell(check: EvidenceCheck, found: Found, *, as_json: bool) -> None:
    documents = [
        {
            "flaw": one.flaw.value,
            "node": one.node,
            "sequence": one.sequence,
            "line": one.line,
            "reason": one.reason,
        }
        for one in found.findings
    ]
    lines = [f"{one.flaw.value}: {one}" for one in found.findings]
    if found.total > len(found.findings):
        lines.append(f"… and {found.total - len(found.findings)} more")
    if not found.total:
        ends = ", ".join(f"{node} to event {end}" for node, end in check.ends.items())
        lines = [f"The audit log is whole: {check.events} events, {check.heads} signed heads; {ends}."]
        lines += [f"{node}: the last {count} are not signed yet." for node, count in check.unsigned.items()]
    document = {
        "findings": documents,
        "found": found.total,
        "events": check.events,
        "heads": check.heads,
        "ends": dict(check.ends),
        "unsigned": dict(check.unsigned),
    }
    show(document, as_json=as_json, lines=lines)


def keys_in(path: Path | None) -> list[bytes]:
    """Read public keys from a PEM file, if there is one.

    Raises:
        ConfigurationRefused: it cannot be read, or holds none.
    """
    if path is None:
        return []
    with open_file("--public-key", path) as file:
        try:
            return public_keys_in(file.read())
        except ValueError as error:
            raise ConfigurationRefused(
                key="--public-key", reason=f"{path} holds no Ed25519 public key in PEM"
            ) from error


def open_file(option: str, path: Path) -> BinaryIO:
    """Open a file that an option names.

    Raises:
        ConfigurationRefused: it cannot be read.
    """
    try:
        return path.open("rb")
    except OSError as error:
        raise ConfigurationRefused(key=option, reason=f"{path} cannot be read: {error.strerror}") from error
