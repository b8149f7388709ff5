import random
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from directory.audit import AuditEvent, AuditKind, ChainedEvent, ChainHead, chain
from tests.chains import broken_links

NOW = datetime(2026, 11, 22, 9, 30, tzinfo=UTC)


def event(number: int) -> AuditEvent:
    return AuditEvent(
        kind=AuditKind.CERTIFICATE_MINTED,
        at=NOW + timedelta(seconds=number),
        actor="gateway:gw",
        subject=f"enrolment-{number}",
        organization_id="o",
        detail={"serial": f"{number:x}"},
    )


def chain_of(length: int) -> tuple[list[ChainedEvent], ChainHead]:
    head = ChainHead(node="node-1")
    events = []
    for number in range(length):
        chained = chain(head, event(number))
        events.append(chained)
        head = ChainHead(node="node-1", sequence=chained.sequence, hash=chained.hash)
    return events, head


def test_an_untouched_chain_is_whole() -> None:
    assert broken_links(*chain_of(50)) == []


def test_an_empty_chain_is_whole() -> None:
    assert broken_links([], ChainHead(node="node-1")) == []


@pytest.mark.parametrize("position", [0, 7, 19])
@pytest.mark.parametrize(
    "change",
    [
        {"kind": AuditKind.CERTIFICATE_REVOKED},
        {"at": NOW - timedelta(microseconds=1)},
        {"actor": "gateway:other"},
        {"subject": "another"},
        {"organization_id": None},
        {"detail": {}},
        {"detail": {"serial": "0", "more": "x"}},
    ],
)
def test_every_edit_of_an_event_is_found(position: int, change: dict[str, object]) -> None:
    events, head = chain_of(20)
    events[position] = replace(events[position], event=replace(events[position].event, **change))  # type: ignore[arg-type] # the values fit the fields they name

    assert broken_links(events, head)


def test_an_event_edited_together_with_its_hash_is_found_at_the_next() -> None:
    events, head = chain_of(5)
    forged = chain(ChainHead(node="node-1", sequence=1, hash=events[0].hash), event(99))
    events[1] = forged

    assert broken_links(events, head) == ["audit chain node-1 event 3: does not continue the event before it"]


@pytest.mark.parametrize("position", [0, 5, 19])
def test_a_deletion_is_found(position: int) -> None:
    events, head = chain_of(20)
    del events[position]

    assert broken_links(events, head)


@pytest.mark.parametrize("cut", [1, 5, 20])
def test_a_cut_tail_is_found(cut: int) -> None:
    events, head = chain_of(20)

    assert broken_links(events[: 20 - cut], head)


def test_an_insertion_is_found() -> None:
    events, head = chain_of(5)
    events.insert(2, replace(events[2], event=event(77)))

    assert broken_links(events, head)


def test_every_change_of_order_is_found() -> None:
    whole, head = chain_of(8)
    generator = random.Random(7)  # noqa: S311 - an order to test, not a secret
    for _ in range(100):
        shuffled = generator.sample(whole, len(whole))
        assert (broken_links(shuffled, head) == []) is (shuffled == whole)


def test_another_nodes_chain_cannot_stand_in() -> None:
    events, head = chain_of(3)
    moved = [replace(one, node="node-2") for one in events]

    assert broken_links(moved, replace(head, node="node-2"))
