"""How does a mail get to the recipient's own servers? Find them, demand protection, try one after the other.

The use of this folder, readable top to bottom. Sessions are shared between organizations: nobody logs in,
and what a session proved it proved for the domain.
"""

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial

from directory.clock import Clock
from directory.delivery.exchanges.mta_sts import Discovery, MtaSts
from directory.delivery.exchanges.protecting import Exchanger, Protection, Protections, Refused
from directory.delivery.exchanges.resolving import IpAddress, Resolver, ResolvingFailed
from directory.delivery.exchanges.routing import Route, find_addresses, find_route
from directory.delivery.exchanges.settings import DirectSettings
from directory.delivery.exchanges.tls_reports import Policy, TlsSession, TlsTally
from directory.delivery.replies import Failure, Permanent, Phase, Transient
from directory.delivery.sessions import SessionPool
from directory.delivery.settings import DeliverySettings
from directory.delivery.smtp import Door, SmtpSession
from directory.delivery.tls_faults import TlsFault
from directory.errors import StoreUnavailable

logger = logging.getLogger(__name__)


class Exchanges:
    """Gives sessions to the mail exchangers of recipients' domains, at most so many at a time per domain."""

    def __init__(
        self,
        *,
        resolver: Resolver,
        mta_sts: MtaSts,
        protections: Protections,
        tally: TlsTally,
        clock: Clock,
        settings: DeliverySettings,
        direct: DirectSettings,
    ) -> None:
        self._resolver = resolver
        self._mta_sts = mta_sts
        self._protections = protections
        self._tally = tally
        self._clock = clock
        self._settings = settings
        self._direct = direct
        self._pool: SessionPool[str] = SessionPool(clock=clock, settings=settings)

    @asynccontextmanager
    async def session(self, domain: str) -> AsyncIterator[SmtpSession | Transient | Permanent]:
        """Lend a session to an exchanger of the domain, or say why there is none now, or never will be."""
        connect = partial(self._connect, domain)
        async with self._pool.lend(domain, destination=domain, connect=connect) as session:
            yield session

    async def close(self) -> None:
        """Close every idle session, and whatever else is open."""
        await self._pool.close()
        await self._mta_sts.close()

    async def _connect(self, domain: str) -> SmtpSession | Transient | Permanent:
        # 1. Where does its mail go?
        route = await find_route(self._resolver, domain)
        if not isinstance(route, Route):
            return route
        # 2. What does the domain ask for? What was kept must be readable: it may be what protects.
        try:
            sts = await self._mta_sts.discover(domain, self._clock.now())
        except StoreUnavailable as error:
            return _transient(Phase.SERVICE, f"MTA-STS policies cannot be read: {error.reason}")
        # 3. The first exchanger that is there and proves what is asked for.
        last: Transient = _transient(Phase.ROUTE, "the domain has no mail exchanger that can be reached")
        for host in route.hosts:
            opened = await self._try_host(host, route, sts)
            if isinstance(opened, SmtpSession):
                return opened
            last = opened
        return last

    async def _try_host(self, host: str, route: Route, sts: Discovery) -> SmtpSession | Transient:
        try:
            found = await find_addresses(self._resolver, host, allow_private=self._direct.allow_private)
        except ResolvingFailed as error:
            return _transient(Phase.ROUTE, str(error))
        if not found.records:
            return _transient(Phase.ROUTE, f"{host} has no public address")
        exchanger = Exchanger(
            host=host,
            domain=route.domain,
            canonical_name=found.canonical_name,
            secure=route.secure and found.secure,
        )
        demanded = await self._protections.of(exchanger, sts)
        if isinstance(demanded, Refused):
            await self._count(exchanger, demanded.policy, demanded.verdict.failure.tls)
            return demanded.verdict
        last: Transient = _transient(Phase.ROUTE, f"{host} could not be reached")
        for address in found.records:
            opened = await self._try_address(address, exchanger, demanded)
            if isinstance(opened, SmtpSession):
                return opened
            last = opened
        return last

    async def _try_address(
        self, address: IpAddress, exchanger: Exchanger, demanded: tuple[Protection, ...]
    ) -> SmtpSession | Transient:
        last: Transient = _transient(Phase.CONNECT, "not tried")
        for protection in demanded:
            opened = await SmtpSession.open_door(
                Door(
                    host=exchanger.host,
                    address=str(address),
                    port=self._direct.smtp_port,
                    tls=protection.context,
                    check=protection.check,
                ),
                settings=self._settings,
            )
            if isinstance(opened, SmtpSession):
                # A policy under test that failed was counted already, though mail goes on without it.
                if last.failure.tls is None:
                    await self._count(exchanger, protection.policy, protection.fault)
                return opened
            failure = replace(opened.failure, reason=f"{exchanger.host}: {opened.failure.reason}")
            last = Transient(failure=failure)
            if failure.tls is None:
                break  # another protection would not mend what is not about TLS
            await self._count(exchanger, protection.policy, failure.tls)
        return last

    async def _count(self, exchanger: Exchanger, policy: Policy, fault: TlsFault | None) -> None:
        session = TlsSession(domain=exchanger.domain, policy=policy, mx_host=exchanger.host, fault=fault)
        try:
            await self._tally.count(session, day=self._clock.now().date())
        except StoreUnavailable as error:
            # A report misses a session; the mail does not.
            logger.warning("a TLS session was not counted: %s", error.reason)


def _transient(phase: Phase, reason: str) -> Transient:
    return Transient(failure=Failure(phase=phase, reason=reason))
