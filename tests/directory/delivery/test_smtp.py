import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.smtp import SMTP, AuthResult

from ca.address import Mailbox
from directory.delivery.replies import Accepted, Outcome, Permanent, Phase, Transient
from directory.delivery.settings import DeliverySettings, SmtpTimeouts
from directory.delivery.smtp import Envelope, SmtpSession, tls_context
from directory.errors import ConfigurationRefused
from directory.organization import SmartHost, SmtpSecurity
from tests.directory.delivery.sink import Action, Fate, SmtpSink, Stage, smtp_sink
from tests.directory.delivery.tls import server_context, write_ca_file

MESSAGE = b"Subject: hello\r\n\r\n.a dot first\r\n..\r\nand the end\r\n"
BRIEF = timedelta(milliseconds=50)
SETTINGS = DeliverySettings()
IMPATIENT = DeliverySettings(timeouts=SmtpTimeouts(connect=BRIEF, command=BRIEF, data=BRIEF))


def an_envelope(*, envelope_id: str = "mail-1", recipient: str = "anna@example.org") -> Envelope:
    return Envelope(
        envelope_id=envelope_id,
        sender=Mailbox.parse("keys@hospital.org"),
        recipient=Mailbox.parse_international(recipient),
        message=MESSAGE,
    )


@pytest.fixture
def trust(tmp_path: Path) -> ssl.SSLContext:
    return tls_context(write_ca_file(tmp_path))


@asynccontextmanager
async def session_to(
    host: SmartHost,
    *,
    settings: DeliverySettings = SETTINGS,
    password: str | None = None,
    trust: ssl.SSLContext | None = None,
) -> AsyncIterator[SmtpSession | Transient]:
    opened = await SmtpSession.open(
        host, password=password, tls=trust or tls_context(None), settings=settings
    )
    try:
        yield opened
    finally:
        if isinstance(opened, SmtpSession):
            await opened.close()


async def submit(
    host: SmartHost,
    *,
    settings: DeliverySettings = SETTINGS,
    password: str | None = None,
    trust: ssl.SSLContext | None = None,
) -> Outcome:
    async with session_to(host, settings=settings, password=password, trust=trust) as session:
        return await session.submit(an_envelope()) if isinstance(session, SmtpSession) else session


async def test_hands_over_one_message_for_one_recipient() -> None:
    async with smtp_sink() as sink:
        outcome = await submit(sink.smart_host())
    assert outcome == Accepted(response="250 2.0.0 queued as 4F2A", host="127.0.0.1")
    [transaction] = sink.transactions
    assert transaction.mail == b"MAIL FROM:<keys@hospital.org>"
    assert transaction.recipients == [b"RCPT TO:<anna@example.org>"]
    assert transaction.message == MESSAGE
    assert sink.commands[-1] == b"QUIT"


async def test_asks_for_notifications_without_the_message_where_they_are_offered() -> None:
    async with smtp_sink(SmtpSink(extensions=(b"DSN", b"SIZE 1000000"))) as sink:
        await submit(sink.smart_host())
    [transaction] = sink.transactions
    assert transaction.mail == (b"MAIL FROM:<keys@hospital.org> SIZE=%d RET=HDRS ENVID=mail-1" % len(MESSAGE))
    assert transaction.recipients == [
        b"RCPT TO:<anna@example.org> NOTIFY=FAILURE,DELAY ORCPT=rfc822;anna@example.org"
    ]


async def test_an_envelope_identifier_is_written_as_xtext() -> None:
    async with (
        smtp_sink(SmtpSink(extensions=(b"DSN",))) as sink,
        session_to(sink.smart_host()) as session,
    ):
        assert isinstance(session, SmtpSession)
        await session.submit(an_envelope(envelope_id="a+b=c d\r\nRCPT"))
    assert sink.transactions[0].mail.endswith(b"ENVID=a+2Bb+3Dc+20d+0D+0ARCPT")


