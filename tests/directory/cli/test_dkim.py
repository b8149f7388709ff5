"""`pushpki org dkim`: a key is made, its record shown, its secret never."""

from tests.directory.cli.test_organizations import add
from tests.directory.cli.workplace import Workplace


def test_a_key_is_made_and_its_record_shown_again(workplace: Workplace) -> None:
    workplace.document(*add("signing", domain="signing.com", mail_from="keys@signing.com"))
    made = workplace.document("org", "dkim", "signing", "--selector", "keys2026")

    assert made["name"] == "keys2026._domainkey.signing.com"
    assert str(made["record"]).startswith("v=DKIM1; k=rsa; p=")
    assert workplace.document("org", "dkim", "signing") == made
    lines = workplace.lines("org", "dkim", "signing")
    assert any(line.startswith("keys2026._domainkey.signing.com. IN TXT ") for line in lines)
    assert not any("PRIVATE" in line for line in lines)

    refusal = workplace.refusal("org", "dkim", "signing", "--selector", "keys2026", code=78)
    assert "new name" in refusal
    other = workplace.document("org", "dkim", "signing", "--selector", "keys2027", "--algorithm", "ed25519")
    assert str(other["record"]).startswith("v=DKIM1; k=ed25519; p=")

    removed = workplace.document("org", "dkim", "signing", "--remove", "--yes")
    assert removed["selector"] is None
    assert workplace.lines("org", "dkim", "signing") == ["Mails of signing are not signed."]


def test_refuses_a_selector_that_is_none(workplace: Workplace) -> None:
    workplace.document(*add("selecting", domain="selecting.com", mail_from="keys@selecting.com"))
    assert "selector" in workplace.refusal("org", "dkim", "selecting", "--selector", "a b", code=78)
    both = ("org", "dkim", "selecting", "--selector", "a", "--remove", "--yes")
    assert "--remove" in workplace.refusal(*both, code=78)
