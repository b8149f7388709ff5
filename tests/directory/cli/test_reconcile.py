"""`pushpki audit reconcile`: a backup is restored, and what happened since is made good where it can be."""

import json
import shutil
import sqlite3
from pathlib import Path

import pytest

from tests.directory.cli.workplace import Workplace

ANNA, BERT, CARL = "anna@example.org", "bert@example.org", "carl@example.org"


@pytest.fixture(autouse=True)
def _quick_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PUSHPKI_CA__KEY_ALGORITHM", "rsa-2048")


def back_up(workplace: Workplace, to: Path) -> None:
    """Copy the database as `sqlite3 .backup` does."""
    with sqlite3.connect(workplace.folder / "pushpki.sqlite3") as source, sqlite3.connect(to) as copy:
        source.backup(copy)
    source.close()
    copy.close()


def restore(workplace: Workplace, backup: Path) -> None:
    for file in workplace.folder.glob("pushpki.sqlite3*"):
        file.unlink()
    shutil.copy(backup, workplace.folder / "pushpki.sqlite3")


def mint(workplace: Workplace, address: str) -> str:
    serial: str = workplace.document("lookup", address, "--gateway", "gw")["serial"]
    return serial


def listed(workplace: Workplace) -> dict[str, str]:
    """Return the reason of each serial number that the CRLs would list."""
    with sqlite3.connect(workplace.folder / "pushpki.sqlite3") as connection:
        rows = connection.execute(
            "SELECT serial, revocation_reason FROM certificates WHERE revoked_at IS NOT NULL"
        ).fetchall()
    connection.close()
    return dict(rows)


@pytest.fixture
def export(workplace: Workplace, tmp_path: Path) -> Path:
    """What the log has told when the database was lost; a backup of before was restored."""
    workplace.document("audit", "key")
    backup = tmp_path / "backup.sqlite3"
    mint(workplace, BERT)
    back_up(workplace, backup)
    mint(workplace, ANNA)
    mint(workplace, CARL)
    workplace.document("revoke", BERT, "--reason", "affiliationChanged", "--yes")
    workplace.document("revoke", CARL, "--reason", "keyCompromise", "--yes")
    export = tmp_path / "audit.jsonl"
    export.write_text(workplace.pushpki("audit", "export").out, encoding="ascii")
    restore(workplace, backup)
    return export


def test_what_was_issued_and_revoked_since_the_backup_is_revoked(workplace: Workplace, export: Path) -> None:
    assert listed(workplace) == {}

    document = workplace.document("audit", "reconcile", str(export), "--yes")

    reasons = {one["serial"]: one["reason"] for one in document["certificates"]}
    assert sorted(reasons.values()) == ["keyCompromise", "superseded"]
    assert [one["reason"] for one in document["revocations"]] == ["affiliationChanged"]
    again = {one["serial"]: one["reason"] for one in document["revocations"]}
    assert listed(workplace) == reasons | again
    workplace.document("ca", "crl", "issue")
    assert workplace.document("verify") == {"violations": []}


def test_a_lost_address_is_minted_anew_under_another_serial_number(
    workplace: Workplace, export: Path
) -> None:
    lost = workplace.document("audit", "reconcile", str(export), "--yes")["certificates"]

    # Serial numbers are drawn, not counted: a restore cannot repeat one.
    assert mint(workplace, ANNA) not in {one["serial"] for one in lost}
    workplace.document("ca", "crl", "issue")
    assert workplace.document("verify") == {"violations": []}


def test_issuing_cas_that_were_revoked_or_made_since_are_revoked(
    workplace: Workplace, tmp_path: Path
) -> None:
    workplace.document("audit", "key")
    root, old = workplace.document("ca", "list")["issuers"]
    minted = mint(workplace, BERT)
    backup, export = tmp_path / "backup.sqlite3", tmp_path / "audit.jsonl"
    back_up(workplace, backup)
    new = workplace.document("ca", "issuing", "create", "--key", "p-256", "--activate")["id"]
    serial = workplace.document("ca", "show", new)["serial"]
    mint(workplace, ANNA)
    workplace.document("ca", "issuing", "revoke", old["id"], "--yes")
    export.write_text(workplace.pushpki("audit", "export").out, encoding="ascii")
    restore(workplace, backup)

    question = workplace.refusal("audit", "reconcile", str(export), code=78)
    done = workplace.pushpki("audit", "reconcile", str(export), "--yes", "--json")

    assert f"and issuing CA {old['id']} with all that it issued?" in question
    assert done.code == 1
    document = json.loads(done.out)
    assert document["issuer_revocations"] == [{"issuer": old["id"], "reason": "cACompromise"}]
    assert document["beyond_help"] == [{"issuer": new, "certificates": 1}]
    assert listed(workplace) == {
        minted: "superseded",
        old["serial"]: "cACompromise",
        serial: "cessationOfOperation",
    }
    crls = {one["issuer"]: one for one in workplace.document("ca", "crl", "issue")["crls"]}
    assert crls[root["id"]]["entries"] == 2
    assert workplace.document("verify") == {"violations": []}

    again = workplace.pushpki("audit", "reconcile", str(export))
    assert again.code == 1
    assert again.out == f"Beyond help: 1 certificates of issuer {new}, whose CRL is not made here.\n"


def test_the_second_time_nothing_is_left_to_do(workplace: Workplace, export: Path) -> None:
    workplace.document("audit", "reconcile", str(export), "--yes")

    assert workplace.lines("audit", "reconcile", str(export)) == ["Nothing was lost that is still valid."]


def test_it_says_how_much_it_is_and_asks(workplace: Workplace, export: Path) -> None:
    line = workplace.refusal("audit", "reconcile", str(export), code=78)

    assert "Revoke 2 certificates that were lost, and 1 once more?" in line
    assert listed(workplace) == {}


def test_a_log_that_is_not_whole_is_not_believed(workplace: Workplace, export: Path) -> None:
    text = export.read_text(encoding="ascii")
    export.write_text(text.replace('"reason":"keyCompromise"', '"reason":"unspecified"'), encoding="ascii")

    line = workplace.refusal("audit", "reconcile", str(export), "--yes", code=78)

    assert "the export is not whole" in line
    assert listed(workplace) == {}