async def test_an_address_beyond_ascii_is_sent_with_smtputf8_and_a_typed_original_recipient() -> None:
    extensions = (b"8BITMIME", b"SMTPUTF8", b"DSN")
    envelopes = [an_envelope(recipient="Jörg+x=y用户@example.org"), an_envelope()]
    async with (
        smtp_sink(SmtpSink(extensions=extensions)) as sink,
        session_to(sink.smart_host()) as session,
    ):
        assert isinstance(session, SmtpSession)
        for envelope in envelopes:
            assert isinstance(await session.submit(envelope), Accepted)
    first, second = sink.transactions
    typed = r"utf-8;J\x{F6}rg\x{2B}x\x{3D}y\x{7528}\x{6237}@example.org"
    assert first.mail.decode() == (
        "MAIL FROM:<keys@hospital.org> RET=HDRS ENVID=mail-1 BODY=8BITMIME SMTPUTF8"
    )
    assert [one.decode() for one in first.recipients] == [
        "RCPT TO:<Jörg+x=y用户@example.org> NOTIFY=FAILURE,DELAY ORCPT=" + typed
    ]
    # Its neighbour needs none of it, so it is not asked for (RFC 6531 section 3.6).
    assert second.mail == b"MAIL FROM:<keys@hospital.org> RET=HDRS ENVID=mail-1"
    assert second.recipients == [
        b"RCPT TO:<anna@example.org> NOTIFY=FAILURE,DELAY ORCPT=rfc822;anna@example.org"
    ]


async def test_without_smtputf8_nothing_is_said_of_an_address_beyond_ascii_and_the_next_mail_goes() -> None:
    async with smtp_sink() as sink, session_to(sink.smart_host()) as session:
        assert isinstance(session, SmtpSession)
        outcome = await session.submit(an_envelope(recipient="jörg@example.org"))
        assert isinstance(outcome, Permanent)
        assert (outcome.failure.phase, outcome.failure.reply) == (Phase.EHLO, None)
        assert outcome.failure.reason.startswith("5.6.7 ")
        assert session.is_usable
        assert isinstance(await session.submit(an_envelope()), Accepted)
    assert len(sink.transactions) == 1
    assert "jörg".encode() not in sink.wire


async def test_what_was_offered_before_tls_does_not_count(trust: ssl.SSLContext) -> None:
    stripped = SmtpSink(
        extensions=(b"STARTTLS", b"SMTPUTF8"), extensions_under_tls=(b"8BITMIME",), tls=server_context()
    )
    async with smtp_sink(stripped) as sink:
        host = sink.smart_host(SmtpSecurity.STARTTLS)
        async with session_to(host, trust=trust) as session:
            assert isinstance(session, SmtpSession)
            outcome = await session.submit(an_envelope(recipient="jörg@example.org"))
    assert isinstance(outcome, Permanent)


async def test_a_session_takes_one_mail_after_the_other() -> None:
    async with smtp_sink() as sink, session_to(sink.smart_host()) as session:
        assert isinstance(session, SmtpSession)
        for number in range(3):
            assert await session.reset()
            assert isinstance(await session.submit(an_envelope(recipient=f"r{number}@example.org")), Accepted)
        assert session.is_usable
    assert sink.connections == 1
    assert [transaction.recipients for transaction in sink.accepted] == [
        [b"RCPT TO:<r0@example.org>"],
        [b"RCPT TO:<r1@example.org>"],
        [b"RCPT TO:<r2@example.org>"],
    ]


async def test_a_refusal_leaves_the_session_usable_for_the_next_mail() -> None:
    async with (
        smtp_sink(SmtpSink(script={Stage.RCPT: [b"550 5.1.1 no such user"]})) as sink,
        session_to(sink.smart_host()) as session,
    ):
        assert isinstance(session, SmtpSession)
        assert isinstance(await session.submit(an_envelope()), Permanent)
        assert await session.reset()
        assert isinstance(await session.submit(an_envelope()), Accepted)
    assert sink.connections == 1
    assert len(sink.accepted) == 1


@pytest.mark.parametrize("fate", [b"421 4.3.2 going down", Fate.DROP])
async def test_notices_that_the_smart_host_has_hung_up(fate: Action) -> None:
    async with (
        smtp_sink(SmtpSink(script={Stage.RSET: [fate]})) as sink,
        session_to(sink.smart_host()) as session,
    ):
        assert isinstance(session, SmtpSession)
        assert not await session.reset()
        assert not session.is_usable


