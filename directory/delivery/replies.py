"""What does the smart host's answer mean for the mail: taken, not now, or never?

The one place that tells transient from permanent failures. It leans to one side: a mail is lost for good
only by a verdict on this recipient. Whatever may come from a misconfigured, unreachable or angry smart host
(its certificate, our password, our sender address, its policy, our commands) is tried again until the
mail's days are over, because the operator can mend it meanwhile, and a key that was given up cannot be.
"""

import re
import socket
import ssl
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias

from aiosmtplib import SMTPException, SMTPResponseException

from directory.delivery.text import one_line
from directory.delivery.tls_faults import TlsFault, tls_fault_of

LONGEST_FAILURE = 500
"""Characters; what the store keeps of a failure."""


class Phase(StrEnum):
    """How far an attempt came."""

    WAIT = "wait"  # for a connection or a turn: it was not tried at all
    ROUTE = "route"  # where the mail goes: the names of servers and their addresses
    CONNECT = "connect"  # up to and including the greeting
    TLS = "tls"
    EHLO = "ehlo"
    AUTH = "auth"
    MAIL = "mail"
    RCPT = "rcpt"
    DATA = "data"  # up to and including the reply to the final dot
    ATTEMPT = "attempt"  # as a whole
    SERVICE = "service"  # our own part in it, such as composing the mail


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """Why a mail was not accepted."""

    phase: Phase
    reason: str
    """For a person to read: one line without control characters, and without any secret."""
    reply: int | None = None
    """The SMTP reply code, where there was a reply."""
    tls: TlsFault | None = None
    """Where it was TLS that failed."""

    @property
    def code(self) -> str:
        """A short stable name, such as `rcpt.550`; holds nothing the smart host wrote."""
        return self.phase.value if self.reply is None else f"{self.phase.value}.{self.reply}"

    def __str__(self) -> str:
        reply = "" if self.reply is None else f"{self.reply} "
        return one_line(f"{self.phase.value.upper()}: {reply}{self.reason}", longest=LONGEST_FAILURE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepted:
    """The smart host has taken responsibility for the mail (RFC 5321 section 4.2.5)."""

    response: str
    """What it said, on one line; often the identifier in its queue."""
    host: str
    """Who said it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Transient:
    """Not this time; another attempt may succeed."""

    failure: Failure


@dataclass(frozen=True, slots=True, kw_only=True)
class Permanent:
    """Never, for this recipient."""

    failure: Failure


Outcome: TypeAlias = Accepted | Transient | Permanent


class _Blame(StrEnum):
    RECIPIENT = "recipient"
    SENDER = "sender"  # us, our commands or credentials, or the smart host itself


# A refusal before RCPT says nothing about the recipient. From RCPT on it may: the phases to look closer at.
_PHASES_OF_THE_RECIPIENT = frozenset({Phase.RCPT, Phase.DATA})

# The subject of an enhanced status code, `5.SUBJECT.DETAIL` (RFC 3463 section 3), says who is to blame.
_BLAME_BY_SUBJECT = {
    0: _Blame.RECIPIENT,  # other or undefined: what the reply code alone would say
    1: _Blame.RECIPIENT,  # addressing
    2: _Blame.RECIPIENT,  # mailbox
    3: _Blame.SENDER,  # mail system: full, misconfigured, of too little capability
    4: _Blame.RECIPIENT,  # network and routing: no host for the domain
    5: _Blame.SENDER,  # protocol
    6: _Blame.RECIPIENT,  # content and media: what arrives there cannot be an attachment
    7: _Blame.SENDER,  # security and policy: no relaying for us, not authenticated, content filter
}
# Two details of the subject "addressing" are about the sender's address; servers that judge it late do so at
# RCPT (RFC 3463 section 3.2).
_BLAME_BY_DETAIL = {(1, 7): _Blame.SENDER, (1, 8): _Blame.SENDER}

# Without an enhanced status code a reply code alone is no verdict: `550` is "no such user" to one server and
# "relaying denied" to the next. Only words that name the mailbox blame the recipient; whatever else is said
# is tried again for days, which a misconfigured smart host survives and a withdrawn certificate does not.
_NO_SUCH_MAILBOX = re.compile(
    r"\b(?:no such (?:user|recipient|mailbox|person|address)|(?:user|recipient|mailbox|address) unknown"
    r"|unknown (?:user|recipient|mailbox|address)|invalid (?:recipient|mailbox)"
    r"|(?:user|mailbox|account|recipient) (?:does not exist|doesn't exist|not found|disabled|is disabled))\b",
    re.IGNORECASE,
)

# Mostly it leads the line; some write it in brackets behind their words.
_ENHANCED_STATUS = re.compile(r"(?<![\w.])5\.(\d{1,3})\.(\d{1,3})(?![\w.]\d)")

_PERMANENT = 5
"""The first digit of a permanent negative completion reply (RFC 5321 section 4.2.1)."""


def judge_reply(phase: Phase, reply: int, text: str) -> Transient | Permanent:
    """Say what a refusing reply means. `text` is what follows the code, of the first line on."""
    # What a server says of a failed login may repeat the credentials, if only in base64.
    reason = "login refused" if phase is Phase.AUTH else one_line(text, longest=LONGEST_FAILURE)
    failure = Failure(phase=phase, reply=reply, reason=reason)
    permanent = (
        reply // 100 == _PERMANENT and phase in _PHASES_OF_THE_RECIPIENT and _blame(text) is _Blame.RECIPIENT
    )
    return Permanent(failure=failure) if permanent else Transient(failure=failure)


def _blame(text: str) -> _Blame:
    status = _ENHANCED_STATUS.search(text)
    if status is None:
        return _Blame.RECIPIENT if _NO_SUCH_MAILBOX.search(text) else _Blame.SENDER
    subject, detail = int(status[1]), int(status[2])
    by_subject = _BLAME_BY_SUBJECT.get(subject, _Blame.RECIPIENT)
    return _BLAME_BY_DETAIL.get((subject, detail), by_subject)


SMTP_ERRORS = (SMTPException, OSError, UnicodeError)
"""Everything a conversation with a smart host may raise: aiosmtplib's own errors, those of sockets, name
resolution and TLS (all of them `OSError`), and that of a host name which cannot be encoded."""


def judge_error(phase: Phase, error: Exception) -> Transient | Permanent:
    """Say what an error of `SMTP_ERRORS` means: transient, unless it carries a reply that is not."""
    if isinstance(error, SMTPResponseException):
        if is_reply(error.code):
            return judge_reply(phase, error.code, error.message)
        # aiosmtplib's stand-in for something that is not SMTP; its message repeats the whole line.
        return Transient(failure=Failure(phase=phase, reason="the server does not speak SMTP"))
    cause = _first_cause(error)
    if isinstance(cause, ssl.SSLError):
        return Transient(failure=Failure(phase=Phase.TLS, reason=_reason_of(cause), tls=tls_fault_of(cause)))
    return Transient(failure=Failure(phase=phase, reason=_reason_of(cause)))


def is_reply(code: int) -> bool:
    """Whether a number can be an SMTP reply code (RFC 5321 section 4.2)."""
    return 200 <= code <= 599  # noqa: PLR2004 - the range of the grammar


def _first_cause(error: Exception) -> Exception:
    # A time-out is caused by a cancellation, which is no Exception and says nothing.
    while isinstance(error.__cause__, Exception):
        error = error.__cause__
    return error


# Errors that are told in our words rather than the interpreter's; the special before the general.
_REASONS: tuple[tuple[type[Exception], str], ...] = (
    (socket.gaierror, "the host name was not found"),
    (UnicodeError, "the host name was not found"),
    (TimeoutError, "timed out"),
    (ConnectionRefusedError, "connection refused"),
    (ConnectionError, "connection lost"),
)


def _reason_of(error: Exception) -> str:
    for kind, reason in _REASONS:
        if isinstance(error, kind):
            return reason
    return one_line(_words_of(error), longest=LONGEST_FAILURE)


def _words_of(error: Exception) -> str:
    match error:
        case ssl.SSLCertVerificationError():
            return f"certificate not accepted: {error.verify_message}"
        case ssl.SSLError():
            return f"TLS failed: {getattr(error, 'reason', None) or error.strerror}"
        case OSError():
            # Without an error number where several addresses of one host failed for different reasons.
            return error.strerror or str(error)
        case _:
            # aiosmtplib's own words; the texts of servers come with a reply code and do not get here.
            return str(error) or type(error).__name__
