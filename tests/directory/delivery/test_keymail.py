import email
import itertools
import re
from dataclasses import replace
from datetime import timedelta
from email import policy
from email.message import EmailMessage
from functools import partial
from html.parser import HTMLParser

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, pkcs12

from directory.delivery.keymail import FILE_NAME, KeyMailComposer
from directory.delivery.outbox import DueMail
from directory.delivery.packing import pack
from directory.delivery.stationery import display_name
from directory.organization import Organization
from tests.directory.builders import an_organization
from tests.directory.delivery.builders import NOW, PASSWORD, ROOT_NAME, a_due_mail, a_sealer
from tests.directory.delivery.equality import check_equal_in_content


def compose(mail: DueMail) -> bytes:
    return KeyMailComposer(partial(pack, sealer=a_sealer())).compose(mail, now=NOW).message


def read(octets: bytes) -> EmailMessage:
    return email.message_from_bytes(octets, policy=policy.default)


def text_of(message: EmailMessage, content_type: str) -> str:
    [part] = [part for part in message.walk() if part.get_content_type() == content_type]
    assert isinstance(part, EmailMessage)
    content = part.get_content()
    assert isinstance(content, str)
    return content


def an_organization_called(name: str, *, contact: str = "+49 30 1234567") -> Organization:
    return replace(an_organization(), name=name, contact=contact)


@pytest.mark.parametrize("contact", ["+49 30 1234567", ""])
def test_text_and_html_say_the_same(contact: str) -> None:
    mail = a_due_mail(organization=an_organization_called('Smith & Sons, "Law"', contact=contact))
    message = read(compose(mail))
    check_equal_in_content(text_of(message, "text/plain"), text_of(message, "text/html"))


def test_says_who_sends_it_to_whom_and_what_to_expect() -> None:
    message = read(compose(a_due_mail()))
    text = " ".join(text_of(message, "text/plain").split())
    assert message["Subject"] == "Your key for encrypted mail from City Hospital"
    for sentence in (
        "City Hospital has a confidential mail for you.",
        "it reaches you under the address anna@recipient.example.org",
        f"as the file {FILE_NAME}.",
        "Somebody from City Hospital will call you and tell you the password.",
        "It is never sent by mail.",
        "nobody from City Hospital will ever ask you for this password",
        "This is how to reach City Hospital: +49 30 1234567",
        f'whether to install the certificate of "{ROOT_NAME}"',
        "Type the password exactly as you were told, with all hyphens",
        "the key can be sent to you in another format",
        "If you lose one of them, tell City Hospital.",
    ):
        assert sentence in text


@pytest.mark.parametrize("device", ["Windows", "Outlook", "Mac", "iPhone", "iPad", "Android", "Thunderbird"])
def test_tells_every_device_what_to_do(device: str) -> None:
    assert device in text_of(read(compose(a_due_mail())), "text/plain")


def test_has_no_line_about_a_contact_that_is_not_known() -> None:
    mail = a_due_mail(organization=an_organization_called("City Hospital", contact=""))
    assert "how to reach" not in text_of(read(compose(mail)), "text/plain")


def test_links_to_nothing_and_loads_nothing() -> None:
    html = text_of(read(compose(a_due_mail())), "text/html")
    assert re.findall(r"(?i)https?:|href|src=|url\(|@import|<img|<script|<link|<form", html) == []


def test_the_page_names_its_language_and_leaves_colours_to_the_reader() -> None:
    html = text_of(read(compose(a_due_mail())), "text/html")
    assert '<html lang="en" dir="ltr">' in html
    assert '<meta name="color-scheme" content="light dark">' in html
    # Text in a fixed colour, or on a fixed ground, is unreadable in somebody's dark mode.
    assert re.findall(r"[ \";]color:|background", html) == []


def test_headings_come_in_order() -> None:
    html = text_of(read(compose(a_due_mail())), "text/html")
    levels = [int(level) for level in re.findall(r"<h(\d)", html)]
    assert levels[0] == 2
    assert all(later - earlier <= 1 for earlier, later in itertools.pairwise(levels))


def test_comes_from_the_organization() -> None:
    message = read(compose(a_due_mail(organization=an_organization_called("Krankenhaus München"))))
    [sender] = message["From"].addresses
    assert (sender.display_name, sender.addr_spec) == ("Krankenhaus München", "keys@hospital.org")
    [recipient] = message["To"].addresses
    assert recipient.addr_spec == "anna@recipient.example.org"


def test_bears_the_message_id_of_the_mail_and_the_date_of_its_writing() -> None:
    mail = a_due_mail()
    later = NOW + timedelta(hours=3)
    message = read(KeyMailComposer(lambda _mail: b"x").compose(mail, now=later).message)
    assert message["Message-ID"] == mail.message_id
    assert message["Date"].datetime == later


def test_the_attached_key_package_opens_with_the_password() -> None:
    mail = a_due_mail()
    [attachment] = read(compose(mail)).iter_attachments()
    assert isinstance(attachment, EmailMessage)
    assert attachment.get_content_type() == "application/x-pkcs12"
    assert attachment.get_filename() == "encryption-key.p12"
    opened = pkcs12.load_pkcs12(attachment.get_content(), PASSWORD.encode())
    assert opened.cert is not None
    assert opened.cert.certificate.public_bytes(Encoding.DER) == mail.certificate


def test_the_file_name_is_no_recipients() -> None:
    [one] = read(compose(a_due_mail(address="anna@one.example.org"))).iter_attachments()
    [other] = read(compose(a_due_mail(address="bert@other.example.org"))).iter_attachments()
    assert one.get_filename() == other.get_filename()


def test_the_password_is_not_in_the_mail() -> None:
    octets = compose(a_due_mail())
    parts = [part.get_payload(decode=True) for part in read(octets).walk() if not part.is_multipart()]
    everything = b"".join([octets, *(part for part in parts if isinstance(part, bytes))])
    assert len(everything) > len(octets) * 1.5
    for canary in (PASSWORD.encode(), PASSWORD.replace("-", "").encode(), PASSWORD[:11].encode()):
        assert canary not in everything


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("City Hospital", "City Hospital"),
        ("City\r\nBcc: x@y.example", "City Bcc: x@y.example"),
        ("\u202e\u200b", "hospital.org"),
        ("x" * 10_000, "x" * 200),
    ],
)
def test_the_name_is_one_visible_line(name: str, shown: str) -> None:
    assert display_name(an_organization_called(name)) == shown