REFUSALS = {
    Stage.GREETING: Phase.CONNECT,
    Stage.EHLO: Phase.EHLO,
    Stage.MAIL: Phase.MAIL,
    Stage.RCPT: Phase.RCPT,
    Stage.DATA: Phase.DATA,
    Stage.DOT: Phase.DATA,
}


@pytest.mark.parametrize(("stage", "phase"), REFUSALS.items())
async def test_a_4yz_reply_at_any_step_is_transient(stage: Stage, phase: Phase) -> None:
    async with smtp_sink(SmtpSink(always={stage: b"451 4.3.0 try again later"})) as sink:
        outcome = await submit(sink.smart_host())
    assert isinstance(outcome, Transient)
    assert outcome.failure.phase is phase
    assert outcome.failure.reply == 451
    assert sink.accepted == []


@pytest.mark.parametrize(("stage", "phase"), REFUSALS.items())
async def test_a_5yz_reply_is_permanent_only_where_it_is_about_the_recipient(
    stage: Stage, phase: Phase
) -> None:
    async with smtp_sink(SmtpSink(always={stage: b"550 5.1.1 no such user"})) as sink:
        outcome = await submit(sink.smart_host())
    of_the_recipient = phase in {Phase.RCPT, Phase.DATA}
    assert isinstance(outcome, Permanent if of_the_recipient else Transient)
    assert outcome.failure.phase is phase
    assert str(outcome.failure) == f"{phase.value.upper()}: 550 5.1.1 no such user"


@pytest.mark.parametrize(("stage", "phase"), [*REFUSALS.items(), (Stage.CONTENT, Phase.DATA)])
async def test_a_connection_cut_at_any_step_is_transient(stage: Stage, phase: Phase) -> None:
    async with smtp_sink(SmtpSink(always={stage: Fate.DROP})) as sink:
        outcome = await submit(sink.smart_host())
    assert isinstance(outcome, Transient)
    assert (outcome.failure.phase, outcome.failure.reason) == (phase, "connection lost")
    assert sink.accepted == []


@pytest.mark.parametrize(("stage", "phase"), REFUSALS.items())
async def test_silence_at_any_step_is_transient(stage: Stage, phase: Phase) -> None:
    async with smtp_sink(SmtpSink(always={stage: Fate.HANG})) as sink:
        outcome = await submit(sink.smart_host(), settings=IMPATIENT)
    assert isinstance(outcome, Transient)
    assert (outcome.failure.phase, outcome.failure.reason) == (phase, "timed out")
    assert sink.accepted == []


@pytest.mark.parametrize("stage", REFUSALS)
async def test_what_is_not_smtp_is_transient(stage: Stage) -> None:
    async with smtp_sink(SmtpSink(always={stage: b"<html>welcome to the hotel network"})) as sink:
        outcome = await submit(sink.smart_host())
    assert isinstance(outcome, Transient)
    assert outcome.failure.reason == "the server does not speak SMTP"
    assert outcome.failure.reply is None


@pytest.mark.parametrize("reply", [b"250 taken already?", b"099 odd", b"700 odder"])
async def test_a_strange_reply_to_data_is_never_taken_for_acceptance(reply: bytes) -> None:
    async with smtp_sink(SmtpSink(always={Stage.DATA: reply})) as sink:
        outcome = await submit(sink.smart_host())
    assert isinstance(outcome, Transient)


async def test_a_smart_host_that_is_down_is_transient() -> None:
    async with smtp_sink() as sink:
        host = sink.smart_host()
    outcome = await submit(host)
    assert isinstance(outcome, Transient)
    assert str(outcome.failure) == "CONNECT: connection refused"


@pytest.mark.parametrize("name", ["does-not-exist.invalid", "x" * 70 + ".example", "..", "a b"])
async def test_a_host_name_that_means_nothing_is_transient(name: str) -> None:
    outcome = await submit(SmartHost(host=name, port=25, security=SmtpSecurity.CLEAR))
    assert isinstance(outcome, Transient)
    assert outcome.failure.phase is Phase.CONNECT


