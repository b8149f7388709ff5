"""Names of mailboxes in certificates: two forms that never match (RFC 9598)."""

import pytest
from cryptography import x509
from pyasn1.codec.der import decoder
from pyasn1_alt_modules import rfc8398

from ca.address import Mailbox
from ca.errors import AddressRefused, MailNameMalformed
from ca.mailnames import SMTP_UTF8_MAILBOX, MailName, mail_name, mail_names, mailbox_of, mailboxes_of
from tests.builders import ALICE, JOERG


def an_other_name(tag: int, content: bytes) -> x509.OtherName:
    return x509.OtherName(SMTP_UTF8_MAILBOX, bytes([tag, len(content)]) + content)


def a_text(text: str) -> x509.OtherName:
    return an_other_name(0x0C, text.encode())


def test_an_ascii_local_part_is_in_an_rfc822_name() -> None:
    assert mail_name(ALICE) == x509.RFC822Name("alice@example.com")


def test_any_other_is_in_an_smtp_utf8_mailbox_that_another_library_reads() -> None:
    name = mail_name(JOERG)
    assert isinstance(name, x509.OtherName)
    assert name.type_id.dotted_string == str(rfc8398.id_on_SmtpUTF8Mailbox)
    text, rest = decoder.decode(name.value, asn1Spec=rfc8398.SmtpUTF8Mailbox())
    assert (str(text), rest) == ("jörg@example.com", b"")


@pytest.mark.parametrize("mailbox", [ALICE, JOERG, Mailbox.parse_international("用户@bücher.example")])
def test_what_is_written_is_read_again(mailbox: Mailbox) -> None:
    assert mailbox_of(mail_name(mailbox)) == mailbox


@pytest.mark.parametrize(
    "name",
    [
        an_other_name(0x16, b"alice@example.com"),  # IA5String
        an_other_name(0x13, b"alice"),  # PrintableString
        an_other_name(0x16, "jörg@example.com".encode()),
        an_other_name(0x04, "jörg@example.com".encode()),
        an_other_name(0x30, b""),
        an_other_name(0x01, b"\xff"),  # what OpenSSL took for a pointer (CVE-2024-6119)
        an_other_name(0x0C, "jörg@example.com".encode("latin-1")),
        an_other_name(0x0C, b"j\xc3"),
        a_text("\ufeffjörg@example.com"),
        x509.OtherName(SMTP_UTF8_MAILBOX, a_text("jörg@example.com").value + b"\x00"),
        x509.OtherName(SMTP_UTF8_MAILBOX, b"\x0c\x7fj"),
        x509.OtherName(SMTP_UTF8_MAILBOX, b"\x05\x00"),
    ],
)
def test_what_is_no_utf8string_is_not_read_at_all(name: MailName) -> None:
    with pytest.raises(MailNameMalformed):
        mailbox_of(name)


@pytest.mark.parametrize(
    "name",
    [
        a_text("alice@example.com"),
        a_text("jörg@EXAMPLE.com"),
        a_text("jörg@bücher.example"),
        a_text("jo\u0308rg@example.com"),
        a_text("jörg"),
        a_text(""),
        x509.RFC822Name("alice"),
    ],
)
def test_no_address_is_accepted_in_another_spelling_than_that_of_its_form(name: MailName) -> None:
    with pytest.raises(AddressRefused) as refused:
        mailbox_of(name)
    assert not isinstance(refused.value, MailNameMalformed)


def test_reads_mailboxes_and_nothing_else() -> None:
    upn = x509.OtherName(x509.ObjectIdentifier("1.3.6.1.4.1.311.20.2.3"), a_text("jörg@example.com").value)
    names = x509.SubjectAlternativeName(
        [x509.DNSName("example.com"), mail_name(JOERG), upn, mail_name(ALICE)]
    )
    assert mail_names(names) == [mail_name(JOERG), mail_name(ALICE)]
    assert mailboxes_of(names) == [JOERG, ALICE]
