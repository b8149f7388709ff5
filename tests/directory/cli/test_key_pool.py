"""`pushpki ca pool`: keys made in advance."""

from pathlib import Path

import pytest

from tests.directory.cli.workplace import Workplace

ANNA = "anna@example.org"


@pytest.fixture(autouse=True)
def _quick_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PUSHPKI_CA__KEY_ALGORITHM", "rsa-2048")


@pytest.fixture
def ledger(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    path = tmp_path / "pool.ledger"
    monkeypatch.setenv("PUSHPKI_CA__KEY_POOL_LEDGER", str(path))
    return path


@pytest.mark.usefixtures("ledger")
def test_it_is_filled_shown_and_emptied(workplace: Workplace) -> None:
    assert workplace.document("ca", "pool", "fill", "--until", "2") == {"algorithm": "rsa-2048", "made": 2}
    assert workplace.document("ca", "pool", "fill", "--until", "2")["made"] == 0

    (shown,) = workplace.document("ca", "pool", "show")["algorithms"]
    assert (shown["algorithm"], shown["stored"], shown["usable"]) == ("rsa-2048", 2, 2)
    assert workplace.document("verify") == {"violations": []}

    assert workplace.document("ca", "pool", "discard", "--yes") == {"discarded": 2}
    assert workplace.document("ca", "pool", "show") == {"algorithms": [], "wanted": 0}


def test_people_read_how_many_there_are(workplace: Workplace, ledger: Path) -> None:
    assert workplace.lines("ca", "pool", "show") == ["No keys are stored."]
    (line,) = workplace.lines("ca", "pool", "fill", "--until", "1", "--algorithm", "rsa-2048")
    assert line == "1 keys for rsa-2048 were made; at least 1 are stored."

    ledger.unlink()
    (line,) = workplace.lines("ca", "pool", "show")
    assert line.startswith("rsa-2048: 1 stored, 0 for this machine to use, the oldest of 2")


def test_nothing_is_stored_without_a_ledger(workplace: Workplace) -> None:
    line = workplace.refusal("ca", "pool", "fill", "--until", "1", code=78)

    assert line == (
        "pushpki: error: ca.key_pool_ledger: keys cannot be stored without a ledger"
        " — name a file that no restore of the database touches"
    )


@pytest.mark.usefixtures("ledger")
def test_keys_that_are_made_in_no_time_are_not_stored(workplace: Workplace) -> None:
    line = workplace.refusal("ca", "pool", "fill", "--until", "1", "--algorithm", "p-256", code=78)

    assert line.startswith("pushpki: error: --algorithm: ")


def test_nothing_is_destroyed_unless_that_is_confirmed(workplace: Workplace) -> None:
    assert "confirm it with --yes" in workplace.refusal("ca", "pool", "discard", code=78)


@pytest.mark.usefixtures("ledger")
def test_stored_keys_move_with_the_master_key(workplace: Workplace) -> None:
    workplace.document("ca", "pool", "fill", "--until", "1")
    workplace.document("master-key", "rotate", "--yes")

    assert workplace.document("verify") == {"violations": []}
    (shown,) = workplace.document("ca", "pool", "show")["algorithms"]
    assert shown["stored"] == 1
