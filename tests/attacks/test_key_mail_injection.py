"""An organization's name, a contact or an address that tries to become something else in a mail.

A line end would begin a header or an SMTP command, a lone dot would end the message early and make the rest
of it a second one (SMTP smuggling, CVE-2023-51764, CVE-2024-27305; header injection, CVE-2024-6923). What the
wire shows must be one message, for one recipient, with the headers of every key mail and no others.
"""

import email
import re
from collections.abc import Sequence
from dataclasses import replace
from email import policy
from email.header import decode_header, make_header

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ca.address import Mailbox
from ca.errors import AddressRefused
from directory.delivery.outbox import DueMail
from directory.delivery.packing import pack
from directory.delivery.replies import Accepted
from directory.delivery.settings import DeliverySettings
from directory.delivery.smtp import Envelope, SmtpSession, tls_context
from directory.organization import Correspondence, KeyDelivery
from directory.pages import Pages
from tests.directory.builders import an_organization
from tests.directory.delivery.builders import NOW, PASSWORD, a_due_mail, a_key_mail_composer, a_sealer
from tests.directory.delivery.sink import SmtpSink, Transaction, smtp_sink

TLS = tls_context(None)
HEADERS = [
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
HOSTILE_NAMES = [
    "City Hospital\r\nBcc: victim@example.org",
    "City Hospital\nBcc: victim@example.org\n\nHello",
    "City Hospital\r\n\r\n<html>",
    "a\r\n.\r\nMAIL FROM:<a@example.org>\r\nRCPT TO:<victim@example.org>\r\nDATA\r\n",
    "a\n.\nMAIL FROM:<a@example.org>",
    "a\r.\rMAIL FROM:<a@example.org>",
    ".",
    '"',
    '" <victim@example.org>, "',
    "victim@example.org, keys",
    "a <victim@example.org>",
    "(comment) a",
    "back\\",
    "=?utf-8?q?=0D=0ABcc=3A_victim=40example=2Eorg?=",
    "=?utf-8?b?DQpCY2M6IHZpY3RpbUBleGFtcGxlLm9yZw==?=",
    "\u202ehtiw sdrawkcab\u202c",
    "\u2028Bcc: victim@example.org",
    "\x85Bcc: victim@example.org",
    "\x00\x01\x1b[2J",
    "\U0001f3e5 Клиника בית חולים 病院",
    "--=_mixed--",
    "{{ 7 * 7 }}{% include 'x' %}",
    "<script>alert(1)</script>",
    "x" * 10_000,
    "ü" * 10_000,
    "\r\n" * 5_000,
]
ATOM = "abcXYZ019!#$%&'*+/=?^_`{|}~-"
ADDRESSES = st.from_regex(
    re.compile(rf"[{re.escape(ATOM)}]{{1,20}}(\.[{re.escape(ATOM)}]{{1,20}}){{0,2}}@[a-z]{{1,10}}\.example"),
    fullmatch=True,
)


def a_mail(*, name: str = "City Hospital", contact: str = "", address: str = "anna@example.org") -> DueMail:
    organization = replace(an_organization(), name=name, contact=contact)
    return a_due_mail(organization=organization, address=address)


async def send(mail: DueMail, *, key_package: bytes = b"key package", pages: Pages | None = None) -> SmtpSink:
    composer = a_key_mail_composer(packed=lambda _mail: key_package, pages=pages)
    message = composer.compose(mail, now=NOW).message
    async with smtp_sink(SmtpSink(extensions=(b"DSN", b"SIZE"))) as sink:
        session = await SmtpSession.open(
            sink.smart_host(), password=None, tls=TLS, settings=DeliverySettings()
        )
        assert isinstance(session, SmtpSession)
        outcome = await session.submit(
            Envelope(
                envelope_id=mail.mail_id,
                sender=mail.organization.mail_from,
                recipient=mail.mailbox,
                message=message,
            )
        )
        assert isinstance(outcome, Accepted)
        await session.close()
    return sink


def check_one_message_for_one_recipient(
    sink: SmtpSink, mail: DueMail, headers: Sequence[bytes] = HEADERS
) -> Transaction:
    verbs = [command.split(b" ")[0] for command in sink.commands]
    assert verbs == [b"EHLO", b"MAIL", b"RCPT", b"DATA", b"QUIT"]
    [transaction] = sink.transactions
    assert transaction.mail.startswith(b"MAIL FROM:<keys@hospital.org> SIZE=")
    [recipient] = transaction.recipients
    address = str(mail.mailbox).encode()
    command, _, original = recipient.partition(b" ORCPT=rfc822;")
    assert command == b"RCPT TO:<%s> NOTIFY=FAILURE,DELAY" % address
    assert re.sub(rb"\+([0-9A-F]{2})", lambda octet: bytes.fromhex(octet[1].decode()), original) == address
    wire = bytes(sink.wire)
    assert wire.isascii()
    assert wire.count(b"\r\n.\r\n") == 1
    lines = wire.replace(b"\r\n", b"")
    assert b"\r" not in lines
    assert b"\n" not in lines
    assert b"\x00" not in lines
    head, _, _ = transaction.message.partition(b"\r\n\r\n")
    assert re.findall(rb"(?m)^([^\s:]+):", head) == list(headers)
    return transaction


def check_who_it_is_from_and_to(transaction: Transaction, mail: DueMail) -> None:
    head, _, _ = transaction.message.decode("ascii").partition("\r\n\r\n")
    headers = email.message_from_string(head, policy=policy.compat32)
    name, _, sender = headers["From"].rpartition("<")
    assert sender == "keys@hospital.org>"
    assert headers["To"] == str(mail.mailbox)
    for shown in (name, headers["Subject"]):
        text = str(make_header(decode_header(re.sub(r"\r\n(?=[ \t])", "", shown))))
        assert text.isprintable()
        assert len(text) < 300
    read = email.message_from_bytes(transaction.message, policy=policy.default)
    assert [part.get_content_type() for part in read.walk()] == [
        "multipart/mixed",
        "multipart/alternative",
        "text/plain",
        "text/html",
        "application/x-pkcs12",
    ]


@pytest.mark.parametrize("name", HOSTILE_NAMES, ids=lambda name: repr(name[:30]))
async def test_a_name_stays_a_name(name: str) -> None:
    mail = a_mail(name=name)
    transaction = check_one_message_for_one_recipient(await send(mail), mail)
    check_who_it_is_from_and_to(transaction, mail)


@pytest.mark.parametrize("contact", HOSTILE_NAMES, ids=lambda contact: repr(contact[:30]))
async def test_a_contact_stays_a_line_of_text(contact: str) -> None:
    mail = a_mail(contact=contact)
    transaction = check_one_message_for_one_recipient(await send(mail), mail)
    check_who_it_is_from_and_to(transaction, mail)


@pytest.mark.parametrize("language", ["de", "en", "es", "fr"])
@pytest.mark.parametrize("key_delivery", KeyDelivery)
async def test_a_name_stays_a_name_in_every_language_and_way(
    language: str, key_delivery: KeyDelivery
) -> None:
    headers = [*HEADERS]
    headers.insert(headers.index(b"MIME-Version"), b"List-Unsubscribe")
    for hostile in HOSTILE_NAMES:
        usual = a_mail(name=hostile, contact=hostile)
        correspondence = Correspondence(sender_name=hostile, key_delivery=key_delivery)
        organization = replace(usual.organization, correspondence=correspondence)
        mail = replace(usual, organization=organization, language=language)
        sink = await send(mail, pages=Pages(url="https://keys.hospital.org"))
        transaction = check_one_message_for_one_recipient(sink, mail, headers)
        read = email.message_from_bytes(transaction.message, policy=policy.default)
        assert read["Content-Language"] == language
        assert read["List-Unsubscribe"].startswith("<https://keys.hospital.org/install/stop/")


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(name=st.text(max_size=250), contact=st.text(max_size=250), address=ADDRESSES)
async def test_whatever_the_words_and_the_address(name: str, contact: str, address: str) -> None:
    try:
        mail = a_mail(name=name, contact=contact, address=address)
    except AddressRefused:
        # Such as one with a routing operator: it gets no certificate, so it gets no mail.
        return
    transaction = check_one_message_for_one_recipient(await send(mail), mail)
    check_who_it_is_from_and_to(transaction, mail)


@pytest.mark.parametrize(
    "address",
    [
        "anna@example.org\r\nRCPT TO:<victim@example.org>",
        "anna@example.org> NOTIFY=NEVER",
        "<anna@example.org>,<victim@example.org>",
        '"anna@example.org> x"@example.org',
        "anna@example.org\x00",
        "anna @example.org",
        "@hop.example:anna@example.org",
        "anna@example.org(victim@example.org)",
    ],
)
def test_an_address_that_is_more_than_one_never_gets_this_far(address: str) -> None:
    with pytest.raises(AddressRefused):
        Mailbox.parse(address)


async def test_the_password_is_nowhere_in_what_is_sent() -> None:
    mail = a_mail()
    sink = await send(mail, key_package=pack(mail, a_sealer()))
    transaction = check_one_message_for_one_recipient(sink, mail)
    read = email.message_from_bytes(transaction.message, policy=policy.default)
    parts = [part.get_payload(decode=True) for part in read.walk() if not part.is_multipart()]
    sent = bytes(sink.wire) + b"".join(part for part in parts if isinstance(part, bytes))
    for canary in (PASSWORD, PASSWORD.replace("-", ""), *PASSWORD.split("-")):
        assert canary.encode() not in sent
        assert canary.encode("utf-16-be") not in sent
