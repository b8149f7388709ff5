"""Who comes in? Accepts the connections of one listening socket.

The event loop's own listeners complete a TLS handshake before anybody is asked whether there is room; so
connections are accepted here, counted from their first moment on, and dropped where there are too many.
"""

import asyncio
import logging
import socket
from contextlib import suppress
from typing import Final

from directory.ldap.connection import Connection, Listener
from directory.ldap.service import Service

_LOG: Final = logging.getLogger(__name__)
_PAUSE_WITHOUT_DESCRIPTORS: Final = 1.0


class ListeningSocket:
    """One listening socket of the front end; `taken` listens already, and is closed with it."""

    def __init__(self, service: Service, listener: Listener, taken: socket.socket) -> None:
        self._service = service
        self._listener = listener
        self._socket = taken
        self._socket.settimeout(0)
        self._in_handshake: set[socket.socket] = set()
        self._loop = asyncio.get_running_loop()
        self._pause: asyncio.TimerHandle | None = None
        self._begin()

    @property
    def port(self) -> int:
        """The port, also where the system chose it."""
        port: int = self._socket.getsockname()[1]
        return port

    def close(self) -> None:
        """Accept no more, and break handshakes off."""
        self._loop.remove_reader(self._socket)
        if self._pause is not None:
            self._pause.cancel()
        self._socket.close()
        for connected in self._in_handshake:
            with suppress(OSError):  # gone already
                connected.shutdown(socket.SHUT_RDWR)

    def _begin(self) -> None:
        self._loop.add_reader(self._socket, self._accept)

    def _accept(self) -> None:
        """Accept one connection; if more wait, the event loop calls again."""
        try:
            connected, address = self._socket.accept()
        except (BlockingIOError, InterruptedError, ConnectionAbortedError):
            return
        except OSError as error:
            # Out of file descriptors, most likely; others will close theirs.
            _LOG.warning("no connection can be accepted: %s", error.strerror)
            self._loop.remove_reader(self._socket)
            self._pause = self._loop.call_later(_PAUSE_WITHOUT_DESCRIPTORS, self._begin)
            return
        if self._listener is Listener.TLS and not self._service.has_room(address[0]):
            _LOG.warning("too many connections: one was turned away before its TLS handshake")
            connected.close()
            return
        connected.settimeout(0)
        self._service.start(self._welcome(connected, address[0]))

    async def _welcome(self, connected: socket.socket, peer_address: str) -> None:
        """Make a connection of a socket; under TLS this takes as long as the handshake, but not longer."""

        def connection() -> Connection:
            return Connection(self._service, self._listener, peer_address)

        try:
            connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self._listener is Listener.CLEAR:
                await self._loop.connect_accepted_socket(connection, connected)
                return
            self._in_handshake.add(connected)
            with self._service.handshake(peer_address):
                await self._loop.connect_accepted_socket(
                    connection,
                    connected,
                    ssl=self._service.tls,
                    ssl_handshake_timeout=self._service.settings.handshake,
                    ssl_shutdown_timeout=self._service.settings.handshake,
                )
        except OSError as error:  # among them ssl.SSLError, and the handshake's time-out
            _LOG.debug("a connection was not made: %s", type(error).__name__)
            connected.close()
        finally:
            self._in_handshake.discard(connected)
