"""`pushpki doctor`: what keeps mail from arriving, and how TLS to mail exchangers went."""

from datetime import datetime, timedelta
from typing import Annotated

import typer

from directory.cli.opening import Config, installation, run
from directory.cli.output import Json, show
from directory.delivery.exchanges.tls_reports import report
from directory.doctor.findings import Diagnosis, Finding, Verdict
from directory.errors import ConfigurationRefused
from directory.store.tls_reports import SqlTlsTally

app = typer.Typer(no_args_is_help=True)

_MARKS = {Verdict.GOOD: "good   ", Verdict.WARNING: "warning", Verdict.BAD: "BAD    "}


@app.command("mail")
def mail(
    *,
    org: Annotated[str, typer.Option(help="The organization's short name.")],
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Check what an organization's mail needs to arrive: its way out, SPF, DKIM, DMARC, MX. Sends nothing.

    Ends with exit code 1 if mail cannot leave or would fail DMARC.
    """
    # Libraries of the DNS and of mail that few other commands need: a third of a second of imports.
    from directory.wiring.carrying import mail_doctor  # noqa: PLC0415 - see above

    async def work() -> Diagnosis:
        async with installation(config) as opened:
            organization = await opened.organizations.by_slug(org)
            async with mail_doctor(opened) as doctor:
                return await doctor.examine(organization)

    diagnosis = run(work())
    lines = [line for finding in diagnosis.findings for line in _lines(finding)]
    show(diagnosis.as_document(), as_json=as_json, lines=lines)
    if not diagnosis.is_healthy:
        raise typer.Exit(1)


@app.command("tls-reports")
def tls_reports(
    *,
    day: Annotated[str | None, typer.Option(help="YYYY-MM-DD, UTC; yesterday if not named.")] = None,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Show how TLS to recipients' mail exchangers went on a day; with --json as RFC 8460 writes it."""

    async def work() -> tuple[dict[str, object], list[str]]:
        async with installation(config) as opened:
            of = _day(day) if day is not None else opened.clock.now() - timedelta(days=1)
            counts = await SqlTlsTally(opened.database).of_day(of.date())
            sender = opened.settings.delivery.helo_name
            document = report(
                counts,
                day=of.date(),
                organization_name=sender,
                contact=f"postmaster@{sender}",
                report_id=f"{of.date().isoformat()}.{opened.node}@{sender}",
            )
            lines = [
                f"{count.domain}\t{count.mx_host}\t{count.policy.kind.value}\t"
                f"{count.fault.value if count.fault else 'successful'}\t{count.sessions}"
                for count in counts
            ]
            return dict(document), lines or [f"No mail exchanger was spoken to on {of.date()}."]

    document, lines = run(work())
    show(document, as_json=as_json, lines=lines)


def _day(text: str) -> datetime:
    try:
        return datetime.fromisoformat(f"{text}T00:00:00+00:00")
    except ValueError as error:
        raise ConfigurationRefused(key="--day", reason=f"{text!r} is no day, such as 2026-11-22") from error


def _lines(finding: Finding) -> list[str]:
    says = [f"{_MARKS[finding.verdict]}  {finding.check}: {finding.says}"]
    return says if finding.publish is None else [*says, f"         publish: {finding.publish}"]
