import socket
import ssl

import aiosmtplib
import pytest
from aiosmtplib import SMTPResponseException
from aiosmtplib import errors as library_errors

from directory.delivery.replies import (
    LONGEST_FAILURE,
    Failure,
    Permanent,
    Phase,
    Transient,
    judge_error,
    judge_reply,
)

OF_THE_RECIPIENT = (Phase.RCPT, Phase.DATA)


@pytest.mark.parametrize("phase", Phase)
def test_a_4yz_reply_is_always_transient(phase: Phase) -> None:
    for reply in range(400, 500):
        assert isinstance(judge_reply(phase, reply, "5.1.1 said so"), Transient)


@pytest.mark.parametrize("phase", [phase for phase in Phase if phase not in OF_THE_RECIPIENT])
def test_a_5yz_reply_before_the_recipient_was_named_is_transient(phase: Phase) -> None:
    for reply in range(500, 600):
        assert isinstance(judge_reply(phase, reply, "5.1.1 said so"), Transient)


@pytest.mark.parametrize("phase", OF_THE_RECIPIENT)
@pytest.mark.parametrize(
    "said",
    [
        (550, "no such user"),
        (550, "5.1.1 no such user"),
        (550, "5.1.10 null MX"),
        (550, "5.2.1 mailbox disabled"),
        (552, "5.2.2 mailbox full"),
        (553, "sorry, no mailbox here by that name (#5.1.1)"),
        (550, "Unrouteable address: User unknown"),
        (550, "<p@example.com>... Recipient unknown"),
        (550, "this account does not exist"),
        (554, "5.0.0 no"),
        (550, "5.4.1 recipient address rejected"),
        (554, "5.6.1 media not supported"),
        (556, "5.1.10 domain accepts no mail"),
        (550, "5.9.9 a status nobody has heard of"),
    ],
)
def test_a_verdict_on_the_recipient_is_permanent(phase: Phase, said: tuple[int, str]) -> None:
    assert isinstance(judge_reply(phase, *said), Permanent)


@pytest.mark.parametrize("phase", OF_THE_RECIPIENT)
@pytest.mark.parametrize(
    "said",
    [
        (550, "relay not permitted"),
        (550, "Administrative prohibition"),
        (553, "sorry, that domain isn't in my list of allowed rcpthosts (#5.7.1)"),
        (554, "Relay access denied"),
        (550, "Sender verify failed"),
        (552, "message blocked because its content is not allowed"),
        (553, "not allowed"),
        (554, "transaction failed"),
        (599, "a reply nobody has heard of"),
        (500, "unrecognized command"),
        (503, "bad sequence of commands"),
        (530, "authentication required"),
        (530, "5.7.0 must issue a STARTTLS command first"),
        (535, "authentication failed"),
        (521, "this host accepts no mail"),
        (555, "parameters not recognized"),
        (550, "5.1.8 sender address rejected: domain not found"),
        (553, "5.1.7 bad sender's mailbox address"),
        (554, "5.7.1 relay access denied"),
        (550, "5.7.1 message rejected by content filter"),
        (554, "5.3.5 system incorrectly configured"),
        (552, "5.3.4 message too big"),
        (501, "5.5.4 bad arguments"),
    ],
)
def test_a_refusal_of_us_or_of_the_smart_host_itself_is_transient(
    phase: Phase, said: tuple[int, str]
) -> None:
    assert isinstance(judge_reply(phase, *said), Transient)


@pytest.mark.parametrize("phase", Phase)
def test_every_reply_of_the_grammar_gets_a_verdict(phase: Phase) -> None:
    statuses = [
        "",
        *(f"5.{subject}.{detail} said so" for subject in range(10) for detail in (0, 1, 7, 8, 999)),
    ]
    for reply in range(200, 600):
        for status in statuses:
            verdict = judge_reply(phase, reply, status)
            assert isinstance(verdict, Transient | Permanent)
            assert verdict.failure.reply == reply


def every_library_error() -> list[Exception]:
    errors: list[Exception] = []
    for name in library_errors.__all__:
        kind = getattr(library_errors, name)
        if issubclass(kind, aiosmtplib.SMTPRecipientsRefused):
            errors.append(kind([]))
        elif issubclass(kind, aiosmtplib.SMTPSenderRefused | aiosmtplib.SMTPRecipientRefused):
            errors.append(kind(450, "later", "somebody"))
        elif issubclass(kind, SMTPResponseException):
            errors.append(kind(450, "later"))
        else:
            errors.append(kind("went wrong"))
    return errors


@pytest.mark.parametrize("error", every_library_error(), ids=lambda error: type(error).__name__)
def test_every_error_of_the_library_gets_a_verdict(error: Exception) -> None:
    for phase in Phase:
        verdict = judge_error(phase, error)
        assert isinstance(verdict, Transient)
        assert verdict.failure.reason


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (ConnectionRefusedError(111, "Connection refused"), "connection refused"),
        (ConnectionResetError(104, "Connection reset by peer"), "connection lost"),
        (TimeoutError(), "timed out"),
        (socket.gaierror(-2, "Name or service not known"), "the host name was not found"),
        (UnicodeError("label too long"), "the host name was not found"),
        (OSError(113, "No route to host"), "No route to host"),
        (OSError("Multiple exceptions: a, b"), "Multiple exceptions: a, b"),
        (ssl.SSLError(1, "handshake failure"), "TLS failed: handshake failure"),
    ],
)
def test_what_happened_is_told_in_a_few_words(error: Exception, reason: str) -> None:
    verdict = judge_error(Phase.CONNECT, error)
    assert isinstance(verdict, Transient)
    assert verdict.failure.reason == reason


def test_the_first_cause_is_what_counts() -> None:
    wrapped = aiosmtplib.SMTPConnectError("Error connecting")
    wrapped.__cause__ = ConnectionRefusedError()
    assert judge_error(Phase.CONNECT, wrapped).failure.reason == "connection refused"


def test_an_error_of_tls_is_one_of_tls_wherever_it_came_up() -> None:
    wrapped = aiosmtplib.SMTPConnectError("Error connecting")
    wrapped.__cause__ = ssl.SSLError(1, "handshake failure")
    assert judge_error(Phase.CONNECT, wrapped).failure.phase is Phase.TLS


def test_what_is_not_a_reply_is_not_repeated() -> None:
    error = SMTPResponseException(-1, "Malformed SMTP response line: HTTP/1.1 400 secret")
    verdict = judge_error(Phase.RCPT, error)
    assert isinstance(verdict, Transient)
    assert verdict.failure.reply is None
    assert "secret" not in str(verdict.failure)


def test_what_is_said_about_a_login_is_not_repeated() -> None:
    verdict = judge_reply(Phase.AUTH, 535, "5.7.8 wrong: AGtleXMAaHVudGVyMg==")
    assert str(verdict.failure) == "AUTH: 535 login refused"


def test_a_failure_is_one_short_line() -> None:
    verdict = judge_reply(Phase.RCPT, 550, "5.1.1 no\r\nsuch\x1b[31m user\u202e " + "x" * 10_000)
    text = str(verdict.failure)
    assert text.startswith("RCPT: 550 5.1.1 no such [31m user x")
    assert text.isprintable()
    assert len(text) == LONGEST_FAILURE


def test_a_failure_has_a_code_without_foreign_words() -> None:
    assert judge_reply(Phase.RCPT, 550, "5.1.1 anna@example.org unknown").failure.code == "rcpt.550"
    assert Failure(phase=Phase.CONNECT, reason="connection refused").code == "connect"
