from datetime import timedelta
from pathlib import Path

import pytest

from directory.errors import ConfigurationRefused
from directory.settings import Settings, load_settings
from directory.wiring.following import asks_for_proofs, follow_up_rules


def settings(folder: Path, text: str = "") -> Settings:
    file = folder / "pushpki.toml"
    file.write_text(text, encoding="utf-8")
    return load_settings(file)


def test_a_recipient_has_a_week_and_then_a_month(tmp_path: Path) -> None:
    rules = follow_up_rules(settings(tmp_path))

    assert (rules.reminder_after, rules.unproven_after) == (timedelta(days=7), timedelta(days=30))
    assert rules.mail_lifetime == timedelta(days=5)


def test_the_operator_sets_the_periods(tmp_path: Path) -> None:
    rules = follow_up_rules(settings(tmp_path, "[delivery]\nreminder_days = 3.5\nunproven_days = 10\n"))

    assert (rules.reminder_after, rules.unproven_after) == (timedelta(days=3.5), timedelta(days=10))


def test_a_reminder_after_the_end_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationRefused):
        follow_up_rules(settings(tmp_path, "[delivery]\nreminder_days = 31\n"))


PAGES = '[pages]\nurl = "https://keys.hospital.org"\n'


@pytest.mark.parametrize(
    ("text", "asked"),
    [
        ("", False),
        (PAGES, True),
        (f'{PAGES}[ca]\nkey_algorithm = "rsa-4096"\n', True),
        (f'{PAGES}[ca]\nkey_algorithm = "p-256"\n', False),
    ],
)
def test_a_proof_takes_a_page_and_a_key_that_can_be_encrypted_to(
    tmp_path: Path, text: str, *, asked: bool
) -> None:
    assert asks_for_proofs(settings(tmp_path, text)) == asked
