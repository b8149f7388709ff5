"""Where does the demonstration's mail arrive? A small SMTP server on loopback that keeps what it is given."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any

from aiosmtpd.smtp import SMTP


class Postbox:
    """Keeps the mail it is given, one address at a time."""

    def __init__(self) -> None:
        self._arrived: asyncio.Queue[EmailMessage] = asyncio.Queue()
        self.port = 0

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Any) -> str:  # noqa: N802 - the name aiosmtpd calls
        """Take responsibility for one message (RFC 5321 section 4.1.1.4)."""
        self._arrived.put_nowait(message_from_bytes(envelope.original_content, policy=policy.default))
        return "250 kept"

    async def next_message(self) -> EmailMessage:
        """Return the next message, as soon as there is one."""
        return await self._arrived.get()


@asynccontextmanager
async def postbox() -> AsyncIterator[Postbox]:
    """Open a postbox on a free loopback port."""
    box = Postbox()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(
        lambda: SMTP(box, hostname="postbox.localhost", loop=loop), host="127.0.0.1", port=0
    )
    box.port = server.sockets[0].getsockname()[1]
    try:
        yield box
    finally:
        server.close()
        await server.wait_closed()
