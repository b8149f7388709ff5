"""How does the application get onto a socket? uvicorn, inside an event loop that others share."""

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import h11
import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol

from directory import sockets
from directory.errors import ConfigurationRefused


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsFiles:
    """The certificate chain and its private key, PEM."""

    certificate: Path
    key: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionLimits:
    """What one process puts up with."""

    most_connections: int = 1000
    """More are told 503 at once."""
    head_patience: timedelta = timedelta(seconds=10)
    """How long a connection may take to send the head of a request."""
    farewell: timedelta = timedelta(seconds=5)
    """How long requests under way may take to end when the server stops."""
    keep_alive: timedelta = timedelta(seconds=5)
    """How long a connection may be idle between requests."""


class HttpServer:
    """Serves one application on one listening socket.

    Installs no signal handler and configures no logging: both belong to the process.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        host: str,
        port: int,
        tls: TlsFiles | None = None,
        limits: ConnectionLimits | None = None,
    ) -> None:
        self._app = app
        self._host = host
        self._port = port
        self._tls = tls
        self._limits = limits or ConnectionLimits()
        self._running: tuple[_Server, asyncio.Task[None]] | None = None

    @property
    def port(self) -> int:
        """The port that is listened on; the one that was found, where port 0 asked for any."""
        return self._port

    async def start(self, taken: socket.socket | None = None) -> None:
        """Listen, unless `taken` does already, and return when requests are answered.

        Raises:
            ConfigurationRefused: the address is taken or not this machine's; the TLS files do not serve.
        """
        config = self._config()
        listener = taken or self._listener()
        self._port = listener.getsockname()[1]
        server = _Server(config)
        task = asyncio.create_task(server.serve(sockets=[listener]), name="http server")
        ready = asyncio.create_task(server.ready.wait())
        await asyncio.wait({task, ready}, return_when=asyncio.FIRST_COMPLETED)
        if not ready.done():
            ready.cancel()
            listener.close()
            await task  # raises what stopped it
        self._running = (server, task)

    async def stop(self) -> None:
        """Take no more requests, let those under way end, and return when all is closed."""
        if self._running is None:
            return
        server, task = self._running
        self._running = None
        server.should_exit = True
        await task

    def _config(self) -> uvicorn.Config:
        tls = self._tls
        config = uvicorn.Config(
            self._app,
            http=_protocol(self._limits.head_patience),
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            proxy_headers=False,  # `peers` decides whom to believe
            server_header=False,
            workers=1,
            limit_concurrency=self._limits.most_connections,
            timeout_keep_alive=int(self._limits.keep_alive.total_seconds()),
            timeout_graceful_shutdown=int(self._limits.farewell.total_seconds()),
            ssl_certfile=None if tls is None else tls.certificate,
            ssl_keyfile=None if tls is None else tls.key,
        )
        try:
            config.load()
        except (OSError, ssl.SSLError) as error:
            raise ConfigurationRefused(
                key="tls.certificate",
                reason=f"cannot be used with its key: {type(error).__name__}",
                remedy="give a PEM certificate chain and its unencrypted PEM key",
            ) from error
        if config.ssl is not None:
            config.ssl.minimum_version = ssl.TLSVersion.TLSv1_2
        return config

    def _listener(self) -> socket.socket:
        try:
            return sockets.take(self._host, self._port)
        except OSError as error:
            raise ConfigurationRefused(
                key="http.listen",
                reason=f"cannot listen on {self._host} port {self._port}: {error.strerror}",
                remedy="choose another address, or stop what uses this one",
            ) from error


class _Server(uvicorn.Server):
    """uvicorn, without its grip on the process's signals, and saying when it is ready."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.ready = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen, and say so."""
        await super().startup(sockets)
        self.ready.set()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave the signals to the process."""
        yield


def _protocol(head_patience: timedelta) -> type[H11Protocol]:
    """Return uvicorn's HTTP protocol, without its access log, and with a limit on the time a head may take.

    uvicorn itself waits for ever, so a few thousand idle connections would lock everybody else out.
    """

    class GuardedProtocol(H11Protocol):
        _head_deadline: asyncio.TimerHandle | None = None

        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs)
            # It would log queries, and so addresses, wherever somebody configures a handler for it.
            self.access_log = False

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's
            super().connection_made(transport)
            self._await_head()

        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            if self.conn.their_state is h11.IDLE:
                self._await_head()
            else:
                self._stop_waiting()

        def connection_lost(self, exc: Exception | None) -> None:
            self._stop_waiting()
            super().connection_lost(exc)

        def _await_head(self) -> None:
            # One deadline for the whole head: a trickle of octets does not move it.
            if self._head_deadline is None:
                self._head_deadline = self.loop.call_later(
                    head_patience.total_seconds(), self.transport.close
                )

        def _stop_waiting(self) -> None:
            if self._head_deadline is not None:
                self._head_deadline.cancel()
                self._head_deadline = None

    return GuardedProtocol
