"""What of the operator's own is in the folder of templates, and is it what it claims to be?

    frame.html, MESSAGE/LANGUAGE/…          for all organizations
    SLUG/frame.html, SLUG/MESSAGE/…         for one of them
    SLUG/logo.png or SLUG/logo.jpg          its logo

Read once, when the service starts, and refused by the file's name if something is wrong with it. Names are
looked up in what was read, so nothing that is asked for later can lead out of the folder.
"""

from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

from directory.delivery.templates import FRAME, LANGUAGE, PARTS, Source
from directory.errors import ConfigurationRefused

KEY = "delivery.templates"
LARGEST_LOGO = 64 * 1024
"""In bytes: it goes with every mail."""

_LARGEST_TEMPLATE = 256 * 1024
# The first bytes of a file of the kind (W3C PNG section 5.2; ITU-T T.81 annex B).
_LOGOS = {"logo.png": ("image/png", b"\x89PNG\r\n\x1a\n"), "logo.jpg": ("image/jpeg", b"\xff\xd8\xff")}


@dataclass(frozen=True, slots=True, kw_only=True)
class Logo:
    """An organization's picture above its mails."""

    content: bytes = field(repr=False)
    content_type: str
    file_name: str

    @property
    def name(self) -> str:
        """Name the picture by what it shows, so that no other has its name."""
        return f"logo-{sha256(self.content).hexdigest()[:16]}"


@dataclass(slots=True, kw_only=True)
class Overrides:
    """What was found."""

    general: dict[str, Source] = field(default_factory=dict)
    by_slug: dict[str, dict[str, Source]] = field(default_factory=dict)
    logos: dict[str, Logo] = field(default_factory=dict)


def read_overrides(folder: Path, messages: Collection[str]) -> Overrides:
    """Read the folder of templates.

    Raises:
        ConfigurationRefused: it is missing, or a file in it cannot be read, is where none belongs, or is no
            picture of at most 64 KiB.
    """
    if not folder.is_dir():
        raise ConfigurationRefused(key=KEY, reason=f"{folder} is not a folder")
    found = Overrides()
    for path in _files(folder):
        match path.relative_to(folder).parts:
            case (name,) if name == FRAME:
                found.general[FRAME] = _read(path)
            case (message, language, part) if part in PARTS:
                found.general[_name(path, messages, message, language, part)] = _read(path)
            case (slug, name) if name == FRAME:
                found.by_slug.setdefault(slug, {})[FRAME] = _read(path)
            case (slug, name) if name in _LOGOS:
                found.logos[slug] = _read_logo(path)
            case (slug, message, language, part) if part in PARTS:
                name = _name(path, messages, message, language, part)
                found.by_slug.setdefault(slug, {})[name] = _read(path)
            case (*_, name) if name == FRAME or name in PARTS or name in _LOGOS:
                raise _refused(path, "is not where a template or logo belongs")
            case _:
                pass  # somebody's notes
    return found


def _files(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.rglob("*")):
        hidden = any(part.startswith(".") for part in path.relative_to(folder).parts)
        if path.is_file() and not hidden:
            yield path


def _name(path: Path, messages: Collection[str], message: str, language: str, part: str) -> str:
    if message not in messages:
        raise _refused(path, f"there is no message {message!r}, only {', '.join(sorted(messages))}")
    if LANGUAGE.fullmatch(language) is None:
        raise _refused(path, f"{language!r} is not a language such as de or pt-br")
    return f"{message}/{language}/{part}"


def _read(path: Path) -> Source:
    try:
        octets = path.read_bytes()
        text = octets.decode()
    except OSError as error:
        raise _refused(path, f"cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise _refused(path, "is not UTF-8") from error
    if len(octets) > _LARGEST_TEMPLATE:
        raise _refused(path, "is too large for a template")
    return Source(text=text, file=str(path))


def _read_logo(path: Path) -> Logo:
    content_type, begins_with = _LOGOS[path.name]
    try:
        content = path.read_bytes()
    except OSError as error:
        raise _refused(path, f"cannot be read: {error.strerror}") from error
    if not content.startswith(begins_with):
        raise _refused(path, f"is not {content_type}")
    if len(content) > LARGEST_LOGO:
        raise _refused(path, f"is larger than {LARGEST_LOGO // 1024} KiB")
    return Logo(content=content, content_type=content_type, file_name=path.name)


def _refused(path: Path, reason: str) -> ConfigurationRefused:
    return ConfigurationRefused(
        key=KEY, reason=f"{path} {reason}" if reason[0] != "t" else f"{path}: {reason}"
    )
