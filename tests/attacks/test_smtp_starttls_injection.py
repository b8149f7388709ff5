"""Somebody between us and the smart host writes into the conversation before TLS protects it.

The mirror image of CVE-2011-0411 and CVE-2024-34083: what was received in clear must not be taken, after the
handshake, for something the smart host said under TLS (RFC 3207 section 4.2).
"""

import ssl
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from ca.address import Mailbox
from directory.delivery.replies import Accepted, Outcome, Phase, Transient
from directory.delivery.settings import DeliverySettings, SmtpTimeouts
from directory.delivery.smtp import Envelope, SmtpSession, tls_context
from directory.organization import SmtpSecurity
from tests.directory.delivery.sink import Fate, SmtpSink, Stage, smtp_sink
from tests.directory.delivery.tls import server_context, write_ca_file

INJECTED = (
    b"250-sink\r\n250-DSN\r\n250 AUTH PLAIN",
    b"250 sink",
    b"250-half a reply",
    b"235 2.7.0 welcome\r\n250 2.1.0 ok\r\n250 2.1.5 ok\r\n354 go\r\n250 2.0.0 queued",
    b"554 5.3.2 go away",
    b"x" * 10_000,
)


@pytest.fixture
def trust(tmp_path: Path) -> ssl.SSLContext:
    return tls_context(write_ca_file(tmp_path))


async def submit(
    sink: SmtpSink,
    trust: ssl.SSLContext,
    *,
    username: str | None = None,
    settings: DeliverySettings | None = None,
) -> Outcome:
    host = replace(sink.smart_host(SmtpSecurity.STARTTLS), username=username)
    session = await SmtpSession.open(
        host, password="hunter2", tls=trust, settings=settings or DeliverySettings()
    )
    if isinstance(session, Transient):
        return session
    mailbox = Mailbox.parse("anna@example.org")
    envelope = Envelope(
        envelope_id="1", sender=mailbox, recipient=mailbox, message=b"Subject: x\r\n\r\nx\r\n"
    )
    outcome = await session.submit(envelope)
    await session.close()
    return outcome


def a_man_in_the_middle(injected: bytes) -> SmtpSink:
    """Return a smart host whose reply to STARTTLS is followed, in the same segment, by somebody's words."""
    return SmtpSink(
        extensions=(b"STARTTLS",),
        extensions_under_tls=(b"8BITMIME",),
        tls=server_context(),
        script={Stage.STARTTLS: [b"220 go ahead\r\n" + injected]},
    )


@pytest.mark.parametrize("injected", INJECTED)
async def test_words_behind_the_reply_to_starttls_are_not_believed(
    injected: bytes, trust: ssl.SSLContext
) -> None:
    async with smtp_sink(a_man_in_the_middle(injected)) as sink:
        outcome = await submit(sink, trust)
    # The conversation under TLS is in step, and the extensions are those offered there: no DSN.
    assert outcome == Accepted(response="250 2.0.0 queued as 4F2A", host="127.0.0.1")
    [transaction] = sink.accepted
    assert transaction.under_tls
    assert transaction.mail == b"MAIL FROM:<anna@example.org>"


async def test_no_password_is_sent_because_of_words_behind_the_reply(trust: ssl.SSLContext) -> None:
    async with smtp_sink(a_man_in_the_middle(INJECTED[0])) as sink:
        outcome = await submit(sink, trust, username="keys")
    assert isinstance(outcome, Transient)
    assert outcome.failure.phase is Phase.AUTH
    assert sink.credentials == []
    assert sink.transactions == []


async def test_what_was_offered_in_clear_is_forgotten_under_tls(trust: ssl.SSLContext) -> None:
    sink = SmtpSink(
        extensions=(b"STARTTLS", b"AUTH PLAIN", b"DSN"),
        extensions_under_tls=(b"8BITMIME",),
        tls=server_context(),
    )
    async with smtp_sink(sink):
        outcome = await submit(sink, trust, username="keys")
    assert isinstance(outcome, Transient)
    assert outcome.failure.phase is Phase.AUTH
    assert sink.credentials == []


async def test_a_stripped_starttls_gets_neither_password_nor_mail(trust: ssl.SSLContext) -> None:
    async with smtp_sink(SmtpSink(extensions=(b"AUTH PLAIN", b"XXXXXXXX"))) as sink:
        outcome = await submit(sink, trust, username="keys")
    assert isinstance(outcome, Transient)
    assert outcome.failure.phase is Phase.TLS
    assert sink.credentials == []
    assert sink.transactions == []


async def test_silence_instead_of_a_handshake_ends(trust: ssl.SSLContext) -> None:
    brief = timedelta(milliseconds=50)
    settings = DeliverySettings(timeouts=SmtpTimeouts(connect=brief, command=brief, data=brief))
    sink = SmtpSink(extensions=(b"STARTTLS",), tls=server_context(), always={Stage.STARTTLS: Fate.HANG})
    async with smtp_sink(sink):
        outcome = await submit(sink, trust, settings=settings)
    assert isinstance(outcome, Transient)
    assert outcome.failure.phase is Phase.TLS
    assert sink.transactions == []
