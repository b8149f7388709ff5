"""What do the pages say, in which language? One catalogue of words for each, and the choice among them.

A value is HTML of ours with names in braces; what is put in for a name is escaped. So whoever translates may
emphasize, and whoever names an organization may not.
"""

import re
import tomllib
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from importlib.resources import files
from types import MappingProxyType
from typing import Any

from markupsafe import Markup

LANGUAGES: tuple[str, ...] = ("en", "de", "fr", "es")
"""The first is spoken to whom nothing else is known to suit."""

FOLDER = files("directory") / "templates" / "install"

_LONGEST_HEADER = 200
_RANGE = re.compile(r"\s*([A-Za-z]{1,8})(?:-[A-Za-z0-9-]+)?\s*(?:;\s*q=([01](?:\.\d{0,3})?))?\s*")


class Words:
    """The words of one language."""

    def __init__(self, language: str, catalogue: Mapping[str, Mapping[str, Any]]) -> None:
        self.language = language
        self._catalogue = catalogue

    def say(self, key: str, variables: Mapping[str, str | Markup]) -> Markup:
        """Return the text of a key such as `install.title` with the variables put in.

        Raises:
            KeyError: there is no such text, or it names a variable that was not given.
        """
        section, _, name = key.partition(".")
        return Markup(self._catalogue[section][name]).format(**variables)  # noqa: S704 - the catalogue is ours

    def steps(self, device: str, variables: Mapping[str, str | Markup]) -> Sequence[Markup]:
        """Return the steps for a device, in their order."""
        texts = self._catalogue["steps"][device]
        return [Markup(text).format(**variables) for text in texts]  # noqa: S704 - likewise

    def date(self, moment: datetime) -> str:
        """Return a day as it is written in this language."""
        page = self._catalogue["page"]
        month = page["months"][moment.month - 1]
        return str(page["date"]).format(day=moment.day, month=month, year=moment.year)


@lru_cache(maxsize=len(LANGUAGES))
def words_in(language: str) -> Words:
    """Return the words of one of `LANGUAGES`."""
    catalogue = tomllib.loads((FOLDER / "words" / f"{language}.toml").read_text(encoding="utf-8"))
    return Words(language, MappingProxyType(catalogue))


def preferred_language(asked_for: str | None, accept_language: str, recipients: str | None) -> str:
    """Return the language to speak: what was chosen on the page, what the browser prefers, the delivery's."""
    if asked_for in LANGUAGES:
        return asked_for
    accepted = _accepted(accept_language)
    if accepted is not None:
        return accepted
    return recipients if recipients in LANGUAGES else LANGUAGES[0]


def _accepted(header: str) -> str | None:
    """Return the language of ours that `Accept-Language` (RFC 9110 section 12.5.4) prefers."""
    best, highest = None, 0.0
    for item in header[:_LONGEST_HEADER].split(","):
        match = _RANGE.fullmatch(item)
        if match is None or match[1].lower() not in LANGUAGES:
            continue
        quality = float(match[2] or 1)
        if quality > highest:
            best, highest = match[1].lower(), quality
    return best
