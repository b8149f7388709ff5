"""`pushpki mail preview`, `test-send` and `templates export`."""

import email
from collections.abc import Iterator
from email import policy
from pathlib import Path

import pytest

from directory.delivery.templates import read_shipped
from tests.command import pushpki
from tests.directory.cli.workplace import Workplace, the_line_of
from tests.postbox import Postbox, postbox


@pytest.fixture(scope="module")
def box() -> Iterator[Postbox]:
    with postbox() as opened:
        yield opened


def use_templates(workplace: Workplace, folder: Path) -> None:
    with workplace.config.open("a", encoding="utf-8") as config:
        config.write(f'\n[delivery]\ntemplates = "{folder}"\n')


def test_shows_the_text_and_says_where_it_is_from(template: Workplace) -> None:
    done = template.pushpki("mail", "preview", "--org", "hospital", "--language", "de-at")
    assert done.code == 0
    assert done.out.startswith(
        "Subject: Ihr Schlüssel für verschlüsselte E-Mails von City Hospital\n\nGuten Tag,"
    )
    assert [line.rpartition("/mail/")[2] for line in done.err.splitlines()] == [
        "key_package/de/subject.txt",
        "key_package/de/body.txt",
        "key_package/de/body.html",
        "frame.html",
    ]


def test_shows_the_page(template: Workplace) -> None:
    done = template.pushpki("mail", "preview", "proof", "--org", "hospital", "--as", "html")
    assert done.out.startswith('<!DOCTYPE html>\n<html lang="en"')


def test_a_program_gets_everything_at_once(template: Workplace) -> None:
    shown = template.document("mail", "preview", "--org", "hospital", "--language", "es")
    assert (shown["organization"], shown["language"]) == ("hospital", "es")
    assert str(shown["subject"]).startswith("Su clave")
    assert str(shown["text"]).startswith("Buenos días")
    assert str(shown["html"]).startswith("<!DOCTYPE html>")


def test_writes_the_whole_mail_to_a_file(template: Workplace, tmp_path: Path) -> None:
    out = tmp_path / "mail.eml"
    done = template.pushpki("mail", "preview", "--org", "hospital", "--as", "eml", "--out", str(out))
    assert (done.code, done.out) == (0, "")
    message = email.message_from_bytes(out.read_bytes(), policy=policy.default)
    assert message["From"] == "City Hospital <keys@hospital.org>"
    assert [part.get_filename() for part in message.iter_attachments()] == ["encryption-key.p12"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("nonsense", "--org", "hospital"), "no message 'nonsense'"),
        (("--org", "hospital", "--specimen", "nonsense"), "no specimen of key_package 'nonsense'"),
        (("--org", "nobody"), "no organization 'nobody'"),
    ],
)
def test_names_what_does_not_exist(template: Workplace, arguments: tuple[str, ...], said: str) -> None:
    assert said in template.refusal("mail", "preview", *arguments, code=66)


def test_an_operators_words_are_shown(workplace: Workplace, tmp_path: Path) -> None:
    folder = tmp_path / "words"
    done = pushpki("mail", "templates", "export", str(folder), "--message", "key_package", "--language", "fr")
    assert done.code == 0
    exported = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    assert exported == {
        "frame.html",
        "key_package/fr/subject.txt",
        "key_package/fr/body.txt",
        "key_package/fr/body.html",
    }
    (folder / "key_package/fr/subject.txt").write_text("Bonjour de {{ organization }}\n", encoding="utf-8")
    use_templates(workplace, folder)
    shown = workplace.lines("mail", "preview", "--org", "hospital", "--language", "fr")
    assert shown[0] == "Subject: Bonjour de City Hospital"


def test_a_broken_template_is_named_by_file_and_line(workplace: Workplace, tmp_path: Path) -> None:
    broken = tmp_path / "words" / "hospital" / "key_package" / "en" / "body.txt"
    broken.parent.mkdir(parents=True)
    broken.write_text("Good day,\n\n{{ organisation }}\n", encoding="utf-8")
    use_templates(workplace, tmp_path / "words")
    for command in (("mail", "preview", "--org", "hospital"), ("serve",)):
        line = workplace.refusal(*command, code=78)
        assert f"delivery.templates: {broken}:3: UndefinedError: 'organisation' is undefined" in line


def test_everything_that_ships_can_be_exported(tmp_path: Path) -> None:
    folder = tmp_path / "words"
    done = pushpki("mail", "templates", "export", str(folder))
    shipped = read_shipped()
    assert done.out == f"{len(shipped)} templates in {folder}; see delivery.templates.\n"
    assert {
        str(path.relative_to(folder)): path.read_text(encoding="utf-8")
        for path in folder.rglob("*")
        if path.is_file()
    } == {name: source.text for name, source in shipped.items()}


def test_an_export_overwrites_nothing(tmp_path: Path) -> None:
    (tmp_path / "frame.html").write_text("mine", encoding="utf-8")
    line = the_line_of(pushpki("mail", "templates", "export", str(tmp_path)), 78)
    assert "is not empty" in line
    assert (tmp_path / "frame.html").read_text(encoding="utf-8") == "mine"


def test_exports_nothing_that_there_is_not(tmp_path: Path) -> None:
    folder = tmp_path / "words"
    done = pushpki("mail", "templates", "export", str(folder), "--language", "tlh")
    assert "no such message" in the_line_of(done, 78)
    assert not folder.exists()


def test_sends_a_test_on_the_organizations_way(workplace: Workplace, box: Postbox) -> None:
    workplace.document("org", "set", "hospital", "--smtp", f"smtp://127.0.0.1:{box.port}")
    told = workplace.document("mail", "test-send", "--org", "hospital", "--to", "me@example.org")
    assert (told["accepted"], told["host"]) == (True, "127.0.0.1")
    message = box.message_to("me@example.org")
    assert message["Subject"] == "TEST: Your key for encrypted mail from City Hospital"
    [attached] = message.iter_attachments()
    assert attached.get_filename() == "encryption-key.p12"


def test_a_test_that_is_not_accepted_ends_with_one(workplace: Workplace) -> None:
    done = workplace.pushpki("mail", "test-send", "--org", "hospital", "--to", "me@example.org", "--json")
    assert done.code == 1
    assert '"accepted": false' in done.out


def test_no_test_is_sent_to_who_wants_no_mail(workplace: Workplace) -> None:
    workplace.document("suppression", "add", "me@example.org", "--yes")
    line = workplace.refusal("mail", "test-send", "--org", "hospital", "--to", "ME@example.org", code=65)
    assert "mail.suppressed" in line
