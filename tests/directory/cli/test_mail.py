"""`pushpki mail`: the outbox as an operator sees it."""

import sqlite3
from typing import Any

import pytest

from tests.directory.cli.workplace import Workplace

PASSWORDS_AND_TEXTS = {"password", "message", "subject", "body", "token"}


@pytest.fixture
def queued(workplace: Workplace, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Mint; return the key mail, which waits for a service to run."""
    monkeypatch.setenv("PUSHPKI_CA__KEY_ALGORITHM", "rsa-2048")
    workplace.document("lookup", "anna@example.org", "--gateway", "gw")
    (mail,) = workplace.document("mail", "list")["mails"]
    return dict(mail)


def sql(workplace: Workplace, statement: str) -> None:
    connection = sqlite3.connect(workplace.folder / "pushpki.sqlite3")
    with connection:
        connection.execute(statement)
    connection.close()


def test_what_waits_is_listed(workplace: Workplace, queued: dict[str, Any]) -> None:
    assert (queued["organization"], queued["kind"], queued["state"]) == ("hospital", "key", "queued")
    assert (queued["recipient"], queued["attempts"], queued["last_failure"]) == ("anna@example.org", 0, None)
    assert queued["next_attempt_at"] == queued["created_at"]
    (line,) = workplace.lines("mail", "list")
    assert line.split("\t")[:5] == [queued["mail_id"], "queued", "key", "hospital", "anna@example.org"]


def test_nothing_of_what_a_mail_says_is_shown(workplace: Workplace, queued: dict[str, Any]) -> None:
    shown = workplace.document("mail", "show", queued["mail_id"])

    assert shown == queued
    assert PASSWORDS_AND_TEXTS.isdisjoint(shown)


def test_one_mail_is_shown_to_people(workplace: Workplace, queued: dict[str, Any]) -> None:
    sql(workplace, "UPDATE outgoing_mail SET attempts = 3, last_failure = 'RCPT: 450 4.2.0 greylisted'")

    lines = workplace.lines("mail", "show", queued["mail_id"])

    assert "attempts: 3" in lines
    assert "last_failure: RCPT: 450 4.2.0 greylisted" in lines


@pytest.mark.parametrize(
    ("options", "count"),
    [
        (("--state", "queued"), 1),
        (("--state", "accepted"), 0),
        (("--kind", "proof"), 0),
        (("--org", "hospital"), 1),
        (("--domain", "EXAMPLE.org"), 1),
        (("--domain", "example.net"), 0),
    ],
)
def test_only_what_is_named_is_listed(
    workplace: Workplace, queued: dict[str, Any], options: tuple[str, ...], count: int
) -> None:
    mails = workplace.document("mail", "list", *options)["mails"]

    assert mails == [queued] * count


def test_a_list_goes_on_where_it_ended(workplace: Workplace, queued: dict[str, Any]) -> None:
    workplace.document("lookup", "bert@example.org", "--gateway", "gw")

    first = workplace.document("mail", "list", "--limit", "1")
    second = workplace.document("mail", "list", "--limit", "1", "--after", first["next"])
    third = workplace.document("mail", "list", "--limit", "1", "--after", second["next"])

    assert [mail["recipient"] for mail in first["mails"] + second["mails"]] == [
        "bert@example.org",
        "anna@example.org",
    ]
    assert second["mails"] == [queued]
    assert (third["mails"], third["next"]) == ([], None)
    assert workplace.lines("mail", "list", "--limit", "1")[-1] == f"more: --after {first['next']}"


def test_mail_is_paused_and_resumed(workplace: Workplace) -> None:
    assert workplace.document("mail", "pause", "--org", "hospital") == {
        "organization": "hospital",
        "paused": True,
        "changed": True,
    }
    assert workplace.lines("mail", "pause", "--org", "hospital") == ["Mail of hospital was paused already."]
    assert workplace.lines("mail", "pause") == ["Mail of everybody is paused."]
    (first, second) = workplace.document("mail", "list")["paused"]
    assert (first["organization"], second["organization"]) == ("hospital", None)
    assert first["actor"].startswith("operator:")
    assert workplace.lines("mail", "resume") == ["Mail of everybody is sent again."]
    assert workplace.lines("mail", "resume") == ["Mail of everybody was not paused."]
    assert workplace.document("mail", "resume", "--org", "hospital")["changed"] is True
    assert workplace.document("verify") == {"violations": []}


def test_what_failed_is_due_again_at_once(workplace: Workplace, queued: dict[str, Any]) -> None:
    sql(workplace, "UPDATE outgoing_mail SET due_at = '2099-01-01 00:00:00.000000'")

    assert workplace.document("mail", "flush", "--domain", "example.net") == {"due": 0}
    assert workplace.document("mail", "flush", queued["mail_id"]) == {"due": 1}
    (mail,) = workplace.document("mail", "list")["mails"]
    assert mail["next_attempt_at"] < "2099"


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("show", "ffff"), 66, "no mail 'ffff'"),
        (("list", "--after", "yesterday"), 78, "--after: 'yesterday' is not where a list ended"),
        (("list", "--org", "nobody"), 66, "no organization 'nobody'"),
        (("pause", "--org", "nobody"), 66, "no organization 'nobody'"),
        (("flush", "--domain", "not a domain"), 78, "is not a mail domain"),
    ],
)
def test_what_cannot_be_is_refused(
    template: Workplace, arguments: tuple[str, ...], code: int, words: str
) -> None:
    assert words in template.refusal("mail", *arguments, code=code)
