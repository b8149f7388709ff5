import email
from dataclasses import replace
from email import policy
from email.message import EmailMessage

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.hazmat.primitives.serialization.pkcs7 import pkcs7_decrypt_der

from directory.delivery.composing import Composed
from directory.delivery.outbox import DueMail, MailKind
from directory.delivery.proofmail import PROOF_LIFETIME, ProofMailComposer
from directory.delivery.stationery import Stationery
from directory.errors import EnvelopeRefused
from directory.links import LinkPurpose, read_link
from directory.pages import Pages
from tests.directory.delivery.builders import NOW, a_due_mail, an_authority
from tests.directory.delivery.certificates import a_bare_certificate
from tests.directory.delivery.equality import check_equal_in_content, outline_of_html

PAGES = Pages(url="https://keys.hospital.org")
LANGUAGES = ("en", "de", "fr", "es")


@pytest.fixture(scope="module")
def stationery() -> Stationery:
    return Stationery()


def a_proof_mail(language: str = "en") -> DueMail:
    return a_due_mail(kind=MailKind.PROOF, language=language)


def compose(stationery: Stationery, mail: DueMail | None = None) -> Composed:
    composer = ProofMailComposer(stationery=stationery, pages=PAGES)
    return composer.compose(mail or a_proof_mail(), now=NOW)


def read(octets: bytes) -> EmailMessage:
    return email.message_from_bytes(octets, policy=policy.default)


def opened(composed: Composed, mail: DueMail) -> EmailMessage:
    """Do what the recipient's mail program does."""
    enveloped = read(composed.message).get_content()
    assert isinstance(enveloped, bytes)
    certificate = x509.load_der_x509_certificate(mail.certificate)
    return read(pkcs7_decrypt_der(enveloped, certificate, an_authority().recipient_key, []))


def text_of(message: EmailMessage, kind: str) -> str:
    [part] = [part for part in message.walk() if part.get_content_type() == f"text/{kind}"]
    assert isinstance(part, EmailMessage)
    return str(part.get_content())


def the_mail_and_its_words(stationery: Stationery, language: str) -> tuple[EmailMessage, EmailMessage]:
    mail = a_proof_mail(language)
    composed = compose(stationery, mail)
    return read(composed.message), opened(composed, mail)


@pytest.mark.parametrize("language", LANGUAGES)
def test_text_and_html_say_the_same(stationery: Stationery, language: str) -> None:
    _, inner = the_mail_and_its_words(stationery, language)

    check_equal_in_content(text_of(inner, "plain"), text_of(inner, "html"))
    assert outline_of_html(text_of(inner, "html")).language == language


@pytest.mark.parametrize("language", LANGUAGES)
def test_what_it_is_about_is_told_only_inside(stationery: Stationery, language: str) -> None:
    outer, inner = the_mail_and_its_words(stationery, language)

    assert "City Hospital" in outer["Subject"]
    assert inner["Subject"] != outer["Subject"]
    assert inner["Content-Type"].params["hp"] == "cipher"
    assert outer.get_content_type() == "application/pkcs7-mime"


def test_the_translations_have_the_same_links(stationery: Stationery) -> None:
    for language in LANGUAGES:
        _, inner = the_mail_and_its_words(stationery, language)
        links = outline_of_html(text_of(inner, "html")).links
        assert [link.rpartition("/")[0] for link in links] == [
            "https://keys.hospital.org/install/prove",
            "https://keys.hospital.org/install/stop",
        ]


def test_the_link_of_the_proof_is_nowhere_but_inside(stationery: Stationery) -> None:
    mail = a_proof_mail()
    composed = compose(stationery, mail)

    words = text_of(opened(composed, mail), "plain").split()
    (token,) = (word.rpartition("/")[2] for word in words if "/prove/" in word)
    assert token.encode() not in composed.message
    assert b"/prove/" not in composed.message


def test_its_links_are_those_to_be_stored(stationery: Stationery) -> None:
    mail = a_proof_mail()
    composed = compose(stationery, mail)

    urls = [word for word in text_of(opened(composed, mail), "plain").split() if word.startswith("https://")]
    presented = [read_link(url.rpartition("/")[2]) for url in urls]
    assert [link.purpose for link in composed.links] == [LinkPurpose.PROOF, LinkPurpose.STOP]
    for link, shown in zip(composed.links, presented, strict=True):
        assert shown is not None
        assert shown.link_id == link.link_id
        assert shown.matches(link.digest)
    assert composed.links[0].expires_at == NOW + PROOF_LIFETIME


def test_a_second_mail_has_other_links(stationery: Stationery) -> None:
    first, second = compose(stationery), compose(stationery)

    assert {link.link_id for link in first.links}.isdisjoint(link.link_id for link in second.links)


def test_its_headers_are_those_of_every_mail(stationery: Stationery) -> None:
    message = read(compose(stationery).message)

    assert message["Auto-Submitted"] == "auto-generated"
    assert str(message["List-Unsubscribe"]).startswith("<https://keys.hospital.org/install/stop/")
    assert message["List-Unsubscribe-Post"] is None
    assert message["Message-ID"] == a_proof_mail().message_id


def test_every_line_ends_with_crlf_and_is_short(stationery: Stationery) -> None:
    octets = compose(stationery).message

    assert octets.isascii()
    assert b"\n" not in octets.replace(b"\r\n", b"")
    assert max(map(len, octets.split(b"\r\n"))) <= 200


def test_an_unknown_language_is_english_outside_too(stationery: Stationery) -> None:
    outer, inner = the_mail_and_its_words(stationery, "tlh")

    assert outer["Subject"] == "An encrypted message from City Hospital"
    assert inner["Subject"] == "Your key works: please confirm"


def test_refuses_to_write_to_a_key_that_cannot_be_encrypted_to(stationery: Stationery) -> None:
    elliptic = a_bare_certificate(ec.generate_private_key(ec.SECP256R1()))
    mail = replace(a_proof_mail(), certificate=elliptic.public_bytes(Encoding.DER))

    with pytest.raises(EnvelopeRefused) as refused:
        compose(stationery, mail)

    assert refused.value.code == "envelope.not_rsa"


def test_a_recipient_beyond_ascii_reads_his_address_inside_and_outside(stationery: Stationery) -> None:
    mail = a_due_mail(kind=MailKind.PROOF, address="jörg@recipient.example.org")
    composed = compose(stationery, mail)
    head = composed.message.partition(b"\r\n\r\n")[0].decode()
    assert "\r\nTo: jörg@recipient.example.org\r\n" in head
    enveloped = email.message_from_string(composed.message.decode(), policy=policy.default).get_content()
    certificate = x509.load_der_x509_certificate(mail.certificate)
    inside = pkcs7_decrypt_der(enveloped, certificate, an_authority().recipient_key, []).decode()
    assert "\r\nTo: jörg@recipient.example.org\r\n" in inside
    assert "HP-Outer: To: jörg@recipient.example.org\r\n" in inside
