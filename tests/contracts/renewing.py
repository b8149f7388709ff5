"""A certificate that ends in a month, and its renewal: what both databases must make of the two."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from sqlalchemy import select

from ca.address import Mailbox
from ca.keypackage import KeyPackageFormat
from directory.limits import Limit
from directory.links import LinkPurpose
from directory.lookup import PublishedCertificate
from directory.mint_ports import EnrolmentRecord, Renewed, Reservation
from directory.overtaking import DueSwitches
from directory.proof import ProofAnswer, ProofDesk
from directory.status import Place
from directory.store.database import Database
from directory.store.lookup import SqlDirectoryReader
from directory.store.overtaking import SqlOvertaking
from directory.store.proofs import SqlProofStore
from directory.store.tables import enrolments
from tests.contracts.following import a_link, deliver_key
from tests.contracts.world import ANNA, NOW, YEAR, Store, a_reservation, mint
from tests.directory.builders import a_gateway
from tests.directory.clocks import StoppedClock

DAY = timedelta(days=1)
OLD, NEW = "enrolment-1", "a-renewal"
"""The renewal's name sorts before the other: whoever goes by names instead of age is found out."""
ENDS = NOW + YEAR
RENEWS = ENDS - 30 * DAY
LEADS = ENDS - 3 * DAY


def a_renewal(
    enrolment_id: str = NEW,
    *,
    of: str = OLD,
    mailbox: Mailbox = ANNA,
    at: datetime = RENEWS,
    leads_until: datetime = LEADS,
    limits: tuple[Limit, ...] = (),
) -> Reservation:
    renewed = Renewed(
        enrolment_id=of,
        ends_at=ENDS,
        leads_until=leads_until,
        package_format=KeyPackageFormat.COMPATIBLE,
    )
    reservation = a_reservation(enrolment_id, mailbox=mailbox, minted_at=at, limits=limits)
    return replace(reservation, renews=renewed)


async def renew(database: Database, reservation: Reservation | None = None) -> EnrolmentRecord:
    return await mint(database, reservation or a_renewal())


async def renewed(database: Database) -> None:
    """Mint for Anna, have her key mail accepted, and renew her certificate when it is time."""
    await deliver_key(database)
    await renew(database)


async def prove(database: Database, enrolment_id: str = NEW, *, at: datetime = RENEWS) -> ProofAnswer:
    link = await a_link(database, LinkPurpose.PROOF, enrolment_id=enrolment_id, expires_at=ENDS + YEAR)
    desk = ProofDesk(store=SqlProofStore(database, node="node-1"), clock=StoppedClock(at))
    return await desk.prove(link)


async def record_switches(database: Database, at: datetime) -> int:
    return await DueSwitches(store=SqlOvertaking(database, node="node-1")).perform(at)


async def live(database: Database, at: datetime) -> Sequence[PublishedCertificate]:
    return await SqlDirectoryReader(database).live_certificates(ANNA.key, a_gateway(), at)


async def served(database: Database, at: datetime) -> list[str]:
    """Return of which enrolments the certificates are that are served, in order."""
    return [found.der.decode().removeprefix("certificate of ") for found in await live(database, at)]


async def places(store: Store) -> dict[str, Place | None]:
    """Return where each enrolment stands; None for those that have ended."""
    query = select(enrolments.c.id, enrolments.c.live, enrolments.c.place)
    return {name: Place(place) if is_live else None for name, is_live, place in await store.select(query)}
