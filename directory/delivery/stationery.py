"""In whose words, in which language and under whose logo is a mail written?

What an organization brought comes before what the operator brought for all, and that before what ships. The
templates of both are tried out when the service starts, and it refuses to start with a broken one. Should
one break all the same, over variables that nobody thought of, the mail is written in the shipped words: a
mail that looks plain is better than one that is lost.
"""

import logging
from collections.abc import Iterator, Mapping
from pathlib import Path

from directory.delivery.overrides import KEY, Logo, Overrides, read_overrides
from directory.delivery.specimens import SPECIMENS
from directory.delivery.templates import (
    BROKEN,
    FRAME,
    LANGUAGE,
    MessageText,
    TemplateSet,
    names_of,
    read_shipped,
)
from directory.delivery.text import one_line
from directory.errors import ConfigurationRefused
from directory.organization import Organization

logger = logging.getLogger(__name__)

LAST_RESORT = "en"
"""The language in which every message ships."""

_LONGEST_NAME = 200
_LONGEST_CONTACT = 500


class Stationery:
    """The templates and logos of all organizations.

    Raises:
        ConfigurationRefused: the folder of overrides cannot be used; or a template in it is broken, and the
            refusal names its file and line.
    """

    def __init__(self, overrides: Path | None = None) -> None:
        shipped = read_shipped()
        self.messages = frozenset(name.split("/")[0] for name in shipped if name != FRAME)
        found = read_overrides(overrides, self.messages) if overrides is not None else Overrides()
        self._logos = found.logos
        self._shipped = TemplateSet([shipped])
        self._general = TemplateSet([found.general, shipped])
        self._own = {slug: TemplateSet([own, found.general, shipped]) for slug, own in found.by_slug.items()}
        self._try_out(found)

    def write(
        self, message: str, *, organization: Organization, language: str, variables: Mapping[str, str]
    ) -> MessageText:
        """Write a message in the language, else in the organization's, else in English.

        Besides the variables given, the templates have `organization`, `contact`, `language` and `logo`.

        Raises:
            jinja2.TemplateError: a shipped template is broken, or a variable is missing.
        """
        effective = self.language_for(message, organization=organization, wanted=language)
        templates = self._templates(organization.slug)
        try:
            return templates.write(
                message, effective, self._letterhead(organization, effective) | dict(variables)
            )
        except BROKEN as error:
            plain = effective if self._shipped.has(message, effective) else LAST_RESORT
            text = self._shipped.write(
                message, plain, self._letterhead(organization, plain) | dict(variables)
            )
            # Not the error's text: it may quote what was filled in.
            kind, place = type(error).__name__, templates.place_of(error)
            logger.error("a template is broken, the shipped one was used: %s in %s", kind, place)  # noqa: TRY400 - a traceback would quote what was filled in
            return text

    def language_for(self, message: str, *, organization: Organization, wanted: str) -> str:
        """Return the language in which a message is written (RFC 4647 section 3.4, lookup)."""
        there = self.languages(message, organization.slug)
        for preferred in (wanted, organization.correspondence.language):
            for tag in _ever_shorter(preferred):
                if tag in there:
                    return tag
        return LAST_RESORT

    def languages(self, message: str, slug: str) -> frozenset[str]:
        """Return the languages in which an organization can send a message."""
        return self._templates(slug).languages(message)

    def logo(self, organization: Organization) -> Logo | None:
        """Return the organization's logo, if it has one."""
        return self._logos.get(organization.slug)

    def files(self, message: str, slug: str, language: str) -> tuple[str, ...]:
        """Return the files that a message is written from."""
        found = map(self._templates(slug).find, (*names_of(message, language), FRAME))
        return tuple(source.file for source in found if source is not None)

    def _templates(self, slug: str) -> TemplateSet:
        return self._own.get(slug, self._general)

    def _letterhead(self, organization: Organization, language: str) -> dict[str, str]:
        logo = self.logo(organization)
        return {
            "organization": display_name(organization),
            "contact": one_line(organization.contact, longest=_LONGEST_CONTACT),
            "language": language,
            "logo": content_id(logo, organization) if logo is not None else "",
        }

    def _try_out(self, found: Overrides) -> None:
        sets = [(self._general, frozenset(found.general))]
        sets += [(self._own[slug], frozenset(own)) for slug, own in found.by_slug.items()]
        for templates, own in sets:
            for message, language in self._concerned(templates, own):
                _try_message(templates, message, language)

    def _concerned(self, templates: TemplateSet, own: frozenset[str]) -> Iterator[tuple[str, str]]:
        """Yield the messages that these templates of somebody's own have a part in."""
        for message in sorted(self.messages):
            for language in sorted(templates.languages(message)):
                if FRAME in own or not own.isdisjoint(names_of(message, language)):
                    yield message, language


def display_name(organization: Organization) -> str:
    """Return the organization's name as recipients see it; its domain if nothing visible is left of it."""
    names = (organization.correspondence.sender_name, organization.name)
    shown = (one_line(name, longest=_LONGEST_NAME) for name in names)
    return next(filter(None, shown), organization.mail_from.display_domain)


def content_id(logo: Logo, organization: Organization) -> str:
    """Return by which name the HTML refers to the logo (RFC 2392), without the angle brackets."""
    return f"{logo.name}@{organization.mail_from.domain}"


def _try_message(templates: TemplateSet, message: str, language: str) -> None:
    letterhead = {"organization": "City Hospital", "language": language}
    for specimen in SPECIMENS.get(message, ()):
        for contact, logo in (("", ""), ("+49 30 1234567", "logo@hospital.example")):
            variables = letterhead | {"contact": contact, "logo": logo} | dict(specimen.variables)
            try:
                templates.write(message, language, variables)
            except BROKEN as error:
                where = templates.place_of(error) or f"{message}/{language}"
                raise ConfigurationRefused(
                    key=KEY,
                    reason=f"{where}: {type(error).__name__}: {error}",
                    remedy="correct the template, or take its file away to have the shipped one",
                ) from error


def _ever_shorter(tag: str) -> Iterator[str]:
    """Yield a language tag, and what is left of it as its subtags are taken away; nothing if it is none."""
    tag = tag.lower()
    while tag and LANGUAGE.fullmatch(tag):
        yield tag
        tag = tag.rpartition("-")[0]
