"""`pushpki ca list`, `show` and `issuing activate`."""

import sqlite3

import pytest
from cryptography import x509

from tests.directory.cli.workplace import Workplace


def test_the_issuers_are_listed_with_what_they_do(workplace: Workplace) -> None:
    root, issuing = workplace.document("ca", "list")["issuers"]

    assert (root["purpose"], root["state"], root["parent"]) == ("root-ca", "active", None)
    assert (issuing["purpose"], issuing["state"], issuing["parent"]) == ("issuing-ca", "active", root["id"])
    assert {root["key"], issuing["key"]} == {"sealed here"}
    assert len(workplace.lines("ca", "list")) == 2


def test_one_is_shown_with_its_certificate(workplace: Workplace) -> None:
    listed = workplace.document("ca", "list")["issuers"][1]

    shown = workplace.document("ca", "show", listed["id"][:8])

    certificate = x509.load_pem_x509_certificate(shown.pop("certificate").encode())
    assert f"{certificate.serial_number:x}" == listed["serial"]
    assert (shown.pop("request"), shown.pop("cross_certificates")) == (None, None)
    assert shown == listed
    assert "state: active" in workplace.lines("ca", "show", listed["id"])


def test_an_issuer_is_made_active(workplace: Workplace) -> None:
    issuing = workplace.document("ca", "list")["issuers"][1]

    done = workplace.document("ca", "issuing", "activate", issuing["id"], "--at", "2027-06-01T06:00")

    assert done == {"id": issuing["id"], "active_from": "2027-06-01T06:00:00+00:00"}
    assert workplace.document("ca", "list")["issuers"][1]["state"] == "pending"
    assert workplace.lines("ca", "issuing", "activate", issuing["id"])[0].endswith("certifies from now on.")
    assert workplace.document("ca", "list")["issuers"][1]["state"] == "active"


def test_what_is_no_issuing_ca_or_no_moment_is_refused(workplace: Workplace) -> None:
    root, issuing = workplace.document("ca", "list")["issuers"]

    assert "no issuing CA" in workplace.refusal("ca", "issuing", "activate", root["id"], code=78)
    assert "--at" in workplace.refusal("ca", "issuing", "activate", issuing["id"], "--at", "soon", code=78)
    assert "issuer" in workplace.refusal("ca", "show", "0" * 40, code=66)


def test_a_request_that_waits_is_listed_and_shown(workplace: Workplace) -> None:
    out = workplace.folder / "issuing.csr"
    made = workplace.document("ca", "issuing", "csr", "--key", "p-256", "--out", str(out))

    listed = workplace.document("ca", "list")["issuers"][-1]
    shown = workplace.document("ca", "show", made["id"])

    assert (listed["id"], listed["state"], listed["not_after"]) == (made["id"], "pending", None)
    assert shown["request"] == out.read_text()
    assert "BEGIN CERTIFICATE REQUEST" in "\n".join(workplace.lines("ca", "show", made["id"]))


@pytest.mark.parametrize(
    "spoil",
    [
        "UPDATE issuers SET der = X'3000' WHERE id = ?",
        "UPDATE issuers SET purpose = 'nothing' WHERE id = ?",
    ],
)
def test_an_issuer_that_is_not_what_it_should_be_takes_one_line(workplace: Workplace, spoil: str) -> None:
    issuing = workplace.document("ca", "list")["issuers"][1]["id"]
    with sqlite3.connect(workplace.folder / "pushpki.sqlite3") as connection:
        connection.execute(spoil, (issuing,))
    connection.close()
    out = str(workplace.folder / "out")

    for command in (
        ("list",),
        ("show", issuing),
        ("crl", "issue"),
        ("crl", "request", "--issuer", issuing, "--out", out),
        ("issuing", "create", "--key", "p-256"),
        ("issuing", "csr", "--key", "p-256", "--out", out),
        ("issuing", "activate", issuing),
        ("issuing", "revoke", issuing, "--yes"),
    ):
        assert "restore it from a backup" in workplace.refusal("ca", *command, code=78)


@pytest.mark.parametrize(
    ("spoil", "key", "is_shown"),
    [
        ("UPDATE pending_issuers SET request = X'3000' WHERE id = ?", "sealed here", False),
        (
            """UPDATE pending_issuers
               SET key_master_key_id = NULL, key_wrapped_key = NULL, key_ciphertext = NULL WHERE id = ?""",
            "lost",
            True,
        ),
    ],
)
def test_a_request_whose_record_was_damaged_is_told_as_such_beside_the_others(
    workplace: Workplace, spoil: str, key: str, *, is_shown: bool
) -> None:
    out = str(workplace.folder / "issuing.csr")
    made = workplace.document("ca", "issuing", "csr", "--key", "p-256", "--out", out)
    with sqlite3.connect(workplace.folder / "pushpki.sqlite3") as connection:
        connection.execute(spoil, (made["id"],))
    connection.close()

    listed = {one["id"]: one for one in workplace.document("ca", "list")["issuers"]}
    shown = workplace.document("ca", "show", made["id"])

    assert len(listed) == 3
    assert (listed[made["id"]]["state"], listed[made["id"]]["key"]) == ("damaged", key)
    assert (shown["request"] is not None) is is_shown
    assert any("damaged" in line for line in workplace.lines("ca", "list"))
    workplace.document("ca", "issuing", "csr", "--key", "p-256", "--out", out)
    workplace.document("ca", "issuing", "withdraw", made["id"], "--yes")
    assert made["id"] not in {one["id"] for one in workplace.document("ca", "list")["issuers"]}
