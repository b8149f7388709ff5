import email
from dataclasses import replace
from datetime import timedelta
from email import policy
from email.message import EmailMessage

import pytest

from directory.delivery.composing import Composed
from directory.delivery.keymail import FILE_NAME
from directory.delivery.outbox import DueMail, MailKind
from directory.delivery.remindermail import ReminderComposer
from directory.delivery.stationery import Stationery
from directory.links import LinkPurpose, read_link
from directory.organization import Correspondence, KeyDelivery
from directory.pages import Pages
from tests.directory.builders import an_organization
from tests.directory.delivery.builders import NOW, a_due_mail
from tests.directory.delivery.equality import check_equal_in_content, outline_of_html

PAGES = Pages(url="https://keys.hospital.org")
LANGUAGES = ("en", "de", "fr", "es")


@pytest.fixture(scope="module")
def stationery() -> Stationery:
    return Stationery()


def a_reminder(
    key_delivery: KeyDelivery = KeyDelivery.ATTACHMENT, *, language: str = "en", contact: str = "+49 30 1"
) -> DueMail:
    organization = replace(
        an_organization(), correspondence=Correspondence(key_delivery=key_delivery), contact=contact
    )
    return a_due_mail(kind=MailKind.REMINDER, language=language, organization=organization)


def compose(stationery: Stationery, mail: DueMail) -> Composed:
    composer = ReminderComposer(stationery=stationery, pages=PAGES, hold=timedelta(days=7))
    return composer.compose(mail, now=NOW)


def text_of(composed: Composed, kind: str = "plain") -> str:
    message = email.message_from_bytes(composed.message, policy=policy.default)
    [part] = [part for part in message.walk() if part.get_content_type() == f"text/{kind}"]
    assert isinstance(part, EmailMessage)
    return str(part.get_content())


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("key_delivery", KeyDelivery)
@pytest.mark.parametrize("contact", ["", "+49 30 1234567"])
def test_text_and_html_say_the_same(
    stationery: Stationery, language: str, key_delivery: KeyDelivery, contact: str
) -> None:
    composed = compose(stationery, a_reminder(key_delivery, language=language, contact=contact))

    check_equal_in_content(text_of(composed), text_of(composed, "html"))
    assert outline_of_html(text_of(composed, "html")).language == language


@pytest.mark.parametrize(
    ("key_delivery", "offers_file", "offers_page"),
    [
        (KeyDelivery.ATTACHMENT, True, False),
        (KeyDelivery.LINK, False, True),
        (KeyDelivery.BOTH, True, True),
    ],
)
@pytest.mark.parametrize("language", LANGUAGES)
def test_offers_what_the_key_mail_offered(
    stationery: Stationery, key_delivery: KeyDelivery, language: str, *, offers_file: bool, offers_page: bool
) -> None:
    text = text_of(compose(stationery, a_reminder(key_delivery, language=language)))

    assert (FILE_NAME in text) == offers_file
    assert any("/install/" in word and "/stop/" not in word for word in text.split()) == offers_page


@pytest.mark.parametrize("key_delivery", KeyDelivery)
def test_offers_no_key_that_is_gone(stationery: Stationery, key_delivery: KeyDelivery) -> None:
    mail = replace(a_reminder(key_delivery), sealed_key=None)

    composed = compose(stationery, mail)

    assert [link.purpose for link in composed.links] == [LinkPurpose.STOP]
    assert "If you no longer have the key, tell City Hospital" in text_of(composed)


@pytest.mark.parametrize("key_delivery", KeyDelivery)
def test_proves_nothing(stationery: Stationery, key_delivery: KeyDelivery) -> None:
    composed = compose(stationery, a_reminder(key_delivery))

    assert LinkPurpose.PROOF not in [link.purpose for link in composed.links]
    assert "/prove/" not in text_of(composed) + text_of(composed, "html")


def test_its_links_are_those_to_be_stored(stationery: Stationery) -> None:
    composed = compose(stationery, a_reminder(KeyDelivery.BOTH))

    urls = [word for word in text_of(composed).split() if word.startswith("https://")]
    shown = {link.link_id: link for url in urls if (link := read_link(url.rpartition("/")[2]))}
    assert len(shown) == 2
    assert all(shown[link.link_id].matches(link.digest) for link in composed.links)


def test_says_that_the_password_never_comes_by_mail_and_whom_to_call(stationery: Stationery) -> None:
    text = " ".join(text_of(compose(stationery, a_reminder())).split())

    assert "but never by mail. Nobody will ever ask you for it." in text
    assert "This is how to reach City Hospital: +49 30 1" in text
    assert "We remind you only this once." in text


def test_has_no_file_with_it(stationery: Stationery) -> None:
    message = email.message_from_bytes(compose(stationery, a_reminder()).message, policy=policy.default)

    assert isinstance(message, EmailMessage)
    assert list(message.iter_attachments()) == []
