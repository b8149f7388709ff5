"""Who moves the octets? The asyncio side of one client's session: socket, TLS, time-outs, back-pressure.

Decides nothing about LDAP: it tells the session what happened and does what the session returns. Reading
stops while the session wants no octets, or while the client does not read what it is sent. A lookup is not
cancelled because its client left or lost patience: a mint that was begun is finished, and no stranger tears
down database connections. Its place is given back when it has ended.

There may be thousands of connections, nearly all of them idle, and a busy one gets thousands of requests a
second. So each has one timer for all that may be overdue, looked at when it fires rather than set and taken
back with every request; and a request that is answered from memory makes neither task nor timer.
"""

import asyncio
import hashlib
import logging
from collections.abc import Callable
from enum import Enum
from math import inf
from typing import Final, cast

from directory.callers import Credential, Gateway
from directory.faults import log_failure
from directory.ldap.actions import (
    Action,
    Authenticate,
    AuthenticateCertificate,
    BeginTls,
    Close,
    LookUp,
    Operation,
    Send,
)
from directory.ldap.binding import Protection
from directory.ldap.codes import ResultCode
from directory.ldap.results import CANCELLED
from directory.ldap.service import Service
from directory.ldap.session import State
from directory.ldap.underway import LookupsUnderWay

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

    __slots__ = (
        "_active_at",
        "_early",
        "_handshake",
        "_is_draining",
        "_is_reading",
        "_lookups",
        "_loop",
        "_may_write",
        "_message_due",
        "_peer_address",
        "_protection",
        "_service",
        "_session",
        "_settings",
        "_timer",
        "_transport",
        "_unread_since",
        "_wakes_at",
    )

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
        self._early = b""
        """What came under TLS before the event loop handed the TLS transport over."""
        self._lookups = LookupsUnderWay(self._settings.lookup_ceiling)
        self._active_at = self._loop.time()
        self._message_due: tuple[float, int] | None = None
        """When the message that has begun must be complete, and how many came before it."""
        self._unread_since: float | None = None
        """Since when the client leaves unread what it is sent."""
        self._timer: asyncio.TimerHandle | None = None
        self._wakes_at = inf
        """When the timer fires; uvloop's does not always tell."""

    @property
    def peer_address(self) -> str:
        """Where the client is."""
        return self._peer_address

    @property
    def credential(self) -> Credential | None:
        """By what the client has authenticated; None for nobody."""
        return self._session.credential

    # What asyncio tells.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin the session."""
        self._transport = cast("asyncio.Transport", transport)
        # Under TLS that was asked before the handshake, which has counted as a connection since.
        is_welcome = self._protection is Protection.TLS or self._service.has_room(self._peer_address)
        self._service.admit(self)
        if is_welcome:
            self._show_certificate()
            self._look_again_by(self._active_at + self._settings.idle)
        else:
            _LOG.warning("too many connections: one was turned away")
            self._perform(self._session.shut_down(ResultCode.BUSY, "too many connections"))

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the client; its lookups end by themselves."""
        del exc
        if self._timer is not None:
            self._timer.cancel()
            self._timer, self._wakes_at = None, inf
        self._unread_since = self._message_due = None
        self._session.lost()
        self._come_back(self._loop.time())
        self._service.dismiss(self)

    def data_received(self, data: bytes) -> None:
        """Hand octets to the session."""
        if self._handshake is Handshake.UNDER_WAY:
            self._early += data
        elif not self._answer_at_once(data):
            self._drive(self._session.receive, data)

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
        self._unread_since = None
        self._drive(self._session.proceed)

    # What the server wants.

    def drain(self) -> None:
        """Take no more requests; close when those under way are answered."""
        if self._handshake is not Handshake.NONE:
            self.abort()
            return
        self._is_draining = True
        self._drive(_nothing)

    def revise(self, gateway: Gateway | None) -> None:
        """Take notice of what the gateway is now; None if its credential is good no more."""
        if gateway != self._session.asker:
            self._drive(self._session.revised, gateway)

    def abort(self) -> None:
        """Close at once."""
        self._session.lost()
        self._transport.abort()

    # What the session wants.

    def _answer_at_once(self, data: bytes) -> bool:
        """Go the short way, if the session knows the answer by heart; it changes nothing else."""
        if not self._may_write:
            return False
        try:
            answer = self._session.answer_at_once(data)
        except Exception as error:  # noqa: BLE001 - as below; the long way is still open
            log_failure("a remembered answer", error)
            return False
        if answer is None:
            return False
        self._active_at = self._loop.time()
        self._transport.write(answer)
        return True

    def _drive(self, step: Callable[..., list[Action]], *happened: object) -> None:
        """Let the session take a step and do what it returns."""
        session = self._session
        try:
            actions = step(*happened)
            if self._is_draining and session.is_idle:
                actions += session.shut_down(ResultCode.UNAVAILABLE, "the directory is going down")
        except Exception as error:  # noqa: BLE001 - a client must not be left without an answer by our mistake
            log_failure("a session", error)
            actions = session.shut_down(ResultCode.OTHER, "an internal error")
        if actions:
            self._active_at = self._loop.time()
            self._perform(actions)
            if session.has_more and self._may_write:
                # Others first; then, if the client reads what it is sent, the rest of what it asked.
                self._loop.call_soon(self._proceed)
        self._regulate_reading()
        if session.is_amid_message:
            self._limit_message()

    def _proceed(self) -> None:
        if self._may_write and self._session.has_more:
            self._drive(self._session.proceed)

    def _perform(self, actions: list[Action]) -> None:
        written = [action.data for action in actions if isinstance(action, Send)]
        if written and not self._transport.is_closing():
            self._transport.write(written[0] if len(written) == 1 else b"".join(written))
        if len(written) == len(actions):
            return
        for action in actions:
            match action:
                case LookUp(operation=operation):
                    self._begin_lookup(operation)
                case Authenticate() | AuthenticateCertificate():
                    self._service.start(self._authenticate(action))
                case BeginTls():
                    self._begin_handshake()
                case Close(reason=reason):
                    _LOG.debug("closing a connection: %s", reason)
                    self._close()
                case Send():
                    continue

    def _begin_lookup(self, operation: Operation) -> None:
        deadline = self._active_at + operation.seconds
        self._lookups.begin(operation, self._service.start(self._look_up(operation)), deadline)
        self._look_again_by(deadline)

    async def _look_up(self, operation: Operation) -> None:
        outcomes = CANCELLED
        try:
            outcomes = await self._service.outcomes(operation.plan.questions)
        finally:
            self._lookups.end(operation)
            self._drive(self._session.looked_up, operation, outcomes)

    async def _authenticate(self, action: Authenticate | AuthenticateCertificate) -> None:
        try:
            gateway = await self._gateway(action)
        except Exception as error:  # noqa: BLE001 - here every failure becomes a result
            log_failure("an authentication", error)
            self._drive(self._session.authentication_failed, error)
        else:
            if gateway is None:
                _LOG.warning("wrong credentials from %s", self._peer_address)
                self._service.wrong_credentials(self._peer_address)
            self._drive(self._session.authenticated, gateway)

    async def _gateway(self, action: Authenticate | AuthenticateCertificate) -> Gateway | None:
        if isinstance(action, Authenticate):
            return await self._service.gateway(action.gateway, action.token)
        return await self._service.certified_gateway(action.sha256)

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
            self._show_certificate()
            self._drive(self._session.receive, self._early)

    def _show_certificate(self) -> None:
        """Tell the session which certificate the client has shown in the handshake, if any."""
        tls = self._transport.get_extra_info("ssl_object")
        certificate = None if tls is None else tls.getpeercert(binary_form=True)
        if certificate:
            self._session.presented(hashlib.sha256(certificate).digest())

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
        session = self._session
        wanted = session.wants_octets and self._may_write and not self._is_draining and not session.has_more
        if wanted is self._is_reading or self._handshake is not Handshake.NONE:
            return
        if self._transport.is_closing():
            return
        if wanted:
            self._transport.resume_reading()
        else:
            self._transport.pause_reading()
        self._is_reading = wanted

    def _look_again_by(self, moment: float) -> None:
        """Let the timer fire at that moment at the latest."""
        if self._wakes_at <= moment:
            return
        if self._timer is not None:
            self._timer.cancel()
        self._wakes_at = moment
        self._timer = self._loop.call_at(moment, self._look_at_time)

    def _look_at_time(self) -> None:
        """Do what is due, and come back when the next thing may be."""
        self._timer, self._wakes_at = None, inf
        now = self._loop.time()
        if self._unread_since is not None and now >= self._unread_since + self._settings.write:
            self.abort()
            return
        for operation in self._lookups.late_at(now):
            self._drive(self._session.late, operation)
        self._check_message(now)
        self._check_idle(now)
        self._come_back(now)

    def _come_back(self, now: float) -> None:
        """Let the timer fire when the next thing may be due, if there is any."""
        due = [self._lookups.next_deadline]
        if self._unread_since is not None:
            due.append(self._unread_since + self._settings.write)
        if self._message_due is not None:
            due.append(self._message_due[0])
        if self._session.state is not State.CLOSED:
            quiet_until = self._active_at + self._session.longest_quiet
            # Looked at no later than a login of now would end if it were taken back.
            due.append(min(quiet_until if quiet_until > now else inf, now + self._settings.idle))
        if (earliest := min(due)) < inf:
            self._look_again_by(earliest)

    def _check_idle(self, now: float) -> None:
        session = self._session
        is_quiet = now >= self._active_at + session.longest_quiet
        if is_quiet and session.is_idle and self._handshake is Handshake.NONE:
            self._drive(session.expire)

    def _limit_message(self) -> None:
        """Drop the client if it does not complete a message that it has begun."""
        if self._message_due is None:
            due = self._loop.time() + self._settings.message
            self._message_due = due, self._session.messages
            self._look_again_by(due)

    def _check_message(self, now: float) -> None:
        if self._message_due is None or now < self._message_due[0]:
            return
        session = self._session
        _, begun_after = self._message_due
        self._message_due = None
        if session.is_amid_message:
            if session.messages == begun_after and session.is_idle:
                self._drive(session.expire)
            else:
                self._limit_message()

    def _limit_writing(self) -> None:
        """Drop the client if it does not read what it is sent."""
        if self._unread_since is None:
            self._unread_since = self._loop.time()
            self._look_again_by(self._unread_since + self._settings.write)

    def _close(self) -> None:
        self._transport.close()
        self._limit_writing()


def _nothing() -> list[Action]:
    return []
