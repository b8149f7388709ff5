"""The operator's mail server, as the listener meets it: raw sockets, and a client nobody here wrote."""

import asyncio
from asyncio import StreamReader, StreamWriter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from directory.bounces.bounces import Outcome
from directory.bounces.listener import BounceListener, ListenerProtocol
from directory.bounces.reports import Report
from directory.errors import StoreUnavailable
from directory.sockets import take
from tests.directory.bounces.builders import RETURN_PATH

OTHER_RETURN_PATH = RETURN_PATH.replace("5f1c", "6a2d")


@dataclass(slots=True, kw_only=True)
class RecordingIntake:
    """Expects mail at its live addresses, and keeps what it is given."""

    live: frozenset[str] = frozenset({RETURN_PATH, OTHER_RETURN_PATH})
    taken: list[tuple[list[str], Report]] = field(default_factory=list)
    away: bool = False
    """Whether the store does not answer."""
    fault: Exception | None = None

    async def expects(self, recipient: str) -> bool:
        if self.away:
            raise StoreUnavailable(reason="for a test")
        return recipient in self.live

    async def take(self, recipients: Sequence[str], report: Report) -> Outcome:
        if self.away:
            raise StoreUnavailable(reason="for a test")
        if self.fault is not None:
            raise self.fault
        self.taken.append((list(recipients), report))
        return Outcome.RECORDED


class Peer:
    """One raw connection."""

    def __init__(self, reader: StreamReader, writer: StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def send(self, octets: bytes) -> None:
        self._writer.write(octets)
        await self._writer.drain()

    async def reply(self) -> bytes:
        """Return a whole reply, the last line of several."""
        while True:
            line = await asyncio.wait_for(self._reader.readline(), timeout=10)
            if line[3:4] != b"-":
                return line.rstrip(b"\r\n")

    async def say(self, command: bytes) -> bytes:
        await self.send(command + b"\r\n")
        return await self.reply()

    async def hand_in(self, octets: bytes, *recipients: str) -> list[bytes]:
        """Begin a mail; return the replies up to the one to DATA."""
        replies = [await self.say(b"MAIL FROM:<>")]
        replies += [await self.say(b"RCPT TO:<%s>" % recipient.encode()) for recipient in recipients]
        replies.append(await self.say(b"DATA"))
        await self.send(octets)
        return replies

    async def is_hung_up_on(self) -> bool:
        return await asyncio.wait_for(self._reader.read(1), timeout=10) == b""

    def close(self) -> None:
        self._writer.close()


@asynccontextmanager
async def listening(
    intake: RecordingIntake,
    protocol: ListenerProtocol = ListenerProtocol.LMTP,
    *,
    silence_seconds: float = 60,
) -> AsyncIterator[int]:
    """Listen on a free port."""
    listener = BounceListener(intake, protocol=protocol, silence_seconds=silence_seconds)
    taken = take("127.0.0.1", 0)
    await listener.start(taken)
    try:
        yield taken.getsockname()[1]
    finally:
        await listener.stop()


@asynccontextmanager
async def peer(port: int, *, greeting: bytes = b"LHLO mx.hospital.org") -> AsyncIterator[Peer]:
    """Connect, and introduce oneself."""
    connected = Peer(*await asyncio.open_connection("127.0.0.1", port))
    try:
        assert (await connected.reply()).startswith(b"220")
        assert (await connected.say(greeting)).startswith(b"250")
        yield connected
    finally:
        connected.close()
