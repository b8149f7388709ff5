"""Somebody who can write to the database, or to the exported file, but has not the audit key.

He edits, deletes, inserts, swaps, cuts, and makes every hash fit again. Each mutant must be found by what
stands in the log itself and by the signed heads that left the host; the signature over the whole export is
left out of it, except where single octets of a finished export are changed.
"""

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any, TypeAlias

import pytest

from directory.audit import AuditKind, ChainedEvent, ChainHead
from directory.evidence.following import Flaw
from directory.evidence.lines import line_of
from directory.evidence.statements import AuditSigner, SignedHead
from tests.directory.evidence.builders import (
    NOW,
    Exported,
    a_chain,
    an_event,
    an_export,
    checked,
    continued,
    ended,
    head_of,
)

Item: TypeAlias = ChainedEvent | SignedHead
Mutation: TypeAlias = Callable[[list[Item], random.Random], list[Item]]

SIGNER = AuditSigner.generate()
ATTACKER = AuditSigner.generate()
NODES = ("node-1", "node-1/1", "node-2")
EXPORT = an_export(
    SIGNER, *(a_chain(node, length=40, start=100 * n) for n, node in enumerate(NODES)), every=8
)
KEPT = [line_of(item).encode() for item in EXPORT.items if isinstance(item, SignedHead)]
OF_THE_WHOLE = {Flaw.EXPORT_BEGINNING, Flaw.EXPORT_CHANGED, Flaw.EXPORT_UNFINISHED}

EDITS: Sequence[Mapping[str, Any]] = (
    {"kind": AuditKind.CERTIFICATE_REVOKED},
    {"at": NOW - timedelta(microseconds=1)},
    {"actor": "gateway:other"},
    {"subject": "another"},
    {"organization_id": None},
    {"organization_id": "org-2"},
    {"detail": {}},
    {"detail": {"serial": "0", "asked_as": "gateway:gw"}},
    {"detail": {"serial": "1", "asked_as": "gateway:gw", "more": ""}},
)


def an_item(items: Sequence[Item], generator: random.Random, kind: type[Item]) -> int:
    return generator.choice([at for at, item in enumerate(items) if isinstance(item, kind)])


def event_at(items: Sequence[Item], at: int) -> ChainedEvent:
    event = items[at]
    assert isinstance(event, ChainedEvent)
    return event


def the_event_before(items: Sequence[Item], at: int) -> ChainHead:
    """Where the chain of the event stands before it."""
    node = event_at(items, at).node
    earlier = [one for one in items[:at] if isinstance(one, ChainedEvent) and one.node == node]
    return head_of(earlier[-1]) if earlier else ChainHead(node=node)


def rehashed(items: list[Item], node: str) -> list[Item]:
    """Chain a node's events anew, as they stand; the heads keep what was signed."""
    events = [item.event for item in items if isinstance(item, ChainedEvent) and item.node == node]
    anew = iter(continued(ChainHead(node=node), events))
    return [next(anew) if isinstance(item, ChainedEvent) and item.node == node else item for item in items]


def edit(items: list[Item], generator: random.Random) -> list[Item]:
    at = an_item(items, generator, ChainedEvent)
    event = event_at(items, at)
    items[at] = replace(event, event=replace(event.event, **generator.choice(EDITS)))
    return items


def edit_the_link(items: list[Item], generator: random.Random) -> list[Item]:
    at = an_item(items, generator, ChainedEvent)
    event = event_at(items, at)
    changes: Sequence[Mapping[str, Any]] = (
        {"sequence": event.sequence + generator.choice((-1, 1, 1000))},
        {"node": "node-3"},
        {"previous_hash": generator.randbytes(32)},
        {"hash": generator.randbytes(32)},
    )
    items[at] = replace(event, **generator.choice(changes))
    return items


def edit_with_its_hash(items: list[Item], generator: random.Random) -> list[Item]:
    at = an_item(items, generator, ChainedEvent)
    event = replace(event_at(items, at).event, **generator.choice(EDITS))
    (items[at],) = continued(the_event_before(items, at), [event])
    return items


def edit_and_rehash_the_tail(items: list[Item], generator: random.Random) -> list[Item]:
    at = an_item(items, generator, ChainedEvent)
    return rehashed(edit_only(items, at, generator), event_at(items, at).node)


def edit_only(items: list[Item], at: int, generator: random.Random) -> list[Item]:
    event = event_at(items, at)
    items[at] = replace(event, event=replace(event.event, **generator.choice(EDITS)))
    return items


def delete(items: list[Item], generator: random.Random) -> list[Item]:
    del items[an_item(items, generator, ChainedEvent)]
    return items


def delete_and_rehash_the_tail(items: list[Item], generator: random.Random) -> list[Item]:
    at = an_item(items, generator, ChainedEvent)
    node = event_at(items, at).node
    del items[at]
    return rehashed(items, node)


