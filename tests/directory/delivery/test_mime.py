import email
import re
from dataclasses import replace
from email import policy
from email.header import decode_header, make_header
from email.message import EmailMessage

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ca.address import Mailbox
from directory.delivery.mime import Attachment, Message, Picture
from tests.directory.delivery.builders import NOW

AN_ATTACHMENT = Attachment(
    content=bytes(range(256)) * 20, content_type="application/x-pkcs12", file_name="key.p12"
)
A_PICTURE = Picture(
    content=b"\x89PNG" + bytes(range(256)),
    content_type="image/png",
    file_name="logo.png",
    content_id="logo-1@hospital.org",
)
A_MESSAGE = Message(
    sender_name="City Hospital",
    sender=Mailbox.parse("keys@hospital.org"),
    recipient=Mailbox.parse("anna@example.org"),
    subject="Your key",
    date=NOW,
    message_id="<1.key@hospital.org>",
    language="en",
    plain="Good day,\n\n.\nFrom here on: grüße\n",
    html="<p>Good day</p>\n",
    attachment=AN_ATTACHMENT,
)


def parsed(message: Message) -> EmailMessage:
    return email.message_from_bytes(message.to_bytes(), policy=policy.default)


def decoded(message: Message, header: str) -> str:
    """Decode as RFC 2047 says; `policy.default` puts blanks between the encoded-words of a phrase."""
    head = message.to_bytes().split(b"\r\n\r\n", 1)[0].decode()
    raw = email.message_from_string(head, policy=policy.compat32)[header]
    phrase = raw.rpartition("<")[0] if header == "From" else raw
    return str(make_header(decode_header(phrase))).strip().removeprefix('"').removesuffix('"')


def part(message: EmailMessage, content_type: str) -> EmailMessage:
    [found] = [found for found in message.walk() if found.get_content_type() == content_type]
    assert isinstance(found, EmailMessage)
    return found


def test_an_address_beyond_ascii_is_written_in_utf8_and_nothing_else_is() -> None:
    octets = replace(A_MESSAGE, recipient=Mailbox.parse_international("jörg@example.org")).to_bytes()
    assert b"\r\nTo: j\xc3\xb6rg@example.org\r\n" in octets
    assert octets.replace("jörg".encode(), b"anna") == A_MESSAGE.to_bytes()
    assert A_MESSAGE.to_bytes().isascii()
    read = email.message_from_string(octets.decode(), policy=policy.default)
    assert read["To"].addresses[0].addr_spec == "jörg@example.org"


def test_has_two_texts_and_an_attachment() -> None:
    message = parsed(A_MESSAGE)
    assert [found.get_content_type() for found in message.walk()] == [
        "multipart/mixed",
        "multipart/alternative",
        "text/plain",
        "text/html",
        "application/x-pkcs12",
    ]
    assert [defect for found in message.walk() for defect in found.defects] == []


def test_every_part_comes_back_as_it_was() -> None:
    message = parsed(A_MESSAGE)
    assert part(message, "text/plain").get_content().splitlines() == A_MESSAGE.plain.splitlines()
    assert part(message, "text/html").get_content().splitlines() == A_MESSAGE.html.splitlines()
    assert part(message, "application/x-pkcs12").get_content() == AN_ATTACHMENT.content


def test_the_attachment_is_one_and_has_a_name() -> None:
    attachment = part(parsed(A_MESSAGE), "application/x-pkcs12")
    assert attachment.get_content_disposition() == "attachment"
    assert attachment.get_filename() == "key.p12"
    assert attachment["Content-Transfer-Encoding"] == "base64"


def kinds(message: Message) -> list[str]:
    return [found.get_content_type() for found in parsed(message).walk()]


def test_without_a_file_there_are_just_the_two_texts() -> None:
    bare = replace(A_MESSAGE, attachment=None)
    assert kinds(bare) == ["multipart/alternative", "text/plain", "text/html"]
    assert not list(parsed(bare).iter_attachments())


@pytest.mark.parametrize("attachment", [None, AN_ATTACHMENT])
def test_a_picture_belongs_to_the_html(attachment: Attachment | None) -> None:
    message = replace(A_MESSAGE, picture=A_PICTURE, attachment=attachment)
    within = ["multipart/alternative", "text/plain", "multipart/related", "text/html", "image/png"]
    assert kinds(message) == (
        ["multipart/mixed", *within, "application/x-pkcs12"] if attachment is not None else within
    )
    picture = part(parsed(message), "image/png")
    assert picture["Content-ID"] == "<logo-1@hospital.org>"
    assert picture.get_content_disposition() == "inline"
    assert picture.get_content() == A_PICTURE.content


def test_protection_is_given_the_content_and_nothing_of_the_headers() -> None:
    given: list[bytes] = []

    def protect(entity: bytes) -> bytes:
        given.append(entity)
        return b"Content-Type: application/pkcs7-mime\r\n\r\nsealed\r\n"

    octets = A_MESSAGE.to_bytes(protect)
    [entity] = given
    assert entity.startswith(b"Content-Language: en\r\nContent-Type: multipart/mixed;")
    assert A_MESSAGE.to_bytes().endswith(b"MIME-Version: 1.0\r\n" + entity)
    assert octets.endswith(b"MIME-Version: 1.0\r\nContent-Type: application/pkcs7-mime\r\n\r\nsealed\r\n")
    assert b"Good day" not in octets


