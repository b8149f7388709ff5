import base64
import hashlib
import re

import pytest
from jinja2 import UndefinedError

from directory.http.pages.rendering import Sender, file_name, message, page, voice
from directory.http.pages.words import FOLDER, LANGUAGES

HOSPITAL = Sender(name="City <Hospital>", contact="+49 30 1234567")


def test_the_policy_allows_the_one_style_that_the_page_has() -> None:
    answer = message("unknown", "text", speaking=voice("en"))

    (style,) = re.findall(r"<style>(.*?)</style>", bytes(answer.body).decode(), re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert f"style-src 'sha256-{digest}';" in answer.headers["Content-Security-Policy"]


def test_the_style_fetches_nothing() -> None:
    style = (FOLDER / "style.css").read_text(encoding="utf-8")

    assert "url(" not in style
    assert "@import" not in style


def test_no_template_brings_a_script_or_a_style_of_its_own() -> None:
    for name in ("layout", "install", "prove", "stop", "message", "pictures"):
        template = (FOLDER / f"{name}.html").read_text(encoding="utf-8")

        assert "<script" not in template
        assert not re.search(r"\s(?:style|on[a-z]+)=", template)
        assert "|safe" not in template.replace(" ", "")


def test_names_are_escaped_and_isolated_from_the_text_around_them() -> None:
    said = voice("en", HOSPITAL).say("page.automatic")

    assert said == "This page was made automatically for <bdi>City &lt;Hospital&gt;</bdi>."


def test_a_file_name_stays_in_one_piece() -> None:
    assert file_name("a<b.p12") == '<bdi class="file">a&lt;b.p12</bdi>'


def test_a_page_names_its_sender_only_where_there_is_one() -> None:
    named = bytes(message("stopped", speaking=voice("en", HOSPITAL)).body).decode()
    nameless = bytes(message("unknown", speaking=voice("en")).body).decode()

    assert "<bdi>City &lt;Hospital&gt;</bdi>" in named
    assert "+49 30 1234567" in named
    assert "bdi" not in re.sub(r"<style>.*?</style>", "", nameless, flags=re.DOTALL)


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_language_is_offered_in_its_own_words_and_the_current_one_marked(language: str) -> None:
    shown = bytes(message("unknown", speaking=voice(language)).body).decode()

    offered = re.findall(r'<a href="\?lang=(\w+)" lang="\1" hreflang="\1"( aria-current="true")?>', shown)
    assert [code for code, _ in offered] == list(LANGUAGES)
    assert [code for code, current in offered if current] == [language]


def test_a_value_that_was_forgotten_is_an_error_and_not_a_blank() -> None:
    with pytest.raises(UndefinedError):
        page("prove.html", voice("en", HOSPITAL, address="alice@example.com"))
