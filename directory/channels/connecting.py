"""How does a call reach the address that was judged, and no other? A way to the network for one call.

The HTTP library is told a host, which it names in TLS and in the request; where it really connects is decided
here. What it gives up on the way, in a TLS handshake too, is closed at once.
"""

import asyncio
import ssl
from collections.abc import Iterable
from typing import Any

import httpcore

from directory.channels.targets import Address


class JudgedAddress(httpcore.AsyncNetworkBackend):
    """Connects to one address, whatever host it is asked for."""

    def __init__(self, address: Address) -> None:
        self._address = address
        self._network = httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 - the library's signature
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Connect to the judged address at the port; the host was named in its stead."""
        del host
        stream = await self._network.connect_tcp(
            str(self._address), port, timeout, local_address, socket_options
        )
        return _ClosingStream(stream)

    async def sleep(self, seconds: float) -> None:
        """Sleep; the library does so before it tries again, which it is not told to."""
        await self._network.sleep(seconds)


class _ClosingStream(httpcore.AsyncNetworkStream):
    """A stream that is closed when its TLS handshake comes to nothing, by cancellation too."""

    def __init__(self, stream: httpcore.AsyncNetworkStream) -> None:
        self._stream = stream

    async def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,  # noqa: ASYNC109 - the library's signature
    ) -> httpcore.AsyncNetworkStream:
        try:
            return await self._stream.start_tls(ssl_context, server_hostname, timeout)
        except BaseException:
            await asyncio.shield(self._stream.aclose())
            raise

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ASYNC109 - likewise
        return await self._stream.read(max_bytes, timeout)

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ASYNC109 - likewise
        await self._stream.write(buffer, timeout)

    async def aclose(self) -> None:
        await self._stream.aclose()

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)
