import pytest
from jinja2 import TemplateNotFound, UndefinedError
from jinja2.exceptions import SecurityError, TemplateSyntaxError

from directory.delivery.templates import BROKEN, Source, TemplateSet, read_shipped


def a_place(
    *, message: str = "greeting", language: str = "en", subject: str = "s", plain: str = "p", html: str = "h"
) -> dict[str, Source]:
    parts = {"subject.txt": subject, "body.txt": plain, "body.html": html}
    return {
        f"{message}/{language}/{part}": Source(text=text, file=f"/of/{language}/{part}")
        for part, text in parts.items()
    }


def test_fills_in_what_it_is_given() -> None:
    place = a_place(subject="Hello {{ name }}\n", plain="Dear {{ name }}", html="<b>{{ name }}</b>")
    text = TemplateSet([place]).write("greeting", "en", {"name": "Anna"})
    assert (text.subject, text.plain, text.html) == ("Hello Anna", "Dear Anna", "<b>Anna</b>")
    assert text.language == "en"


def test_escapes_html_and_leaves_text_as_it_is() -> None:
    templates = TemplateSet([a_place(plain="{{ name }}", html="{{ name }}")])
    text = templates.write("greeting", "en", {"name": "<a href='x'>&"})
    assert text.plain == "<a href='x'>&"
    assert text.html == "&lt;a href=&#39;x&#39;&gt;&amp;"


def test_refuses_a_variable_that_was_not_given() -> None:
    templates = TemplateSet([a_place(plain="{{ nobody }}")])
    with pytest.raises(UndefinedError):
        templates.write("greeting", "en", {"name": "Anna"})


def test_a_variable_is_not_a_template() -> None:
    templates = TemplateSet([a_place(plain="{{ name }}")])
    assert templates.write("greeting", "en", {"name": "{{ 7 * 7 }}"}).plain == "{{ 7 * 7 }}"


def test_a_subject_is_one_line() -> None:
    templates = TemplateSet([a_place(subject="Your key\n  from {{ name }}\n\n")])
    assert templates.write("greeting", "en", {"name": "Anna"}).subject == "Your key from Anna"


@pytest.mark.parametrize(
    "attempt",
    [
        "{{ name.__class__.__mro__ }}",
        "{{ name.format.__globals__ }}",
        "{{ ''.__class__.__base__.__subclasses__() }}",
        "{{ '{0.__class__}'.format(name) }}",
        "{{ self.__init__.__globals__ }}",
        "{% for n in range(10000000) %}x{% endfor %}",
    ],
)
def test_a_template_reaches_nothing_beyond_its_variables(attempt: str) -> None:
    templates = TemplateSet([a_place(plain=attempt)])
    with pytest.raises((SecurityError, UndefinedError, OverflowError)) as caught:
        templates.write("greeting", "en", {"name": "Anna"})
    assert isinstance(caught.value, BROKEN)


@pytest.mark.parametrize("name", ["../secret.txt", "/etc/passwd", "greeting/../../secret.txt", "secret.txt"])
def test_a_template_includes_nothing_but_templates(name: str) -> None:
    templates = TemplateSet([a_place(plain=f"{{% include '{name}' %}}")])
    with pytest.raises(TemplateNotFound):
        templates.write("greeting", "en", {})


def test_the_first_place_that_has_a_template_wins() -> None:
    special = {"greeting/en/subject.txt": Source(text="special", file="/special")}
    text = TemplateSet([special, a_place(subject="usual", plain="usual")]).write("greeting", "en", {})
    assert (text.subject, text.plain) == ("special", "usual")


def test_a_language_counts_only_where_the_message_is_there_as_a_whole() -> None:
    half = {"greeting/it/subject.txt": Source(text="x", file="/it")}
    templates = TemplateSet(
        [half, a_place(), a_place(language="de"), a_place(message="other", language="fr")]
    )
    assert templates.languages("greeting") == {"en", "de"}
    assert templates.languages("nothing") == frozenset()


def test_a_message_that_is_not_there_is_not_written() -> None:
    with pytest.raises(TemplateNotFound):
        TemplateSet([a_place()]).write("no_such_message", "en", {})


def test_says_in_which_file_and_line_a_template_is_broken() -> None:
    templates = TemplateSet([a_place(plain="{% if %}", html="one\ntwo {{ nobody }}\n")])
    with pytest.raises(TemplateSyntaxError) as syntax:
        templates.write("greeting", "en", {})
    assert templates.place_of(syntax.value) == "/of/en/body.txt:1"

    templates = TemplateSet([a_place(html="one\ntwo {{ nobody }}\n")])
    with pytest.raises(UndefinedError) as undefined:
        templates.write("greeting", "en", {})
    assert templates.place_of(undefined.value) == "/of/en/body.html:2"
    assert templates.place_of(ValueError()) == ""


def test_what_ships_is_read_by_name() -> None:
    shipped = read_shipped()
    assert {"frame.html", "key_package/en/subject.txt", "key_package/en/body.html"} <= shipped.keys()
    assert shipped["frame.html"].file.endswith("/mail/frame.html")
