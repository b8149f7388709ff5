"""Where does the directory listen for LDAP? Starts and stops the front end; the one class wiring needs."""

import asyncio
import ssl

from directory.errors import ConfigurationRefused
from directory.ldap.connection import Listener
from directory.ldap.listening import ListeningSocket
from directory.ldap.service import AnswerQuestion, NamedGateway, Service
from directory.ldap.settings import LdapSettings


class LdapServer:
    """The LDAP front end: any number of listeners, one set of limits.

    Without a TLS context StartTLS is not offered, and there can be no LDAPS listener.
    """

    def __init__(
        self,
        *,
        answer: AnswerQuestion,
        named_gateway: NamedGateway,
        settings: LdapSettings,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._service = Service(answer=answer, named_gateway=named_gateway, settings=settings, tls=tls)
        self._has_tls = tls is not None
        self._listening: list[ListeningSocket] = []

    async def listen(self, host: str, port: int, listener: Listener) -> int:
        """Accept connections; return the port, which the system chooses if it is given as 0.

        Raises:
            ConfigurationRefused: LDAPS without a certificate.
            OSError: the address cannot be listened on.
        """
        if listener is Listener.TLS and not self._has_tls:
            raise ConfigurationRefused(
                key="tls.certificate",
                reason="LDAPS needs a certificate and a key",
                remedy="set tls.certificate and tls.key",
            )
        listening = ListeningSocket(self._service, listener, host, port)
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
