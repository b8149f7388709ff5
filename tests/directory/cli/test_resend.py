"""`pushpki resend`: the key package once more, for whoever's device says "wrong password"."""

import sqlite3

import pytest

from tests.directory.cli.workplace import Workplace


@pytest.fixture
def accepted(workplace: Workplace, monkeypatch: pytest.MonkeyPatch) -> str:
    """Mint, and let the first key mail have been accepted; return the enrolment."""
    monkeypatch.setenv("PUSHPKI_CA__KEY_ALGORITHM", "rsa-2048")
    enrolment_id = workplace.document("lookup", "anna@example.org", "--gateway", "gw")["enrolment_id"]
    connection = sqlite3.connect(workplace.folder / "pushpki.sqlite3")
    with connection:
        connection.execute("UPDATE outgoing_mail SET state = 'accepted'")
        connection.execute("UPDATE deliveries SET state = 'accepted'")
    connection.close()
    return str(enrolment_id)


def test_another_key_mail_is_queued(workplace: Workplace, accepted: str) -> None:
    done = workplace.document("resend", accepted, "--format", "modern")

    assert done == {"enrolment_id": accepted, "queued": True}
    assert "under way" in workplace.refusal("resend", accepted, code=65)
    assert workplace.document("verify") == {"violations": []}


def test_people_are_told(workplace: Workplace, accepted: str) -> None:
    assert workplace.lines("resend", accepted) == ["The key mail is queued."]


def test_what_does_not_exist_is_named(template: Workplace) -> None:
    assert "no enrolment 'ffff'" in template.refusal("resend", "ffff", code=66)
