"""Every mail that ships: as it was, the same as text and as HTML, alike in all languages, come what may."""

import itertools
import re
from dataclasses import replace

import pytest

from directory.delivery.specimens import SPECIMENS, Specimen
from tests.directory.builders import an_organization
from tests.directory.delivery.builders import a_stationery
from tests.directory.delivery.equality import check_equal_in_content, outline_of_html, outline_of_text
from tests.directory.delivery.snapshots import LANGUAGES, Variant, check_snapshot, kept, variants

VARIANTS = variants()
TRANSLATIONS = [variant for variant in VARIANTS if variant.language != "en"]
each_variant = pytest.mark.parametrize("variant", VARIANTS, ids=str)
each_translation = pytest.mark.parametrize("variant", TRANSLATIONS, ids=str)
# What people and machines outside could have their names, addresses and numbers be.
HOSTILE = [
    "</bdi></p><script>alert(1)</script>",
    "<a href='https://bank.example'>your bank</a>",
    '" onmouseover="alert(1)',
    "&lt;b&gt;",
    "{{ 7 * 7 }}{% include 'x' %}",
    "javascript:alert(1)",
    "x" * 500,
    "\U0001f3e5 Клиника בית חולים 病院",
]


def english(variant: Variant) -> Variant:
    return Variant(message=variant.message, specimen=variant.specimen, language="en")


@each_variant
def test_says_what_it_said(variant: Variant) -> None:
    text = variant.written()
    folder = f"{variant.message}/{variant.language}/{variant.specimen.name}"
    check_snapshot(f"{folder}.txt", f"Subject: {text.subject}\n\n{text.plain}")
    check_snapshot(f"{folder}.html", text.html)


def test_keeps_no_snapshot_of_what_is_no_more() -> None:
    folders = {f"{variant.message}/{variant.language}/{variant.specimen.name}" for variant in VARIANTS}
    assert kept() == {f"{folder}.{suffix}" for folder in folders for suffix in ("txt", "html")}


def test_every_message_has_specimens_and_every_language() -> None:
    assert a_stationery().messages == SPECIMENS.keys()
    for message in SPECIMENS:
        assert a_stationery().languages(message, "hospital") == set(LANGUAGES)


@each_variant
def test_text_and_html_say_the_same(variant: Variant) -> None:
    text = variant.written()
    check_equal_in_content(text.plain, text.html)
    assert outline_of_text(text.plain) == outline_of_html(text.html).steps


@each_variant
def test_the_page_names_its_language(variant: Variant) -> None:
    assert outline_of_html(variant.written().html).language == variant.language


@each_translation
def test_all_languages_have_the_same_build(variant: Variant) -> None:
    ours, theirs = outline_of_html(variant.written().html), outline_of_html(english(variant).written().html)
    assert (ours.headings, ours.steps, ours.links) == (theirs.headings, theirs.steps, theirs.links)


@each_translation
def test_all_languages_use_the_same_variables(variant: Variant) -> None:
    def used(one: Variant) -> set[str]:
        plain = one.written().plain
        values = one.specimen.variables.items()
        return {name for name, value in values if value not in {"", "yes"} and value in plain}

    assert used(variant) == used(english(variant))
    assert "City Hospital" in variant.written().html
    assert ("+49 30 1234567" in variant.written().plain) == (
        "+49 30 1234567" in english(variant).written().plain
    )


@each_translation
def test_no_sentence_was_left_in_english(variant: Variant) -> None:
    # The spelling of a password is not the template's.
    spelling = variant.specimen.variables.get("spelling", "")

    def sentences(one: Variant) -> set[str]:
        found = re.split(r"(?<=[.:?!])\s|\n", one.written().plain)
        return {sentence for sentence in found if len(sentence.split()) > 5 and sentence not in spelling}

    assert sentences(variant) & sentences(english(variant)) == set()


@each_variant
def test_headings_come_in_order(variant: Variant) -> None:
    levels = [int(heading[1]) for heading in outline_of_html(variant.written().html).headings]
    assert all(later - earlier <= 1 for earlier, later in itertools.pairwise([1, *levels]))


@each_variant
def test_loads_nothing_and_leaves_colours_to_the_reader(variant: Variant) -> None:
    html = variant.written().html
    assert re.findall(r"(?i)src=|url\(|@import|<img|<script|<link|<form|<iframe|<object|\son\w+=", html) == []
    assert '<meta name="color-scheme" content="light dark">' in html
    # Text in a fixed colour, or on a fixed ground, is unreadable in somebody's dark mode.
    assert re.findall(r"[ \";]color:|background", html) == []
    # What a link says is where it leads.
    for url in outline_of_html(html).links:
        assert url.startswith("https://keys.example.com/install/")
        assert f">{url}</a>" in html


@pytest.mark.parametrize("hostile", HOSTILE, ids=lambda text: repr(text[:20]))
@pytest.mark.parametrize("message", SPECIMENS)
@pytest.mark.parametrize("language", LANGUAGES)
def test_what_is_filled_in_stays_text(message: str, language: str, hostile: str) -> None:
    specimen = SPECIMENS[message][0]
    fixed = {"minted_on", "expires_on", "install_until", "recovered_on", "spelling"}
    variables = {
        name: hostile if value and name not in fixed else value for name, value in specimen.variables.items()
    }
    text = Variant(
        message=message, specimen=Specimen(name="hostile", variables=variables), language=language
    ).written()
    usual = Variant(message=message, specimen=specimen, language=language).written()
    assert len(re.findall("<[a-z]", text.html)) == len(re.findall("<[a-z]", usual.html))
    check_equal_in_content(text.plain, text.html)


@pytest.mark.parametrize("hostile", HOSTILE, ids=lambda text: repr(text[:20]))
def test_an_organization_stays_a_name(hostile: str) -> None:
    organization = replace(an_organization(), name=hostile, contact=hostile)
    for variant in VARIANTS:
        text = a_stationery().write(
            variant.message,
            organization=organization,
            language=variant.language,
            variables=variant.specimen.variables,
        )
        assert len(re.findall("<[a-z]", text.html)) == len(re.findall("<[a-z]", variant.written().html))
        assert "\n" not in text.subject
