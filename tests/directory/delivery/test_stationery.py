import logging
from dataclasses import replace
from pathlib import Path

import pytest
from jinja2 import UndefinedError

from directory.delivery.specimens import SPECIMENS
from directory.delivery.stationery import Stationery, content_id, display_name
from directory.errors import ConfigurationRefused
from directory.organization import Correspondence, Organization
from tests.directory.builders import an_organization
from tests.directory.delivery.builders import a_stationery
from tests.directory.delivery.overriding import a_png, put

MESSAGE = "key_package"
VARIABLES = SPECIMENS[MESSAGE][0].variables
SHIPPED_LANGUAGES = {"en", "de", "fr", "es"}


def an_organization_that_writes(
    *, slug: str = "hospital", language: str = "en", sender_name: str = ""
) -> Organization:
    correspondence = Correspondence(language=language, sender_name=sender_name)
    return replace(an_organization(slug=slug), correspondence=correspondence)


def subject_of(stationery: Stationery, organization: Organization, language: str = "en") -> str:
    text = stationery.write(MESSAGE, organization=organization, language=language, variables=VARIABLES)
    return text.subject


@pytest.mark.parametrize(
    ("wanted", "of_the_organization", "written"),
    [
        ("de", "en", "de"),
        ("DE", "en", "de"),
        ("de-at", "fr", "de"),
        ("de-AT-1996", "fr", "de"),
        ("it", "fr", "fr"),
        ("it", "fr-ca", "fr"),
        ("it", "pt", "en"),
        ("", "es", "es"),
        ("../../etc", "es", "es"),
        ("de/../../x", "..", "en"),
        ("d" * 10_000, "", "en"),
    ],
)
def test_a_language_that_is_not_there_is_replaced(
    wanted: str, of_the_organization: str, written: str
) -> None:
    organization = an_organization_that_writes(language=of_the_organization)
    assert a_stationery().language_for(MESSAGE, organization=organization, wanted=wanted) == written


def test_the_own_words_come_before_those_for_all_and_those_before_the_shipped(tmp_path: Path) -> None:
    put(tmp_path, "key_package/en/subject.txt", "for all")
    put(tmp_path, "hospital/key_package/en/subject.txt", "of its own")
    stationery = Stationery(tmp_path)
    assert subject_of(stationery, an_organization_that_writes(slug="hospital")) == "of its own"
    assert subject_of(stationery, an_organization_that_writes(slug="clinic")) == "for all"
    german = subject_of(stationery, an_organization_that_writes(slug="hospital"), "de")
    assert german == "Ihr Schlüssel für verschlüsselte E-Mails von City Hospital"


def test_what_is_not_overridden_stays_as_it_ships(tmp_path: Path) -> None:
    put(tmp_path, "hospital/key_package/en/subject.txt", "of its own")
    organization = an_organization_that_writes()
    text = Stationery(tmp_path).write(MESSAGE, organization=organization, language="en", variables=VARIABLES)
    usual = a_stationery().write(MESSAGE, organization=organization, language="en", variables=VARIABLES)
    assert (text.subject, text.plain, text.html) == ("of its own", usual.plain, usual.html)


def test_an_organization_may_add_a_language(tmp_path: Path) -> None:
    for part in ("subject.txt", "body.txt", "body.html"):
        put(tmp_path, f"hospital/key_package/it/{part}", "Buongiorno")
    stationery = Stationery(tmp_path)
    assert stationery.languages(MESSAGE, "hospital") == SHIPPED_LANGUAGES | {"it"}
    assert stationery.languages(MESSAGE, "clinic") == SHIPPED_LANGUAGES
    assert subject_of(stationery, an_organization_that_writes(), "it-CH") == "Buongiorno"
    assert subject_of(stationery, an_organization_that_writes(slug="clinic"), "it").startswith("Your key")


