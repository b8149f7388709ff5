"""What do our mails say, word by word? Each as a file, so that a change of the words is seen as one.

To renew them: RENEW_SNAPSHOTS=1 .venv/bin/pytest -q tests/directory/delivery/test_snapshots.py
"""

import os
from dataclasses import dataclass
from pathlib import Path

from directory.delivery.specimens import SPECIMENS, Specimen
from directory.delivery.templates import MessageText
from tests.directory.builders import an_organization
from tests.directory.delivery.builders import a_stationery

FOLDER = Path(__file__).parent / "snapshots"
LANGUAGES = ("en", "de", "fr", "es")
RENEW = "RENEW_SNAPSHOTS"


@dataclass(frozen=True, slots=True, kw_only=True)
class Variant:
    """A message in one of its ways and one language."""

    message: str
    specimen: Specimen
    language: str

    def __str__(self) -> str:
        return f"{self.message}-{self.specimen.name}-{self.language}"

    def written(self) -> MessageText:
        return a_stationery().write(
            self.message,
            organization=an_organization(),
            language=self.language,
            variables=self.specimen.variables,
        )


def variants() -> list[Variant]:
    """Return every message in every way and language that ships."""
    return [
        Variant(message=message, specimen=specimen, language=language)
        for message, specimens in SPECIMENS.items()
        for specimen in specimens
        for language in LANGUAGES
    ]


def check_snapshot(name: str, content: str) -> None:
    """Compare with what is kept; keep it, if snapshots are being renewed."""
    path = FOLDER / name
    if RENEW in os.environ:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content, encoding="utf-8")
    assert path.is_file(), f"{path} is missing: see {__name__}"
    assert content == path.read_text(encoding="utf-8")


def kept() -> set[str]:
    """Return the names of all snapshots."""
    return {str(path.relative_to(FOLDER)) for path in FOLDER.rglob("*") if path.is_file()}
