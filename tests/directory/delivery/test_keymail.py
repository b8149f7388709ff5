import email
import itertools
import re
from dataclasses import replace
from datetime import timedelta
from email import policy
from email.message import EmailMessage

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, pkcs12

from directory.delivery.keymail import FILE_NAME
from directory.delivery.outbox import DueMail
from directory.links import LinkPurpose, read_link
from directory.organization import Correspondence, KeyDelivery, Organization, Webhook, webhook_secret_identity
from directory.pages import Pages
from tests.directory.builders import an_organization
from tests.directory.delivery.builders import (
    NOW,
    PASSWORD,
    ROOT_NAME,
    a_due_mail,
    a_key_mail_composer,
    a_sealer,
    an_authority,
)
from tests.directory.delivery.equality import check_equal_in_content, outline_of_html


def compose(mail: DueMail) -> bytes:
    return a_key_mail_composer().compose(mail, now=NOW).message


def read(octets: bytes) -> EmailMessage:
    return email.message_from_bytes(octets, policy=policy.default)


def text_of(message: EmailMessage, content_type: str) -> str:
    [part] = [part for part in message.walk() if part.get_content_type() == content_type]
    assert isinstance(part, EmailMessage)
    content = part.get_content()
    assert isinstance(content, str)
    return content


PAGES = Pages(url="https://keys.hospital.org")


def an_organizations_mail(
    key_delivery: KeyDelivery, *, package_chain: bool = True, webhook: Webhook | None = None
) -> DueMail:
    correspondence = Correspondence(key_delivery=key_delivery, package_chain=package_chain, webhook=webhook)
    return a_due_mail(organization=replace(an_organization(), correspondence=correspondence))


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


def test_without_pages_it_links_to_nothing() -> None:
    composed = a_key_mail_composer().compose(an_organizations_mail(KeyDelivery.BOTH), now=NOW)
    html = text_of(read(composed.message), "text/html")
    assert re.findall(r"(?i)https?:|href|src=|url\(|@import|<img|<script|<link|<form", html) == []
    assert composed.links == ()
    assert read(composed.message)["List-Unsubscribe"] is None


@pytest.mark.parametrize("delivery", KeyDelivery)
def test_carries_the_key_as_the_organization_wants_it(delivery: KeyDelivery) -> None:
    composed = a_key_mail_composer(pages=PAGES).compose(an_organizations_mail(delivery), now=NOW)
    message = read(composed.message)
    attached = [part.get_filename() for part in message.iter_attachments()]
    assert attached == ([] if delivery is KeyDelivery.LINK else [FILE_NAME])
    purposes = [link.purpose for link in composed.links]
    assert (LinkPurpose.INSTALL in purposes) == (delivery is not KeyDelivery.ATTACHMENT)
    assert LinkPurpose.STOP in purposes


def test_the_links_are_those_it_is_recorded_with() -> None:
    mail = an_organizations_mail(KeyDelivery.BOTH)
    composed = a_key_mail_composer(pages=PAGES, hold=timedelta(days=7)).compose(mail, now=NOW)
    message = read(composed.message)
    install, stop = composed.links
    plain = text_of(message, "text/plain")
    tokens = re.findall(r"https://keys\.hospital\.org/install/(?:stop/)?([a-z2-7]+)", plain)
    assert len(tokens) == 2
    for token, link in zip(tokens, (install, stop), strict=True):
        presented = read_link(token)
        assert presented is not None
        assert presented.link_id == link.link_id
        assert presented.matches(link.digest)
    # However late it is accepted, the page is there as long as the key is held.
    assert install.expires_at == mail.give_up_at + timedelta(days=7)
    assert stop.expires_at > NOW + timedelta(days=3650)
    assert message["List-Unsubscribe"] == f"<{PAGES.stop(tokens[1])}>"
    html = outline_of_html(text_of(message, "text/html"))
    assert html.links == [PAGES.install(tokens[0]), PAGES.stop(tokens[1])]


def test_every_mail_has_links_of_its_own() -> None:
    mail = an_organizations_mail(KeyDelivery.LINK)
    composer = a_key_mail_composer(pages=PAGES)
    one, other = (composer.compose(mail, now=NOW).links for _ in range(2))
    assert {link.link_id for link in one}.isdisjoint(link.link_id for link in other)