def delete_several(items: list[Item], generator: random.Random) -> list[Item]:
    at = an_item(items, generator, ChainedEvent)
    del items[at : at + generator.randint(2, 12)]
    return items


def swap(items: list[Item], generator: random.Random) -> list[Item]:
    one = an_item(items, generator, ChainedEvent)
    node = event_at(items, one).node
    others = [at for at, item in enumerate(items) if isinstance(item, ChainedEvent) and item.node == node]
    another = generator.choice([at for at in others if at != one])
    items[one], items[another] = items[another], items[one]
    return items


def swap_and_rehash(items: list[Item], generator: random.Random) -> list[Item]:
    at = an_item(items, generator, ChainedEvent)
    return rehashed(swap(items, generator), event_at(items, at).node)


def insert(items: list[Item], generator: random.Random) -> list[Item]:
    at = an_item(items, generator, ChainedEvent)
    (forged,) = continued(the_event_before(items, at), [an_event(generator.randrange(1000))])
    items.insert(at, generator.choice((forged, items[at])))
    return items


def insert_and_rehash_the_tail(items: list[Item], generator: random.Random) -> list[Item]:
    node = event_at(items, an_item(items, generator, ChainedEvent)).node
    return rehashed(insert(items, generator), node)


def truncate(items: list[Item], generator: random.Random) -> list[Item]:
    """Take a node's last events away, together with every head that tells of them."""
    node = generator.choice(NODES)
    last = generator.randrange(40)
    return [item for item in items if item.node != node or item.sequence <= last]


def fork(items: list[Item], generator: random.Random) -> list[Item]:
    """Tell another story from some event on, and leave every later head out."""
    node = generator.choice(NODES)
    since = generator.randrange(40)
    kept: list[Item] = [item for item in items if item.node != node or item.sequence <= since]
    same = [item for item in kept if isinstance(item, ChainedEvent) and item.node == node]
    start = head_of(same[-1]) if same else ChainHead(node=node)
    story = continued(start, (an_event(1000 + number) for number in range(60 - since)))
    return [*kept, *story]


def fork_with_heads_of_ones_own(items: list[Item], generator: random.Random) -> list[Item]:
    forked = fork(items, generator)
    event = forked[-1]
    assert isinstance(event, ChainedEvent)
    stranger = ATTACKER.head(head_of(event), NOW)
    pretended = replace(stranger, key_id=SIGNER.key_id)
    return [*forked, generator.choice((stranger, pretended))]


def replay_a_head_of_another_node(items: list[Item], generator: random.Random) -> list[Item]:
    at = an_item(items, generator, SignedHead)
    here = items[at]
    others = [one for one in items if isinstance(one, SignedHead) and one.node != here.node]
    other = generator.choice(others)
    items[at] = generator.choice((other, replace(other, node=here.node)))
    return items


def replay_an_older_head(items: list[Item], generator: random.Random) -> list[Item]:
    heads = [at for at, item in enumerate(items) if isinstance(item, SignedHead) and item.sequence > 8]
    at = generator.choice(heads)
    older = items[at - 9]
    assert isinstance(older, SignedHead)
    newer = items[at]
    items[at] = generator.choice((older, replace(older, sequence=newer.sequence, hash=newer.hash)))
    return items


def change_a_head(items: list[Item], generator: random.Random) -> list[Item]:
    at = an_item(items, generator, SignedHead)
    head = items[at]
    assert isinstance(head, SignedHead)
    changes: Sequence[Mapping[str, Any]] = (
        {"sequence": head.sequence + generator.choice((-1, 1))},
        {"hash": generator.randbytes(32)},
        {"at": head.at + timedelta(seconds=generator.choice((-1, 1)))},
        {"signature": generator.randbytes(64)},
        {"signature": head.signature[:-1]},
        {"key_id": ATTACKER.key_id},
        {"node": "node-9"},
    )
    items[at] = replace(head, **generator.choice(changes))
    return items


def without_a_node(items: list[Item], generator: random.Random) -> list[Item]:
    node = generator.choice(NODES)
    return [item for item in items if item.node != node]


MUTATIONS: Sequence[Mutation] = (
    edit,
    edit_the_link,
    edit_with_its_hash,
    edit_and_rehash_the_tail,
    delete,
    delete_and_rehash_the_tail,
    delete_several,
    swap,
    swap_and_rehash,
    insert,
    insert_and_rehash_the_tail,
    truncate,
    fork,
    fork_with_heads_of_ones_own,
    replay_a_head_of_another_node,
    replay_an_older_head,
    change_a_head,
    without_a_node,
)
FINISHED = ended(EXPORT.lines(), SIGNER)


@pytest.fixture
def mutants(request: pytest.FixtureRequest) -> int:
    """How many of each kind: 10,000 in all in a long run."""
    return 560 if request.config.getoption("--long") else 12


