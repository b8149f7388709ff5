"""A smart host on loopback that does what it is told, and writes down every octet it is sent.

It shares no code with the client under test: plain sockets, lines of CRLF, a dot alone on a line.
"""

import asyncio
import base64
import contextlib
import itertools
import ssl
from asyncio import StreamReader, StreamWriter
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from enum import Enum, StrEnum
from typing import TypeAlias

from directory.organization import SmartHost, SmtpSecurity


class Stage(StrEnum):
    """A moment at which the sink may misbehave."""

    GREETING = "greeting"
    EHLO = "ehlo"
    STARTTLS = "starttls"
    AUTH = "auth"
    MAIL = "mail"
    RCPT = "rcpt"
    DATA = "data"
    CONTENT = "content"  # in the midst of the message
    DOT = "dot"
    RSET = "rset"


class Fate(Enum):
    """What may happen instead of a reply."""

    DROP = "drop"  # the connection is cut
    HANG = "hang"  # nothing is said any more
    TRICKLE = "trickle"  # a reply that goes on for ever, an octet now and then
    FLOOD = "flood"  # a reply of lines without end, as fast as they are read


Action: TypeAlias = bytes | Fate
_TRICKLE_SECONDS = 0.01
_USUAL: Mapping[Stage, bytes] = {
    Stage.GREETING: b"220 sink ESMTP",
    Stage.STARTTLS: b"220 go ahead",
    Stage.AUTH: b"235 2.7.0 welcome",
    Stage.MAIL: b"250 2.1.0 ok",
    Stage.RCPT: b"250 2.1.5 ok",
    Stage.DATA: b"354 end with a dot",
    Stage.DOT: b"250 2.0.0 queued as 4F2A",
    Stage.RSET: b"250 2.0.0 flushed",
}


class _Gone(Exception):
    """The conversation is over."""


@dataclass(slots=True, kw_only=True)
class Transaction:
    """One mail transaction as the sink saw it."""

    mail: bytes
    recipients: list[bytes] = field(default_factory=list)
    content: bytes = b""
    """As sent, dots still stuffed, without the final one."""
    accepted: bool = False
    under_tls: bool = False

    @property
    def message(self) -> bytes:
        return b"\r\n".join(
            line[1:] if line.startswith(b".") else line for line in self.content.split(b"\r\n")
        )