async def test_starttls_protects_everything_after_it(trust: ssl.SSLContext) -> None:
    async with smtp_sink(SmtpSink(extensions=(b"STARTTLS",), tls=server_context())) as sink:
        outcome = await submit(sink.smart_host(SmtpSecurity.STARTTLS), trust=trust)
    assert isinstance(outcome, Accepted)
    assert sink.transactions[0].under_tls
    # RFC 3207 section 4.2: after the handshake the client starts over.
    verbs = [command.split(b" ")[0] for command in sink.commands[:3]]
    assert verbs == [b"EHLO", b"STARTTLS", b"EHLO"]


async def test_implicit_tls_protects_everything(trust: ssl.SSLContext) -> None:
    async with smtp_sink(SmtpSink(tls=server_context()), implicit_tls=True) as sink:
        outcome = await submit(sink.smart_host(SmtpSecurity.IMPLICIT), trust=trust)
    assert isinstance(outcome, Accepted)
    assert sink.transactions[0].under_tls


async def test_without_starttls_nothing_is_sent(trust: ssl.SSLContext) -> None:
    async with smtp_sink(SmtpSink(extensions=(b"8BITMIME",))) as sink:
        outcome = await submit(sink.smart_host(SmtpSecurity.STARTTLS), trust=trust)
    assert isinstance(outcome, Transient)
    assert str(outcome.failure) == "TLS: the smart host does not offer STARTTLS"
    assert [command.split(b" ")[0] for command in sink.commands] == [b"EHLO"]


@pytest.mark.parametrize("security", [SmtpSecurity.STARTTLS, SmtpSecurity.IMPLICIT])
@pytest.mark.parametrize("certificate_for", ["127.0.0.1", "other.example"])
async def test_a_certificate_that_proves_nothing_gets_no_mail(
    security: SmtpSecurity, certificate_for: str, trust: ssl.SSLContext
) -> None:
    # For its own address, but of an unknown issuer; or of a known issuer, but for another name.
    trusting = trust if certificate_for == "other.example" else tls_context(None)
    sink = SmtpSink(extensions=(b"STARTTLS",), tls=server_context(certificate_for))
    async with smtp_sink(sink, implicit_tls=security is SmtpSecurity.IMPLICIT):
        outcome = await submit(sink.smart_host(security), trust=trusting, password="hunter2")
    assert isinstance(outcome, Transient)
    assert outcome.failure.phase is Phase.TLS
    assert outcome.failure.reason.startswith("certificate not accepted: ")
    assert sink.transactions == []
    assert sink.credentials == []


@pytest.mark.parametrize("reply", [b"454 4.7.0 no TLS today", b"501 5.5.4 syntax"])
async def test_a_refused_starttls_is_transient(reply: bytes, trust: ssl.SSLContext) -> None:
    sink = SmtpSink(extensions=(b"STARTTLS",), always={Stage.STARTTLS: reply}, tls=server_context())
    async with smtp_sink(sink):
        outcome = await submit(sink.smart_host(SmtpSecurity.STARTTLS), trust=trust)
    assert isinstance(outcome, Transient)
    assert outcome.failure.phase is Phase.TLS
    assert sink.transactions == []


async def test_tls_with_a_host_that_speaks_none_is_transient(trust: ssl.SSLContext) -> None:
    async with smtp_sink() as sink:
        outcome = await submit(sink.smart_host(SmtpSecurity.IMPLICIT), trust=trust)
    assert isinstance(outcome, Transient)
    assert outcome.failure.phase is Phase.TLS


def test_old_versions_of_tls_are_refused() -> None:
    assert tls_context(None).minimum_version is ssl.TLSVersion.TLSv1_2
    assert tls_context(None).verify_mode is ssl.CERT_REQUIRED
    assert tls_context(None).check_hostname


@pytest.mark.parametrize("content", [b"", b"not a certificate", None])
def test_refuses_a_ca_file_without_certificates(tmp_path: Path, content: bytes | None) -> None:
    file = tmp_path / "ca.pem"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(ConfigurationRefused, match="holds no certificates"):
        tls_context(file)


def with_login(host: SmartHost) -> SmartHost:
    return replace(host, username="keys")


async def test_logs_in_under_tls(trust: ssl.SSLContext) -> None:
    sink = SmtpSink(
        extensions=(b"STARTTLS",), extensions_under_tls=(b"AUTH CRAM-MD5 PLAIN LOGIN",), tls=server_context()
    )
    async with smtp_sink(sink):
        host = with_login(sink.smart_host(SmtpSecurity.STARTTLS))
        outcome = await submit(host, trust=trust, password="hunter2")
    assert isinstance(outcome, Accepted)
    assert sink.credentials == [(b"\0keys\0hunter2", True)]


