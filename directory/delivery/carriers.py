"""Who takes this mail onward: the organization's smart host, or the recipient's own mail exchangers?"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from ca.address import Mailbox
from directory.delivery.exchanges.exchanges import Exchanges
from directory.delivery.replies import Permanent, Transient
from directory.delivery.smarthosts import SmartHosts
from directory.delivery.smtp import SmtpSession
from directory.organization import Organization


class Carriers:
    """Gives sessions over which an organization's mail to a recipient may be submitted."""

    def __init__(self, *, smart_hosts: SmartHosts, exchanges: Exchanges) -> None:
        self._smart_hosts = smart_hosts
        self._exchanges = exchanges

    @asynccontextmanager
    async def session(
        self, organization: Organization, recipient: Mailbox
    ) -> AsyncIterator[SmtpSession | Transient | Permanent]:
        """Lend a session, or say why there is none now, or that this recipient can never have one.

        Raises:
            SealBroken: the sealed password of the smart host does not open.
        """
        if organization.smart_host is None:
            lent = self._exchanges.session(recipient.domain)
        else:
            lent = self._smart_hosts.session(organization, recipient)
        async with lent as session:
            yield session

    async def close(self) -> None:
        """Close every idle session."""
        await self._smart_hosts.close()
        await self._exchanges.close()
