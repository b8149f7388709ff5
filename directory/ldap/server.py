"""Where does the directory listen for LDAP? Starts and stops the front end; the one class wiring needs."""

import asyncio
import socket
import ssl
from collections.abc import Callable

from directory import sockets
from directory.authorities import NO_AUTHORITIES, Authorities
from directory.errors import ConfigurationRefused
from directory.ldap.answers import AnswerCache
from directory.ldap.connection import Listener
from directory.ldap.listening import ListeningSocket
from directory.ldap.rights import StillGood
from directory.ldap.service import AnswerQuestion, CertifiedGateway, NamedGateway, Service
from directory.ldap.settings import LdapSettings


class LdapServer:
    """The LDAP front end: any number of listeners, one set of limits.

    Without a TLS context StartTLS is not offered, and there can be no LDAPS listener. With `answers`,
    what was answered is remembered there. `on_wrong_credentials` is told where such came from.
    """

    def __init__(
        self,
        *,
        answer: AnswerQuestion,
        named_gateway: NamedGateway,
        certified_gateway: CertifiedGateway,
        still_good: StillGood,
        settings: LdapSettings,
        tls: ssl.SSLContext | None = None,
        authorities: Authorities = NO_AUTHORITIES,
        answers: AnswerCache | None = None,
        on_wrong_credentials: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._service = Service(
            answer=answer,
            named_gateway=named_gateway,
            certified_gateway=certified_gateway,
            still_good=still_good,
            settings=settings,
            tls=tls,
            authorities=authorities,
            answers=answers,
            on_wrong_credentials=on_wrong_credentials,
        )
        self._has_tls = tls is not None
        self._listening: list[ListeningSocket] = []

    @property
    def connections(self) -> int:
        """How many clients are connected."""
        return len(self._service.clients)

    async def listen(self, host: str, port: int, listener: Listener) -> int:
        """Accept connections; return the port, which the system chooses if it is given as 0.

        Raises:
            ConfigurationRefused: LDAPS without a certificate.
            OSError: the address cannot be listened on.
        """
        return self.accept(sockets.take(host, port), listener)

    def accept(self, taken: socket.socket, listener: Listener) -> int:
        """Accept the connections of a socket that listens already; return its port.

        Raises:
            ConfigurationRefused: LDAPS without a certificate.
        """
        if listener is Listener.TLS and not self._has_tls:
            taken.close()
            raise ConfigurationRefused(
                key="tls.certificate",
                reason="LDAPS needs a certificate and a key",
                remedy="set tls.certificate and tls.key",
            )
        listening = ListeningSocket(self._service, listener, taken)
        if not self._listening:
            self._service.watch_rights()
        self._listening.append(listening)
        return listening.port

    async def stop(self, grace: float) -> None:
        """Stop listening, let what is under way be answered for `grace` seconds, then close everything."""
        for listening in self._listening:
            listening.close()
        self._listening.clear()
        for client in self._service.clients:
            client.drain()
        try:
            async with asyncio.timeout(grace):
                await self._service.until_nobody_is_left()
        except TimeoutError:
            for client in self._service.clients:
                client.abort()
        await self._service.stop_work()
        await self._service.until_nobody_is_left()
