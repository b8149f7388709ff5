"""Who takes bounces in from the operator's mail server? A listener for LMTP (RFC 2033) or SMTP, and no more.

It takes mail to live return paths and nothing else, relays nothing, answers nobody by mail, and says `250`
only when what follows from a mail is durable. The protocol is aiosmtpd's, which ends a mail at CRLF dot CRLF
alone: nothing that a mail holds can begin another.
"""

import asyncio
import socket
from collections.abc import Sequence
from enum import StrEnum
from typing import Any, Final, Protocol

from aiosmtpd.lmtp import LMTP
from aiosmtpd.smtp import SMTP

from directory.bounces.bounces import Outcome
from directory.bounces.parts import LARGEST_MESSAGE
from directory.bounces.reports import Report, read_report
from directory.errors import StoreUnavailable
from directory.faults import log_failure

MOST_RECIPIENTS: Final = 10
"""Of one mail. A notification has one; a server that bundles several mails for us may have more."""
MOST_CONNECTIONS: Final = 32
"""More than a mail server opens to one destination."""
SILENCE_SECONDS: Final = 300.0
"""What a peer may take for a command, or for a whole mail (RFC 5321 section 4.5.3.2.7)."""

_MOST_READ_AT_ONCE: Final = 2
_LATER: Final = "451 4.3.0 Try again later"


class ListenerProtocol(StrEnum):
    """What is spoken; by the name of the setting."""

    LMTP = "lmtp"
    SMTP = "smtp"


class Intake(Protocol):
    """What the listener needs of `Bounces`."""

    async def expects(self, recipient: str) -> bool:
        """Say whether this is a live return path."""
        ...

    async def take(self, recipients: Sequence[str], report: Report) -> Outcome:
        """Take a report in."""
        ...


class BounceListener:
    """Listens until it is stopped."""

    def __init__(
        self, intake: Intake, *, protocol: ListenerProtocol, silence_seconds: float = SILENCE_SECONDS
    ) -> None:
        self._counter = _Counter(intake)
        self._session = _LmtpSession if protocol is ListenerProtocol.LMTP else _SmtpSession
        self._silence_seconds = silence_seconds
        self._sessions: set[_Session] = set()
        self._server: asyncio.Server | None = None

    async def start(self, taken: socket.socket) -> None:
        """Listen on an address that is taken already."""
        self._server = await asyncio.get_running_loop().create_server(self._open, sock=taken)

    async def stop(self) -> None:
        """Hear nobody any more; a mail that is not taken yet is delivered again by its sender."""
        if self._server is not None:
            self._server.close()
        for session in tuple(self._sessions):
            session.hang_up()

    def _open(self) -> "_Session":
        return self._session(self._counter, self._sessions, timeout=self._silence_seconds)


class _Counter:
    """Where mail is handed in: what aiosmtpd calls a handler."""

    def __init__(self, intake: Intake) -> None:
        self._intake = intake
        self._reading = asyncio.Semaphore(_MOST_READ_AT_ONCE)

    async def handle_RCPT(  # noqa: N802 - the name aiosmtpd calls
        self, _server: Any, _session: Any, envelope: Any, address: str, _options: Sequence[str]
    ) -> str:
        """Take a recipient whose token is live; a token of 128 bits is not found by trying."""
        if len(envelope.rcpt_tos) >= MOST_RECIPIENTS:
            return "452 4.5.3 Too many recipients"
        try:
            if not await self._intake.expects(address):
                return "550 5.1.1 No such recipient here"
        except StoreUnavailable:
            return _LATER
        envelope.rcpt_tos.append(address)
        return "250 2.1.5 OK"

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Any) -> str:  # noqa: N802 - likewise
        """Take the mail in for each of its recipients."""
        async with self._reading:
            report = await asyncio.to_thread(read_report, envelope.original_content)
        try:
            for recipient in envelope.rcpt_tos:
                await self._intake.take([recipient], report)
        except StoreUnavailable:
            # Whoever was served already is served again with the next attempt, and that changes nothing.
            return _LATER
        return "250 2.0.0 OK"

    async def handle_VRFY(self, _server: Any, _session: Any, _envelope: Any, _address: str) -> str:  # noqa: N802 - likewise
        """Confirm nobody."""
        return "252 2.5.2 Send some mail, and see"

    async def handle_exception(self, error: Exception) -> str:
        """Keep a fault of ours to ourselves; the mail comes again."""
        log_failure("a session of the bounce listener", error)
        return _LATER


class _Session(SMTP):
    """One connection."""

    def __init__(self, counter: _Counter, sessions: "set[_Session]", *, timeout: float) -> None:
        # Mail servers return mail in UTF-8 as it is, be it announced or not (RFC 6532).
        super().__init__(
            counter,
            data_size_limit=LARGEST_MESSAGE,
            enable_SMTPUTF8=True,
            hostname="pushpki",
            ident="bounces",
            timeout=timeout,
            loop=asyncio.get_running_loop(),
        )
        self._sessions = sessions

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin, unless too many have already."""
        super().connection_made(transport)
        self._sessions.add(self)
        if len(self._sessions) > MOST_CONNECTIONS and isinstance(transport, asyncio.WriteTransport):
            transport.write(b"421 4.3.2 Too many connections\r\n")
            transport.close()

    def connection_lost(self, error: Exception | None) -> None:
        """End."""
        self._sessions.discard(self)
        super().connection_lost(error)

    def hang_up(self) -> None:
        """Close the connection in the middle of whatever."""
        if self.transport is not None:
            self.transport.close()


class _SmtpSession(_Session):
    """Speaks SMTP."""


class _LmtpSession(_Session, LMTP):
    """Speaks LMTP: the reply to the final dot is given once for each recipient (RFC 2033 section 4.2)."""

    def __init__(self, counter: _Counter, sessions: set[_Session], *, timeout: float) -> None:
        super().__init__(counter, sessions, timeout=timeout)
        self._owed = 1

    async def push(self, status: Any) -> None:
        """Send a reply as often as it is owed."""
        times, self._owed = self._owed, 1
        for _ in range(times):
            await super().push(status)
        if status[:3] in {"354", b"354"} and self.envelope is not None:
            self._owed = len(self.envelope.rcpt_tos)
