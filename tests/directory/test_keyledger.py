"""Which pooled keys were used, by the file that no restore of the database touches."""

from pathlib import Path

import pytest

from ca.keys import KeyAlgorithm
from directory.errors import ConfigurationRefused
from directory.keyledger import KeyLedger

RSA_2048, RSA_3072 = KeyAlgorithm.RSA_2048, KeyAlgorithm.RSA_3072


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "pool.ledger"


def test_numbers_grow_in_the_order_of_text(path: Path) -> None:
    ledger = KeyLedger(path)
    numbered = [*ledger.number(300), *ledger.number(2)]
    assert len(set(numbered)) == len(numbered) == 302
    assert sorted(numbered) == numbered
    assert {len(one) for one in numbered} == {32}


def test_numbers_are_not_given_twice_by_two_processes(path: Path) -> None:
    assert not set(KeyLedger(path).number(5)) & set(KeyLedger(path).number(5))


def test_what_was_numbered_is_usable_until_it_was_used(path: Path) -> None:
    ledger = KeyLedger(path)
    first, second, third = ledger.number(3)
    span = ledger.usable(RSA_2048)
    assert span.after < first < third == span.last

    ledger.note_used(RSA_2048, second)
    assert KeyLedger(path).usable(RSA_2048).after == second


def test_what_was_used_of_one_algorithm_says_nothing_of_another(path: Path) -> None:
    ledger = KeyLedger(path)
    (first, second) = ledger.number(2)
    ledger.note_used(RSA_2048, second)
    assert ledger.usable(RSA_3072).after < first


def test_what_was_used_stays_used_whatever_is_noted_later(path: Path) -> None:
    ledger = KeyLedger(path)
    first, second = ledger.number(2)
    ledger.note_used(RSA_2048, second)
    ledger.note_used(RSA_2048, first)
    assert ledger.usable(RSA_2048).after == second


def test_a_new_ledger_makes_nothing_usable_that_another_has_numbered(path: Path) -> None:
    (old,) = KeyLedger(path).number(1)
    path.unlink()
    new = KeyLedger(path)
    new.number(1)
    span = new.usable(RSA_2048)
    assert not span.after < old <= span.last


def test_nobody_else_can_read_or_write_it(path: Path) -> None:
    KeyLedger(path).number(1)
    assert path.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("content", [b"", b"\xff", b"[]", b'{"name": "a"}', b"null"])
def test_refuses_a_file_that_is_no_ledger_and_leaves_it_alone(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    with pytest.raises(ConfigurationRefused, match=r"ca\.key_pool_ledger: .* is no ledger"):
        KeyLedger(path).number(1)
    assert path.read_bytes() == content


def test_refuses_a_folder_that_is_not_there(path: Path) -> None:
    with pytest.raises(ConfigurationRefused, match="cannot be used: No such file"):
        KeyLedger(path / "deeper").usable(RSA_2048)
