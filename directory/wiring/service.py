"""What runs in `pushpki serve`? Front ends, delivery and key pool on one event loop, started in order."""

import asyncio
import logging
import ssl
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Self

from ca.errors import MasterKeyUnusable
from directory.audit import AuditEvent, AuditKind
from directory.callers import Authentication
from directory.crl_production import CrlProduction
from directory.delivery.keymail import KeyMailComposer
from directory.delivery.smarthosts import SmartHosts
from directory.delivery.worker import DeliveryWorker
from directory.errors import ConfigurationRefused, StoreUnavailable
from directory.housekeeping import Housekeeping
from directory.http.app import create_app
from directory.http.server import HttpServer
from directory.http.services import HttpServices, NamedCheck
from directory.ldap.connection import Listener
from directory.ldap.server import LdapServer
from directory.lookup import Lookup
from directory.relay import RelayDesk
from directory.settings import ListenAddress
from directory.steps import StepListener, ignore_step
from directory.store.changes import SqlChangeLog
from directory.store.enrolments import SqlEnrolmentReader
from directory.store.inspection import SqlStoreInspector
from directory.store.mint import SqlMintStore
from directory.store.outbox import SqlOutbox
from directory.store.relays import SqlRelayStore
from directory.wiring import extracts, minting
from directory.wiring.authorities import Published, publishing
from directory.wiring.installation import Installation

logger = logging.getLogger(__name__)

_LDAP_GRACE_SECONDS = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Listening:
    """Where the service listens."""

    http: ListenAddress
    ldap: ListenAddress
    ldaps: ListenAddress | None

    def as_document(self) -> dict[str, str]:
        """Return the addresses by front end."""
        found = {"http": self.http, "ldap": self.ldap, "ldaps": self.ldaps}
        return {name: str(address) for name, address in found.items() if address is not None}


@asynccontextmanager
async def serving(
    installation: Installation, *, on_step: StepListener = ignore_step
) -> AsyncIterator[Listening]:
    """Serve until the context ends; then stop in order: no new questions, mints under way end, mails too.

    Raises:
        ConfigurationRefused: an address, a TLS file or the issuing CA cannot be used, or recipients cannot
            be certified as configured.
        SealBroken: the issuing CA's key does not open, or a root's that has to make its CRL.
        StoreUnavailable: the database does not answer.
    """
    settings = installation.settings
    tls = extracts.ldap_tls(settings)
    worker = _worker(installation, on_step)
    async with AsyncExitStack() as stack:
        # 1. What mints, with at least one key ready, so that the first question need not wait.
        keys = stack.enter_context(minting.key_pool(settings))
        maker = await minting.certificate_maker(installation)
        first_key = await asyncio.wrap_future(keys.take())
        await asyncio.to_thread(minting.rehearse, maker, first_key.public_key(), installation.clock.now())

        # 2. What delivers: stopped after the last mint, but begun only when nothing can keep the service from
        #    starting. A second one, started by mistake, must not take up the mails of the first.
        delivery = await stack.enter_async_context(_Delivery(worker))
        minter = minting.enroller(
            installation, maker=maker, keys=keys, on_enrolled=worker.notify, on_step=on_step
        )
        stack.push_async_callback(minter.settle)
        lookup = minting.lookup(installation, minter, patience=minting.mint_rules(settings).patience)

        await stack.enter_async_context(_tidied(installation))
        published = await stack.enter_async_context(publishing(installation))

        # 3. What is asked.
        await _record(installation, AuditKind.SERVICE_STARTED)
        stack.push_async_callback(_record, installation, AuditKind.SERVICE_STOPPED)
        ldap, ldaps = await _serve_ldap(installation, lookup, tls, stack)
        http = await _serve_http(installation, lookup, published, worker, stack)
        delivery.begin()
        yield Listening(http=http, ldap=ldap, ldaps=ldaps)


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


async def _serve_ldap(
    installation: Installation, lookup: Lookup, tls: ssl.SSLContext | None, stack: AsyncExitStack
) -> tuple[ListenAddress, ListenAddress | None]:
    settings = installation.settings
    server = LdapServer(
        answer=lookup.answer,
        named_gateway=Authentication(installation.callers).named_gateway,
        settings=extracts.ldap_settings(settings),
        tls=tls,
    )
    stack.push_async_callback(server.stop, _LDAP_GRACE_SECONDS)
    ldap = await _listen(server, "ldap.listen", settings.ldap.listen, Listener.CLEAR)
    if tls is None:
        logger.warning("no TLS certificate is configured: neither LDAPS nor StartTLS is offered")
        return ldap, None
    return ldap, await _listen(server, "ldaps.listen", settings.ldaps.listen, Listener.TLS)


async def _listen(server: LdapServer, key: str, address: ListenAddress, listener: Listener) -> ListenAddress:
    try:
        port = await server.listen(address.host, address.port, listener)
    except OSError as error:
        raise ConfigurationRefused(
            key=key,
            reason=f"cannot listen on {address}: {error.strerror}",
            remedy="choose another address, or stop what uses this one",
        ) from error
    return ListenAddress(host=address.host, port=port)


async def _serve_http(
    installation: Installation,
    lookup: Lookup,
    published: Published,
    worker: DeliveryWorker,
    stack: AsyncExitStack,
) -> ListenAddress:
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
    await server.start()
    stack.push_async_callback(server.stop)
    return ListenAddress(host=listen.host, port=server.port)


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
