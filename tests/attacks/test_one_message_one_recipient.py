"""Whatever stands in addresses, names and words: on the wire it is one message to one recipient.

Every kind of mail, through the real composer, the signer and the SMTP client, into a plain socket that knows
nothing of them and counts: one MAIL, one RCPT, one DATA; lines of CRLF; no lone dot before the end; the
headers we write, each once, and no other (SMTP smuggling and header injection: CVE-2023-51764,
CVE-2024-27305, CVE-2024-6923, CVE-2026-1299; addresses read otherwise by the next: CVE-2025-13033).

Single names and contacts of key mails: test_key_mail_injection.py.
"""

import re
from dataclasses import replace

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ca.address import Mailbox
from ca.errors import AddressRefused
from directory.delivery.dkim import DkimSigner
from directory.delivery.outbox import DueMail, MailKind
from directory.delivery.replies import Accepted
from directory.delivery.returnpath import return_path
from directory.delivery.settings import DeliverySettings
from directory.delivery.smtp import Envelope, SmtpSession, tls_context
from tests.directory.delivery.builders import NOW, a_sealer
from tests.directory.delivery.composers import (
    a_mail_of,
    an_organization_that_writes,
    every_composer,
)
from tests.directory.delivery.sink import SmtpSink, smtp_sink

TLS = tls_context(None)
SETTINGS = DeliverySettings()
SIGNER = DkimSigner(a_sealer())
LONGEST_LINE = 998
"""RFC 5322 section 2.1.1."""
RECIPIENT = re.compile(
    rb"RCPT TO:<([!-=?-~]+)> NOTIFY=FAILURE,DELAY ORCPT=rfc822;((?:[!-*,-<>-~]|\+[0-9A-F]{2})+)"
)
HEADERS = {
    *(b"DKIM-Signature", b"From", b"To", b"Subject", b"Date", b"Message-ID", b"Auto-Submitted"),
    *(b"List-Unsubscribe", b"List-Unsubscribe-Post", b"MIME-Version", b"Content-Language", b"Content-Type"),
    *(b"Content-Transfer-Encoding", b"Content-Disposition", b"Precedence", b"X-Auto-Response-Suppress"),
}
HOSTILE = (
    *("\r\n", "\n", "\r", "\x00", "\r\n.\r\n", "\n.\n", "\r.\r", "\x85", "\u2028", "\x0b", "\x0c"),
    *("\r\nBcc: victim@example.org", "\r\n\r\n<html>", "\r\nRCPT TO:<victim@example.org>", "\r\nDATA\r\n"),
    *("> NOTIFY=NEVER", "<victim@example.org>", ",victim@example.org", ";", "(x)", "@hop.example:", '"x"'),
    *("=?utf-8?q?a=40b?=", "=?utf-8?b?DQpCY2M6IHZpY3RpbUBleGFtcGxlLm9yZw==?=", "\\", '"', "\u202e", "\u3002"),
    *("%0d%0a", "{{ 7 * 7 }}", "--=_mixed--", "\u212a", "\uff21", "x" * 1000, ".", " ", "\t"),
)
ATOM = "abcXYZ019!#$%&'*+/=?^_`{|}~-"
GOOD_ADDRESSES = st.from_regex(
    re.compile(
        rf"[{re.escape(ATOM)}]{{1,20}}(\.[{re.escape(ATOM)}]{{1,20}}){{0,2}}@[a-z0-9]{{1,10}}\.example"
    ),
    fullmatch=True,
)
POISON = st.sampled_from(HOSTILE)


@st.composite
def poisoned(draw: st.DrawFn, wholesome: st.SearchStrategy[str]) -> str:
    """Draw a text, perhaps with something hostile put in somewhere."""
    text = draw(wholesome)
    for fragment in draw(st.lists(POISON, max_size=2)):
        place = draw(st.integers(0, len(text)))
        text = text[:place] + fragment + text[place:]
    return text


WORDS = poisoned(st.text(max_size=120))
ADDRESSES = st.one_of(GOOD_ADDRESSES, poisoned(GOOD_ADDRESSES), st.text(max_size=60))


@settings(suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much])
@given(
    kind=st.sampled_from(MailKind),
    language=st.sampled_from(["en", "de", "fr", "es", "xx"]),
    address=ADDRESSES,
    name=WORDS,
    sender_name=WORDS,
    contact=WORDS,
)
async def test_it_is_one_message_to_one_recipient(
    kind: MailKind, language: str, address: str, name: str, sender_name: str, contact: str
) -> None:
    try:
        mailbox = Mailbox.parse(address)
    except AddressRefused:
        # It gets no certificate, so it gets no mail.
        return
    organization = an_organization_that_writes()
    letters = replace(organization.correspondence, sender_name=sender_name)
    organization = replace(organization, name=name, contact=contact, correspondence=letters)
    mail = replace(a_mail_of(kind, organization=organization, address=str(mailbox)), language=language)

    sink = await send(mail)

    assert_one_message_to_one_recipient(sink, mail)


async def send(mail: DueMail) -> SmtpSink:
    message = SIGNER.sign(mail.organization, every_composer()[mail.kind].compose(mail, now=NOW).message)
    async with smtp_sink(SmtpSink(extensions=(b"DSN", b"SIZE"))) as sink:
        session = await SmtpSession.open(sink.smart_host(), password=None, tls=TLS, settings=SETTINGS)
        assert isinstance(session, SmtpSession)
        outcome = await session.submit(
            Envelope(
                envelope_id=mail.bounce_token,
                sender=return_path(mail.organization, mail.bounce_token),
                recipient=mail.recipient,
                message=message,
            )
        )
        assert isinstance(outcome, Accepted)
        await session.close()
    return sink


def assert_one_message_to_one_recipient(sink: SmtpSink, mail: DueMail) -> None:
    verbs = [command.split(b" ")[0] for command in sink.commands]
    assert verbs == [b"EHLO", b"MAIL", b"RCPT", b"DATA", b"QUIT"]
    (transaction,) = sink.transactions
    assert transaction.mail.startswith(b"MAIL FROM:<keys+%s@hospital.org> " % mail.bounce_token.encode())
    (recipient,) = transaction.recipients
    said = RECIPIENT.fullmatch(recipient)
    assert said is not None
    # As xtext (RFC 3461 section 4) the address stands there once more; both must be the same one.
    again = re.sub(rb"\+([0-9A-F]{2})", lambda octet: bytes.fromhex(octet[1].decode()), said[2])
    assert (said[1], again) == (str(mail.recipient).encode(), str(mail.recipient).encode())
    wire = bytes(sink.wire)
    assert wire.isascii()
    assert b"\x00" not in wire
    # Every line ends in CRLF, and neither octet stands anywhere else.
    lines = wire.split(b"\r\n")
    assert not any(b"\r" in line or b"\n" in line for line in lines)
    assert lines.count(b".") == 1
    assert lines[-3:] == [b".", b"QUIT", b""]
    assert max(map(len, lines)) <= LONGEST_LINE
    assert_only_our_headers(transaction.message)


def assert_only_our_headers(message: bytes) -> None:
    head, _, _ = message.partition(b"\r\n\r\n")
    names = [line.partition(b":")[0] for line in head.split(b"\r\n") if not line.startswith((b" ", b"\t"))]
    assert len(names) == len(set(names))
    assert set(names) <= HEADERS
    assert {b"From", b"To", b"Subject", b"Date", b"Message-ID", b"DKIM-Signature"} <= set(names)
