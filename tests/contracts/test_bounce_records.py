"""The port `BounceRecords` with the use case on it: what an operator puts right, on both databases."""

from datetime import timedelta

import pytest

from ca.address import Mailbox
from directory.audit import AuditEvent, AuditKind
from directory.bounces.desk import BounceDesk
from directory.bounces.pausing import MOST_HARD_BOUNCES, PAUSE
from directory.errors import Unknown
from directory.store.audit_log import read_chain
from directory.store.bounce_records import SqlBounceRecords
from directory.store.lookup import SqlDirectoryReader
from directory.store.revocations import SqlRevocationStore
from tests.contracts.bouncing import House
from tests.contracts.world import ANNA, Store, import_certificate
from tests.directory.builders import a_gateway

NODE = "desk-node"
OPERATOR = "operator:test"


class Desk:
    """The desk, and what it has written down."""

    def __init__(self, house: House) -> None:
        self.house = house
        self.desk = BounceDesk(
            records=SqlBounceRecords(house.database, node=NODE),
            revoker=SqlRevocationStore(house.database, node=NODE),
            clock=house.clock,
        )

    async def events(self) -> list[AuditEvent]:
        return [chained.event async for chained in read_chain(self.house.database, NODE, 100)]

    async def pause(self) -> None:
        for number in range(MOST_HARD_BOUNCES):
            mailbox = Mailbox.parse(f"somebody{number}@example.org")
            record = await self.house.sent(f"e-{number}", mailbox=mailbox)
            await self.house.bounce(record.bounce_token, recipient=mailbox)


@pytest.fixture
def desk(store: Store) -> Desk:
    return Desk(House(store))


async def test_a_cleared_address_may_be_minted_again(desk: Desk) -> None:
    record = await desk.house.sent()
    await desk.house.bounce(record.bounce_token)

    (cleared,) = await desk.desk.clear(ANNA, OPERATOR)

    assert cleared.enrolment_id == "enrolment-1"
    context = await SqlDirectoryReader(desk.house.database).mint_context(ANNA.key, a_gateway())
    assert context is not None
    assert (context.bounced, context.revoked) == (False, False)
    (event,) = await desk.events()
    assert (event.kind, event.actor) == (AuditKind.BOUNCE_CLEARED, OPERATOR)
    assert event.detail == {"serial": f"{cleared.serial:x}", "revoked": "superseded"}


async def test_an_expired_one_is_cleared_too(desk: Desk) -> None:
    record = await desk.house.sent()
    await desk.house.bounce(record.bounce_token)
    desk.house.clock.advance(timedelta(days=3650))

    assert len(await desk.desk.clear(ANNA, OPERATOR)) == 1


async def test_the_recipients_own_certificate_stays(desk: Desk) -> None:
    record = await desk.house.sent()
    await desk.house.bounce(record.bounce_token)
    await import_certificate(desk.house.database)
    await desk.desk.clear(ANNA, OPERATOR)

    assert await desk.house.is_served()


async def test_what_did_not_come_back_is_not_cleared(desk: Desk) -> None:
    await desk.house.sent()

    with pytest.raises(Unknown):
        await desk.desk.clear(ANNA, OPERATOR)
    assert await desk.house.is_served()


async def test_a_paused_domain_is_listed_until_its_pause_is_over(desk: Desk) -> None:
    await desk.pause()

    (paused,) = await desk.desk.paused_domains()
    assert (paused.domain, paused.slug, paused.until - paused.paused_at) == ("example.org", "hospital", PAUSE)
    desk.house.clock.advance(PAUSE)
    assert await desk.desk.paused_domains() == []


async def test_a_resumed_domain_is_paused_again_when_more_come_back(desk: Desk) -> None:
    await desk.pause()
    await desk.desk.resume("example.org", OPERATOR)
    assert await desk.desk.paused_domains() == []
    assert [event.kind for event in await desk.events()] == [AuditKind.DOMAIN_RESUMED]

    record = await desk.house.sent()
    await desk.house.bounce(record.bounce_token)
    assert len(await desk.desk.paused_domains()) == 1


async def test_what_is_not_paused_cannot_be_resumed(desk: Desk) -> None:
    with pytest.raises(Unknown):
        await desk.desk.resume("example.org", OPERATOR)
