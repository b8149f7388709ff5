"""Organizations that have somebody bombed with mail: many of them, many spellings, and still three mails.

The recipient is one person, who reads `v.i.c.t.i.m@`, `victim+1@` and `VICTIM@` in one mailbox.
"""

import asyncio
import contextlib
from collections.abc import Iterator
from datetime import datetime

import pytest

from ca.address import Mailbox
from directory.callers import Gateway
from directory.errors import ResendRefused
from directory.followup import FollowUpRules, ProofRequests, Reminders
from directory.limits import MintRates
from directory.lookup import Minted
from directory.mailbudget import MOST_KEY_MAILS
from directory.organization import Organization
from directory.policy import MintContext
from directory.resending import KeyMailResender
from directory.store.followups import SqlFollowUps
from directory.store.resends import SqlResendStore
from tests.builders import Authority
from tests.contracts.following import deliver
from tests.contracts.world import NOW, Store, add_organization
from tests.directory.builders import an_organization
from tests.directory.clocks import StoppedClock
from tests.directory.minting import DAY, HOUR, ReadyKeys, an_enroller, found_authority, rates, rules
from tests.distinctkeys import distinct_keys

ORGANIZATIONS = 50
LIMITS: MintRates = rates(recipient_day=3)


def spellings() -> Iterator[Mailbox]:
    """Yield the victim's address in ever new ways, to no end."""
    number = 0
    while True:
        number += 1
        for local_part in (f"victim+{number}", "v.i.c.t.i.m", "VICTIM", f"vic.tim+{number}", "Victim"):
            yield Mailbox(local_part=local_part, domain="example.org")


async def organizations(store: Store) -> list[tuple[Organization, Gateway]]:
    found = []
    for number in range(ORGANIZATIONS):
        organization = an_organization(
            organization_id=f"org-{number + 2}",
            slug=f"clinic-{number}",
            domains=frozenset({f"clinic-{number}.example.net"}),
            isolated=True,
        )
        found.append((organization, await add_organization(store.database, organization)))
    return found


async def attack(
    store: Store,
    authority: Authority,
    attackers: list[tuple[Organization, Gateway]],
    now: datetime,
) -> list[str]:
    """Have every attacker mint under a spelling of his own; return the enrolments."""
    enroller = an_enroller(
        store.database,
        authority,
        ReadyKeys(distinct_keys(ORGANIZATIONS)),
        clock=StoppedClock(now),
        mint_rules=rules(LIMITS),
    )
    answers = await asyncio.gather(
        *(
            enroller.mint(mailbox, MintContext(gateway=gateway, organization=organization))
            for (organization, gateway), mailbox in zip(attackers, spellings(), strict=False)
        )
    )
    return [answer.enrolment_id for answer in answers if isinstance(answer, Minted)]


async def press_every_button(store: Store, enrolments: list[str], now: datetime) -> int:
    """Ask again for every key mail, and let the service do whatever it does by itself; return how many."""
    queued = 0
    resender = KeyMailResender(
        store=SqlResendStore(store.database, node="node-1"), clock=StoppedClock(now), lifetime=5 * DAY
    )
    for enrolment_id in enrolments:
        with contextlib.suppress(ResendRefused):
            await resender.resend(enrolment_id, None, "agent:accomplice")
            queued += 1
    follow_ups, periods = SqlFollowUps(store.database, node="node-1"), FollowUpRules()
    queued += await ProofRequests(store=follow_ups, rules=periods).perform(now)
    return queued + await Reminders(store=follow_ups, rules=periods).perform(now)


@pytest.fixture(autouse=True)
async def _issuers(store: Store, authority: Authority) -> None:
    await found_authority(store, authority)


async def test_fifty_organizations_and_fifty_spellings_make_three_mails_a_day(
    store: Store, authority: Authority
) -> None:
    attackers = await organizations(store)

    enrolments = await attack(store, authority, attackers, NOW)
    mails = await deliver(store.database, NOW)
    for hour in range(1, 6):
        await press_every_button(store, enrolments, NOW + hour * HOUR)
        mails += await deliver(store.database, NOW + hour * HOUR)

    assert len(enrolments) == MOST_KEY_MAILS
    assert len(mails) == MOST_KEY_MAILS
    assert {mail.recipient.base_key for mail in mails} == {"victim@example.org"}


async def test_who_got_one_key_gets_three_mails_a_week_however_often_they_are_asked_for(
    store: Store, authority: Authority
) -> None:
    attackers = await organizations(store)
    enrolments = await attack(store, authority, attackers[:1], NOW)

    delivered = await deliver(store.database, NOW)
    for hour in range(0, 7 * 24, 6):
        now = NOW + hour * HOUR
        await press_every_button(store, enrolments, now)
        delivered += await deliver(store.database, now)

    assert len(delivered) == MOST_KEY_MAILS


async def test_of_many_who_press_the_button_at_once_nobody_gets_beyond_the_budget(
    store: Store, authority: Authority
) -> None:
    attackers = await organizations(store)
    enrolments = await attack(store, authority, attackers[:2], NOW)
    delivered = await deliver(store.database, NOW)
    before = len(delivered)

    await asyncio.gather(*(press_every_button(store, enrolments, NOW + HOUR) for _ in range(16)))
    delivered += await deliver(store.database, NOW + HOUR)

    assert before <= len(delivered) <= MOST_KEY_MAILS
