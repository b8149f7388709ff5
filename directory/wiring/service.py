"""What runs in `pushpki serve`? Front ends, delivery and key pool on one event loop, started in order."""

import asyncio
import logging
import socket
import ssl
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from typing import Self

from ca.errors import MasterKeyUnusable
from directory.audit import AuditEvent, AuditKind
from directory.authorities import Authorities
from directory.callers import Authentication
from directory.crl_production import CrlProduction
from directory.delivery.keymail import KeyMailComposer
from directory.delivery.smarthosts import SmartHosts
from directory.delivery.worker import DeliveryWorker
from directory.errors import AlreadyExists, ConfigurationRefused, StoreUnavailable
from directory.housekeeping import Housekeeping
from directory.http.app import create_app
from directory.http.server import HttpServer
from directory.http.services import HttpServices, NamedCheck
from directory.ldap.answers import AnswerCache
from directory.ldap.connection import Listener
from directory.ldap.server import LdapServer
from directory.lookup import Lookup
from directory.relay import RelayDesk
from directory.settings import ListenAddress
from directory.sockets import Sharing, take
from directory.steps import StepListener, ignore_step
from directory.store.changes import SqlChangeLog
from directory.store.enrolments import SqlEnrolmentReader
from directory.store.inspection import SqlStoreInspector
from directory.store.mint import SqlMintStore
from directory.store.outbox import SqlOutbox
from directory.store.relays import SqlRelayStore
from directory.wiring import addresses, extracts, minting
from directory.wiring.addresses import FrontEnd
from directory.wiring.authorities import Published, publishing
from directory.wiring.installation import Installation
from directory.wiring.remembering import remembering

logger = logging.getLogger(__name__)

_LDAP_GRACE_SECONDS = 5.0


@asynccontextmanager
async def serving(
    installation: Installation, *, sharing: Sharing = Sharing.NOBODY, on_step: StepListener = ignore_step
) -> AsyncIterator[Mapping[FrontEnd, ListenAddress]]:
    """Serve until the context ends; then stop in order: no new questions, mints under way end, mails too.

    Raises:
        ConfigurationRefused: an address, a TLS file or the issuing CA cannot be used, recipients cannot be
            certified as configured, or another service has the name of this one.
        SealBroken: the issuing CA's key does not open, or a root's that has to make its CRL.
        StoreUnavailable: the database does not answer.
    """
    settings = installation.settings
    tls = extracts.ldap_tls(settings)
    worker = _worker(installation, on_step)
    async with AsyncExitStack() as stack:
        # 1. The name under which mails are claimed: what bears it already must not be robbed of its claims.
        await _hold_name(installation, stack)

        # 2. What mints, with at least one key ready, so that the first question need not wait.
        keys = stack.enter_context(minting.key_pool(settings))
        maker = await minting.certificate_maker(installation)
        first_key = await asyncio.wrap_future(keys.take())
        await asyncio.to_thread(minting.rehearse, maker, first_key.public_key(), installation.clock.now())

        # 3. What delivers: stopped after the last mint, but begun only when nothing can keep the service from
        #    starting.
        delivery = await stack.enter_async_context(_Delivery(worker))
        minter = minting.enroller(
            installation, maker=maker, keys=keys, on_enrolled=worker.notify, on_step=on_step
        )
        stack.push_async_callback(minter.settle)
        lookup = minting.lookup(installation, minter, patience=minting.mint_rules(settings).patience)

        await stack.enter_async_context(_tidied(installation))
        published = await stack.enter_async_context(publishing(installation))

        # 4. What is asked. Nobody is heard before it is on record that the service has started, and that is
        #    recorded only when nothing can keep it from it: the addresses are taken.
        taken = stack.enter_context(addresses.taken(settings, partial(take, sharing=sharing)))
        await _record(installation, AuditKind.SERVICE_STARTED)
        stack.push_async_callback(_record, installation, AuditKind.SERVICE_STOPPED)
        remembered = await stack.enter_async_context(remembering(installation, published.board))
        _serve_ldap(
            installation,
            lookup,
            tls,
            authorities=published.board,
            answers=remembered.answers,
            taken=taken,
            stack=stack,
        )
        await _serve_http(installation, lookup, published, worker, taken=taken[FrontEnd.HTTP], stack=stack)
        delivery.begin()
        yield addresses.found(settings, taken)


