"""What runs in `pushpki serve`? Front ends, delivery and key pool on one event loop, started in order."""

import asyncio
import logging
import ssl
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from urllib.parse import urlsplit

from ca.keypool import KeyPool
from directory.audit import AuditEvent, AuditKind
from directory.callers import Authentication
from directory.delivery.keymail import KeyMailComposer
from directory.delivery.settings import DeliverySettings
from directory.delivery.smarthosts import SmartHosts
from directory.delivery.worker import DeliveryWorker
from directory.errors import ConfigurationRefused, StoreUnavailable
from directory.http.app import create_app
from directory.http.server import HttpServer, TlsFiles
from directory.http.services import HttpServices, HttpSettings, NamedCheck
from directory.ldap.connection import Listener
from directory.ldap.server import LdapServer
from directory.ldap.settings import ClearCredentials, LdapSettings
from directory.lookup import Lookup
from directory.relay import RelayDesk
from directory.settings import ListenAddress, Settings
from directory.steps import StepListener, ignore_step
from directory.store.enrolments import SqlEnrolmentReader
from directory.store.inspection import SqlStoreInspector
from directory.store.outbox import SqlOutbox
from directory.store.relays import SqlRelayStore
from directory.wiring import minting
from directory.wiring.installation import Installation

logger = logging.getLogger(__name__)