def test_a_frame_of_its_own_surrounds_every_message(tmp_path: Path) -> None:
    put(tmp_path, "hospital/frame.html", "<main>{% block words %}{% endblock %}</main>")
    text = Stationery(tmp_path).write(
        MESSAGE, organization=an_organization_that_writes(), language="fr", variables=VARIABLES
    )
    assert text.html.startswith("<main>")
    assert "Votre clé est jointe" in text.html


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("key_package/en/body.txt", "one\n{% if %}", "/key_package/en/body.txt:2: TemplateSyntaxError"),
        ("hospital/key_package/de/body.html", "{{ nam }}", "/hospital/key_package/de/body.html:1: Undefined"),
        ("hospital/key_package/de/body.txt", "{{ 1 / 0 }}", "body.txt:1: ZeroDivisionError"),
        # In the branch of one specimen only.
        ("key_package/en/body.txt", "{% if install_url %}\n{{ x }}{% endif %}", "body.txt:2: UndefinedError"),
        ("key_package/en/body.txt", "{% if logo %}{{ x }}{% endif %}", "body.txt:1: UndefinedError"),
        ("frame.html", "{% block words %}", "/frame.html:1: TemplateSyntaxError"),
        ("hospital/frame.html", "{{ x }}", "/hospital/frame.html:1: UndefinedError"),
        ("key_package/en/body.html", "{% extends 'x.html' %}", "body.html:1: TemplateNotFound"),
    ],
)
def test_refuses_to_begin_with_a_broken_template(tmp_path: Path, name: str, content: str, said: str) -> None:
    put(tmp_path, name, content)
    with pytest.raises(ConfigurationRefused) as caught:
        Stationery(tmp_path)
    assert caught.value.key == "delivery.templates"
    assert said in caught.value.reason


def test_a_template_that_breaks_later_costs_its_looks_and_not_the_mail(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    # Well while there is a contact of this length, as in the trial.
    path = put(tmp_path, "hospital/key_package/de/body.txt", "{{ 1 / (contact|length - 3) }}")
    stationery = Stationery(tmp_path)
    organization = replace(an_organization_that_writes(), contact="123")
    with caplog.at_level(logging.ERROR):
        text = stationery.write(MESSAGE, organization=organization, language="de", variables=VARIABLES)
    assert text.plain.startswith("Guten Tag,")
    assert text.language == "de"
    [record] = caplog.records
    assert record.getMessage() == (
        f"a template is broken, the shipped one was used: ZeroDivisionError in {path}:1"
    )
    assert record.exc_info is None


def test_a_language_of_its_own_that_breaks_later_is_replaced_by_english(tmp_path: Path) -> None:
    for part in ("subject.txt", "body.html"):
        put(tmp_path, f"key_package/it/{part}", "Buongiorno")
    put(tmp_path, "key_package/it/body.txt", "{{ 1 / (contact|length - 3) }}")
    organization = replace(an_organization_that_writes(), contact="123")
    text = Stationery(tmp_path).write(MESSAGE, organization=organization, language="it", variables=VARIABLES)
    assert text.language == "en"
    assert text.plain.startswith("Good day,")


def test_a_missing_variable_is_our_own_fault() -> None:
    with pytest.raises(UndefinedError):
        a_stationery().write(
            MESSAGE, organization=an_organization_that_writes(), language="en", variables={"address": "x"}
        )


def test_what_is_changed_after_the_start_does_not_matter(tmp_path: Path) -> None:
    path = put(tmp_path, "key_package/en/subject.txt", "before")
    stationery = Stationery(tmp_path)
    path.write_text("{% broken", encoding="utf-8")
    assert subject_of(stationery, an_organization_that_writes()) == "before"


def test_a_logo_is_shown_by_its_content_id(tmp_path: Path) -> None:
    put(tmp_path, "hospital/logo.png", a_png())
    stationery = Stationery(tmp_path)
    organization = an_organization_that_writes()
    logo = stationery.logo(organization)
    assert logo is not None
    text = stationery.write(MESSAGE, organization=organization, language="en", variables=VARIABLES)
    assert f'<img src="cid:{content_id(logo, organization)}" alt="City Hospital"' in text.html
    assert stationery.logo(an_organization_that_writes(slug="clinic")) is None


def test_says_which_files_a_message_is_written_from(tmp_path: Path) -> None:
    path = put(tmp_path, "hospital/key_package/en/subject.txt", "of its own")
    subject, plain, html, frame = Stationery(tmp_path).files(MESSAGE, "hospital", "en")
    assert subject == str(path)
    assert plain.endswith("mail/key_package/en/body.txt")
    assert html.endswith("mail/key_package/en/body.html")
    assert frame.endswith("mail/frame.html")


@pytest.mark.parametrize(
    ("sender_name", "name", "shown"),
    [
        ("", "City Hospital", "City Hospital"),
        ("Secure mail of City Hospital", "City Hospital", "Secure mail of City Hospital"),
        ("", "City\r\nBcc: x@y.example", "City Bcc: x@y.example"),
        ("\u202e", "City Hospital", "City Hospital"),
        ("", "\u202e\u200b", "hospital.org"),
        ("", "x" * 10_000, "x" * 200),
    ],
)
def test_the_name_is_one_visible_line(sender_name: str, name: str, shown: str) -> None:
    organization = replace(an_organization_that_writes(sender_name=sender_name), name=name)
    assert display_name(organization) == shown
