"""`pushpki org set`: what is named changes, what is not stays."""

from pathlib import Path

import pytest

from tests.directory.cli.test_organizations import a_secret_file, add
from tests.directory.cli.workplace import Workplace


@pytest.fixture
def firm(workplace: Workplace) -> Workplace:
    workplace.document(*add(contact="+49 30 1"))
    return workplace


def test_a_bounce_address_has_room_for_the_token(workplace: Workplace) -> None:
    longest = "b" * 31 + "@hospital.org"
    workplace.document("org", "set", "hospital", "--bounce-address", longest)
    line = workplace.refusal("org", "set", "hospital", "--bounce-address", f"b{longest}", code=78)

    assert "at most 31 characters" in line


def test_what_is_named_changes_and_the_rest_stays(firm: Workplace) -> None:
    before = firm.document("org", "list")["organizations"][0]

    after = firm.document(
        *("org", "set", "firm", "--name", "Firm & Partners", "--language", "de", "--relay-days", "14"),
        *("--bounce-address", "bounces@firm.com", "--notices-to", "help@firm.com", "--no-package-chain"),
        *("--renewal", "none"),
    )

    changed = {
        "name": "Firm & Partners",
        "language": "de",
        "relay_days": 14,
        "bounce_address": "bounces@firm.com",
        "notices_to": "help@firm.com",
        "package_chain": False,
        "renewal": "none",
    }
    assert after == before | changed
    assert firm.document("org", "list")["organizations"][0] == after


def test_an_address_can_be_taken_away(firm: Workplace) -> None:
    firm.document("org", "set", "firm", "--notices-to", "help@firm.com")

    assert firm.document("org", "set", "firm", "--notices-to", "none")["notices_to"] is None


def test_mail_may_go_directly_and_by_a_smart_host_again(firm: Workplace, tmp_path: Path) -> None:
    direct = firm.document("org", "set", "firm", "--smtp", "mx:")
    assert (direct["smart_host"], direct["smtp_security"]) == (None, None)

    password = a_secret_file(tmp_path)
    by_host = firm.document(
        *("org", "set", "firm", "--smtp", "smtps://keys@mail.firm.com", "--smtp-password-file", password)
    )
    assert (by_host["smart_host"], by_host["smtp_security"]) == ("mail.firm.com:465", "tls")


@pytest.mark.parametrize(
    ("options", "key", "code"),
    [
        ((), "org set", 78),
        (("--key-delivery", "link"), "--key-delivery", 78),
        (("--mail-from", "keys@elsewhere.com"), "mail-from", 78),
        (("--language", "Deutsch"), "--language", 78),
        (("--language", "pt"), "choose of de, en, es, fr", 78),
        (("--notices-to", "nobody"), "--notices-to", 78),
        (("--smtp-password-file", "/dev/null"), "--smtp-password-file", 78),
        (("--name", ""), "name", 78),
    ],
)
def test_what_cannot_be_is_refused_and_changes_nothing(
    firm: Workplace, options: tuple[str, ...], key: str, code: int
) -> None:
    before = firm.document("org", "list")

    assert key in firm.refusal("org", "set", "firm", *options, code=code)

    assert firm.document("org", "list") == before


def test_nobody_can_change_an_organization_that_is_not_there(workplace: Workplace) -> None:
    assert "nobody" in workplace.refusal("org", "set", "nobody", "--name", "Firm", code=66)
