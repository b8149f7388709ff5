"""`pushpki bounce`: what a mail server's pipe sees, and what puts bounces right."""

import io
import sqlite3
from contextlib import closing

import pytest

from tests.command import Done
from tests.directory.bounces.builders import a_notification, an_automatic_reply
from tests.directory.cli.workplace import Workplace

ANNA = "anna@example.org"


class _Pipe:
    """Standard input as a mail server fills it."""

    def __init__(self, message: bytes) -> None:
        self.buffer = io.BytesIO(message)


@pytest.fixture(autouse=True)
def _quick_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PUSHPKI_CA__KEY_ALGORITHM", "rsa-2048")


@pytest.fixture
def return_path(workplace: Workplace) -> str:
    """The return path of Anna's key mail."""
    workplace.document("lookup", ANNA, "--gateway", "gw")
    with closing(sqlite3.connect(workplace.folder / "pushpki.sqlite3")) as database:
        ((token,),) = database.execute("SELECT bounce_token FROM outgoing_mail").fetchall()
    return f"keys+{token}@hospital.org"


@pytest.fixture
def pipe(workplace: Workplace, monkeypatch: pytest.MonkeyPatch) -> "_Taking":
    return _Taking(workplace, monkeypatch)


class _Taking:
    def __init__(self, workplace: Workplace, monkeypatch: pytest.MonkeyPatch) -> None:
        self._workplace = workplace
        self._monkeypatch = monkeypatch

    def __call__(self, message: bytes, *arguments: str) -> Done:
        self._monkeypatch.setattr("sys.stdin", _Pipe(message))
        return self._workplace.pushpki("bounce", "take", *arguments)


def test_a_bounce_takes_the_certificate_away(workplace: Workplace, pipe: _Taking, return_path: str) -> None:
    done = pipe(a_notification(recipient=ANNA), "--recipient", return_path, "--json")

    assert done.document == {"outcome": "withdrawn"}
    assert "policy.bounced" in workplace.pushpki("lookup", ANNA, "--gateway", "gw").err
    assert workplace.document("verify") == {"violations": []}


@pytest.mark.parametrize("field", ["Delivered-To", "X-Original-To"])
def test_the_header_says_whose_it_is_where_the_server_does_not(
    pipe: _Taking, return_path: str, field: str
) -> None:
    message = f"{field}: {return_path}\r\n".encode() + a_notification(recipient=ANNA)
    assert pipe(message, "--json").document == {"outcome": "withdrawn"}


def test_what_changes_nothing_is_taken_all_the_same(
    workplace: Workplace, pipe: _Taking, return_path: str
) -> None:
    assert pipe(an_automatic_reply(), "--recipient", return_path).code == 0
    assert pipe(a_notification(recipient=ANNA), "--recipient", "keys@hospital.org").code == 0
    assert pipe(b"").code == 0
    assert workplace.document("lookup", ANNA)["address"] == ANNA


def test_whatever_is_wrong_with_us_the_server_is_to_try_again(workplace: Workplace, pipe: _Taking) -> None:
    (workplace.folder / "pushpki.sqlite3").unlink()
    done = pipe(a_notification())

    assert done.code == 75
    assert done.err.startswith("pushpki: error: ")


def test_a_cleared_address_gets_a_new_key(workplace: Workplace, pipe: _Taking, return_path: str) -> None:
    before = workplace.document("lookup", ANNA)["serial"]
    pipe(a_notification(recipient=ANNA), "--recipient", return_path)

    assert workplace.document("bounce", "clear", ANNA) == {"address": ANNA, "revoked": [before]}
    successor = workplace.document("lookup", ANNA, "--gateway", "gw")
    assert successor["origin"] == "minted"
    assert successor["serial"] != before
    assert workplace.document("verify") == {"violations": []}


def test_only_what_bounced_is_cleared(workplace: Workplace, return_path: str) -> None:
    assert return_path
    assert "bounced address" in workplace.refusal("bounce", "clear", ANNA, code=66)


def test_a_paused_domain_is_listed_and_resumed(workplace: Workplace) -> None:
    with closing(sqlite3.connect(workplace.folder / "pushpki.sqlite3")) as database, database:
        database.execute(
            "INSERT INTO paused_domains (organization_id, domain, paused_at, until)"
            " SELECT id, 'example.org', '2026-01-01 00:00:00', '2999-01-01 00:00:00' FROM organizations"
        )

    assert "policy.domain_paused" in workplace.pushpki("lookup", ANNA, "--gateway", "gw").err
    (line,) = workplace.lines("bounce", "paused")
    assert line == "example.org: for hospital until 2999-01-01 00:00 UTC"
    workplace.document("bounce", "resume-domain", "example.org")
    assert workplace.lines("bounce", "paused") == ["No domain is paused."]
    assert workplace.document("lookup", ANNA, "--gateway", "gw")["origin"] == "minted"
    assert "paused domain" in workplace.refusal("bounce", "resume-domain", "example.org", code=66)
