"""A folder comes into being whole or not at all."""

import os
import stat
from pathlib import Path

import pytest

from directory.errors import ConfigurationRefused
from directory.workshop import workshop, write_private


class PowerCutError(Exception):
    pass


def test_the_folder_appears_when_everything_is_in_it(tmp_path: Path) -> None:
    folder = tmp_path / "made"

    with workshop(folder) as shop:
        write_private(shop / "secret", b"s")
        assert not folder.exists()

    assert (folder / "secret").read_bytes() == b"s"
    assert list(tmp_path.iterdir()) == [folder]


def test_folder_and_secrets_are_their_owners_alone(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        with workshop(tmp_path / "made") as shop:
            write_private(shop / "secret", b"s")
    finally:
        os.umask(before)

    assert stat.S_IMODE((tmp_path / "made").stat().st_mode) == 0o700
    assert stat.S_IMODE((tmp_path / "made" / "secret").stat().st_mode) == 0o600


@pytest.mark.parametrize("interruption", [PowerCutError, KeyboardInterrupt, SystemExit])
def test_an_interruption_leaves_nothing(tmp_path: Path, interruption: type[BaseException]) -> None:
    def fill_and_be_interrupted() -> None:
        with workshop(tmp_path / "made") as shop:
            write_private(shop / "secret", b"s")
            raise interruption

    with pytest.raises(interruption):
        fill_and_be_interrupted()

    assert list(tmp_path.iterdir()) == []


def test_folders_above_are_made(tmp_path: Path) -> None:
    with workshop(tmp_path / "a" / "b" / "made"):
        pass

    assert (tmp_path / "a" / "b" / "made").is_dir()


@pytest.mark.parametrize("kind", ["folder", "file", "link to nowhere"])
def test_what_is_there_is_refused_and_left_alone(tmp_path: Path, kind: str) -> None:
    there = tmp_path / "made"
    match kind:
        case "folder":
            there.mkdir()
        case "file":
            there.write_text("mine", encoding="utf-8")
        case _:
            there.symlink_to(tmp_path / "nowhere")
    before = there.lstat()

    with pytest.raises(ConfigurationRefused) as refused, workshop(there):
        pass

    assert (refused.value.key, f"{there} exists" in refused.value.reason) == ("--dir", True)
    assert there.lstat() == before
    assert list(tmp_path.iterdir()) == [there]


def test_of_two_at_once_the_second_is_refused_and_loses_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "made"

    def fill_while_another_is_faster() -> None:
        with workshop(folder) as slow:
            write_private(slow / "whose", b"the second's")
            with workshop(folder) as fast:
                write_private(fast / "whose", b"the first's")

    with pytest.raises(ConfigurationRefused) as refused:
        fill_while_another_is_faster()

    assert (folder / "whose").read_bytes() == b"the first's"
    (slow,) = set(tmp_path.iterdir()) - {folder}
    assert (slow / "whose").read_bytes() == b"the second's"
    assert str(slow) in refused.value.reason


def test_a_folder_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")

    with pytest.raises(ConfigurationRefused) as refused, workshop(tmp_path / "file" / "made"):
        pass

    assert refused.value.key == "--dir"
    assert "cannot be made" in refused.value.reason


def test_a_secret_is_never_written_over_another(tmp_path: Path) -> None:
    write_private(tmp_path / "secret", b"first")

    with pytest.raises(FileExistsError):
        write_private(tmp_path / "secret", b"second")

    assert (tmp_path / "secret").read_bytes() == b"first"
