"""What mails bring along: the key package under its one name, and nothing that mail filters throw away."""

import email
from email import policy
from email.message import EmailMessage

import pytest

from directory.delivery.outbox import MailKind
from directory.organization import KeyDelivery
from tests.directory.delivery.builders import NOW
from tests.directory.delivery.composers import a_mail_of, an_organization_that_writes, every_composer

BLOCKED = (".cer", ".crt", ".der", ".pfx", ".pem", ".p7b", ".exe", ".zip", ".html")
"""Outlook, OWA and scanners throw mails with the first three away; `.pfx` is what some gateways strip."""


def composed(kind: MailKind, key_delivery: KeyDelivery) -> EmailMessage:
    mail = a_mail_of(kind, organization=an_organization_that_writes(key_delivery=key_delivery))
    message = every_composer()[kind].compose(mail, now=NOW).message
    return email.message_from_bytes(message, policy=policy.default)


@pytest.mark.parametrize("key_delivery", KeyDelivery)
@pytest.mark.parametrize("kind", MailKind)
def test_only_a_key_mail_has_an_attachment_and_that_is_the_key_package(
    kind: MailKind, key_delivery: KeyDelivery
) -> None:
    message = composed(kind, key_delivery)
    names = [name for part in message.walk() if (name := part.get_filename()) is not None]

    brings_key = kind is MailKind.KEY and key_delivery is not KeyDelivery.LINK
    encrypted = kind in {MailKind.PROOF, MailKind.PASSWORD}
    assert names == (["encryption-key.p12"] if brings_key else ["smime.p7m"] if encrypted else [])


@pytest.mark.parametrize("key_delivery", [KeyDelivery.ATTACHMENT, KeyDelivery.BOTH])
def test_a_key_package_is_called_what_it_is(key_delivery: KeyDelivery) -> None:
    (attachment,) = composed(MailKind.KEY, key_delivery).iter_attachments()

    assert attachment.get_content_type() == "application/x-pkcs12"
    assert attachment.get_content_disposition() == "attachment"
    assert attachment.get_filename() == "encryption-key.p12"


@pytest.mark.parametrize("kind", MailKind)
def test_no_mail_has_what_filters_throw_away(kind: MailKind) -> None:
    for part in composed(kind, KeyDelivery.BOTH).walk():
        said = str(part.get("Content-Type", "")) + str(part.get("Content-Disposition", ""))
        assert not any(f"{ending}" in said.lower() for ending in BLOCKED)
        assert "x-x509" not in said
        assert "pkix-cert" not in said


def test_every_kind_has_a_composer() -> None:
    assert set(every_composer()) == set(MailKind)
