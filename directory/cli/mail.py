"""`pushpki mail`: what is in the outbox, and holding it up. States and failures; never what a mail says."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated

import typer

from directory.cli.opening import Config, installation, operator, run
from directory.cli.output import Json, show
from directory.cursors import Cursor
from directory.delivery.outbox import MailKind, MailState
from directory.errors import ConfigurationRefused, Unknown
from directory.outbox_admin import MailFilter, MailRecord, Pause
from directory.settings import parse_domain

app = typer.Typer(no_args_is_help=True)

LONGEST_LIST = 1000

Slug = Annotated[str | None, typer.Option("--org", help="Only this organization's.")]
Domain = Annotated[str | None, typer.Option(help="Only to this mail domain of recipients.")]


@app.command("list")
def list_mails(
    *,
    state: Annotated[MailState | None, typer.Option(help="Only in this state.")] = None,
    kind: Annotated[MailKind | None, typer.Option(help="Only of this kind.")] = None,
    org: Slug = None,
    domain: Domain = None,
    limit: Annotated[int, typer.Option(min=1, max=LONGEST_LIST, help="At most so many.")] = 50,
    after: Annotated[str | None, typer.Option(help="Go on behind the place a former list ended at.")] = None,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """List outgoing mails, the newest first, and say whose are held up."""
    wanted = MailFilter(state=state, kind=kind, domain=_domain(domain))
    place = _cursor(after)

    async def work() -> tuple[Sequence[MailRecord], Sequence[Pause]]:
        async with installation(config) as opened:
            outbox = opened.outbox_administration(operator())
            mails = await outbox.mails(wanted, organization=org, after=place, most=limit)
            return mails, await outbox.pauses()

    shown, pauses = run(work())
    following = str(shown[-1].cursor) if len(shown) == limit else None
    lines = [f"Mail of {pause.organization or 'everybody'} is paused." for pause in pauses]
    lines += ["\t".join(_columns(mail)) for mail in shown] or ["There is no such mail."]
    lines += [f"more: --after {following}"] if following else []
    document = {
        "mails": [_as_document(mail) for mail in shown],
        "next": following,
        "paused": [_pause_as_document(pause) for pause in pauses],
    }
    show(document, as_json=as_json, lines=lines)


@app.command("show")
def show_mail(
    mail_id: Annotated[str, typer.Argument(help="The mail, as lists show it.")],
    *,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Show where one mail stands."""

    async def work() -> MailRecord:
        async with installation(config) as opened:
            outbox = opened.outbox_administration(operator())
            wanted = MailFilter(mail_id=mail_id)
            found = await outbox.mails(wanted, organization=None, after=None, most=1)
            if not found:
                raise Unknown(kind="mail", name=mail_id)
            return found[0]

    document = _as_document(run(work()))
    lines = [f"{key}: {value}" for key, value in document.items() if value is not None]
    show(document, as_json=as_json, lines=lines)


@app.command("pause")
def pause(*, org: Slug = None, config: Config = None, as_json: Json = False) -> None:
    """Hold mail up: an organization's, or everybody's. What is being handed over may still go."""

    async def work() -> bool:
        async with installation(config) as opened:
            return await opened.outbox_administration(operator()).pause(org)

    changed = run(work())
    said = "is paused." if changed else "was paused already."
    _show_pause(org, said, paused=True, changed=changed, as_json=as_json)


@app.command("resume")
def resume(*, org: Slug = None, config: Config = None, as_json: Json = False) -> None:
    """Let mail go that was held up."""

    async def work() -> bool:
        async with installation(config) as opened:
            return await opened.outbox_administration(operator()).resume(org)

    changed = run(work())
    said = "is sent again." if changed else "was not paused."
    _show_pause(org, said, paused=False, changed=changed, as_json=as_json)


@app.command("flush")
def flush(
    mail_id: Annotated[str | None, typer.Argument(help="Only this mail.")] = None,
    *,
    org: Slug = None,
    domain: Domain = None,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Try queued mails at once, whatever their pauses after failures."""
    wanted = MailFilter(mail_id=mail_id, domain=_domain(domain))

    async def work() -> int:
        async with installation(config) as opened:
            return await opened.outbox_administration(operator()).flush(wanted, organization=org)

    count = run(work())
    show({"due": count}, as_json=as_json, lines=[f"{count} mails are due now."])


def _show_pause(org: str | None, said: str, *, paused: bool, changed: bool, as_json: bool) -> None:
    document = {"organization": org, "paused": paused, "changed": changed}
    show(document, as_json=as_json, lines=[f"Mail of {org or 'everybody'} {said}"])


def _domain(text: str | None) -> str | None:
    return None if text is None else parse_domain("--domain", text)


def _cursor(text: str | None) -> Cursor | None:
    if text is None:
        return None
    try:
        return Cursor.parse(text)
    except ValueError as error:
        raise ConfigurationRefused(
            key="--after", reason=f"{text!r} is not where a list ended", remedy="give what `mail list` said"
        ) from error


def _columns(mail: MailRecord) -> tuple[str, ...]:
    when = _moment(_next_attempt(mail)) or _moment(mail.ended_at) or ""
    failure = mail.last_failure or ""
    return (mail.mail_id, mail.state, mail.kind, mail.organization, str(mail.recipient), when, failure)


def _as_document(mail: MailRecord) -> dict[str, object]:
    return {
        "mail_id": mail.mail_id,
        "enrolment_id": mail.enrolment_id,
        "organization": mail.organization,
        "kind": mail.kind.value,
        "recipient": str(mail.recipient),
        "message_id": mail.message_id,
        "state": mail.state.value,
        "created_at": _moment(mail.created_at),
        "attempts": mail.attempts,
        "next_attempt_at": _moment(_next_attempt(mail)),
        "in_hands_until": _moment(mail.in_hands_until),
        "give_up_at": _moment(mail.give_up_at),
        "last_failure": mail.last_failure,
        "ended_at": _moment(mail.ended_at),
    }


def _pause_as_document(pause: Pause) -> dict[str, object]:
    return {"organization": pause.organization, "since": _moment(pause.since), "actor": pause.actor}


def _next_attempt(mail: MailRecord) -> datetime | None:
    return mail.due_at if mail.state is MailState.QUEUED else None


def _moment(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat()
