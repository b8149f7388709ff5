"""What are the front ends made of? LDAP and HTTP, on addresses that are taken already."""

import logging
import socket
import ssl
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Final

from ca.errors import MasterKeyUnusable
from directory.bounces.listener import BounceListener, ListenerProtocol
from directory.callers import Authentication
from directory.crl_production import CrlProduction
from directory.errors import StoreUnavailable
from directory.evidence.tallies import AccessWatch
from directory.http.app import create_app
from directory.http.server import HttpServer
from directory.http.services import HttpServices, NamedCheck
from directory.ldap.connection import Listener
from directory.ldap.server import LdapServer
from directory.ocsp import OcspDesk
from directory.relay import RelayDesk
from directory.store.enrolments import SqlEnrolmentReader
from directory.store.relays import SqlRelayStore
from directory.timekeeping import Doubt
from directory.wiring import extracts
from directory.wiring.addresses import FrontEnd
from directory.wiring.authorities import Published
from directory.wiring.counting import AnswerQuestion
from directory.wiring.installation import Installation
from directory.wiring.measuring import Measuring
from directory.wiring.recipients import page_services
from directory.wiring.remembering import Remembered

logger = logging.getLogger(__name__)

_LDAP_GRACE_SECONDS: Final = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class FrontEndParts:
    """What both front ends stand on."""

    installation: Installation
    answer: AnswerQuestion
    """Answers one question."""
    access: AccessWatch
    published: Published
    doubt: Doubt
    """Whether the clock can be believed."""
    remembered: Remembered
    ocsp: OcspDesk
    measuring: Measuring
    on_queued: Callable[[], None]
    """Told when there is a key mail to send."""


@asynccontextmanager
async def serving_ldap(
    parts: FrontEndParts, tls: ssl.SSLContext | None, taken: Mapping[FrontEnd, socket.socket]
) -> AsyncIterator[None]:
    """Answer over LDAP until the context ends."""
    authentication = Authentication(parts.installation.callers, parts.access)
    server = LdapServer(
        answer=parts.measuring.answering(FrontEnd.LDAP, parts.answer),
        named_gateway=authentication.named_gateway,
        certified_gateway=authentication.certified_gateway,
        still_good=authentication.still_good,
        on_wrong_credentials=partial(authentication.refused, front_end=FrontEnd.LDAP.value),
        settings=extracts.ldap_settings(parts.installation.settings),
        tls=tls,
        authorities=parts.published.board,
        answers=parts.remembered.answers,
    )
    parts.measuring.ldap(server, parts.remembered)
    try:
        server.accept(taken[FrontEnd.LDAP], Listener.CLEAR)
        if FrontEnd.LDAPS in taken:
            server.accept(taken[FrontEnd.LDAPS], Listener.TLS)
        else:
            logger.warning("no TLS certificate is configured: neither LDAPS nor StartTLS is offered")
        yield
    finally:
        await server.stop(_LDAP_GRACE_SECONDS)


@asynccontextmanager
async def serving_http(parts: FrontEndParts, taken: socket.socket) -> AsyncIterator[None]:
    """Answer over HTTP until the context ends."""
    installation = parts.installation
    settings, database = installation.settings, installation.database
    app = create_app(
        HttpServices(
            answer=parts.measuring.answering(FrontEnd.HTTP, parts.answer),
            authentication=Authentication(installation.callers, parts.access),
            relay_desk=RelayDesk(
                store=SqlRelayStore(database, node=installation.node),
                sealer=installation.sealer,
                clock=installation.clock,
            ),
            resender=installation.resender(parts.on_queued),
            recoveries=installation.recovery_desk(parts.on_queued),
            enrolments=SqlEnrolmentReader(database),
            mails=installation.outbox_view,
            issuers=parts.published.board,
            crls=parts.published.board,
            ocsp=parts.ocsp,
            readiness=_Readiness(installation, parts.published.production, parts.doubt),
            metrics=parts.measuring.page,
            pages=page_services(installation, parts.on_queued),
            requests=parts.measuring.requests,
            clock=installation.clock,
            settings=extracts.http_settings(settings),
        )
    )
    listen = settings.http.listen
    server = HttpServer(app, host=listen.host, port=listen.port, tls=extracts.http_tls(settings))
    await server.start(taken)
    try:
        yield
    finally:
        await server.stop()


@asynccontextmanager
async def serving_bounces(
    parts: FrontEndParts, taken: Mapping[FrontEnd, socket.socket]
) -> AsyncIterator[None]:
    """Take bounces in until the context ends, where somebody is to hand them over."""
    if FrontEnd.BOUNCES not in taken:
        yield
        return
    installation = parts.installation
    listener = BounceListener(
        installation.bounces(parts.on_queued),
        protocol=ListenerProtocol(installation.settings.bounces.protocol),
    )
    await listener.start(taken[FrontEnd.BOUNCES])
    try:
        yield
    finally:
        await listener.stop()


class _Readiness:
    """Whether this process can do its work."""

    def __init__(self, installation: Installation, crls: CrlProduction, doubt: Doubt) -> None:
        self._installation = installation
        self._doubt = doubt
        self._crls = crls

    async def checks(self) -> Sequence[NamedCheck]:
        """Check database, master key, CRLs, clock. An empty key pool only slows mints down, and fills up.

        Without its token a service mints nothing, but what there is it serves: it goes on being asked.
        """
        crls = NamedCheck(name="crls", failure=self._crls.problem())
        clock = NamedCheck(name="clock", failure=self._doubt())
        return [await self._database(), self._master_key(), crls, clock, *self._token()]

    def _token(self) -> Sequence[NamedCheck]:
        token = self._installation.token
        if token is None:
            return ()
        failure = None if token.problem is None else token.problem.reason
        return (NamedCheck(name="token", failure=failure, needed=False),)

    async def _database(self) -> NamedCheck:
        try:
            await self._installation.issuers.hierarchy()
        except StoreUnavailable as error:
            return NamedCheck(name="database", failure=error.reason)
        return NamedCheck(name="database")

    def _master_key(self) -> NamedCheck:
        failure = None if self._installation.settings.master_key.file.exists() else "the file is missing"
        try:
            self._installation.sealer.knows("")  # reads the file again if it has changed
        except MasterKeyUnusable as error:
            failure = error.reason
        return NamedCheck(name="master_key", failure=failure)
