"""Refusals are on record, however many there are, and cannot fill the log."""

import asyncio
from datetime import timedelta

import pytest

from directory.audit import AuditEvent, AuditKind
from directory.errors import StoreUnavailable
from directory.evidence.tallies import AccessWatch, Noted, Tally, peer_network
from tests.directory.clocks import StoppedClock

MINUTE = timedelta(minutes=1)


class Log:
    """The audit log in memory; fails while told to."""

    def __init__(self) -> None:
        self.events: list[AuditEvent] = []
        self.is_away = False

    async def append(self, *events: AuditEvent) -> None:
        if self.is_away:
            raise StoreUnavailable(reason="away")
        self.events += events


def a_refusal(gateway: str = "gw") -> Noted:
    return Noted(
        kind=AuditKind.MINT_REFUSED,
        actor=f"gateway:{gateway}",
        subject="refusal:limit.reached",
        organization_id="org-1",
    )


def a_tally(log: Log, clock: StoppedClock, *, most: int = 8) -> Tally:
    return Tally(log=log, clock=clock, period=MINUTE, most=most)


async def test_many_of_one_kind_are_one_event_with_their_number_and_time() -> None:
    log, clock = Log(), StoppedClock()
    tally = a_tally(log, clock)
    first = clock.now()
    for _ in range(1000):
        tally.note(a_refusal())
        clock.advance(timedelta(milliseconds=10))

    await tally.write()

    (event,) = log.events
    assert (event.kind, event.actor, event.organization_id) == (
        AuditKind.MINT_REFUSED,
        "gateway:gw",
        "org-1",
    )
    assert event.detail["times"] == "1000"
    assert event.detail["first"] == first.isoformat(timespec="microseconds")
    assert event.detail["last"] > event.detail["first"]


async def test_a_flood_of_different_ones_is_bounded_and_still_counted() -> None:
    log = Log()
    tally = a_tally(log, StoppedClock(), most=8)
    for number in range(10_000):
        tally.note(a_refusal(f"gw-{number}"))

    await tally.write()

    assert len(log.events) == 9
    assert sum(int(event.detail["times"]) for event in log.events) == 10_000
    assert [event.detail["times"] for event in log.events if event.actor == "others"] == ["9992"]


async def test_nothing_is_written_when_nothing_has_happened() -> None:
    log = Log()
    tally = a_tally(log, StoppedClock())
    tally.note(a_refusal())
    await tally.write()
    await tally.write()

    assert len(log.events) == 1


async def test_what_could_not_be_written_is_counted_still(caplog: pytest.LogCaptureFixture) -> None:
    log = Log()
    tally = a_tally(log, StoppedClock())
    tally.note(a_refusal())
    log.is_away = True
    await tally.write()
    tally.note(a_refusal())
    tally.note(a_refusal("other"))
    log.is_away = False

    await tally.write()

    assert "refusals are not on record yet" in caplog.text
    assert {(event.actor, event.detail["times"]) for event in log.events} == {
        ("gateway:gw", "2"),
        ("gateway:other", "1"),
    }


async def test_the_last_ones_are_written_at_the_stop() -> None:
    log, stopped = Log(), asyncio.Event()
    tally = a_tally(log, StoppedClock())
    running = asyncio.create_task(tally.run(stopped))
    await asyncio.sleep(0)
    tally.note(a_refusal())
    stopped.set()
    await running

    assert len(log.events) == 1


async def test_entries_and_failures_tell_who_and_whence() -> None:
    log = Log()
    tally = a_tally(log, StoppedClock())
    watch = AccessWatch(note_entry=tally.note, note_failure=tally.note)
    watch.entered("gateway:gw", "org-1")
    watch.failed("192.0.2.7", "ldap")
    watch.failed("2001:db8:1:2:3:4:5:6", "http")
    watch.failed("2001:db8:1:2::1", "http")
    await tally.write()

    assert [(e.kind, e.actor, e.subject, e.detail["times"]) for e in log.events] == [
        (AuditKind.CALLER_AUTHENTICATED, "gateway:gw", "gateway:gw", "1"),
        (AuditKind.AUTHENTICATION_FAILED, "peer:192.0.2.7", "front_end:ldap", "1"),
        (AuditKind.AUTHENTICATION_FAILED, "peer:2001:db8:1:2::/64", "front_end:http", "2"),
    ]


@pytest.mark.parametrize(
    ("peer", "network"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("fe80::1%eth0", "fe80::/64"),
        ("2001:db8::1", "2001:db8::/64"),
        ("\x1b[31m", "unknown"),
        (None, "unknown"),
    ],
)
def test_peers_are_told_by_what_one_customer_has(peer: str | None, network: str) -> None:
    assert peer_network(peer) == network
