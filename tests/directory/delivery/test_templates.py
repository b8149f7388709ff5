from pathlib import Path

import pytest
from jinja2 import TemplateNotFound, UndefinedError
from jinja2.exceptions import SecurityError

from directory.delivery.templates import SHIPPED, MessageTemplates


def write_message(folder: Path, *, subject: str = "s", plain: str = "p", html: str = "h") -> Path:
    message = folder / "greeting"
    message.mkdir(parents=True)
    (message / "subject.txt").write_text(subject, encoding="utf-8")
    (message / "body.txt").write_text(plain, encoding="utf-8")
    (message / "body.html").write_text(html, encoding="utf-8")
    return folder


def test_fills_in_what_it_is_given(tmp_path: Path) -> None:
    folder = write_message(
        tmp_path, subject="Hello {{ name }}\n", plain="Dear {{ name }}", html="<b>{{ name }}</b>"
    )
    text = MessageTemplates("greeting", [folder]).render({"name": "Anna"})
    assert (text.subject, text.plain, text.html) == ("Hello Anna", "Dear Anna", "<b>Anna</b>")


def test_escapes_html_and_leaves_text_as_it_is(tmp_path: Path) -> None:
    folder = write_message(tmp_path, plain="{{ name }}", html="{{ name }}")
    text = MessageTemplates("greeting", [folder]).render({"name": "<a href='x'>&"})
    assert text.plain == "<a href='x'>&"
    assert text.html == "&lt;a href=&#39;x&#39;&gt;&amp;"


def test_refuses_a_variable_that_was_not_given(tmp_path: Path) -> None:
    templates = MessageTemplates("greeting", [write_message(tmp_path, plain="{{ nobody }}")])
    with pytest.raises(UndefinedError):
        templates.render({"name": "Anna"})


def test_a_variable_is_not_a_template(tmp_path: Path) -> None:
    templates = MessageTemplates("greeting", [write_message(tmp_path, plain="{{ name }}")])
    assert templates.render({"name": "{{ 7 * 7 }}"}).plain == "{{ 7 * 7 }}"


@pytest.mark.parametrize(
    "attempt",
    [
        "{{ name.__class__.__mro__ }}",
        "{{ name.format.__globals__ }}",
        "{{ ''.__class__.__base__.__subclasses__() }}",
    ],
)
def test_a_template_reaches_nothing_beyond_its_variables(tmp_path: Path, attempt: str) -> None:
    templates = MessageTemplates("greeting", [write_message(tmp_path, plain=attempt)])
    with pytest.raises((SecurityError, UndefinedError)):
        templates.render({"name": "Anna"})


def test_a_template_reads_no_file_outside_its_folders(tmp_path: Path) -> None:
    (tmp_path / "secret.txt").write_text("secret", encoding="utf-8")
    folder = write_message(tmp_path / "mail", plain="{% include '../secret.txt' %}")
    with pytest.raises(TemplateNotFound):
        MessageTemplates("greeting", [folder]).render({})


def test_an_earlier_folder_overrides_single_templates(tmp_path: Path) -> None:
    usual = write_message(tmp_path / "usual", subject="usual", plain="usual")
    special = tmp_path / "special" / "greeting"
    special.mkdir(parents=True)
    (special / "subject.txt").write_text("special", encoding="utf-8")
    text = MessageTemplates("greeting", [tmp_path / "special", usual]).render({})
    assert (text.subject, text.plain) == ("special", "usual")


def test_a_message_that_is_not_there_is_noticed_at_once() -> None:
    with pytest.raises(TemplateNotFound):
        MessageTemplates("no_such_message", [SHIPPED])
