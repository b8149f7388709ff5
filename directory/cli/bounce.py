"""`pushpki bounce`: take a bounce in from the mail server's pipe, and put right what bounces did."""

import sys
from collections.abc import Sequence
from typing import Annotated

import typer

from ca.errors import CaError
from directory.bounces.bounces import Outcome
from directory.bounces.desk import PausedDomain
from directory.bounces.parts import LARGEST_MESSAGE, read_message
from directory.bounces.reports import read_report
from directory.cli.failures import EXIT_CODES, explanation
from directory.cli.opening import Config, installation, operator, run
from directory.cli.output import Json, fail, show
from directory.errors import DirectoryError, StoreUnavailable
from directory.revocation import RevocableCertificate
from directory.settings import parse_domain, parse_recipient

app = typer.Typer(no_args_is_help=True)

_TRY_AGAIN = EXIT_CODES[StoreUnavailable]
"""EX_TEMPFAIL: the mail server keeps the bounce, and hands it over again."""
_DELIVERED_TO = ("X-Original-To", "Delivered-To", "Envelope-To")


@app.command("take")
def take(
    *,
    recipient: Annotated[
        str | None,
        typer.Option(help="The envelope's recipient, as the mail server knows it; else the header says it."),
    ] = None,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Take one bounce from standard input, for a mail server's pipe.

    The exit code is 0 for whatever was looked at, also if it changed nothing; 75 for anything that may be
    different the next time, so that the mail server keeps the mail.
    """
    message = sys.stdin.buffer.read(LARGEST_MESSAGE + 1)
    recipients = [recipient] if recipient is not None else _recipients_in_header(message)

    async def work() -> Outcome:
        async with installation(config) as opened:
            return await opened.bounces().take(recipients, read_report(message))

    try:
        outcome = run(work())
    except (DirectoryError, CaError, OSError) as error:
        # Not their own exit codes: of most of them a mail server makes a failure for good.
        fail(f"error: {explanation(error) if not isinstance(error, OSError) else error.strerror}", _TRY_AGAIN)
    show({"outcome": outcome.value}, as_json=as_json, lines=[f"The bounce: {outcome.value}."])


@app.command("clear")
def clear(
    address: Annotated[str, typer.Argument(help="The address that is in order again.")],
    *,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Let the next lookup mint a new key for an address whose key mail came back."""
    mailbox = parse_recipient("ADDRESS", address)

    async def work() -> Sequence[RevocableCertificate]:
        async with installation(config) as opened:
            return await opened.bounce_desk().clear(mailbox, operator())

    cleared = run(work())
    serials = [f"{one.serial:x}" for one in cleared]
    lines = [f"Revoked {serial}, whose key did not arrive." for serial in serials]
    show({"address": str(mailbox), "revoked": serials}, as_json=as_json, lines=lines)


@app.command("paused")
def paused(*, config: Config = None, as_json: Json = False) -> None:
    """List the recipient domains for which nothing is minted now, because too many mails came back."""

    async def work() -> Sequence[PausedDomain]:
        async with installation(config) as opened:
            return await opened.bounce_desk().paused_domains()

    found = run(work())
    lines = [f"{one.domain}: for {one.slug} until {one.until:%Y-%m-%d %H:%M} UTC" for one in found]
    show({"paused": _documents(found)}, as_json=as_json, lines=lines or ["No domain is paused."])


@app.command("resume-domain")
def resume_domain(
    domain: Annotated[str, typer.Argument(help="The recipients' domain.")],
    *,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Let mints for a recipient domain go on before its pause is over."""
    name = parse_domain("DOMAIN", domain)

    async def work() -> Sequence[PausedDomain]:
        async with installation(config) as opened:
            return await opened.bounce_desk().resume(name, operator())

    resumed = run(work())
    lines = [f"{one.domain} goes on for {one.slug}." for one in resumed]
    show({"resumed": _documents(resumed)}, as_json=as_json, lines=lines)


def _documents(domains: Sequence[PausedDomain]) -> list[dict[str, str]]:
    return [
        {"domain": one.domain, "organization": one.slug, "until": one.until.isoformat(timespec="seconds")}
        for one in domains
    ]


def _recipients_in_header(message: bytes) -> list[str]:
    """Return whom the mail was delivered to, as mail servers note it; the last resort."""
    read = read_message(message)
    return [] if read is None else [text for name in _DELIVERED_TO if (text := read.text_of(name))]
