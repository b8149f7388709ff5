"""An organization's webhook on loopback: real TLS, and answers as bad as one likes."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import TypeAlias

from tests.directory.delivery.tls import server_context

OK = b"HTTP/1.1 204 No Content\r\n\r\n"

Answer: TypeAlias = bytes | Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Received:
    """One request, whole."""

    target: str
    headers: Mapping[str, str]
    """By name in lower case."""
    body: bytes


@dataclass
class Receiver:
    """Where it listens, what it received, and how it answers: in turn, the last answer for ever."""

    answers: list[Answer] = field(default_factory=lambda: [OK])
    received: list[Received] = field(default_factory=list)
    connections: int = 0
    port: int = 0
    arrived: asyncio.Condition = field(default_factory=asyncio.Condition)
    conversations: dict[asyncio.Task[None], asyncio.StreamWriter] = field(default_factory=dict)

    async def until(self, count: int) -> None:
        """Wait until so many requests have come."""
        async with self.arrived:
            await self.arrived.wait_for(lambda: len(self.received) >= count)

    def connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self.conversations[asyncio.create_task(self._converse(reader, writer))] = writer

    async def hang_up(self) -> None:
        """End whatever is still being said."""
        for task, writer in self.conversations.items():
            writer.transport.abort()
            task.cancel()
        await asyncio.gather(*self.conversations, return_exceptions=True)

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError, asyncio.IncompleteReadError, ssl.SSLError):
            self.received.append(await _request(reader))
            async with self.arrived:
                self.arrived.notify_all()
            answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
            if isinstance(answer, bytes):
                writer.write(answer)
                await writer.drain()
            else:
                await answer(reader, writer)
        writer.close()
        with suppress(ConnectionError, ssl.SSLError):
            await writer.wait_closed()


def status(code: int, *headers: str, body: bytes = b"") -> bytes:
    lines = [f"HTTP/1.1 {code} Whatever", f"Content-Length: {len(body)}", *headers, "", ""]
    return "\r\n".join(lines).encode() + body


async def hang_up(_reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
    """Say nothing."""


async def say_nothing(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
    """Wait for the other side to go away."""
    await reader.read()


async def send_without_end(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer with a body that never ends, until the other side goes away."""
    writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    while True:
        writer.write(b"10000\r\n" + b"x" * 0x10000 + b"\r\n")
        await writer.drain()


async def send_headers_without_end(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer with headers that never end, until the other side goes away."""
    writer.write(b"HTTP/1.1 200 OK\r\n")
    while True:
        writer.write(b"X: " + b"x" * 8000 + b"\r\n")
        await writer.drain()


@asynccontextmanager
async def receiving(*, tls: ssl.SSLContext | None = None, clear: bool = False) -> AsyncIterator[Receiver]:
    """Listen on loopback, with a certificate for 127.0.0.1 unless told otherwise."""
    receiver = Receiver()
    context = None if clear else tls or server_context()
    server = await asyncio.start_server(receiver.connected, "127.0.0.1", 0, ssl=context)
    receiver.port = server.sockets[0].getsockname()[1]
    try:
        yield receiver
    finally:
        server.close()
        await receiver.hang_up()


async def _request(reader: asyncio.StreamReader) -> Received:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("ascii")
    first, *lines = head.rstrip("\r\n").split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    return Received(target=first, headers=headers, body=body)
