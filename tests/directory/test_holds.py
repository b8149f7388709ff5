"""When traces are erased: once for all that was destroyed, and until it was done."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta

import pytest

from directory.audit import AuditEvent
from directory.errors import StoreUnavailable
from directory.followup import AffectedEnrolment, EventOf
from directory.holds import DestructionEvent, EndedHold, EndOfHolds, HoldEnd, NotEscrowed, key_destroyed
from tests.contracts.world import NOW

GRACE = timedelta(days=3)


@dataclass
class Safe:
    """Holds so many keys and passwords that are due."""

    keys: int = 0
    escrows: int = 0
    passwords: int = 0
    is_in_use: bool = False
    erased: int = 0
    ended_before: datetime | None = None
    events: list[AuditEvent] = field(default_factory=list)

    async def destroy_keys(
        self, *, now: datetime, ended_before: datetime, event_of: DestructionEvent, most: int
    ) -> int:
        assert now == NOW
        self.ended_before = ended_before
        batch, self.keys = min(self.keys, most), max(self.keys - most, 0)
        ended = EndedHold(enrolment_id="enrolment-1", organization_id="o", serial="f", because=HoldEnd.OVER)
        self.events += [event_of(ended)] * batch
        return batch

    async def destroy_passwords(self, *, now: datetime, event_of: EventOf, most: int) -> int:
        assert now == NOW
        batch, self.passwords = min(self.passwords, most), max(self.passwords - most, 0)
        self.events += [event_of(AffectedEnrolment(enrolment_id="enrolment-1", organization_id="o"))] * batch
        return batch

    async def erase_traces(self) -> None:
        if self.is_in_use:
            raise StoreUnavailable(reason="the log is in use")
        self.erased += 1


@dataclass
class Desk:
    """Escrows what the safe has to be escrowed."""

    safe: Safe

    async def perform(self, now: datetime) -> int:
        assert now == NOW
        batch, self.safe.escrows = min(self.safe.escrows, 2), max(self.safe.escrows - 2, 0)
        return batch


def end_of_holds(safe: Safe) -> EndOfHolds:
    return EndOfHolds(store=safe, escrowing=Desk(safe), traces=safe, grace=GRACE, most=2)


async def test_traces_are_erased_when_the_last_batch_is_done() -> None:
    safe = Safe(keys=3, passwords=5)
    chore = end_of_holds(safe)

    batches = [(await chore.perform(NOW), safe.erased) for _ in range(7)]

    assert batches == [(2, 0), (1, 0), (2, 0), (2, 0), (1, 0), (0, 1), (0, 1)]
    assert safe.ended_before == NOW - GRACE


async def test_what_was_escrowed_leaves_traces_too() -> None:
    safe = Safe(escrows=3, keys=1)
    chore = end_of_holds(safe)

    assert [(await chore.perform(NOW), safe.erased) for _ in range(4)] == [(2, 0), (1, 0), (1, 0), (0, 1)]


async def test_where_nothing_was_destroyed_there_are_no_traces() -> None:
    safe = Safe()

    assert await end_of_holds(safe).perform(NOW) == 0
    assert safe.erased == 0


async def test_traces_that_could_not_be_erased_are_erased_next_time() -> None:
    safe = Safe(keys=1, is_in_use=True)
    chore = end_of_holds(safe)
    await chore.perform(NOW)

    with pytest.raises(StoreUnavailable):
        await chore.perform(NOW)
    safe.is_in_use = False

    assert await chore.perform(NOW) == 0
    assert safe.erased == 1


def test_a_record_says_why_a_key_was_destroyed_that_was_not_to_be() -> None:
    ended = EndedHold(
        enrolment_id="e",
        organization_id="o",
        serial="f",
        because=HoldEnd.OVER,
        not_escrowed=NotEscrowed.SIGNING_KEY,
    )
    assert key_destroyed(ended, NOW).detail["not_escrowed"] == "signing_key"


async def test_the_records_name_the_enrolment_and_why() -> None:
    safe = Safe(keys=1, passwords=1)
    while await end_of_holds(safe).perform(NOW):
        pass

    assert [(event.kind.value, event.subject, dict(event.detail)) for event in safe.events] == [
        ("key.destroyed", "enrolment-1", {"serial": "f", "because": "hold_over"}),
        ("password.destroyed", "enrolment-1", {}),
    ]
