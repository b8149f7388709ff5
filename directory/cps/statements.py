"""What does the operator state himself? Texts for the sections that no configuration can fill in.

A TOML file with the number of each section and his words in Markdown:

    "1.5.2" = "Security desk, +49 30 1234567, pki@clinic.example"
"""

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path

from directory.errors import ConfigurationRefused

KEY = "cps.statements"

_HEADING = re.compile(r"^\s{0,3}#", re.MULTILINE)


def read_statements(path: Path | None) -> Mapping[str, str]:
    """Read the operator's texts, by section; none where there is no file.

    Raises:
        ConfigurationRefused: the file cannot be read, is not TOML, or a text is empty or has headings of its
            own, which would break the outline.
    """
    if path is None:
        return {}
    try:
        stated = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise _refused(path, f"cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise _refused(path, "is not UTF-8") from error
    except tomllib.TOMLDecodeError as error:
        raise _refused(path, f"is not TOML: {error}") from error
    for section, text in stated.items():
        if not isinstance(text, str) or not text.strip():
            raise _refused(path, f"has no text for section {section!r}", 'write "1.5.2" = "…"')
        if _HEADING.search(text):
            raise _refused(path, f"has a heading in section {section!r}", "leave the headings to the outline")
    return stated


def _refused(path: Path, reason: str, remedy: str = "") -> ConfigurationRefused:
    return ConfigurationRefused(key=KEY, reason=f"{path} {reason}", remedy=remedy)
