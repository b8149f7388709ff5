"""How does a page become an answer? Templates, the style sheet inside, and the headers that fence it in.

A page holds everything it shows: no script, nothing from another server, and no address of its own in what
others are told (RFC 9110 section 10.1.3: its address is a secret).
"""

import base64
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from jinja2 import Environment, FunctionLoader, StrictUndefined
from markupsafe import Markup
from starlette.responses import HTMLResponse, Response

from directory.http.pages.words import FOLDER, LANGUAGES, Words, words_in

_STYLE = (FOLDER / "style.css").read_text(encoding="utf-8")
_STYLE_HASH = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()

NOT_FOR_ROBOTS = {"X-Robots-Tag": "noindex, nofollow, noarchive"}
_HEADERS = {
    "Content-Security-Policy": (
        f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; img-src data:; form-action 'self'; "
        "base-uri 'none'; frame-ancestors 'none'"
    ),
    "Cache-Control": "no-store",
    "Vary": "Accept-Language, User-Agent, Sec-CH-UA-Platform",
    **NOT_FOR_ROBOTS,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Sender:
    """The organization in whose name a page speaks, as it is shown."""

    name: str
    contact: str = ""
    logo: str | None = None
    """A `data:` URL."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LanguageLink:
    """The way to the same page in a language."""

    language: str
    name: Markup
    link: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Voice:
    """In which language and in whose name a page speaks, and the names it may use."""

    words: Words
    sender: Sender | None = None
    """None where it is not known, or not to be told, whose page this would be."""
    variables: Mapping[str, str | Markup]

    def say(self, key: str) -> Markup:
        """Return a text of the catalogue."""
        return self.words.say(key, self.variables)


def voice(language: str, sender: Sender | None = None, **variables: str | Markup) -> Voice:
    """Make a voice; names of people and places are isolated, so that their direction stays their own."""
    shown: dict[str, str | Markup] = {
        name: value if isinstance(value, Markup) else _isolated(value) for name, value in variables.items()
    }
    if sender is not None:
        shown |= {"organization": _isolated(sender.name), "contact": _isolated(sender.contact)}
    return Voice(words=words_in(language), sender=sender, variables=shown)


def page(
    template: str, speaking: Voice, *, status: HTTPStatus = HTTPStatus.OK, query: str = "", **values: Any
) -> Response:
    """Render a template of the folder; `query` is what the links to other languages keep."""
    language = speaking.words.language
    content = _ENVIRONMENT.get_template(template).render(
        language=language,
        say=speaking.say,
        style=Markup(_STYLE),  # noqa: S704 - our own style sheet
        sender=speaking.sender,
        languages=_language_links(query),
        **values,
    )
    return HTMLResponse(content, status_code=status, headers={**_HEADERS, "Content-Language": language})


def message(name: str, *parts: str, speaking: Voice, status: HTTPStatus = HTTPStatus.OK) -> Response:
    """Render a page that only says something: the parts of the catalogue's section of this name."""
    return page("message.html", speaking, status=status, message=name, parts=parts)


def file_name(name: str) -> Markup:
    """Return a file's name as it stands in a text: in one piece."""
    return Markup('<bdi class="file">{}</bdi>').format(name)


def _isolated(value: str) -> Markup:
    return Markup("<bdi>{}</bdi>").format(value)


def _language_links(query: str) -> list[LanguageLink]:
    rest = f"&{query}" if query else ""
    return [
        LanguageLink(
            language=language,
            name=words_in(language).say("page.language", {}),
            link=f"?lang={language}{rest}",
        )
        for language in LANGUAGES
    ]


def _environment() -> Environment:
    return Environment(
        loader=FunctionLoader(lambda name: (FOLDER / name).read_text(encoding="utf-8")),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )


_ENVIRONMENT = _environment()
