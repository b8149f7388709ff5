"""Where do the words of a mail come from, and what may be put into them?

A message is a folder per language with three templates, `subject.txt`, `body.txt` and `body.html`; the page
around the HTML of all of them is `frame.html`. Only what a composer passes by name gets in, a missing name is
an error and not a blank, HTML is escaped, and a template, even one an organization wrote, reaches nothing
beyond its variables. Templates are read once: what a later look into the folder would show does not matter.
"""

import re
import traceback
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import TypeAlias

from jinja2 import FunctionLoader, StrictUndefined
from jinja2.exceptions import TemplateError, TemplateSyntaxError
from jinja2.sandbox import ImmutableSandboxedEnvironment

from directory.delivery.dates import day_filter

SHIPPED: Traversable = files("directory") / "templates" / "mail"
"""The folder of the messages that come with the service."""

FRAME = "frame.html"
SUBJECT, PLAIN, HTML = PARTS = ("subject.txt", "body.txt", "body.html")

LANGUAGE = re.compile(r"[a-z]{2,3}(-[a-z0-9]{2,8}){0,3}")
"""A language tag (RFC 5646) in lower case, as far as folders are named by it."""

BROKEN = (TemplateError, ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError)
"""What a template that somebody else wrote may raise."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageText:
    """The words of one mail, line ends as LF."""

    language: str
    subject: str
    plain: str
    html: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """The text of one template, and the file that it is from."""

    text: str
    file: str


Sources: TypeAlias = Mapping[str, Source]
"""Templates by name: `key_package/de/body.txt`, `frame.html`."""


class TemplateSet:
    """The templates of several places: the first place that has a template of the name wins.

    So an organization may bring its own version of some and leave the others as shipped.
    """

    def __init__(self, places: Sequence[Sources]) -> None:
        self._places = tuple(places)
        self._environment = ImmutableSandboxedEnvironment(
            loader=FunctionLoader(self._load),
            autoescape=lambda name: name is not None and name.endswith(".html"),
            undefined=StrictUndefined,
            keep_trailing_newline=True,
            trim_blocks=True,
            lstrip_blocks=True,
            auto_reload=False,
            cache_size=-1,
        )
        self._environment.filters["day"] = day_filter

    def find(self, name: str) -> Source | None:
        """Return the template of that name."""
        return next((place[name] for place in self._places if name in place), None)

    def has(self, message: str, language: str) -> bool:
        """Return whether the message is there as a whole in that language."""
        return all(self.find(name) is not None for name in names_of(message, language))

    def languages(self, message: str) -> frozenset[str]:
        """Return the languages in which the message is there as a whole."""
        named = {
            name.split("/")[1] for place in self._places for name in place if name.startswith(f"{message}/")
        }
        return frozenset(language for language in named if self.has(message, language))

    def write(self, message: str, language: str, variables: Mapping[str, str]) -> MessageText:
        """Fill in the variables.

        Raises:
            jinja2.TemplateError: a template is broken, or names a variable that was not given.
            jinja2.TemplateNotFound: there is no such message in that language.
        """
        subject, plain, html = (
            self._environment.get_template(name).render(variables) for name in names_of(message, language)
        )
        return MessageText(language=language, subject=" ".join(subject.split()), plain=plain, html=html)

    def place_of(self, error: BaseException) -> str:
        """Say where in a template an error of `write` arose: `FILE:LINE`; empty if in none."""
        if isinstance(error, TemplateSyntaxError) and error.filename:
            return f"{error.filename}:{error.lineno}"
        known = {source.file for place in self._places for source in place.values()}
        within = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename in known]
        return f"{within[-1].filename}:{within[-1].lineno}" if within else ""

    def _load(self, name: str) -> tuple[str, str, None] | None:
        source = self.find(name)
        return None if source is None else (source.text, source.file, None)


def names_of(message: str, language: str) -> tuple[str, str, str]:
    """Return the names of a message's templates: subject, text, HTML."""
    subject, plain, html = (f"{message}/{language}/{part}" for part in PARTS)
    return subject, plain, html


def read_shipped(folder: Traversable = SHIPPED) -> Sources:
    """Read the templates that come with the service."""
    return {
        name: Source(text=file.read_text(encoding="utf-8"), file=str(file)) for name, file in _walk(folder)
    }


def _walk(folder: Traversable, above: str = "") -> Iterator[tuple[str, Traversable]]:
    for entry in folder.iterdir():
        if entry.is_dir():
            yield from _walk(entry, f"{above}{entry.name}/")
        elif entry.name == FRAME or entry.name in PARTS:
            yield f"{above}{entry.name}", entry
