"""`pushpki master-key`: the names of the keys, and a new one for all secrets."""

import shutil

import pytest

from tests.directory.cli.workplace import Workplace


@pytest.fixture(autouse=True)
def _quick_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PUSHPKI_CA__KEY_ALGORITHM", "rsa-2048")


def test_shows_names_and_never_keys(template: Workplace) -> None:
    shown = template.document("master-key", "show")

    assert shown["known"] == [shown["active"]]
    assert template.lines("master-key", "show") == [f"{shown['active']} (active)"]
    file = (template.folder / "master.key").read_text(encoding="ascii")
    assert shown["active"] in file
    secret_words = [word for word in file.replace('"', " ").split() if len(word) > 40]
    assert secret_words
    assert [word for word in secret_words if word in str(shown)] == []


def test_replaces_the_key_of_every_secret(workplace: Workplace) -> None:
    workplace.document("lookup", "anna@example.org", "--gateway", "gw")
    before = workplace.document("master-key", "show")["active"]

    rotated = workplace.document("master-key", "rotate", "--yes")

    # The root's and the issuing CA's key, Anna's key and her password.
    assert rotated == {"active": rotated["active"], "rewrapped": 5}
    assert rotated["active"] != before
    assert workplace.document("master-key", "show")["known"] == [rotated["active"]]
    assert workplace.document("verify") == {"violations": []}
    assert workplace.document("lookup", "bert@example.org", "--gateway", "gw")["origin"] == "minted"


def test_reminds_people_of_their_backup(workplace: Workplace) -> None:
    done, reminder = workplace.lines("master-key", "rotate", "--yes")

    assert "3 secrets" in done
    assert "Back the key file up" in reminder


def test_without_a_terminal_it_wants_yes(workplace: Workplace) -> None:
    before = (workplace.folder / "master.key").read_bytes()

    assert "--yes" in workplace.refusal("master-key", "rotate", code=78)

    assert (workplace.folder / "master.key").read_bytes() == before


def test_what_an_interrupted_replacement_left_behind_is_named(workplace: Workplace) -> None:
    left = workplace.folder / "master.key.new"
    shutil.copy(workplace.folder / "master.key", left)

    line = workplace.refusal("master-key", "rotate", "--yes", code=78)

    assert str(left) in line
    assert "interrupted" in line


def test_a_protected_key_stays_protected(protected: Workplace) -> None:
    protected.document("master-key", "rotate", "--yes")

    passphrase = protected.folder.parent / "passphrase"
    passphrase.write_text("hunter2", encoding="utf-8")
    assert "passphrase is wrong" in protected.refusal("master-key", "show", code=78)