_LDAP_GRACE_SECONDS = 5.0
_LDAP_MARGIN_SECONDS = 0.2
"""What a search may take beyond the patience of the mint, which normally answers first."""


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
        ConfigurationRefused: an address, a TLS file or the issuing CA cannot be used.
        SealBroken: the issuing CA's key does not open.
        ProfileRefused, KeyRefused, LintFailed: recipients cannot be certified as configured.
        StoreUnavailable: the database does not answer.
    """
    settings = installation.settings
    tls = _tls_context(settings)
    async with AsyncExitStack() as stack:
        # 1. What mints, with at least one key ready, so that the first question need not wait.
        keys = stack.enter_context(minting.key_pool(settings))
        maker = await minting.certificate_maker(installation)
        first_key = await asyncio.wrap_future(keys.take())
        await asyncio.to_thread(
            maker.issuer.rehearse, maker.profile, first_key.public_key(), installation.clock.now()
        )

        # 2. What delivers, before anything can be minted.
        worker = _worker(installation, on_step)
        await stack.enter_async_context(_running(worker))
        minter = minting.enroller(
            installation, maker=maker, keys=keys, on_enrolled=worker.notify, on_step=on_step
        )
        stack.push_async_callback(minter.settle)
        lookup = minting.lookup(installation, minter)

        # 3. What is asked.
        await _record(installation, AuditKind.SERVICE_STARTED)
        stack.push_async_callback(_record, installation, AuditKind.SERVICE_STOPPED)
        ldap, ldaps = await _serve_ldap(installation, lookup, tls, stack)
        http = await _serve_http(installation, lookup, keys, stack)
        yield Listening(http=http, ldap=ldap, ldaps=ldaps)


def _worker(installation: Installation, on_step: StepListener) -> DeliveryWorker:
    settings = _delivery_settings(installation.settings)
    return DeliveryWorker(
        name=installation.node,
        outbox=SqlOutbox(installation.database, node=installation.node),
        sealer=installation.sealer,
        composer=KeyMailComposer(hold=settings.hold),
        smart_hosts=SmartHosts(sealer=installation.sealer, clock=installation.clock, settings=settings),
        settings=settings,
        clock=installation.clock,
        on_step=on_step,
    )


@asynccontextmanager
async def _running(worker: DeliveryWorker) -> AsyncIterator[None]:
    task = asyncio.create_task(worker.run(), name="delivery worker")
    try:
        yield
    finally:
        worker.stop()
        await task


async def _serve_ldap(
    installation: Installation, lookup: Lookup, tls: ssl.SSLContext | None, stack: AsyncExitStack
) -> tuple[ListenAddress, ListenAddress | None]:
    settings = installation.settings
    server = LdapServer(
        answer=lookup.answer,
        named_gateway=Authentication(installation.callers).named_gateway,
        settings=LdapSettings(
            suffix=settings.directory.suffix,
            anonymous_read=settings.directory.anonymous_read,
            clear_credentials=(
                ClearCredentials.LOOPBACK
                if settings.directory.credentials_in_clear_from_loopback
                else ClearCredentials.NOBODY
            ),
            answer_within=settings.mint.patience_seconds + _LDAP_MARGIN_SECONDS,
        ),
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
    installation: Installation, lookup: Lookup, keys: KeyPool, stack: AsyncExitStack
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
            enrolments=SqlEnrolmentReader(database),
            issuers=SqlStoreInspector(database),
            readiness=_Readiness(installation, keys),
            clock=installation.clock,
            settings=_http_settings(settings),
        )
    )
    listen = settings.http.listen
    server = HttpServer(app, host=listen.host, port=listen.port, tls=_http_tls(settings))
    await server.start()
    stack.push_async_callback(server.stop)
    return ListenAddress(host=listen.host, port=server.port)


class _Readiness:
    """Whether this process can do its work."""

    def __init__(self, installation: Installation, keys: KeyPool) -> None:
        self._installation = installation
        self._keys = keys

    async def checks(self) -> Sequence[NamedCheck]:
        """Check database and master key; an empty key pool only slows mints down, and fills up again."""
        return [await self._database(), self._master_key()]

    async def _database(self) -> NamedCheck:
        try:
            await self._installation.issuers.active()
        except StoreUnavailable as error:
            return NamedCheck(name="database", failure=error.reason)
        return NamedCheck(name="database")

    def _master_key(self) -> NamedCheck:
        path = self._installation.settings.master_key.file
        return NamedCheck(name="master_key", failure=None if path.exists() else "the file is missing")


def _http_settings(settings: Settings) -> HttpSettings:
    listen = settings.http.listen
    own = {"localhost", "127.0.0.1", "::1", listen.host, urlsplit(settings.ca.public_url).hostname or ""}
    return HttpSettings(
        allowed_hosts=frozenset(own - {""}) | settings.http.allowed_hosts,
        anonymous_read=settings.directory.anonymous_read,
        credentials_in_clear_from_loopback=settings.directory.credentials_in_clear_from_loopback,
        trusted_proxies=settings.http.trusted_proxies,
    )


def _http_tls(settings: Settings) -> TlsFiles | None:
    if not settings.http.tls:
        return None
    certificate, key = settings.tls.certificate, settings.tls.key
    if certificate is None or key is None:
        raise ConfigurationRefused(
            key="http.tls", reason="HTTPS needs a certificate", remedy="set tls.certificate and tls.key"
        )
    return TlsFiles(certificate=certificate, key=key)


def _delivery_settings(settings: Settings) -> DeliverySettings:
    delivery = settings.delivery
    return DeliverySettings(
        hold=timedelta(days=delivery.hold_days),
        poll=timedelta(seconds=delivery.poll_seconds),
        in_flight=delivery.in_flight,
        connections_per_host=delivery.connections_per_host,
        helo_name=delivery.helo_name,
        ca_file=delivery.ca_file,
        allow_clear_beyond_loopback=delivery.allow_clear_beyond_loopback,
    )


def _tls_context(settings: Settings) -> ssl.SSLContext | None:
    """Return the server side of TLS: 1.2 or newer, ciphers with forward secrecy (RFC 9325 section 4)."""
    certificate, key = settings.tls.certificate, settings.tls.key
    if certificate is None or key is None:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers("ECDHE+AESGCM:ECDHE+CHACHA20")
    try:
        context.load_cert_chain(certificate, key)
    except (OSError, ssl.SSLError) as error:
        raise ConfigurationRefused(
            key="tls.certificate",
            reason=f"{certificate} and {key} cannot be used: {error.strerror or type(error).__name__}",
            remedy="give a PEM certificate chain and its unencrypted PEM key",
        ) from error
    return context


async def _record(installation: Installation, kind: AuditKind) -> None:
    event = AuditEvent(
        kind=kind, at=installation.clock.now(), actor="service", subject=f"node:{installation.node}"
    )
    await installation.audit_log.append(event)
