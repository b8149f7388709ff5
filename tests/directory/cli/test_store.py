"""`pushpki verify` and `pushpki migrate`."""

import sqlite3

import pytest

from tests.directory.cli.workplace import Workplace


@pytest.fixture
def minted(workplace: Workplace, monkeypatch: pytest.MonkeyPatch) -> str:
    """Mint; return the enrolment."""
    monkeypatch.setenv("PUSHPKI_CA__KEY_ALGORITHM", "rsa-2048")
    return str(workplace.document("lookup", "anna@example.org", "--gateway", "gw")["enrolment_id"])


def sql(workplace: Workplace, statement: str) -> None:
    connection = sqlite3.connect(workplace.folder / "pushpki.sqlite3")
    with connection:
        connection.execute(statement)
    connection.close()


@pytest.mark.usefixtures("minted")
def test_a_sound_store_is_said_to_be_sound(workplace: Workplace) -> None:
    assert workplace.document("verify") == {"violations": []}
    assert workplace.lines("verify") == ["Every invariant holds."]


def test_a_violation_is_shown_and_is_an_exit_code(workplace: Workplace, minted: str) -> None:
    sql(workplace, "DELETE FROM outgoing_mail")

    for_people = workplace.pushpki("verify")
    for_programs = workplace.pushpki("verify", "--json")

    assert (for_people.code, for_programs.code) == (1, 1)
    assert for_people.out == f"enrolment.has_mail: {minted}: its delivery waits, but no mail is queued\n"
    assert '"invariant": "enrolment.has_mail"' in for_programs.out
    assert '"severity": "violation"' in for_programs.out
    assert for_people.err == ""


def test_what_is_only_late_is_a_warning_and_no_failure(workplace: Workplace, minted: str) -> None:
    sql(workplace, "UPDATE outgoing_mail SET state = 'accepted'")
    sql(workplace, "UPDATE deliveries SET state = 'accepted'")
    sql(workplace, "UPDATE held_keys SET hold_until = '2020-01-01 00:00:00.000000'")

    late = {
        "severity": "warning",
        "invariant": "enrolment.hold_over",
        "subject": minted,
        "reason": "its key should be gone since 2020-01-01",
    }
    assert workplace.document("verify") == {"violations": [late]}
    assert workplace.lines("verify") == [
        f"warning: enrolment.hold_over: {minted}: its key should be gone since 2020-01-01",
        "Every invariant holds.",
    ]


def test_migrating_what_is_current_changes_nothing(workplace: Workplace) -> None:
    first = workplace.document("migrate")

    assert workplace.document("migrate") == first
    assert workplace.lines("migrate") == [f"The database has schema {first['schema']}."]
    assert workplace.document("verify") == {"violations": []}


def test_a_stranger_in_the_audit_log_is_found(workplace: Workplace) -> None:
    sql(workplace, "UPDATE audit_events SET actor = 'operator:nobody' WHERE sequence = 1")

    done = workplace.pushpki("verify")

    assert done.code == 1
    assert "audit.chain: node-1: audit chain node-1 event 1: was changed" in done.out
