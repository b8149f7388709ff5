from pathlib import Path

import pytest

from directory.delivery.overrides import LARGEST_LOGO, read_overrides
from directory.errors import ConfigurationRefused
from tests.directory.delivery.overriding import a_png, put

MESSAGES = frozenset({"greeting", "farewell"})


def refusal(folder: Path) -> str:
    with pytest.raises(ConfigurationRefused) as caught:
        read_overrides(folder, MESSAGES)
    assert caught.value.key == "delivery.templates"
    return caught.value.reason


def test_finds_what_is_for_all_and_what_is_for_one(tmp_path: Path) -> None:
    put(tmp_path, "frame.html", "general frame")
    put(tmp_path, "greeting/de/body.txt", "general text")
    put(tmp_path, "hospital/frame.html", "own frame")
    put(tmp_path, "hospital/greeting/de/body.txt", "own text")
    put(tmp_path, "hospital/logo.png", a_png())
    found = read_overrides(tmp_path, MESSAGES)
    assert {name: source.text for name, source in found.general.items()} == {
        "frame.html": "general frame",
        "greeting/de/body.txt": "general text",
    }
    assert {name: source.text for name, source in found.by_slug["hospital"].items()} == {
        "frame.html": "own frame",
        "greeting/de/body.txt": "own text",
    }
    assert found.logos["hospital"].content_type == "image/png"
    assert found.general["frame.html"].file == str(tmp_path / "frame.html")


def test_an_organization_may_be_called_as_a_message_is(tmp_path: Path) -> None:
    put(tmp_path, "greeting/farewell/en/body.txt", "of the organization greeting")
    put(tmp_path, "greeting/en/body.txt", "of all")
    found = read_overrides(tmp_path, MESSAGES)
    assert found.general["greeting/en/body.txt"].text == "of all"
    assert found.by_slug["greeting"]["farewell/en/body.txt"].text == "of the organization greeting"


def test_leaves_notes_and_hidden_files_alone(tmp_path: Path) -> None:
    put(tmp_path, "README.md")
    put(tmp_path, "greeting/en/body.txt~", b"\xff")
    put(tmp_path, ".git/greeting/en/body.txt", b"\xff")
    put(tmp_path, "hospital/.old/frame.html", b"\xff")
    found = read_overrides(tmp_path, MESSAGES)
    assert (found.general, found.by_slug, found.logos) == ({}, {}, {})


def test_refuses_a_folder_that_is_not_there(tmp_path: Path) -> None:
    assert "is not a folder" in refusal(tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("greting/en/body.txt", "there is no message 'greting', only farewell, greeting"),
        ("hospital/greting/en/body.txt", "there is no message 'greting'"),
        ("greeting/deutsch/body.txt", "'deutsch' is not a language such as de"),
        ("greeting/EN/body.txt", "'EN' is not a language"),
        ("body.txt", "is not where a template or logo belongs"),
        ("logo.png", "is not where a template or logo belongs"),
        ("greeting/body.txt", "is not where a template or logo belongs"),
        ("a/b/c/d/body.txt", "is not where a template or logo belongs"),
        ("hospital/greeting/frame.html", "is not where a template or logo belongs"),
    ],
)
def test_refuses_a_file_that_would_never_be_used(tmp_path: Path, name: str, reason: str) -> None:
    path = put(tmp_path, name)
    said = refusal(tmp_path)
    assert str(path) in said
    assert reason in said


def test_refuses_what_is_not_utf_8(tmp_path: Path) -> None:
    path = put(tmp_path, "greeting/en/body.txt", b"gr\xfc\xdfe")
    assert refusal(tmp_path) == f"{path} is not UTF-8"


def test_refuses_a_template_without_end(tmp_path: Path) -> None:
    put(tmp_path, "greeting/en/body.txt", "x" * (256 * 1024 + 1))
    assert "too large" in refusal(tmp_path)


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("logo.png", b"\xff\xd8\xff\xe0 a JPEG", "is not image/png"),
        ("logo.jpg", a_png(), "is not image/jpeg"),
        ("logo.png", b"<svg xmlns='http://www.w3.org/2000/svg'/>", "is not image/png"),
        ("logo.png", b"", "is not image/png"),
        ("logo.png", a_png(LARGEST_LOGO + 1), "is larger than 64 KiB"),
    ],
)
def test_refuses_a_logo_that_is_none(tmp_path: Path, name: str, content: bytes, reason: str) -> None:
    put(tmp_path, f"hospital/{name}", content)
    assert reason in refusal(tmp_path)


def test_takes_a_logo_of_exactly_the_largest_size(tmp_path: Path) -> None:
    put(tmp_path, "hospital/logo.png", a_png(LARGEST_LOGO))
    assert len(read_overrides(tmp_path, MESSAGES).logos["hospital"].content) == LARGEST_LOGO


def test_a_logo_is_called_by_what_it_shows(tmp_path: Path) -> None:
    put(tmp_path, "one/logo.png", a_png(10))
    put(tmp_path, "two/logo.png", a_png(11))
    put(tmp_path, "three/logo.png", a_png(10))
    logos = read_overrides(tmp_path, MESSAGES).logos
    assert logos["one"].name == logos["three"].name != logos["two"].name
    assert b"PNG" not in repr(logos["one"]).encode()
