"""`pushpki init`: what people and programs are told of a new installation."""

from pathlib import Path

from tests.command import Done, pushpki
from tests.directory.cli.workplace import Workplace, the_line_of


def test_programs_are_told_where_everything_is(
    template_document: dict[str, str], template: Workplace
) -> None:
    assert template_document.keys() == {"configuration", "root_fingerprint", "issuer_id", "suffix"}
    assert template_document["configuration"] == str(template.config)
    assert template_document["suffix"] == "o=directory"
    assert len(bytes.fromhex(template_document["root_fingerprint"])) == 32


def test_people_are_told_what_to_do_next(protected_init: Done, protected_template: Workplace) -> None:
    assert protected_init.code == 0
    text = protected_init.out
    assert str(protected_template.config) in text
    assert "Back the master key up" in text
    assert "org add" in text
    assert "placeholder" not in text, "the public URL was given"


def test_the_passphrase_is_in_no_file_of_the_installation(protected_template: Workplace) -> None:
    for path in protected_template.folder.iterdir():
        assert b"correct horse" not in path.read_bytes()


def test_an_existing_folder_is_left_alone(template: Workplace) -> None:
    before = {path: path.read_bytes() for path in template.folder.iterdir()}

    line = the_line_of(pushpki("init", "--dir", str(template.folder)), 78)

    assert f"--dir: {template.folder} exists already" in line
    assert {path: path.read_bytes() for path in template.folder.iterdir()} == before


def test_what_is_refused_is_named_and_leaves_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "pushpki"
    for arguments, named in (
        (("--name", "x" * 65), "--name"),
        (("--public-url", "https://pki.hospital.org"), "--public-url: 'https://pki.hospital.org' must be"),
        (("--suffix", "nonsense"), "directory.suffix"),
        (("--database", "mysql://db"), "database.url"),
        (("--database", "postgresql://u:hunter2@db/x"), "database.url"),
        (("--passphrase-file", str(tmp_path / "missing")), "--passphrase-file"),
    ):
        line = the_line_of(pushpki("init", "--dir", str(folder), *arguments), 78)
        assert named in line
        assert "hunter2" not in line
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    line = the_line_of(pushpki("init", "--dir", str(tmp_path / "file" / "pushpki")), 78)

    assert "--dir" in line
    assert "cannot be made" in line