async def test_logs_in_to_this_machine_in_clear() -> None:
    async with smtp_sink(SmtpSink(extensions=(b"AUTH PLAIN",))) as sink:
        outcome = await submit(with_login(sink.smart_host()), password="hunter2")
    assert isinstance(outcome, Accepted)
    assert sink.credentials == [(b"\0keys\0hunter2", False)]


async def test_a_refused_login_is_transient_tried_once_and_not_repeated() -> None:
    echo = b"535 5.7.8 wrong: AGtleXMAaHVudGVyMg== hunter2"
    async with smtp_sink(
        SmtpSink(extensions=(b"AUTH PLAIN LOGIN CRAM-MD5",), always={Stage.AUTH: echo})
    ) as sink:
        outcome = await submit(with_login(sink.smart_host()), password="hunter2")
    assert isinstance(outcome, Transient)
    assert str(outcome.failure) == "AUTH: 535 login refused"
    assert len(sink.credentials) == 1
    assert sink.transactions == []


@pytest.mark.parametrize("offered", [(), (b"AUTH GSSAPI NTLM",)])
async def test_a_login_that_is_not_offered_is_transient(offered: tuple[bytes, ...]) -> None:
    async with smtp_sink(SmtpSink(extensions=(b"8BITMIME", *offered))) as sink:
        outcome = await submit(with_login(sink.smart_host()), password="hunter2")
    assert isinstance(outcome, Transient)
    assert outcome.failure.phase is Phase.AUTH
    assert sink.transactions == []


async def test_a_missing_password_is_transient() -> None:
    async with smtp_sink(SmtpSink(extensions=(b"AUTH PLAIN",))) as sink:
        outcome = await submit(with_login(sink.smart_host()))
    assert isinstance(outcome, Transient)
    assert outcome.failure.phase is Phase.AUTH


class Kept:
    """Keeps what aiosmtpd, a server that nobody here wrote, makes of what it is sent."""

    def __init__(self) -> None:
        self.envelopes: list[Any] = []

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Any) -> str:  # noqa: N802 - its name
        self.envelopes.append(envelope)
        return "250 kept"


async def test_gets_on_with_somebody_elses_server(trust: ssl.SSLContext) -> None:
    kept = Kept()

    def authenticate(_server: Any, _session: Any, _envelope: Any, _mechanism: str, login: Any) -> AuthResult:
        right = (login.login, login.password) == (b"keys", b"hunter2")
        return AuthResult(success=right, handled=False)

    server = await asyncio.get_running_loop().create_server(
        lambda: SMTP(
            kept,
            hostname="sink",
            tls_context=server_context(),
            require_starttls=True,
            auth_required=True,
            authenticator=authenticate,
        ),
        "127.0.0.1",
        0,
    )
    port = server.sockets[0].getsockname()[1]
    host = SmartHost(host="127.0.0.1", port=port, security=SmtpSecurity.STARTTLS, username="keys")
    refused = await submit(host, trust=trust, password="wrong")
    accepted = await submit(host, trust=trust, password="hunter2")
    server.close()
    await server.wait_closed()
    assert isinstance(refused, Transient)
    assert refused.failure.code == "auth.535"
    assert accepted == Accepted(response="250 kept", host="127.0.0.1")
    [envelope] = kept.envelopes
    assert (envelope.mail_from, envelope.rcpt_tos) == ("keys@hospital.org", ["anna@example.org"])
    assert envelope.original_content == MESSAGE


async def test_introduces_itself_by_its_configured_name() -> None:
    async with smtp_sink() as sink:
        await submit(sink.smart_host(), settings=DeliverySettings(helo_name="pki.hospital.org"))
    assert sink.commands[0] == b"EHLO pki.hospital.org"


async def test_introduces_itself_by_its_address_if_it_has_no_name() -> None:
    async with smtp_sink() as sink:
        await submit(sink.smart_host())
    assert sink.commands[0] == b"EHLO [127.0.0.1]"


async def test_an_envelope_does_not_show_its_message() -> None:
    assert "dot" not in repr(an_envelope())
