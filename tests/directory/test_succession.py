"""Whoever cannot certify for much longer is named, and followed in time."""

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from directory.errors import ConfigurationRefused, StoreUnavailable
from directory.hierarchy import Hierarchy, StoredIssuer
from directory.succession import Succession, certifies_until, without_successor
from directory.timekeeping import Doubt, never_doubted
from tests.contracts.world import NOW
from tests.directory.clocks import StoppedClock
from tests.directory.test_hierarchy import issuing

DAY = timedelta(days=1)
VALIDITY = timedelta(days=730)
OLD = replace(issuing("old", NOW - DAY), not_after=NOW + VALIDITY + 20 * DAY)
END = certifies_until(OLD, VALIDITY)


def named(*issuers: StoredIssuer, now: datetime = NOW) -> list[str]:
    return [one.issuer_id for one in without_successor(Hierarchy(issuers=issuers), VALIDITY, now)]


def test_whoever_ends_soon_without_a_successor_is_named() -> None:
    assert named(OLD) == ["old"]
    assert named(OLD, now=NOW - 11 * DAY) == []
    assert named(replace(OLD, active_from=NOW - 99 * DAY), now=NOW - 10 * DAY + timedelta(seconds=1)) == [
        "old"
    ]


@pytest.mark.parametrize(
    ("successor", "expected"),
    [
        (issuing("next", END - DAY), []),
        (issuing("next", END), []),
        (issuing("next", END + DAY), ["old"]),
        (issuing("next", None), ["old"]),
        (replace(issuing("next", END - DAY), not_after=OLD.not_after), ["old"]),
        (replace(issuing("next", END - DAY), revoked_at=NOW), ["old"]),
        (issuing("next", END - DAY, organization="clinic"), ["old"]),
    ],
)
def test_a_successor_is_one_who_certifies_in_time_and_for_longer(
    successor: StoredIssuer, expected: Sequence[str]
) -> None:
    assert named(OLD, successor) == expected


class Workshop:
    """Makes successors, or fails."""

    def __init__(self, *issuers: StoredIssuer, error: Exception | None = None) -> None:
        self.issuers = list(issuers)
        self.error = error
        self.made: list[tuple[str, datetime]] = []
        self.asked = asyncio.Event()
        self.has_made = asyncio.Event()

    async def hierarchy(self) -> Hierarchy:
        self.asked.set()
        return Hierarchy(issuers=tuple(self.issuers))

    async def succeed(self, former: StoredIssuer, active_from: datetime) -> StoredIssuer | None:
        if self.error is not None:
            raise self.error
        self.made.append((former.issuer_id, active_from))
        successor = issuing("next", active_from, organization=former.organization_id)
        self.issuers.append(successor)
        self.has_made.set()
        return successor


def a_succession(workshop: Workshop, doubt: Doubt = never_doubted) -> Succession:
    return Succession(
        workshop=workshop,
        validity=VALIDITY,
        before=60 * DAY,
        doubt=doubt,
        clock=StoppedClock(NOW),
        uniform=lambda _low, _high: 0.0,
    )


async def test_a_successor_is_made_once_and_takes_over_a_day_before_the_last_moment() -> None:
    workshop = Workshop(OLD)
    succession = a_succession(workshop)

    await succession.look()
    await succession.look()

    assert workshop.made == [("old", END - DAY)]


async def test_whoever_is_late_takes_over_at_once() -> None:
    workshop = Workshop(replace(OLD, not_after=NOW + VALIDITY - DAY))

    await a_succession(workshop).look()

    assert workshop.made == [("old", NOW)]


async def test_one_of_an_organization_is_followed_as_well() -> None:
    workshop = Workshop(replace(OLD, organization_id="clinic"))

    await a_succession(workshop).look()

    assert workshop.issuers[-1].organization_id == "clinic"


async def test_nothing_is_made_by_a_clock_in_doubt() -> None:
    workshop = Workshop(OLD)

    await a_succession(workshop, doubt=lambda: "it was set back").look()

    assert workshop.made == []


async def test_a_root_that_is_off_line_is_said_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    workshop = Workshop(OLD, error=ConfigurationRefused(key="--root", reason="no root"))

    with caplog.at_level(logging.ERROR):
        await a_succession(workshop).look()

    assert "issuer old gets no successor" in caplog.text


async def test_it_looks_again_after_a_failure() -> None:
    workshop = Workshop(OLD, error=StoreUnavailable(reason="gone"))
    succession = a_succession(workshop)
    task = asyncio.create_task(succession.run())
    async with asyncio.timeout(60):
        await workshop.asked.wait()
        workshop.error = None
        await workshop.has_made.wait()

    succession.stop()
    await task
