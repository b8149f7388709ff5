"""Where do the key mails of a benchmark go? To a smart host that takes everything and remembers when.

A process of its own, and as light as SMTP allows, because its processor time is taken from what is measured:
the commands of RFC 5321 in lock-step, no pipelining, no parsing of what is inside a mail.

    python -m bench.smtp_sink [IDENTITY]

prints the ports it listens on: one for SMTP, and one where whoever connects is sent the list of mails so far.
With a file of its private key and certificate, it speaks SMTP under TLS from the first octet on (RFC 8314).
"""

import asyncio
import json
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from socket import create_connection
from typing import cast

import uvloop

KEY_PACKAGE = b'filename="encryption-key.p12"'
_END_OF_DATA = b"\r\n.\r\n"
_REPLIES = {
    b"EHLO": b"250-sink.localhost\r\n250-8BITMIME\r\n250-DSN\r\n250 SIZE 1000000\r\n",
    b"MAIL": b"250 2.1.0 ok\r\n",
    b"RCPT": b"250 2.1.5 ok\r\n",
    b"DATA": b"354 end with a dot\r\n",
    b"RSET": b"250 2.0.0 ok\r\n",
    b"NOOP": b"250 2.0.0 ok\r\n",
    b"QUIT": b"221 2.0.0 bye\r\n",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptMail:
    """A mail that was accepted."""

    accepted_at: float
    """On the monotonic clock, which all processes of a machine share."""
    recipient: str
    octets: int
    has_key_package: bool


class SinkProcess:
    """The sink, seen from the benchmark."""

    def __init__(self, process: subprocess.Popen[str], scheme: str) -> None:
        assert process.stdout is not None
        ports = json.loads(process.stdout.readline())
        self.pid = process.pid
        self.url = f"{scheme}://127.0.0.1:{ports['smtp']}"
        self._report_port: int = ports["report"]

    def mails(self) -> list[KeptMail]:
        """Return the mails accepted so far."""
        with (
            create_connection(("127.0.0.1", self._report_port)) as connection,
            connection.makefile() as report,
        ):
            return [KeptMail(**mail) for mail in json.load(report)]

    def mails_to(self, recipients: set[str], *, within: float) -> list[KeptMail]:
        """Wait until each of these recipients has been sent a mail; return the mails to them.

        Raises:
            TimeoutError: somebody has been sent none.
        """
        give_up_at = time.monotonic() + within
        while True:
            mails = [mail for mail in self.mails() if mail.recipient in recipients]
            missing = len(recipients) - len({mail.recipient for mail in mails})
            if not missing:
                return mails
            if time.monotonic() > give_up_at:
                raise TimeoutError(
                    f"{missing} of {len(recipients)} key mails did not come within {within:.0f} s"
                )
            time.sleep(0.5)


@contextmanager
def smtp_sink(identity: Path | None = None) -> Iterator[SinkProcess]:
    """Run a sink, under TLS if it has an identity."""
    command = [sys.executable, "-m", "bench.smtp_sink", *([str(identity)] if identity else [])]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:  # noqa: S603 - our own command
        try:
            yield SinkProcess(process, "smtps" if identity else "smtp")
        finally:
            process.terminate()


class _Conversation(asyncio.Protocol):
    def __init__(self, kept: list[dict[str, object]]) -> None:
        self._kept = kept
        self._received = bytearray()
        self._recipient = b""
        self._in_data = False
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._transport.write(b"220 sink.localhost ESMTP\r\n")

    def data_received(self, data: bytes) -> None:
        self._received += data
        if self._in_data:
            if self._received.endswith(_END_OF_DATA):
                self._keep()
        elif self._received.endswith(b"\r\n"):
            self._obey(bytes(self._received))
            self._received.clear()

    def _obey(self, line: bytes) -> None:
        verb = line[:4].upper()
        self._transport.write(_REPLIES.get(verb, b"500 5.5.2 what?\r\n"))
        match verb:
            case b"RCPT":
                self._recipient = line[line.index(b"<") + 1 : line.index(b">")]
            case b"DATA":
                self._in_data = True
            case b"QUIT":
                self._transport.close()

    def _keep(self) -> None:
        self._transport.write(b"250 2.0.0 kept\r\n")
        self._kept.append(
            {
                "accepted_at": time.monotonic(),
                "recipient": self._recipient.decode("ascii"),
                "octets": len(self._received),
                "has_key_package": KEY_PACKAGE in self._received,
            }
        )
        self._received.clear()
        self._in_data = False


def _tls() -> ssl.SSLContext | None:
    if len(sys.argv) == 1:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(sys.argv[1])
    return context


async def _serve() -> None:
    loop = asyncio.get_running_loop()
    kept: list[dict[str, object]] = []

    async def report(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(json.dumps(kept).encode())
        await writer.drain()
        writer.close()

    mail = await loop.create_server(lambda: _Conversation(kept), "127.0.0.1", 0, ssl=_tls())
    reports = await asyncio.start_server(report, "127.0.0.1", 0)
    ports = {"smtp": mail.sockets[0].getsockname()[1], "report": reports.sockets[0].getsockname()[1]}
    print(json.dumps(ports), flush=True)
    await mail.serve_forever()


if __name__ == "__main__":
    uvloop.run(_serve())
