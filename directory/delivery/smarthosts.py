"""Who may talk to which smart host now? Sessions to the organizations' own mail servers.

Knows nothing of where the mail goes from there.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import TypeAlias

from ca.address import Mailbox
from ca.sealing import Sealer
from directory.clock import Clock
from directory.delivery.replies import Failure, Permanent, Phase, Transient
from directory.delivery.sessions import SessionPool
from directory.delivery.settings import DeliverySettings
from directory.delivery.smtp import SmtpSession, tls_context
from directory.organization import Organization, SmartHost, smtp_password_identity

_Account: TypeAlias = tuple[str, SmartHost]
"""Whose sessions: an organization's to its smart host, never shared with another organization."""


class SmartHosts:
    """Gives sessions to the organizations' smart hosts, at most so many at a time per host and port.

    Raises:
        ConfigurationRefused: the file of additional CA certificates cannot be used.
    """

    def __init__(self, *, sealer: Sealer, clock: Clock, settings: DeliverySettings) -> None:
        self._sealer = sealer
        self._settings = settings
        self._tls = tls_context(settings.ca_file)
        self._pool: SessionPool[_Account] = SessionPool(clock=clock, settings=settings)

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
        async with self._pool.lend(
            account, destination=(host.host, host.port), connect=partial(self._connect, account)
        ) as session:
            yield session

    async def close(self) -> None:
        """Close every idle session."""
        await self._pool.close()

    async def _connect(self, account: _Account) -> SmtpSession | Transient:
        organization_id, host = account
        password = None
        if host.sealed_password is not None:
            identity = smtp_password_identity(organization_id)
            password = self._sealer.unseal(host.sealed_password, identity).decode()
        return await SmtpSession.open(host, password=password, tls=self._tls, settings=self._settings)