async def _hold_name(installation: Installation, stack: AsyncExitStack) -> None:
    try:
        await stack.enter_async_context(installation.database.named(installation.node))
    except AlreadyExists as error:
        raise ConfigurationRefused(
            key="service.node",
            reason=f"a service of the name {installation.node!r} is running on this database",
            remedy="stop it, or give each its own name",
        ) from error


def _worker(installation: Installation, on_step: StepListener) -> DeliveryWorker:
    settings = extracts.delivery_settings(installation.settings)
    return DeliveryWorker(
        name=installation.node,
        outbox=SqlOutbox(installation.database, node=installation.node),
        sealer=installation.sealer,
        composer=KeyMailComposer(),
        smart_hosts=SmartHosts(sealer=installation.sealer, clock=installation.clock, settings=settings),
        settings=settings,
        clock=installation.clock,
        on_step=on_step,
    )


class _Delivery:
    """The delivery worker as a task, from `begin` to the end of the context."""

    def __init__(self, worker: DeliveryWorker) -> None:
        self._worker = worker
        self._task: asyncio.Task[None] | None = None

    def begin(self) -> None:
        """Take up what is due."""
        self._task = asyncio.create_task(self._worker.run(), name="delivery worker")

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exception: object) -> None:
        if self._task is not None:
            self._worker.stop()
            await self._task


@asynccontextmanager
async def _tidied(installation: Installation) -> AsyncIterator[None]:
    stopped = asyncio.Event()
    housekeeping = Housekeeping(
        buckets=SqlMintStore(installation.database, node=installation.node),
        changes=SqlChangeLog(installation.database),
        clock=installation.clock,
    )
    task = asyncio.create_task(housekeeping.run(stopped), name="housekeeping")
    try:
        yield
    finally:
        stopped.set()
        await task


def _serve_ldap(
    installation: Installation,
    lookup: Lookup,
    tls: ssl.SSLContext | None,
    *,
    authorities: Authorities,
    answers: AnswerCache,
    taken: Mapping[FrontEnd, socket.socket],
    stack: AsyncExitStack,
) -> None:
    authentication = Authentication(installation.callers)
    server = LdapServer(
        answer=lookup.answer,
        named_gateway=authentication.named_gateway,
        certified_gateway=authentication.certified_gateway,
        still_good=authentication.still_good,
        settings=extracts.ldap_settings(installation.settings),
        tls=tls,
        authorities=authorities,
        answers=answers,
    )
    stack.push_async_callback(server.stop, _LDAP_GRACE_SECONDS)
    server.accept(taken[FrontEnd.LDAP], Listener.CLEAR)
    if FrontEnd.LDAPS in taken:
        server.accept(taken[FrontEnd.LDAPS], Listener.TLS)
    else:
        logger.warning("no TLS certificate is configured: neither LDAPS nor StartTLS is offered")


async def _serve_http(
    installation: Installation,
    lookup: Lookup,
    published: Published,
    worker: DeliveryWorker,
    *,
    taken: socket.socket,
    stack: AsyncExitStack,
) -> None:
    settings, database = installation.settings, installation.database
    app = create_app(
        HttpServices(
            answer=lookup.answer,
            authentication=Authentication(installation.callers),
            relay_desk=RelayDesk(
                store=SqlRelayStore(database, node=installation.node),
                sealer=installation.sealer,
                clock=installation.clock,
            ),
            resender=installation.resender(worker.notify),
            enrolments=SqlEnrolmentReader(database),
            issuers=SqlStoreInspector(database),
            crls=published.board,
            readiness=_Readiness(installation, published.production),
            clock=installation.clock,
            settings=extracts.http_settings(settings),
        )
    )
    listen = settings.http.listen
    server = HttpServer(app, host=listen.host, port=listen.port, tls=extracts.http_tls(settings))
    await server.start(taken)
    stack.push_async_callback(server.stop)


class _Readiness:
    """Whether this process can do its work."""

    def __init__(self, installation: Installation, crls: CrlProduction) -> None:
        self._installation = installation
        self._crls = crls

    async def checks(self) -> Sequence[NamedCheck]:
        """Check database, master key, CRLs; an empty key pool only slows mints down, and fills up again."""
        crls = NamedCheck(name="crls", failure=self._crls.problem())
        return [await self._database(), self._master_key(), crls]

    async def _database(self) -> NamedCheck:
        try:
            await self._installation.issuers.active()
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


async def _record(installation: Installation, kind: AuditKind) -> None:
    event = AuditEvent(
        kind=kind, at=installation.clock.now(), actor="service", subject=f"node:{installation.node}"
    )
    await installation.audit_log.append(event)
