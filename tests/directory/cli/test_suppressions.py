"""`pushpki suppression`: stop all mail to an address, see who gets none, let it through again."""

import pytest

from tests.directory.cli.workplace import Workplace

ANNA = "anna@example.org"


@pytest.fixture(autouse=True)
def _quick_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PUSHPKI_CA__KEY_ALGORITHM", "rsa-2048")


def test_an_address_that_is_stopped_gets_no_certificate_until_it_is_lifted(workplace: Workplace) -> None:
    assert workplace.lines("suppression", "list") == ["Every address may get mail."]

    added = workplace.document("suppression", "add", "Anna@example.org", "--yes")
    assert added == {"address": "Anna@example.org", "suppressed": True, "certificates_withdrawn": 0}
    assert "policy.suppressed" in workplace.pushpki("lookup", ANNA, "--gateway", "gw").err

    lifted = workplace.document("suppression", "lift", ANNA, "--yes")
    assert lifted == {"address": ANNA, "suppressed": False}
    assert workplace.document("lookup", ANNA, "--gateway", "gw")["origin"] == "minted"


def test_what_was_minted_and_not_proven_is_withdrawn(workplace: Workplace) -> None:
    workplace.document("lookup", ANNA, "--gateway", "gw")

    line = f"No mail goes to {ANNA} any more; certificates withdrawn: 1."
    assert workplace.lines("suppression", "add", ANNA, "--yes") == [line]

    assert "lookup.not_found" in workplace.pushpki("lookup", ANNA).err
    assert workplace.document("verify") == {"violations": []}


def test_the_list_says_since_when_and_by_whom(workplace: Workplace) -> None:
    workplace.document("suppression", "add", ANNA, "--yes")

    (listed,) = workplace.document("suppression", "list")["suppressions"]
    (line,) = workplace.lines("suppression", "list")

    assert (listed["address"], listed["reason"]) == (ANNA, "operator")
    assert line == f"{ANNA}  since {listed['since'][:10]}  by the operator"


def test_adding_twice_withdraws_nothing_more(workplace: Workplace) -> None:
    workplace.document("suppression", "add", ANNA, "--yes")

    assert workplace.document("suppression", "add", ANNA, "--yes")["certificates_withdrawn"] == 0


def test_what_is_not_suppressed_cannot_be_lifted(workplace: Workplace) -> None:
    line = workplace.refusal("suppression", "lift", ANNA, "--yes", code=66)

    assert ANNA in line


@pytest.mark.parametrize("command", ["add", "lift"])
def test_without_a_terminal_it_wants_yes(workplace: Workplace, command: str) -> None:
    line = workplace.refusal("suppression", command, ANNA, code=78)

    assert "--yes" in line
    assert workplace.document("suppression", "list") == {"suppressions": []}


@pytest.mark.parametrize("command", ["add", "lift"])
def test_what_is_no_address_is_refused(workplace: Workplace, command: str) -> None:
    assert "ADDRESS" in workplace.refusal("suppression", command, "anna", "--yes", code=78)
