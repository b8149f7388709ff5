"""`pushpki renew`: the next certificate now, for an operator who names an address or an enrolment."""

import sqlite3

import pytest

from tests.directory.cli.workplace import Workplace

ANNA = "anna@example.org"


@pytest.fixture
def accepted(workplace: Workplace, monkeypatch: pytest.MonkeyPatch) -> str:
    """Mint, and let the key mail have been accepted; return the enrolment."""
    monkeypatch.setenv("PUSHPKI_CA__KEY_ALGORITHM", "rsa-2048")
    enrolment_id = workplace.document("lookup", ANNA, "--gateway", "gw")["enrolment_id"]
    connection = sqlite3.connect(workplace.folder / "pushpki.sqlite3")
    with connection:
        connection.execute("UPDATE outgoing_mail SET state = 'accepted'")
        connection.execute("UPDATE deliveries SET state = 'accepted'")
    connection.close()
    return str(enrolment_id)


def test_what_is_only_policy_is_overruled_and_the_rest_is_not(workplace: Workplace, accepted: str) -> None:
    served = workplace.document("lookup", ANNA)
    line = workplace.refusal("renew", ANNA, code=65)
    assert "nobody has shown that he can decrypt with its key (renewal.unproven)" in line
    assert "--anyway" in line

    renewed = workplace.document("renew", ANNA, "--anyway")

    assert renewed["address"] == ANNA
    assert renewed["enrolment_id"] != accepted
    assert renewed["serial"] != served["serial"]
    assert workplace.document("lookup", ANNA)["serial"] == served["serial"], "the old one leads"
    assert "renewal.renewed_already" in workplace.refusal("renew", ANNA, "--anyway", code=65)
    assert workplace.document("verify") == {"violations": []}


def test_an_enrolment_is_named_instead(workplace: Workplace, accepted: str) -> None:
    (line,) = workplace.lines("renew", "--enrolment", accepted, "--anyway")

    assert line.startswith("Renewed until 20")


def test_nothing_is_renewed_whose_own_mail_did_not_arrive_yet(
    workplace: Workplace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PUSHPKI_CA__KEY_ALGORITHM", "rsa-2048")
    workplace.document("lookup", ANNA, "--gateway", "gw")

    assert "renewal.undelivered" in workplace.refusal("renew", ANNA, "--anyway", code=65)


def test_what_does_not_exist_is_named(template: Workplace) -> None:
    assert "no enrolment 'ffff'" in template.refusal("renew", "--enrolment", "ffff", code=66)
    assert f"'{ANNA}'" in template.refusal("renew", ANNA, code=66)


@pytest.mark.parametrize("arguments", [(), (ANNA, "--enrolment", "ffff")])
def test_one_thing_is_named(template: Workplace, arguments: tuple[str, ...]) -> None:
    assert "either an address or --enrolment" in template.refusal("renew", *arguments, code=78)
