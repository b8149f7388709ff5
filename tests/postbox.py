"""A recipient's mailbox behind a real SMTP server on loopback, in a thread of its own."""

import asyncio
import queue
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from email import message_from_bytes, message_from_string, policy
from email.message import EmailMessage
from typing import Any

from aiosmtpd.smtp import SMTP

ARRIVES_WITHIN_SECONDS = 60


class Postbox:
    """Keeps what it is given."""

    def __init__(self) -> None:
        self.port = 0
        self.raw: list[bytes] = []
        self.return_paths: dict[str, str] = {}
        """By Message-ID."""
        self.smtputf8: dict[str, bool] = {}
        """Whether it was asked for, by Message-ID."""
        self._arrived: queue.Queue[EmailMessage] = queue.Queue()

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Any) -> str:  # noqa: N802 - the name aiosmtpd calls
        self.raw.append(envelope.original_content)
        content = envelope.original_content
        # Headers in UTF-8 (RFC 6532) are for the parser text, not octets.
        message = (
            message_from_string(content.decode(), policy=policy.default)
            if envelope.smtp_utf8
            else message_from_bytes(content, policy=policy.default)
        )
        self.smtputf8[message["Message-ID"]] = envelope.smtp_utf8
        self.return_paths[message["Message-ID"]] = envelope.mail_from
        self._arrived.put(message)
        return "250 kept"

    def next_message(self) -> EmailMessage:
        """Return the next message; fail if none comes."""
        return self._arrived.get(timeout=ARRIVES_WITHIN_SECONDS)

    def message_to(self, address: str) -> EmailMessage:
        """Return the next message to this address; others that come before it are dropped."""
        while True:
            message = self.next_message()
            if message["To"] == address:
                return message

    @property
    def smtp(self) -> str:
        return f"smtp://127.0.0.1:{self.port}"


@contextmanager
def postbox(port: int = 0, *, offers_smtputf8: bool = False) -> Iterator[Postbox]:
    """Open a postbox on a loopback port, by default a free one."""
    box = Postbox()
    loop = asyncio.new_event_loop()
    opened = threading.Event()
    server: list[asyncio.Server] = []

    async def open_() -> None:
        made = await loop.create_server(
            lambda: SMTP(box, hostname="postbox.localhost", loop=loop, enable_SMTPUTF8=offers_smtputf8),
            host="127.0.0.1",
            port=port,
        )
        server.append(made)
        box.port = made.sockets[0].getsockname()[1]
        opened.set()

    def serve() -> None:
        asyncio.set_event_loop(loop)
        loop.run_until_complete(open_())
        loop.run_forever()

    thread = threading.Thread(target=serve, name="postbox", daemon=True)
    thread.start()
    assert opened.wait(timeout=10)

    async def close() -> None:
        server[0].close()
        await server[0].wait_closed()
        others = [task for task in asyncio.all_tasks(loop) if task is not asyncio.current_task()]
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    try:
        yield box
    finally:
        asyncio.run_coroutine_threadsafe(close(), loop).result(timeout=10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(timeout=10)
        loop.close()
