from dataclasses import replace
from pathlib import Path

from ca.address import Mailbox
from directory.delivery.carriers import Carriers
from directory.delivery.replies import Accepted, Outcome
from directory.delivery.settings import DeliverySettings
from directory.delivery.smarthosts import SmartHosts
from directory.delivery.smtp import SmtpSession
from directory.organization import Organization
from tests.directory.clocks import StoppedClock
from tests.directory.delivery.builders import a_sealer
from tests.directory.delivery.exchanges.servers import an_exchanger
from tests.directory.delivery.exchanges.world import World, a_world, an_envelope
from tests.directory.delivery.sink import smtp_sink
from tests.directory.delivery.working import an_organization_at


async def send(world: World, organization: Organization) -> Outcome:
    hosts = SmartHosts(sealer=a_sealer(), clock=StoppedClock(), settings=DeliverySettings())
    carriers = Carriers(smart_hosts=hosts, exchanges=world.exchanges)
    async with carriers.session(organization, Mailbox.parse("anna@example.org")) as session:
        assert isinstance(session, SmtpSession)
        outcome = await session.submit(an_envelope())
    await carriers.close()
    return outcome


async def test_mail_goes_to_the_smart_host_if_there_is_one_and_else_to_the_exchanger(tmp_path: Path) -> None:
    exchanger = an_exchanger("mx1.example.org")
    async with smtp_sink() as smart_host, a_world(tmp_path, exchanger) as world:
        organization = an_organization_at(smart_host.smart_host())
        assert isinstance(await send(world, organization), Accepted)
        assert (len(smart_host.accepted), len(exchanger.accepted)) == (1, 0)
        assert isinstance(await send(world, replace(organization, smart_host=None)), Accepted)
        assert (len(smart_host.accepted), len(exchanger.accepted)) == (1, 1)