def test_a_link_mail_opens_no_secret() -> None:
    def never(_mail: DueMail) -> bytes:
        raise AssertionError("the key package was made")

    mail = an_organizations_mail(KeyDelivery.LINK)
    composed = a_key_mail_composer(packed=never, pages=PAGES).compose(mail, now=NOW)
    assert LinkPurpose.INSTALL in [link.purpose for link in composed.links]


def test_a_key_that_is_not_held_is_attached_whatever_is_wanted() -> None:
    composer = a_key_mail_composer(pages=PAGES, hold=timedelta(0))
    composed = composer.compose(an_organizations_mail(KeyDelivery.LINK), now=NOW)
    assert [part.get_filename() for part in read(composed.message).iter_attachments()] == [FILE_NAME]
    assert [link.purpose for link in composed.links] == [LinkPurpose.STOP]


def test_says_until_when_the_page_is_there_at_least() -> None:
    composer = a_key_mail_composer(pages=PAGES, hold=timedelta(days=7))
    message = read(composer.compose(an_organizations_mail(KeyDelivery.LINK), now=NOW).message)
    assert "after 29 November 2026 the page may be gone" in text_of(message, "text/plain")


def test_announces_a_test_mail_only_where_one_can_come() -> None:
    def announces(mail: DueMail, pages: Pages | None) -> bool:
        message = read(
            a_key_mail_composer(packed=lambda _mail: b"x", pages=pages).compose(mail, now=NOW).message
        )
        return "encrypted test mail" in text_of(message, "text/plain")

    elliptic = replace(a_due_mail(), certificate=an_authority().chain[0])
    assert announces(a_due_mail(), PAGES)
    assert not announces(a_due_mail(), None)
    assert not announces(elliptic, PAGES)


def test_promises_no_call_where_a_webhook_gets_the_password() -> None:
    secret = a_sealer().seal(b"secret", webhook_secret_identity("org-1"))
    webhook = Webhook(url="https://desk.hospital.org/", sealed_secret=secret)
    mail = an_organizations_mail(KeyDelivery.ATTACHMENT, webhook=webhook)
    plain = text_of(read(compose(mail)), "text/plain")
    assert "will call you" not in plain
    assert "will tell you the password by another way" in plain
    assert "It is never sent by mail." in plain


def test_is_silent_about_the_root_where_the_package_does_not_hold_it() -> None:
    mail = an_organizations_mail(KeyDelivery.ATTACHMENT, package_chain=False)
    message = read(compose(mail))
    assert ROOT_NAME not in text_of(message, "text/plain")
    [attachment] = message.iter_attachments()
    assert isinstance(attachment, EmailMessage)
    assert pkcs12.load_pkcs12(attachment.get_content(), PASSWORD.encode()).additional_certs == []


@pytest.mark.parametrize(
    ("language", "subject"),
    [
        ("de", "Ihr Schlüssel für verschlüsselte E-Mails von City Hospital"),
        ("fr", "Votre clé pour les e-mails chiffrés de City Hospital"),
        ("es", "Su clave para el correo cifrado de City Hospital"),
        ("tlh", "Your key for encrypted mail from City Hospital"),
    ],
)
def test_is_in_the_language_of_the_mail(language: str, subject: str) -> None:
    message = read(compose(replace(a_due_mail(), language=language)))
    assert message["Subject"] == subject
    assert message["Content-Language"] == (language if language != "tlh" else "en")


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
    message = read(a_key_mail_composer(packed=lambda _mail: b"x").compose(mail, now=later).message)
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


def test_a_renewal_says_what_it_renews_and_that_the_old_key_is_to_be_kept() -> None:
    mail = replace(a_due_mail(), renews_until=NOW + timedelta(days=30))
    message = read(compose(mail))
    text = " ".join(text_of(message, "text/plain").split())

    assert message["Subject"] == "Your next key for encrypted mail from City Hospital"
    assert "The certificate that is used for this ends on 22 December 2026." in text
    assert "Keep your last key, too" in text
    assert "has a confidential mail for you" not in text
