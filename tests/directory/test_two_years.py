"""One recipient through some years, with a stopped clock: renewed, proven, renewed again, unproven."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

import pytest
from sqlalchemy import select

from ca.address import Mailbox
from ca.keys import KeyAlgorithm, PrivateKey, generate
from directory.audit import AuditKind
from directory.escrowing import Escrowing
from directory.followup import Chore, FollowUpRules, GivingUp, ProofRequests, Reminders
from directory.holds import EndOfHolds
from directory.links import LinkPurpose
from directory.lookup import Minted
from directory.overtaking import DueSwitches
from directory.policy import MintPolicy
from directory.proof import ProofDesk, Proven
from directory.renewal import RenewalRules, Renewals, Renewer
from directory.store.escrows import SqlEscrows
from directory.store.followups import SqlFollowUps
from directory.store.holds import SqlHolds
from directory.store.lookup import SqlDirectoryReader
from directory.store.overtaking import SqlOvertaking
from directory.store.proofs import SqlProofStore
from directory.store.renewals import SqlRenewals
from directory.store.tables import audit_events, enrolments
from tests.builders import Authority
from tests.contracts.following import a_link, deliver
from tests.contracts.world import NOW, SEALER, Store
from tests.directory.builders import a_gateway, a_mint_context
from tests.directory.clocks import StoppedClock
from tests.directory.minting import ReadyKeys, an_enroller, found_authority, violations

ANNA = Mailbox.parse("anna@example.org")
DAY = timedelta(days=1)


@pytest.fixture(scope="session")
def three_keys() -> Sequence[PrivateKey]:
    return [generate(KeyAlgorithm.RSA_2048) for _ in range(3)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """What happens by itself, day by day."""

    store: Store
    clock: StoppedClock
    chores: Sequence[Chore]

    async def pass_days(self, days: int) -> None:
        """Let so many days pass: each has its chores done and its mails accepted, and ends in order."""
        for _ in range(days):
            self.clock.advance(DAY)
            for chore in self.chores:
                while await chore.perform(self.clock.now()):
                    pass
            await deliver(self.store.database, self.clock.now())
            assert await self.served(), "somebody is always served"

    async def served(self) -> list[str]:
        """Return the enrolments whose certificates are served, in order."""
        reader = SqlDirectoryReader(self.store.database)
        found = await reader.live_certificates(ANNA.key, a_gateway(), self.clock.now())
        by_serial = {
            f"{one.serial:x}": name
            for one in found
            for (name,) in await self.store.rows(
                f"SELECT enrolment_id FROM certificates WHERE serial = '{one.serial:x}'"  # noqa: S608 - ours
            )
        }
        return [str(by_serial[f"{one.serial:x}"]) for one in found]

    async def enrolments(self) -> list[str]:
        query = select(enrolments.c.id).order_by(enrolments.c.minted_at)
        return [name for (name,) in await self.store.select(query)]

    async def prove(self, enrolment_id: str) -> None:
        link = await a_link(
            self.store.database,
            LinkPurpose.PROOF,
            enrolment_id=enrolment_id,
            expires_at=self.clock.now() + DAY,
        )
        desk = ProofDesk(store=SqlProofStore(self.store.database, node="node-1"), clock=self.clock)
        assert await desk.prove(link) == Proven(enrolment_id=enrolment_id)

    async def verify(self) -> None:
        assert await violations(self.store.database, clock=self.clock) == []

    async def count(self, kind: AuditKind, subject: str) -> int:
        query = select(audit_events.c.kind).where(
            audit_events.c.kind == kind.value, audit_events.c.subject == subject
        )
        return len(await self.store.select(query))


@pytest.fixture
async def service(store: Store, authority: Authority, three_keys: Sequence[PrivateKey]) -> Service:
    """A service whose gateway has just had Anna's first certificate minted."""
    await found_authority(store, authority)
    clock, database = StoppedClock(NOW), store.database
    enroller = an_enroller(database, authority, ReadyKeys(three_keys), clock=clock)
    answer = await enroller.mint(ANNA, a_mint_context())
    assert isinstance(answer, Minted)
    validity = answer.certificate.not_after - NOW
    rules = RenewalRules.of(before=30 * DAY, lead_before=3 * DAY, validity=validity, per_hour=600)
    renewer = Renewer(
        contexts=SqlDirectoryReader(database),
        policy=MintPolicy(),
        minter=enroller,
        rules=rules,
        clock=clock,
    )
    follow_ups, follow_up_rules = SqlFollowUps(database, node="node-1"), FollowUpRules()
    await deliver(database, NOW)
    return Service(
        store=store,
        clock=clock,
        chores=(
            DueSwitches(store=SqlOvertaking(database, node="node-1")),
            Renewals(store=SqlRenewals(database), renewer=renewer, rules=rules),
            EndOfHolds(
                store=SqlHolds(database, node="node-1"),
                escrowing=Escrowing(store=SqlEscrows(database, node="node-1"), sealer=SEALER, grace=7 * DAY),
                traces=database,
                grace=7 * DAY,
            ),
            GivingUp(store=follow_ups, rules=follow_up_rules),
            ProofRequests(store=follow_ups, rules=follow_up_rules),
            Reminders(store=follow_ups, rules=follow_up_rules),
        ),
    )


async def days_left(service: Service) -> int:
    """Return how long what is served is valid."""
    reader = SqlDirectoryReader(service.store.database)
    best = await reader.best_certificate(ANNA.key, a_gateway(), service.clock.now())
    assert best is not None
    return (best.not_after - service.clock.now()).days


async def test_a_recipient_is_followed_through_his_certificates(service: Service) -> None:
    # The first certificate is proven in its first week; nothing happens for long.
    (first,) = await service.enrolments()
    await service.pass_days(2)
    await service.prove(first)
    service.clock.advance((await days_left(service) - 32) * DAY)
    await service.pass_days(1)
    assert await service.enrolments() == [first]

    # A month before its end there is a second; the first is served until that is proven.
    await service.pass_days(3)
    _, second = await service.enrolments()
    assert await service.served() == [first]
    await service.verify()
    await service.pass_days(9)
    assert await service.count(AuditKind.REMINDER_QUEUED, second) == 1
    await service.prove(second)
    assert await service.served() == [second, first]
    await service.verify()

    # The first ends quietly, and is not revoked.
    await service.pass_days(20)
    assert await service.served() == [second]
    assert await service.store.rows("SELECT 1 FROM certificates WHERE revoked_at IS NOT NULL") == []
    await service.verify()

    # The third is never proven: it leads three days before the second ends, and nothing follows it.
    service.clock.advance((await days_left(service) - 30) * DAY)
    await service.pass_days(1)
    _, _, third = await service.enrolments()
    await service.pass_days(await days_left(service) - 4)
    assert await service.served() == [second]
    await service.pass_days(2)
    assert await service.served() == [third, second]
    await service.verify()
    await service.pass_days(4)
    assert await service.served() == [third]
    service.clock.advance((await days_left(service) - 20) * DAY)
    await service.pass_days(19)
    assert await service.enrolments() == [first, second, third]
    assert [await service.count(AuditKind.CERTIFICATE_LEADS, one) for one in (first, second, third)] == [
        *(0, 1, 1)
    ]
    await service.verify()