def flaws_in(items: Sequence[Item]) -> set[Flaw]:
    lines = Exported(statements=EXPORT.statements, items=items).lines()
    return {finding.flaw for finding in checked(lines, SIGNER.public_key, kept=KEPT)} - OF_THE_WHOLE


def test_what_nobody_touched_is_whole() -> None:
    assert checked(FINISHED, SIGNER.public_key, kept=KEPT) == []
    assert flaws_in(EXPORT.items) == set()


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.__name__)
def test_every_mutant_is_found(mutation: Mutation, mutants: int) -> None:
    missed = []
    for seed in range(mutants):
        items = mutation(list(EXPORT.items), random.Random(f"{mutation.__name__} {seed}"))  # noqa: S311 - to vary, not to hide
        if items != list(EXPORT.items) and not flaws_in(items):
            missed.append(seed)

    assert missed == []


def change_an_octet(lines: list[bytes], generator: random.Random) -> list[bytes]:
    at = generator.randrange(len(lines))
    position = generator.randrange(len(lines[at]))
    other = generator.randrange(1, 256)
    line = bytearray(lines[at])
    line[position] ^= other
    lines[at] = bytes(line)
    return b"".join(lines).splitlines(keepends=True)


def drop_a_line(lines: list[bytes], generator: random.Random) -> list[bytes]:
    del lines[generator.randrange(len(lines))]
    return lines


def double_a_line(lines: list[bytes], generator: random.Random) -> list[bytes]:
    at = generator.randrange(len(lines))
    lines.insert(generator.randrange(len(lines)), lines[at])
    return lines


def swap_lines(lines: list[bytes], generator: random.Random) -> list[bytes]:
    one, another = generator.sample(range(len(lines)), 2)
    lines[one], lines[another] = lines[another], lines[one]
    return lines


def cut_the_file(lines: list[bytes], generator: random.Random) -> list[bytes]:
    content = b"".join(lines)
    return content[: generator.randrange(len(content))].splitlines(keepends=True)


def write_a_line_differently(lines: list[bytes], generator: random.Random) -> list[bytes]:
    at = generator.randrange(len(lines))
    ways: Sequence[Callable[[bytes], bytes]] = (
        lambda line: line.replace(b'":', b'": '),
        lambda line: line.replace(b"\n", b"\r\n"),
        lambda line: line.replace(b"\n", b" \n"),
        lambda line: line.upper(),
        lambda line: line.replace(b'{"type"', b'{"actor":"x","type"'),
        lambda line: line.replace(b"+00:00", b"Z").replace(b"a", b"\\u0061"),
    )
    lines[at] = generator.choice(ways)(lines[at])
    return lines


FILE_MUTATIONS = (
    change_an_octet,
    drop_a_line,
    double_a_line,
    swap_lines,
    cut_the_file,
    write_a_line_differently,
)


@pytest.mark.parametrize("mutation", FILE_MUTATIONS, ids=lambda mutation: mutation.__name__)
def test_a_finished_export_cannot_be_changed_in_one_octet(
    mutation: Callable[[list[bytes], random.Random], list[bytes]], mutants: int
) -> None:
    missed = []
    for seed in range(4 * mutants):
        lines = mutation(list(FINISHED), random.Random(f"{mutation.__name__} {seed}"))  # noqa: S311 - to vary, not to hide
        if b"".join(lines) != b"".join(FINISHED) and not checked(lines, SIGNER.public_key):
            missed.append(seed)

    assert missed == []


def test_a_log_that_somebody_else_has_signed_throughout_is_found() -> None:
    forged = an_export(ATTACKER, a_chain("node-1"))

    found = {finding.flaw for finding in checked(ended(forged.lines(), ATTACKER), SIGNER.public_key)}

    assert Flaw.KEY_UNKNOWN in found


def test_a_successor_that_the_key_has_not_signed_is_not_trusted() -> None:
    pretended = replace(
        ATTACKER.beginning(NOW), number=2, predecessor_id=SIGNER.key_id, predecessors_signature=b"\0" * 64
    )
    forged = an_export(ATTACKER, a_chain("node-1"))
    exported = Exported(statements=[SIGNER.beginning(NOW), pretended], items=forged.items)

    found = {finding.flaw for finding in checked(ended(exported.lines(), ATTACKER), SIGNER.public_key)}

    assert {Flaw.KEY_UNPROVEN, Flaw.KEY_UNKNOWN} <= found


def test_the_place_of_an_edit_is_told() -> None:
    items = list(EXPORT.items)
    at = [n for n, item in enumerate(items) if item.node == "node-2" and isinstance(item, ChainedEvent)][12]
    items[at] = replace(event_at(items, at), event=an_event(1))

    findings = [
        finding
        for finding in checked(Exported(statements=EXPORT.statements, items=items).lines(), SIGNER.public_key)
        if finding.flaw not in OF_THE_WHOLE
    ]

    assert [(one.flaw, one.node, one.sequence, one.line) for one in findings] == [
        (Flaw.CHANGED, "node-2", 13, at + 3)
    ]
