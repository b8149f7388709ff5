"""Who moves the octets? The asyncio side of one client's session: socket, TLS, time-outs, back-pressure.

Decides nothing about LDAP: it tells the session what happened and does what the session returns. Reading
stops while the session wants no octets, or while the client does not read what it is sent. A lookup is not
cancelled because its client left or lost patience: a mint that was begun is finished, and no stranger tears
down database connections. Its place is given back when it has ended.
"""

import asyncio
import logging
from collections.abc import Callable
from enum import Enum
from typing import Final, cast

from directory.ldap.actions import Action, Authenticate, BeginTls, Close, LookUp, Operation, Send
from directory.ldap.binding import Protection
from directory.ldap.codes import ResultCode
from directory.ldap.service import Service, log_failure

_LOG: Final = logging.getLogger(__name__)


class Listener(Enum):
    """How the connections of a listener begin."""

    CLEAR = "clear"  # in clear, with StartTLS where there is a certificate
    TLS = "TLS"  # with a TLS handshake (LDAPS)


class Handshake(Enum):
    """How far StartTLS is."""

    NONE = "none"
    COMING = "coming"  # accepted; octets that come now are in clear, and end the session
    UNDER_WAY = "under way"  # the event loop has put TLS between the socket and this connection


class Connection(asyncio.Protocol):
    """One client's connection; under TLS from its first octet, or in clear and perhaps under TLS later."""

    def __init__(self, service: Service, listener: Listener, peer_address: str) -> None:
        self._service = service
        self._settings = service.settings
        self._peer_address = peer_address
        self._protection = Protection.TLS if listener is Listener.TLS else Protection.NONE
        self._session = service.session(peer_address, self._protection)
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport
        self._is_reading = True
        self._may_write = True
        self._is_draining = False
        self._handshake = Handshake.NONE
        self._early = bytearray()
        """What came under TLS before the event loop handed the TLS transport over."""
        self._active_at = self._loop.time()
        self._idle_timer: asyncio.TimerHandle | None = None
        self._write_timer: asyncio.TimerHandle | None = None

    # What asyncio tells.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin the session."""
        self._transport = cast("asyncio.Transport", transport)
        if self._service.admit(self):
            self._idle_timer = self._loop.call_later(self._settings.idle, self._check_idle)
        else:
            _LOG.warning("too many connections: one was turned away")
            self._perform(self._session.shut_down(ResultCode.BUSY, "too many connections"))

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the client; its lookups end by themselves."""
        del exc
        for timer in (self._idle_timer, self._write_timer):
            if timer is not None:
                timer.cancel()
        self._session.lost()
        self._service.dismiss(self)

    def data_received(self, data: bytes) -> None:
        """Hand octets to the session."""
        if self._handshake is Handshake.UNDER_WAY:
            self._early += data
        else:
            self._drive(lambda: self._session.receive(data))

    def eof_received(self) -> bool:
        """Let the session answer what it still owes; under TLS there is no half-closed connection."""
        if self._handshake is Handshake.NONE:
            self._drive(self._session.end_of_input)
        return self._protection is Protection.NONE

    def pause_writing(self) -> None:
        """Stop reading requests until their answers are read; not for ever."""
        self._may_write = False
        self._limit_writing()
        self._regulate_reading()

    def resume_writing(self) -> None:
        """Go on."""
        self._may_write = True
        if self._write_timer is not None:
            self._write_timer.cancel()
            self._write_timer = None
        self._regulate_reading()

    # What the server wants.

    def drain(self) -> None:
        """Take no more requests; close when those under way are answered."""
        if self._handshake is not Handshake.NONE:
            self.abort()
            return
        self._is_draining = True
        self._drive(_nothing)

    def abort(self) -> None:
        """Close at once."""
        self._session.lost()
        self._transport.abort()

    # What the session wants.

    def _drive(self, step: Callable[[], list[Action]]) -> None:
        """Let the session take a step and do what it returns."""
        try:
            actions = step()
            if self._is_draining and self._session.is_idle:
                actions += self._session.shut_down(ResultCode.UNAVAILABLE, "the directory is going down")
        except Exception as error:  # noqa: BLE001 - a client must not be left without an answer by our mistake
            log_failure("a session", error)
            actions = self._session.shut_down(ResultCode.OTHER, "an internal error")
        if actions:
            self._active_at = self._loop.time()
            self._perform(actions)
        self._regulate_reading()

    def _perform(self, actions: list[Action]) -> None:
        written = [action.data for action in actions if isinstance(action, Send)]
        if written and not self._transport.is_closing():
            self._transport.write(written[0] if len(written) == 1 else b"".join(written))
        for action in actions:
            match action:
                case LookUp(operation=operation):
                    self._begin_lookup(operation)
                case Authenticate():
                    self._service.start(self._authenticate(action))
                case BeginTls():
                    self._begin_handshake()
                case Close(reason=reason):
                    _LOG.debug("closing a connection: %s", reason)
                    self._close()
                case Send():
                    continue

    def _begin_lookup(self, operation: Operation) -> None:
        task = self._service.start(self._look_up(operation))
        timer = self._loop.call_later(operation.seconds, self._give_up, operation, task)
        task.add_done_callback(lambda _: timer.cancel())

    async def _look_up(self, operation: Operation) -> None:
        try:
            outcomes = await self._service.outcomes(operation.plan.questions)
        except asyncio.CancelledError:
            self._drive(lambda: self._session.looked_up(operation, (TimeoutError(),)))
            raise
        self._drive(lambda: self._session.looked_up(operation, outcomes))

    def _give_up(self, operation: Operation, task: asyncio.Task[None]) -> None:
        self._drive(lambda: self._session.late(operation))
        self._loop.call_later(self._settings.lookup_ceiling, task.cancel)

    async def _authenticate(self, action: Authenticate) -> None:
        try:
            gateway = await self._service.gateway(action.gateway, action.token)
        except Exception as error:  # noqa: BLE001 - here every failure becomes a result
            log_failure("an authentication", error)
            failure = error
            self._drive(lambda: self._session.authentication_failed(failure))
        else:
            if gateway is None:
                _LOG.warning("wrong credentials from %s", self._peer_address)
            self._drive(lambda: self._session.authenticated(gateway))

    # StartTLS.

    def _begin_handshake(self) -> None:
        self._handshake = Handshake.COMING
        self._service.start(self._shake_hands())

    async def _shake_hands(self) -> None:
        transport: asyncio.Transport | None = None
        try:
            transport = await self._over_tls()
        except OSError as error:  # among them ssl.SSLError, and the handshake's time-out
            _LOG.debug("a TLS handshake failed: %s", type(error).__name__)
        finally:
            if transport is None:
                # A connection that ends during its handshake is not reported as lost.
                self._transport.abort()
                self.connection_lost(None)
        if transport is not None:
            self._transport = transport
            self._handshake = Handshake.NONE
            self._is_reading = True
            self._drive(self._session.tls_established)
            early = bytes(self._early)
            self._drive(lambda: self._session.receive(early))

    async def _over_tls(self) -> asyncio.Transport | None:
        if self._service.tls is None or self._transport.is_closing():
            return None
        # From here on, what `data_received` gets has come through TLS.
        self._handshake = Handshake.UNDER_WAY
        self._protection = Protection.TLS
        return await self._loop.start_tls(
            self._transport,
            self,
            self._service.tls,
            server_side=True,
            ssl_handshake_timeout=self._settings.handshake,
            ssl_shutdown_timeout=self._settings.handshake,
        )

    # Time and pressure.

    def _regulate_reading(self) -> None:
        if self._handshake is not Handshake.NONE or self._transport.is_closing():
            return
        wanted = self._session.wants_octets and self._may_write and not self._is_draining
        if wanted and not self._is_reading:
            self._transport.resume_reading()
        elif self._is_reading and not wanted:
            self._transport.pause_reading()
        self._is_reading = wanted

    def _check_idle(self) -> None:
        quiet = self._loop.time() - self._active_at
        if quiet >= self._settings.idle and self._session.is_idle and self._handshake is Handshake.NONE:
            self._drive(self._session.expire)
        else:
            rest = self._settings.idle - quiet if quiet < self._settings.idle else self._settings.idle
            self._idle_timer = self._loop.call_later(rest, self._check_idle)

    def _limit_writing(self) -> None:
        """Drop the client if it does not read what it is sent."""
        if self._write_timer is None:
            self._write_timer = self._loop.call_later(self._settings.write, self.abort)

    def _close(self) -> None:
        self._transport.close()
        self._limit_writing()


def _nothing() -> list[Action]:
    return []
