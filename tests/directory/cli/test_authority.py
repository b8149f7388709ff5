"""`pushpki ca`: what the authority itself publishes."""

import pytest

from tests.directory.cli.workplace import Workplace

ANNA = "anna@example.org"


@pytest.fixture(autouse=True)
def _quick_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PUSHPKI_CA__KEY_ALGORITHM", "rsa-2048")


def test_crls_are_made_when_an_operator_asks(workplace: Workplace) -> None:
    first = workplace.document("ca", "crl", "issue")["crls"]
    second = workplace.document("ca", "crl", "issue")["crls"]

    assert len(first) == 2
    assert [one["issuer"] for one in second] == [one["issuer"] for one in first]
    assert all(later["number"] > one["number"] for one, later in zip(first, second, strict=True))


def test_people_read_until_when_they_hold(workplace: Workplace) -> None:
    lines = workplace.lines("ca", "crl", "issue")

    assert len(lines) == 2
    assert all(line.startswith("Issuer ") and line.endswith(" UTC.") for line in lines)


def test_what_was_revoked_is_on_them(workplace: Workplace) -> None:
    workplace.document("lookup", ANNA, "--gateway", "gw")
    workplace.document("revoke", ANNA, "--yes")

    workplace.document("ca", "crl", "issue")

    assert workplace.document("verify") == {"violations": []}
