import re
import string
import tomllib
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markupsafe import Markup

from directory.http.pages.words import FOLDER, LANGUAGES, preferred_language, words_in
from directory.platforms import Platform

TRANSLATIONS = LANGUAGES[1:]
MAY_BE_THE_SAME = ("devices.", "page.months.", "page.date")
"""Names of products, of some months, and how some days are written."""


def catalogue(language: str) -> dict[str, str]:
    """Return every text by its key, steps by their number."""
    text = (FOLDER / "words" / f"{language}.toml").read_text(encoding="utf-8")
    return dict(flat(tomllib.loads(text)))


def flat(table: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    for name, value in table.items():
        key = f"{prefix}{name}"
        if isinstance(value, str):
            yield key, value
        else:
            nested = value if isinstance(value, dict) else {str(i): one for i, one in enumerate(value)}
            yield from flat(nested, f"{key}.")


def names_in(text: str) -> list[str]:
    return sorted(name for _, name, _, _ in string.Formatter().parse(text) if name)


def tags_in(text: str) -> list[str]:
    return sorted(re.findall(r"</?[a-z]+", text))


@pytest.mark.parametrize("language", TRANSLATIONS)
def test_every_language_says_the_same_things(language: str) -> None:
    english, translated = catalogue("en"), catalogue(language)

    assert set(translated) == set(english)
    assert {key: set(names_in(text)) for key, text in translated.items()} == {
        key: set(names_in(text)) for key, text in english.items()
    }


@pytest.mark.parametrize("language", TRANSLATIONS)
def test_every_language_emphasizes_the_same_things(language: str) -> None:
    english, translated = catalogue("en"), catalogue(language)

    assert {key: tags_in(text) for key, text in translated.items()} == {
        key: tags_in(text) for key, text in english.items()
    }


@pytest.mark.parametrize("language", TRANSLATIONS)
def test_nothing_was_left_in_english(language: str) -> None:
    english, translated = catalogue("en"), catalogue(language)

    same = {key for key in english if english[key] == translated[key]}
    assert {key for key in same if not key.startswith(MAY_BE_THE_SAME)} == set()


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_text_is_whole_html_without_anything_active(language: str) -> None:
    for key, text in catalogue(language).items():
        assert text.strip() == text, key
        assert set(tags_in(text)) <= {"<strong", "</strong", "<em", "</em", "<br", "<span", "</span"}, key
        assert text.count("<strong>") == text.count("</strong>"), key
        assert "&" not in text, key


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("device", Platform)
def test_there_are_as_many_steps_in_every_language(language: str, device: Platform) -> None:
    names = {"file_name": "f", "authority": "a", "authority_file": "c", "profile_title": "p"}

    steps = words_in(language).steps(device.value, names)

    assert len(steps) == len(words_in("en").steps(device.value, names)) >= 4


def test_what_is_put_in_is_escaped_and_what_was_escaped_is_not_again() -> None:
    words = words_in("en")

    said = words.say("page.automatic", {"organization": "<b>&"})
    marked = words.say("page.automatic", {"organization": Markup("<bdi>&amp;</bdi>")})

    assert said == "This page was made automatically for &lt;b&gt;&amp;."
    assert marked == "This page was made automatically for <bdi>&amp;</bdi>."


def test_a_name_that_was_not_given_is_an_error_and_not_a_blank() -> None:
    with pytest.raises(KeyError):
        words_in("en").say("page.automatic", {})


@pytest.mark.parametrize(
    ("language", "written"),
    [
        ("en", "3 March 2027"),
        ("de", "3. März 2027"),
        ("fr", "3 mars 2027"),
        ("es", "3 de marzo de 2027"),
    ],
)
def test_writes_a_day_as_the_language_does(language: str, written: str) -> None:
    assert words_in(language).date(datetime(2027, 3, 3, tzinfo=UTC)) == written


@pytest.mark.parametrize(
    ("asked_for", "accepted", "recipients", "expected"),
    [
        ("fr", "de", "es", "fr"),
        (None, "de", "es", "de"),
        (None, "", "es", "es"),
        (None, "", None, "en"),
        (None, "", "pt", "en"),
        ("xx", "it,pt;q=0.8", "es", "es"),
        (None, "de-AT, en;q=0.5", None, "de"),
        (None, "en;q=0.2, FR-ca;q=0.9, es;q=0.5", None, "fr"),
        (None, "de;q=0, en", None, "en"),
        (None, "*", "de", "de"),
        (None, "de;q=2, de;q=x, ;;;, es;q=0.1", None, "es"),
    ],
)
def test_speaks_the_language_chosen_then_preferred_then_the_deliverys(
    asked_for: str | None, accepted: str, recipients: str | None, expected: str
) -> None:
    assert preferred_language(asked_for, accepted, recipients) == expected


@given(st.text(), st.text(), st.text())
def test_always_speaks_some_language(asked_for: str, accepted: str, recipients: str) -> None:
    assert preferred_language(asked_for, accepted, recipients) in LANGUAGES
