"""A store with the use case of bounces on it, and what happens around it."""

from datetime import timedelta

from ca.address import Mailbox
from directory.audit import AuditEvent, AuditKind
from directory.bounces.bounces import Bounces, Outcome
from directory.bounces.reports import read_report
from directory.delivery.outbox import DueMail
from directory.mint_ports import EnrolmentRecord
from directory.resending import KeyMailResender
from directory.status import EnrolmentStatus
from directory.store.audit_log import read_chain
from directory.store.bounces import SqlBounceStore
from directory.store.enrolments import SqlEnrolmentReader
from directory.store.lookup import SqlDirectoryReader
from directory.store.outbox import SqlOutbox
from directory.store.resends import SqlResendStore
from tests.contracts.world import ANNA, NOW, Store, a_reservation, an_event, mint
from tests.directory.bounces.builders import a_notification
from tests.directory.builders import a_gateway
from tests.directory.clocks import StoppedClock
from tests.directory.delivery.builders import an_acceptance

NODE = "bounces-node"
FAR = timedelta(hours=1)
DESK = Mailbox.parse("desk@hospital.org")


class House:
    """A store with the use case on it, and what happens around it."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.database = store.database
        self.clock = StoppedClock(NOW)
        self.notified = 0
        self.bounces = Bounces(
            store=SqlBounceStore(store.database, node=NODE), clock=self.clock, on_queued=self._notify
        )
        self.outbox = SqlOutbox(store.database, node="outbox-node")

    def _notify(self) -> None:
        self.notified += 1

    async def tell_desk(self) -> None:
        await self.store.sql("UPDATE organizations SET notices_to = 'desk@hospital.org'")

    async def sent(self, name: str = "enrolment-1", *, mailbox: Mailbox = ANNA) -> EnrolmentRecord:
        """Mint, and have the key mail accepted."""
        record = await mint(self.database, a_reservation(name, mailbox=mailbox, minted_at=self.clock.now()))
        await self.accept_all()
        return record

    async def claimed(self) -> list[DueMail]:
        now = self.clock.now()
        return await self.outbox.claim_due(worker="w", now=now, lease_until=now + FAR, most=100)

    async def accept_all(self) -> list[DueMail]:
        claimed = await self.claimed()
        for mail in claimed:
            event = an_event(AuditKind.MAIL_ACCEPTED, subject=mail.enrolment_id)
            await self.outbox.record_accepted(mail, an_acceptance(self.clock.now()), event)
        return claimed

    async def resend(self, enrolment_id: str = "enrolment-1") -> None:
        resender = KeyMailResender(
            store=SqlResendStore(self.database, node="n"), clock=self.clock, lifetime=timedelta(days=5)
        )
        await resender.resend(enrolment_id, None, "operator:test")

    async def bounce(
        self, token: str, *, recipient: Mailbox = ANNA, action: str = "failed", status: str = "5.1.1"
    ) -> Outcome:
        report = read_report(a_notification(recipient=str(recipient), action=action, status=status))
        return await self.bounces.take([f"keys+{token}@hospital.org"], report)

    async def status(self, name: str = "enrolment-1") -> EnrolmentStatus:
        return await SqlEnrolmentReader(self.database).enrolment(name, "org-1")

    async def is_served(self, mailbox: Mailbox = ANNA) -> bool:
        reader = SqlDirectoryReader(self.database)
        return await reader.best_certificate(mailbox.key, a_gateway(), self.clock.now()) is not None

    async def events(self) -> list[AuditEvent]:
        return [chained.event async for chained in read_chain(self.database, NODE, 100)]
