"""`pushpki audit`: what an operator hands out, and what an auditor needs no more than that to check."""

import json
import sqlite3
from pathlib import Path

import pytest

from tests.command import Done, pushpki
from tests.directory.cli.workplace import Workplace, the_line_of


def sql(workplace: Workplace, *statements: str) -> None:
    connection = sqlite3.connect(workplace.folder / "pushpki.sqlite3")
    with connection:
        for statement in statements:
            connection.execute(statement)
    connection.close()


@pytest.fixture
def public_key(workplace: Workplace, tmp_path: Path) -> Path:
    """The file an auditor was given."""
    path = tmp_path / "audit.pem"
    path.write_text(workplace.pushpki("audit", "key").out, encoding="ascii")
    return path


@pytest.fixture
def export(workplace: Workplace, tmp_path: Path) -> Path:
    path = tmp_path / "audit.jsonl"
    path.write_text(workplace.pushpki("audit", "export").out, encoding="ascii")
    return path


def offline(*arguments: str | Path) -> Done:
    """Check a file where there is no installation."""
    return pushpki("audit", "verify", *map(str, arguments))


def test_the_public_key_is_printed_for_people_and_programs(workplace: Workplace) -> None:
    document = workplace.document("audit", "key")

    assert workplace.pushpki("audit", "key").out == document["public_key"]
    assert document["number"] == 1
    assert document["public_key"].startswith("-----BEGIN PUBLIC KEY-----\n")


def test_an_export_is_checked_with_nothing_but_the_public_key(
    export: Path, public_key: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)

    for_people = offline("--file", export, "--public-key", public_key)
    for_programs = offline("--file", export, "--public-key", public_key, "--json").document

    assert for_people.code == 0
    assert for_people.out.startswith("The audit log is whole: ")
    assert (for_programs["found"], for_programs["findings"], for_programs["unsigned"]) == (0, [], {})
    assert for_programs["events"] == for_programs["ends"]["node-1"] > 5


def test_every_line_of_an_export_is_json_and_events_say_who_did_what(export: Path) -> None:
    lines = [json.loads(line) for line in export.read_text(encoding="ascii").splitlines()]

    assert [line["type"] for line in (lines[0], lines[1], lines[-2], lines[-1])] == [
        *("export", "key", "head", "end")
    ]
    kinds = [line["event"]["kind"] for line in lines if line["type"] == "event"]
    assert kinds[:2] == ["service.initialized", "audit_key.created"]
    assert {"issuer.key_made", "issuer.created", "organization.added", "gateway.added"} < set(kinds)


def test_an_edited_export_is_refused_and_the_place_is_told(export: Path, public_key: Path) -> None:
    text = export.read_text(encoding="ascii")
    export.write_text(text.replace('"kind":"gateway.added"', '"kind":"agent.added"'), encoding="ascii")

    done = offline("--file", export, "--public-key", public_key, "--json")

    assert done.code == 1
    findings = json.loads(done.out)["findings"]
    assert findings[0]["flaw"] == "event.changed"
    assert (findings[0]["node"], findings[0]["line"] - 2) == ("node-1", findings[0]["sequence"])
    assert findings[-1]["flaw"] == "export.changed"


def test_an_edited_database_is_found_with_and_without_an_export(
    workplace: Workplace, public_key: Path, tmp_path: Path
) -> None:
    workplace.pushpki("audit", "export")  # signs what there is
    sql(workplace, "UPDATE audit_events SET actor = 'operator:nobody' WHERE sequence = 2")
    path = tmp_path / "edited.jsonl"
    path.write_text(workplace.pushpki("audit", "export").out, encoding="ascii")

    for done in (
        workplace.pushpki("audit", "verify"),
        workplace.pushpki("audit", "verify", "--public-key", str(public_key)),
        offline("--file", path, "--public-key", public_key),
    ):
        assert done.code == 1
        assert "audit chain node-1 event 2: was changed" in done.out


def test_a_database_that_was_cut_back_is_found_by_heads_that_were_kept(
    workplace: Workplace, public_key: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With everything in the database that tells of what is missing gone as well."""
    heads = tmp_path / "heads.jsonl"
    monkeypatch.setenv("PUSHPKI_AUDIT__HEADS_FILE", str(heads))
    workplace.pushpki("audit", "export")
    sql(
        workplace,
        "DELETE FROM audit_signed_heads",
        "UPDATE audit_heads SET sequence = 3, hash = (SELECT hash FROM audit_events WHERE sequence = 3)",
        "DELETE FROM audit_events WHERE sequence > 3",
    )
    without = workplace.pushpki("audit", "verify")
    path = tmp_path / "cut.jsonl"
    monkeypatch.delenv("PUSHPKI_AUDIT__HEADS_FILE")
    path.write_text(workplace.pushpki("audit", "export").out, encoding="ascii")

    online = workplace.pushpki("audit", "verify", "--heads", str(heads))
    from_file = offline("--file", path, "--public-key", public_key, "--heads", heads)

    assert without.code == 0, "nothing in the database tells"
    assert (online.code, from_file.code) == (1, 1)
    assert "chain.cut: audit chain node-1: ends at event 3" in online.out
    assert "chain.cut: audit chain node-1: ends at event 3" in from_file.out


def test_a_rotation_is_asked_about_and_leaves_both_keys_good(
    workplace: Workplace, public_key: Path, tmp_path: Path
) -> None:
    workplace.refusal("audit", "key", "--rotate", code=78)
    new_key = tmp_path / "new.pem"
    new_key.write_text(workplace.pushpki("audit", "key", "--rotate", "--yes").out, encoding="ascii")
    export = tmp_path / "after.jsonl"
    export.write_text(workplace.pushpki("audit", "export").out, encoding="ascii")

    assert new_key.read_text() != public_key.read_text()
    assert workplace.document("audit", "key")["number"] == 2
    assert offline("--file", export, "--public-key", public_key).code == 0
    assert offline("--file", export, "--public-key", new_key).code == 0
    assert workplace.document("verify") == {"violations": []}


def test_a_part_of_the_log_can_be_exported(workplace: Workplace, public_key: Path, tmp_path: Path) -> None:
    part = tmp_path / "part.jsonl"
    part.write_text(
        workplace.pushpki("audit", "export", "--node", "node-1", "--since", "4").out, encoding="ascii"
    )

    document = offline("--file", part, "--public-key", public_key, "--json").document

    assert document["events"] == document["ends"]["node-1"] - 4


def test_what_cannot_be_checked_is_refused_in_one_line(
    workplace: Workplace, export: Path, public_key: Path, tmp_path: Path
) -> None:
    missing = tmp_path / "missing"
    assert "--public-key" in the_line_of(offline("--file", export), 78)
    assert "cannot be read" in the_line_of(offline("--file", missing, "--public-key", public_key), 78)
    assert "no Ed25519" in the_line_of(offline("--file", export, "--public-key", export), 78)
    assert "no node" in workplace.refusal("audit", "export", "--node", "node-7", code=66)


def test_a_file_that_is_something_else_does_not_fill_the_screen(public_key: Path, tmp_path: Path) -> None:
    noise = tmp_path / "noise"
    noise.write_bytes(b"noise\n" * 5000)

    done = offline("--file", noise, "--public-key", public_key)

    assert done.code == 1
    assert len(done.out.splitlines()) == 1001
    assert done.out.endswith("… and 4001 more\n")


def test_a_heads_file_that_cannot_be_written_is_named(
    workplace: Workplace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PUSHPKI_AUDIT__HEADS_FILE", str(tmp_path / "no" / "heads"))

    assert "audit.heads_file" in workplace.refusal("audit", "export", code=78)
