"""Do mails arrive? The way out, put together for an operator's trial."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from ca.address import Mailbox
from directory.audit import AuditEvent
from directory.delivery.dkim import DkimSigner
from directory.delivery.trial import Trial
from directory.store.audit_log import SqlAuditLog
from directory.store.suppressions import SqlSuppressions
from directory.wiring.carrying import carriers
from directory.wiring.installation import Installation


@dataclass(frozen=True, slots=True, kw_only=True)
class _Register:
    audit_log: SqlAuditLog
    suppressions: SqlSuppressions

    async def wants_no_mail(self, recipient: Mailbox) -> bool:
        """Tell whether the address is suppressed."""
        every = await self.suppressions.all()
        return any(Mailbox.parse_international(one.address).key == recipient.key for one in every)

    async def append(self, event: AuditEvent) -> None:
        """Write an event."""
        await self.audit_log.append(event)


@asynccontextmanager
async def trial(installation: Installation, actor: str) -> AsyncIterator[Trial]:
    """Return what sends test mails.

    Raises:
        ConfigurationRefused: as `carriers`.
    """
    ways = carriers(installation)
    register = _Register(
        audit_log=installation.audit_log,
        suppressions=SqlSuppressions(installation.database, node=installation.node),
    )
    try:
        yield Trial(
            carriers=ways,
            signer=DkimSigner(installation.sealer),
            register=register,
            clock=installation.clock,
            actor=actor,
        )
    finally:
        await ways.close()
