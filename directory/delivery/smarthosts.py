"""Who may talk to which smart host now? A bounded set of sessions per host, kept open for the next mail.

One slow or dead smart host must not keep the mails of other organizations waiting: whoever waits too long
for a session to it, or comes while it rests after a failure, is told so at once and tries again later.
"""

import asyncio
from asyncio import TimerHandle
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import TypeAlias

from ca.address import Mailbox
from ca.sealing import Sealer
from directory.clock import Clock
from directory.delivery.replies import Failure, Permanent, Phase, Transient
from directory.delivery.settings import DeliverySettings
from directory.delivery.smtp import SmtpSession, tls_context
from directory.organization import Organization, SmartHost, smtp_password_identity

_Account: TypeAlias = tuple[str, SmartHost]
"""Whose sessions: an organization's to its smart host, never shared with another organization."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Idle:
    session: SmtpSession
    expiry: TimerHandle


@dataclass(frozen=True, slots=True, kw_only=True)
class _Rest:
    until: datetime
    failure: Failure


class SmartHosts:
    """Gives sessions to the organizations' smart hosts, at most so many at a time per host and port.

    Raises:
        ConfigurationRefused: the file of additional CA certificates cannot be used.
    """

    def __init__(self, *, sealer: Sealer, clock: Clock, settings: DeliverySettings) -> None:
        self._sealer = sealer
        self._clock = clock
        self._settings = settings
        self._tls = tls_context(settings.ca_file)
        self._slots: defaultdict[tuple[str, int], asyncio.Semaphore] = defaultdict(
            lambda: asyncio.Semaphore(settings.connections_per_host)
        )
        self._idle: defaultdict[_Account, list[_Idle]] = defaultdict(list)
        self._resting: dict[_Account, _Rest] = {}
        self._closing: set[asyncio.Task[None]] = set()

    @asynccontextmanager
    async def session(
        self, organization: Organization, recipient: Mailbox
    ) -> AsyncIterator[SmtpSession | Transient | Permanent]:
        """Lend a session to the organization's smart host, or say why there is none now.

        Raises:
            SealBroken: the sealed password of the smart host does not open.
        """
        del recipient  # the smart host finds the way to him
        host = organization.smart_host
        if host is None:
            reason = "the organization has no smart host"
            yield Transient(failure=Failure(phase=Phase.CONNECT, reason=reason))
            return
        account = (organization.organization_id, host)
        slot = self._slots[host.host, host.port]
        if (busy := await self._wait_for(slot)) is not None:
            yield busy
            return
        try:
            session = await self._obtain(account)
            try:
                yield session
            finally:
                if isinstance(session, SmtpSession):
                    self._give_back(account, session)
        finally:
            slot.release()

    async def close(self) -> None:
        """Close every idle session."""
        for sessions in self._idle.values():
            for idle in sessions:
                idle.expiry.cancel()
                self._hang_up(idle.session)
            sessions.clear()
        await asyncio.gather(*self._closing)

    async def _wait_for(self, slot: asyncio.Semaphore) -> Transient | None:
        try:
            async with asyncio.timeout(self._settings.connection_wait.total_seconds()):
                await slot.acquire()
        except TimeoutError:
            return Transient(
                failure=Failure(phase=Phase.WAIT, reason="all connections to the smart host are in use")
            )
        return None

    async def _obtain(self, account: _Account) -> SmtpSession | Transient:
        rest = self._resting.get(account)
        if rest is not None:
            if self._clock.now() < rest.until:
                return Transient(failure=rest.failure)
            del self._resting[account]
        while self._idle[account]:
            idle = self._idle[account].pop()
            idle.expiry.cancel()
            # The smart host may have hung up meanwhile, which is its right and no failure of the mail.
            if await idle.session.reset():
                return idle.session
        return await self._open(account)

    async def _open(self, account: _Account) -> SmtpSession | Transient:
        organization_id, host = account
        password = None
        if host.sealed_password is not None:
            identity = smtp_password_identity(organization_id)
            password = self._sealer.unseal(host.sealed_password, identity).decode()
        opened = await SmtpSession.open(host, password=password, tls=self._tls, settings=self._settings)
        if isinstance(opened, Transient):
            until = self._clock.now() + self._settings.host_rest
            self._resting[account] = _Rest(until=until, failure=opened.failure)
        return opened

    def _give_back(self, account: _Account, session: SmtpSession) -> None:
        if not session.is_usable:
            self._hang_up(session)
            return
        patience = self._settings.connection_idle.total_seconds()
        expiry = asyncio.get_running_loop().call_later(patience, self._expire, account, session)
        self._idle[account].append(_Idle(session=session, expiry=expiry))

    def _expire(self, account: _Account, session: SmtpSession) -> None:
        idle = self._idle[account]
        idle[:] = [kept for kept in idle if kept.session is not session]
        self._hang_up(session)

    def _hang_up(self, session: SmtpSession) -> None:
        task = asyncio.create_task(session.close(), name="smtp-quit")
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)
