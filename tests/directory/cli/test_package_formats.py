"""`pushpki org format`: what the recipients in one mail domain need."""

import sqlite3

import pytest

from tests.directory.cli.workplace import Workplace


def minted_format(workplace: Workplace, address: str) -> str:
    enrolment_id = workplace.document("lookup", address, "--gateway", "gw")["enrolment_id"]
    connection = sqlite3.connect(workplace.folder / "pushpki.sqlite3")
    query = "SELECT package_format FROM deliveries WHERE enrolment_id = ?"
    ((package_format,),) = connection.execute(query, (enrolment_id,)).fetchall()
    connection.close()
    return str(package_format)


def test_a_domain_gets_what_was_said_and_all_others_the_usual(
    workplace: Workplace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PUSHPKI_CA__KEY_ALGORITHM", "rsa-2048")

    done = workplace.document("org", "format", "hospital", "Example.net", "modern")

    assert done == {
        "slug": "hospital",
        "package_format": "compatible",
        "package_formats": {"example.net": "modern"},
    }
    assert minted_format(workplace, "anna@EXAMPLE.net") == "modern"
    assert minted_format(workplace, "anna@example.org") == "compatible"


def test_a_domain_is_as_all_others_again(workplace: Workplace) -> None:
    workplace.document("org", "format", "hospital", "a.example", "modern")
    workplace.document("org", "format", "hospital", "b.example", "compatible")

    lines = workplace.lines("org", "format", "hospital", "a.example", "--remove")

    assert lines == ["b.example\tcompatible", "all others\tcompatible"]


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("hospital", "a.example"), 78, "takes either a format or --remove"),
        (("hospital", "a.example", "modern", "--remove"), 78, "takes either a format or --remove"),
        (("hospital", "a.example", "--remove"), 66, "no format of its own for 'a.example'"),
        (("hospital", "a b", "modern"), 78, "is not a mail domain"),
        (("nobody", "a.example", "modern"), 66, "no organization 'nobody'"),
    ],
)
def test_what_cannot_be_is_refused(
    template: Workplace, arguments: tuple[str, ...], code: int, words: str
) -> None:
    assert words in template.refusal("org", "format", *arguments, code=code)
