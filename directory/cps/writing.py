"""How do facts become the statement? Templates in the order of RFC 3647, and the operator's own words.

A template names every fact that it needs; one that is not there is an error and not a blank.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from html import escape
from importlib.resources import files

from jinja2 import Environment, FunctionLoader, StrictUndefined

from directory.cps.facts import Facts
from directory.cps.statements import KEY
from directory.errors import ConfigurationRefused

_FOLDER = files("directory") / "templates" / "cps"
CHAPTERS = (
    "1-introduction.md",
    "2-publication.md",
    "3-identification.md",
    "4-life-cycle.md",
    "5-operations.md",
    "6-technical.md",
    "7-profiles.md",
    "8-audit.md",
    "9-business.md",
)
TO_BE_STATED = "*To be stated by the operator.*"


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """A practice statement."""

    text: str
    """Markdown."""
    to_be_stated: tuple[str, ...]
    """Numbers of the sections that want the operator's words, and have none."""


def write(facts: Facts, stated: Mapping[str, str]) -> Statement:
    """Write the statement; `stated` are the operator's words, by section.

    Raises:
        ConfigurationRefused: there are words for a section that does not ask for any: it is missing from the
            outline, or follows from the configuration, and nobody can say otherwise.
    """
    asked: list[str] = []

    def operator(section: str) -> str:
        asked.append(section)
        return stated.get(section, TO_BE_STATED).strip()

    text = "".join(
        _ENVIRONMENT.get_template(chapter).render(facts, operator=operator) for chapter in CHAPTERS
    )
    if unasked := sorted(stated.keys() - set(asked)):
        raise ConfigurationRefused(
            key=KEY,
            reason=f"section {unasked[0]} is not for the operator to state",
            remedy="take it out; 'pushpki cps --json' lists those that are, under to_be_stated",
        )
    return Statement(
        text=text.rstrip("\n") + "\n",
        to_be_stated=tuple(section for section in asked if section not in stated),
    )


def _of(number: float, unit: str) -> str:
    return f"{number} {unit}" if number == 1 else f"{number} {unit}s"


def _yes(fact: object) -> str:
    return "yes" if fact else "no"


def _cell(text: str) -> str:
    """Write a text that somebody chose so that it stays one cell of a table."""
    return escape(text, quote=False).replace("\\", "\\\\").replace("|", "\\|")


def _environment() -> Environment:
    environment = Environment(  # noqa: S701 - Markdown, not HTML; texts that somebody chose go through _cell
        loader=FunctionLoader(lambda name: (_FOLDER / name).read_text(encoding="utf-8")),
        undefined=StrictUndefined,
        keep_trailing_newline=True,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    environment.filters |= {"of": _of, "yes": _yes, "cell": _cell}
    return environment


_ENVIRONMENT = _environment()