def test_says_in_which_language_it_is() -> None:
    assert parsed(replace(A_MESSAGE, language="pt-br"))["Content-Language"] == "pt-br"


@pytest.mark.parametrize("language", ["", "d", "en\r\nBcc: x@y.example", "en us", "en-"])
def test_refuses_what_is_no_language(language: str) -> None:
    with pytest.raises(ValueError, match="language"):
        replace(A_MESSAGE, language=language).to_bytes()


def test_says_where_no_more_mail_can_be_asked_for() -> None:
    url = "https://keys.example.com/install/stop/" + "a" * 48
    message = parsed(replace(A_MESSAGE, unsubscribe=url))
    assert message["List-Unsubscribe"].split() == [f"<{url}>"]
    assert message["List-Unsubscribe-Post"] is None


@pytest.mark.parametrize("url", ["x", "https://x>\r\nBcc: x@y.example", "mailto:x@y.example", "https://a b"])
def test_refuses_what_is_no_url(url: str) -> None:
    with pytest.raises(ValueError, match="URL"):
        replace(A_MESSAGE, unsubscribe=url).to_bytes()


def test_headers_say_who_and_when() -> None:
    message = parsed(A_MESSAGE)
    assert message["From"] == "City Hospital <keys@hospital.org>"
    assert message["To"] == "anna@example.org"
    assert message["Subject"] == "Your key"
    assert message["Date"].datetime == NOW
    assert message["Message-ID"] == "<1.key@hospital.org>"
    assert message["Auto-Submitted"] == "auto-generated"
    assert message["MIME-Version"] == "1.0"


@pytest.mark.parametrize(
    "name",
    [
        "City Hospital",
        "St. Mary's & Co. (Clinic)",
        "Krankenhaus München",
        'The "Best" Clinic',
        "Clinic, Anna <anna@other.example>",
        "back\\slash",
        "=?utf-8?q?forged=40bank.example?=",
        "בית חולים",
        "\U0001f3e5 Clinic",
        " ".join(["Ärztehaus"] * 20),
        " ".join(["Hospital"] * 22),
        "-",
    ],
)
def test_a_display_name_comes_back_as_it_was(name: str) -> None:
    message = replace(A_MESSAGE, sender_name=name, subject=f"From {name}")
    assert parsed(message)["From"].addresses[0].addr_spec == "keys@hospital.org"
    assert decoded(message, "From") == name
    assert decoded(message, "Subject") == f"From {name}"


def test_a_long_name_is_folded() -> None:
    octets = replace(A_MESSAGE, sender_name="Ärztehaus " * 20, subject="Ärztehaus " * 20).to_bytes()
    assert max(len(line) for line in octets.split(b"\r\n")) <= 78


@pytest.mark.parametrize(
    "message_id",
    ["", "1.key@hospital.org", "<1@h>\r\nBcc: x@y.example", "<1 2@h>", "<@h>", "<1@h", "<1@h> <2@h>"],
)
def test_refuses_what_is_not_a_message_id(message_id: str) -> None:
    with pytest.raises(ValueError, match="Message-ID"):
        replace(A_MESSAGE, message_id=message_id).to_bytes()


def test_says_the_same_for_the_same() -> None:
    assert A_MESSAGE.to_bytes() == A_MESSAGE.to_bytes()


def check_transport(octets: bytes) -> None:
    assert octets.isascii()
    assert octets.endswith(b"\r\n")
    assert b"\r" not in octets.replace(b"\r\n", b"")
    assert b"\n" not in octets.replace(b"\r\n", b"")
    assert b"\x00" not in octets
    assert max(len(line) for line in octets.split(b"\r\n")) <= 998


@given(
    name=st.text(max_size=300),
    subject=st.text(max_size=300),
    plain=st.text(max_size=2000),
    html=st.text(max_size=2000),
    content=st.binary(max_size=3000),
)
@example(name="a\r\nBcc: b@c.example", subject="a\nb", plain="a\r\n.\r\nb", html="\r\n.\n", content=b"")
@example(name="x", subject="x", plain="--=_mixed\n--=_alternative--\n", html="--=_mixed--", content=b"")
@example(name="x", subject="x", plain="a\rb \x0b \x85 \u2028 trailing \t\n", html=" \n", content=b"")
def test_whatever_the_words_it_is_one_well_formed_message(
    name: str, subject: str, plain: str, html: str, content: bytes
) -> None:
    words = [word.encode(errors="ignore").decode() for word in (name, subject, plain, html)]
    message = replace(
        A_MESSAGE,
        sender_name=words[0],
        subject=words[1],
        plain=words[2],
        html=words[3],
        attachment=replace(AN_ATTACHMENT, content=content),
    )
    octets = message.to_bytes()
    check_transport(octets)
    head = octets.split(b"\r\n\r\n", 1)[0]
    assert re.findall(rb"(?m)^([A-Za-z-]+):", head) == [
        b"From",
        b"To",
        b"Subject",
        b"Date",
        b"Message-ID",
        b"Auto-Submitted",
        b"MIME-Version",
        b"Content-Language",
        b"Content-Type",
    ]
    read = parsed(message)
    assert [found.get_content_type() for found in read.walk()][2:] == [
        "text/plain",
        "text/html",
        "application/x-pkcs12",
    ]
    assert part(read, "text/plain").get_content().splitlines() == (words[2].splitlines() or [""])
    assert part(read, "application/x-pkcs12").get_content() == content
