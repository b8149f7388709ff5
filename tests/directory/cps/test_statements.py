"""The operator's own words, by section."""

from pathlib import Path

import pytest

from directory.cps.statements import read_statements
from directory.errors import ConfigurationRefused


def written(folder: Path, text: str | bytes) -> Path:
    file = folder / "statements.toml"
    file.write_bytes(text.encode() if isinstance(text, str) else text)
    return file


def test_without_a_file_there_are_none() -> None:
    assert read_statements(None) == {}


def test_they_are_read_by_section(tmp_path: Path) -> None:
    file = written(tmp_path, '"1.5.2" = "Desk"\n"9.14" = """\nThe law of\n* Berlin\n"""\n')

    assert read_statements(file) == {"1.5.2": "Desk", "9.14": "The law of\n* Berlin\n"}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('"1.5.2" = ', "is not TOML"),
        (b'"1.5.2" = "\xff"', "is not UTF-8"),
        ('"1.5.2" = " "', "no text for section '1.5.2'"),
        ('1.5.2 = "without quotes"', "no text for section '1'"),
        ('"1.5.2" = "# Desk"', "a heading in section '1.5.2'"),
    ],
)
def test_what_cannot_be_used_is_refused(tmp_path: Path, text: str | bytes, said: str) -> None:
    with pytest.raises(ConfigurationRefused) as refused:
        read_statements(written(tmp_path, text))

    assert said in refused.value.reason


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationRefused) as refused:
        read_statements(tmp_path / "none.toml")

    assert "cannot be read" in refused.value.reason
