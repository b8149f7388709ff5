"""The notices about passwords that nobody passes on: to the organization, without any secret."""

import email
import email.policy
from dataclasses import replace
from datetime import timedelta

import pytest

from ca.address import Mailbox
from directory.delivery.relaynotices import RelayNoticeComposer
from directory.delivery.stationery import Stationery
from directory.organization import Correspondence
from tests.directory.builders import an_organization
from tests.directory.delivery.builders import NOW, PASSWORD, a_due_mail
from tests.directory.delivery.equality import check_equal_in_content


@pytest.mark.parametrize(
    ("message", "said"),
    [
        ("notice_expiring", "vor dem 22. Dezember 2026"),
        ("notice_expired", "Das Passwort wurde vernichtet"),
    ],
)
def test_names_the_address_and_the_days_but_no_secret(message: str, said: str) -> None:
    organization = replace(an_organization(), correspondence=Correspondence(language="de"))
    mail = a_due_mail(
        address="anna@example.org", organization=organization, give_up_at=NOW + timedelta(days=30)
    )
    mail = replace(mail, recipient=Mailbox.parse("notices@hospital.org"), language="es")
    composer = RelayNoticeComposer(message=message, stationery=Stationery(None))

    composed = composer.compose(mail, now=NOW)

    parsed = email.message_from_bytes(composed.message, policy=email.policy.SMTP)
    plain, html = parsed.get_body(("plain",)), parsed.get_body(("html",))
    assert plain is not None
    assert html is not None
    assert parsed["To"] == "notices@hospital.org"
    assert "anna@example.org" in plain.get_content()
    assert said in plain.get_content()
    assert PASSWORD not in plain.get_content()
    check_equal_in_content(plain.get_content(), html.get_content())