@dataclass(slots=True, kw_only=True)
class SmtpSink:
    """What it does at a stage is taken from its script; when that is used up, what is usual."""

    script: dict[Stage, list[Action]] = field(default_factory=dict)
    always: dict[Stage, Action] = field(default_factory=dict)
    extensions: Sequence[bytes] = (b"8BITMIME",)
    extensions_under_tls: Sequence[bytes] | None = None
    tls: ssl.SSLContext | None = None
    connections: int = 0
    port: int = 0
    commands: list[bytes] = field(default_factory=list)
    transactions: list[Transaction] = field(default_factory=list)
    wire: bytearray = field(default_factory=bytearray)
    credentials: list[tuple[bytes, bool]] = field(default_factory=list)
    """Every AUTH PLAIN response, decoded, and whether it came under TLS."""
    _closing: asyncio.Event = field(default_factory=asyncio.Event)
    _open: set[asyncio.Task[None]] = field(default_factory=set)
    _current: dict[StreamWriter, Transaction] = field(default_factory=dict)

    @property
    def accepted(self) -> list[Transaction]:
        return [transaction for transaction in self.transactions if transaction.accepted]

    def smart_host(
        self, security: SmtpSecurity = SmtpSecurity.CLEAR, *, host: str = "127.0.0.1"
    ) -> SmartHost:
        return SmartHost(host=host, port=self.port, security=security)

    async def serve(self, reader: StreamReader, writer: StreamWriter) -> None:
        self.connections += 1
        task = asyncio.current_task()
        assert task is not None
        self._open.add(task)
        try:
            # What a client does that hangs up in the middle is its own affair.
            with contextlib.suppress(_Gone, OSError, asyncio.IncompleteReadError):
                await self._converse(reader, writer)
        finally:
            self._open.discard(task)
            self._current.pop(writer, None)
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    async def left(self) -> None:
        """Return when every client has hung up."""
        await asyncio.gather(*self._open)

    async def close(self) -> None:
        self._closing.set()
        await self.left()

    async def _converse(self, reader: StreamReader, writer: StreamWriter) -> None:
        await self._act(Stage.GREETING, writer)
        line = b""
        while line != b"QUIT":
            line = await self._line(reader)
            self.commands.append(line)
            await self._obey(line, reader, writer)

    async def _obey(self, line: bytes, reader: StreamReader, writer: StreamWriter) -> None:
        match line.upper().split(b" ")[0]:
            case b"EHLO":
                await self._greet(writer)
            case b"STARTTLS":
                await self._act(Stage.STARTTLS, writer)
                assert self.tls is not None
                await writer.start_tls(self.tls)
            case b"AUTH":
                self.credentials.append((_decoded(line), _under_tls(writer)))
                await self._act(Stage.AUTH, writer)
            case b"MAIL":
                self._current[writer] = Transaction(mail=line, under_tls=_under_tls(writer))
                self.transactions.append(self._current[writer])
                await self._act(Stage.MAIL, writer)
            case b"RCPT":
                self._current[writer].recipients.append(line)
                await self._act(Stage.RCPT, writer)
            case b"DATA":
                if (await self._act(Stage.DATA, writer)).startswith(b"354"):
                    await self._take(reader, writer)
            case b"RSET":
                await self._act(Stage.RSET, writer)
            case verb:
                await _say(writer, b"221 bye" if verb == b"QUIT" else b"500 what?")

    async def _greet(self, writer: StreamWriter) -> None:
        under_tls = self.extensions_under_tls if _under_tls(writer) else None
        offered = [b"sink", *(self.extensions if under_tls is None else under_tls)]
        usual = b"".join(b"250-%s\r\n" % line for line in offered[:-1]) + b"250 " + offered[-1]
        await self._do(self._next(Stage.EHLO) or usual, writer)

    async def _take(self, reader: StreamReader, writer: StreamWriter) -> None:
        transaction = self._current[writer]
        lines: list[bytes] = []
        while (line := await self._line(reader)) != b".":
            lines.append(line)
            if len(lines) == 5 and self._next(Stage.CONTENT) is Fate.DROP:
                _cut(writer)
        transaction.content = b"\r\n".join([*lines, b""])
        action = self._next(Stage.DOT)
        # Whoever drops the connection now has taken the mail and not said so: not accepted, though it may be.
        transaction.accepted = isinstance(action, bytes) and action.startswith(b"2")
        await self._do(action, writer)

    async def _line(self, reader: StreamReader) -> bytes:
        line = await reader.readuntil(b"\r\n")
        self.wire += line
        return line[:-2]

    async def _act(self, stage: Stage, writer: StreamWriter) -> bytes:
        return await self._do(self._next(stage), writer)

    async def _do(self, action: Action | None, writer: StreamWriter) -> bytes:
        if action is Fate.DROP:
            _cut(writer)
        if action is Fate.HANG:
            await self._closing.wait()
            raise _Gone
        if action is Fate.TRICKLE:
            await self._trickle(writer)
        if action is Fate.FLOOD:
            await self._flood(writer)
        assert isinstance(action, bytes)
        await _say(writer, action)
        return action

    async def _trickle(self, writer: StreamWriter) -> None:
        for octet in itertools.chain(b"250-", itertools.repeat(ord("x"))):
            writer.write(bytes([octet]))
            await writer.drain()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._closing.wait(), _TRICKLE_SECONDS)
                raise _Gone

    async def _flood(self, writer: StreamWriter) -> None:
        while not (self._closing.is_set() or writer.is_closing()):
            await _say(writer, b"250-and another thing\r\n" * 1000)
            await asyncio.sleep(0)  # a connection that takes everything never waits
        raise _Gone

    def _next(self, stage: Stage) -> Action | None:
        scripted = self.script.get(stage)
        if scripted:
            return scripted.pop(0)
        return self.always.get(stage, _USUAL.get(stage))


@asynccontextmanager
async def smtp_sink(
    sink: SmtpSink | None = None, *, implicit_tls: bool = False, port: int = 0
) -> AsyncIterator[SmtpSink]:
    """Run a sink on a port of loopback, a free one if none is named."""
    sink = sink or SmtpSink()
    server = await asyncio.start_server(
        sink.serve, "127.0.0.1", port, ssl=sink.tls if implicit_tls else None, limit=1 << 20
    )
    sink.port = server.sockets[0].getsockname()[1]
    try:
        yield sink
    finally:
        server.close()
        await sink.close()
        await server.wait_closed()


def _cut(writer: StreamWriter) -> None:
    writer.transport.abort()
    raise _Gone


async def _say(writer: StreamWriter, text: bytes) -> None:
    writer.write(text + b"\r\n")
    await writer.drain()


def _under_tls(writer: StreamWriter) -> bool:
    return writer.get_extra_info("ssl_object") is not None


def _decoded(line: bytes) -> bytes:
    parts = line.split(b" ")
    return base64.b64decode(parts[2]) if len(parts) > 2 else b""
