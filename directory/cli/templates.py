"""`pushpki mail preview`, `test-send` and `templates`: what mails look like, before anybody gets one."""

import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from directory.cli.opening import Config, installation, operator, run
from directory.cli.output import Json, progress, show
from directory.delivery.keymail import MESSAGE as KEY_MESSAGE
from directory.delivery.mime import Message
from directory.delivery.previewing import Wanted
from directory.delivery.specimens import SPECIMENS
from directory.delivery.templates import read_shipped
from directory.delivery.trial import described
from directory.errors import ConfigurationRefused
from directory.settings import parse_recipient
from directory.wiring.previewing import Preview
from directory.wiring.previewing import preview as written

app = typer.Typer(no_args_is_help=True)

MessageName = Annotated[str, typer.Argument(help=f"One of {', '.join(SPECIMENS)}.")]
Slug = Annotated[str, typer.Option("--org", help="The organization's short name.")]
Language = Annotated[str, typer.Option(help="Such as de or fr; else the organization's.")]
SpecimenName = Annotated[
    str | None, typer.Option("--specimen", help="Which way it turns out; else as the organization has it.")
]


class View(StrEnum):
    """What of a mail is shown."""

    TEXT = "text"
    HTML = "html"
    EML = "eml"


def preview(
    message: MessageName = KEY_MESSAGE,
    *,
    org: Slug,
    language: Language = "",
    specimen: SpecimenName = None,
    view: Annotated[View, typer.Option("--as", help="The text, the page, or the whole mail.")] = View.TEXT,
    out: Annotated[Path | None, typer.Option(help="Write it to this file.")] = None,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Show a mail as an organization's recipients get it, with invented values and no key."""
    wanted = Wanted(message=message, specimen=specimen, language=language)

    async def work() -> Preview:
        async with installation(config) as opened:
            return await written(opened, org, wanted)

    found = run(work())
    for file in found.files:
        progress.print(f"from {file}", highlight=False, soft_wrap=True)
    if as_json:
        show(_document(found), as_json=True, lines=[])
        return
    content = _shown(found.message, view)
    if out is not None:
        out.write_bytes(content)
    else:
        sys.stdout.write(content.decode())
        sys.stdout.flush()


def send_test(
    message: MessageName = KEY_MESSAGE,
    *,
    org: Slug,
    to: Annotated[str, typer.Option(help="Whom to send it to, such as yourself.")],
    language: Language = "",
    specimen: SpecimenName = None,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Send a mail, marked as a test and without a key, on the way that the organization's mails take.

    Ends with exit code 1 if it was not accepted.
    """
    # What sends mail brings libraries of the DNS and of mail that few other commands need.
    from directory.wiring.trying import trial  # noqa: PLC0415 - see above

    recipient = parse_recipient("--to", to)
    wanted = Wanted(message=message, specimen=specimen, language=language, recipient=recipient)

    async def work() -> dict[str, object]:
        async with installation(config) as opened, trial(opened, operator()) as sender:
            found = await written(opened, org, wanted)
            return described(await sender.send(found.organization, found.message))

    outcome = run(work())
    accepted = bool(outcome["accepted"])
    said = f"{outcome['host']}: {outcome['response']}" if accepted else str(outcome["failure"])
    show(outcome, as_json=as_json, lines=[f"{'accepted by' if accepted else 'not accepted:'} {said}"])
    if not accepted:
        raise typer.Exit(1)


@app.command("export")
def export(
    folder: Annotated[Path, typer.Argument(help="A new folder.")],
    *,
    message: Annotated[str | None, typer.Option(help="Only this message.")] = None,
    language: Annotated[str | None, typer.Option(help="Only in this language.")] = None,
    as_json: Json = False,
) -> None:
    """Copy the shipped templates to begin one's own from; take away what is to stay as it ships."""
    if folder.exists() and any(folder.iterdir()):
        raise ConfigurationRefused(
            key="FOLDER", reason=f"{folder} is not empty", remedy="name a new folder: nothing is overwritten"
        )
    chosen = {name: source for name, source in read_shipped().items() if _is_chosen(name, message, language)}
    if not any("/" in name for name in chosen):
        raise ConfigurationRefused(key="--message", reason="there is no such message in such a language")
    for name, source in chosen.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(source.text, encoding="utf-8")
    document = {"folder": str(folder), "templates": sorted(chosen)}
    show(document, as_json=as_json, lines=[f"{len(chosen)} templates in {folder}; see delivery.templates."])


def _is_chosen(name: str, message: str | None, language: str | None) -> bool:
    if "/" not in name:
        return True  # the frame around all of them
    its_message, its_language, _ = name.split("/")
    return message in {None, its_message} and language in {None, its_language}


def _document(found: Preview) -> dict[str, object]:
    message = found.message
    return {
        "organization": found.organization.slug,
        "language": message.language,
        "subject": message.subject,
        "text": message.plain,
        "html": message.html,
        "written_from": list(found.files),
    }


def _shown(message: Message, view: View) -> bytes:
    match view:
        case View.TEXT:
            return f"Subject: {message.subject}\n\n{message.plain}".encode()
        case View.HTML:
            return message.html.encode()
        case View.EML:
            return message.to_bytes()
