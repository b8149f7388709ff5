"""Three nodes whose clocks differ by minutes, killed in the middle of it and started again: one whole log."""

import random
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from directory.audit import ChainedEvent
from directory.evidence.exporting import export_lines, signed_export_lines
from directory.evidence.keys import AuditKeys
from directory.evidence.lines import ExportStart
from directory.store.evidence import SqlAuditKeys, SqlEvidence
from tests.contracts.world import SEALER, Store
from tests.directory.clocks import StoppedClock
from tests.directory.evidence.builders import NOW, a_notary, checked

NODES = {"node-1": "0", "node-2": "300", "node-3": "-300"}
LIVES = 2


@contextmanager
def alive(store: Store, node: str) -> Iterator[subprocess.Popen[str]]:
    """A node that is killed in the end."""
    command = [sys.executable, "-m", "tests.faults.auditing_node", store.url, node, NODES[node]]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:  # noqa: S603 - our own command
        try:
            yield process
        finally:
            process.kill()


def said_by(process: subprocess.Popen[str], lines: int) -> list[str]:
    """What it said before it was killed after so many lines."""
    assert process.stdout is not None
    said = [process.stdout.readline() for _ in range(lines)]
    process.kill()
    said += process.stdout.readlines()
    # Half a line is none: the process was killed while it wrote.
    return [line.rstrip("\n") for line in said if line.endswith("\n")]


async def test_they_merge_without_gap_or_double(store: Store) -> None:
    generator = random.Random(5)  # noqa: S311 - to vary, not to hide
    said: dict[str, list[str]] = {node: [] for node in NODES}
    for _ in range(LIVES):
        with alive(store, "node-1") as one, alive(store, "node-2") as two, alive(store, "node-3") as three:
            for node, process in (("node-1", one), ("node-2", two), ("node-3", three)):
                said[node] += said_by(process, generator.randint(8, 20))

    clock = StoppedClock(NOW)
    keys = AuditKeys(
        store=SqlAuditKeys(store.database, node="desk"), sealer=SEALER, clock=clock, actor="operator:olga"
    )
    evidence = SqlEvidence(store.database)
    ends = await a_notary(store.database, keys, clock, node="desk").sign()
    start = ExportStart(at=NOW, node=None, since=0)
    lines = [
        line.encode()
        async for line in signed_export_lines(
            export_lines(evidence, start, ends), await keys.signer(), clock.now()
        )
    ]

    (first, *_) = await keys.statements()
    assert checked(lines, first.public_key) == []
    for node, subjects in said.items():
        items = [item async for item in evidence.chain(node, after=0, last=ends[node])]
        events = [item for item in items if isinstance(item, ChainedEvent)]
        assert [event.sequence for event in events] == list(range(1, len(events) + 1))
        stored = [event.event.subject for event in events]
        assert len(set(stored)) == len(stored)
        assert set(subjects) <= set(stored)
        assert [subject for subject in stored if subject in set(subjects)] == subjects
