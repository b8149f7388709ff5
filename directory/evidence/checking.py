"""Is an exported audit log whole? Reads its lines once, in order; needs nothing but a public key.

Keeps one place per node, however long the log is. Heads that are kept elsewhere are held in memory: some
hundred octets each, of which a node signs one in half a minute while it is busy.
"""

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from enum import Enum
from typing import BinaryIO

from directory.audit import ChainHead
from directory.evidence.following import ChainCheck, Finding, Flaw, Link
from directory.evidence.lines import LONGEST_LINE, ExportStart, LineUnreadable, read_line
from directory.evidence.statements import ExportEnd, KeyStatement, SignedHead
from directory.evidence.trust import Standing, TrustedKeys

_KEY_START = b'{"type":"key",'


class Origin(Enum):
    """Where lines come from."""

    EXPORT = "export"
    """A file: it must end with its signature, and each chain with a signed head."""
    STORE = "store"
    """The database of a service that may be running: its last events are not signed yet."""


def lines_of(file: BinaryIO) -> Iterator[bytes]:
    """Yield the lines of a file, none longer than any of ours."""
    while line := file.readline(LONGEST_LINE + 1):
        yield line


def announced_keys(lines: Iterable[bytes]) -> Iterator[KeyStatement]:
    """Yield the keys that lines speak of, so that they can be known before the first signature."""
    for line in lines:
        if line.startswith(_KEY_START):
            with suppress(LineUnreadable):
                value = read_line(line)
                if isinstance(value, KeyStatement):
                    yield value


class KeptHeads:
    """Signed heads that left the host in time, as in `[audit] heads_file`."""

    def __init__(self, trusted: TrustedKeys) -> None:
        self._trusted = trusted
        self._hashes: dict[str, dict[int, bytes]] = {}

    @property
    def nodes(self) -> Iterable[str]:
        """Of which nodes there are heads."""
        return self._hashes

    def of(self, node: str) -> Mapping[int, bytes]:
        """Return the hashes of a node's chain, by sequence."""
        return self._hashes.get(node, {})

    def read(self, lines: Iterable[bytes]) -> Iterator[Finding]:
        """Take heads and keys in; yield what is wrong with them. Their order is of no importance."""
        for number, line in enumerate(lines, start=1):
            for finding in self._take(line):
                yield replace(finding, line=number, reason=f"of the heads kept elsewhere: {finding.reason}")

    def _take(self, line: bytes) -> list[Finding]:
        try:
            value = read_line(line)
        except LineUnreadable:
            return [Finding(flaw=Flaw.UNREADABLE, reason="is not a line of ours")]
        match value:
            case KeyStatement():
                return learned(self._trusted, value)
            case SignedHead():
                return self._keep(value)
            case _:
                return [Finding(flaw=Flaw.UNREADABLE, reason="is neither a head nor a key")]

    def _keep(self, head: SignedHead) -> list[Finding]:
        def wrong(flaw: Flaw, reason: str) -> list[Finding]:
            return [Finding(flaw=flaw, node=head.node, sequence=head.sequence, reason=reason)]

        if self._trusted.standing(head.key_id) is Standing.UNKNOWN:
            return wrong(Flaw.KEY_UNKNOWN, f"it is signed by a key that is not trusted: {head.key_id[:16]}…")
        if not self._trusted.signed(head.key_id, head.signature, head.statement):
            return wrong(Flaw.HEAD_SIGNATURE, "it is not signed so")
        if self._hashes.setdefault(head.node, {}).setdefault(head.sequence, head.hash) != head.hash:
            return wrong(Flaw.FORKED, "two different ones were signed")
        return []


class EvidenceCheck:
    """Checks lines as they come."""

    def __init__(
        self, trusted: TrustedKeys, *, kept: KeptHeads | None = None, origin: Origin = Origin.EXPORT
    ) -> None:
        self._trusted = trusted
        self._kept = kept or KeptHeads(trusted)
        self._origin = origin
        self._digest = hashlib.sha256()
        self._start: ExportStart | None = None
        self._is_open = False
        self._chains: dict[str, ChainCheck] = {}
        self._line = 0
        self.events = 0
        self.heads = 0

    @property
    def ends(self) -> Mapping[str, int]:
        """The last event of each node."""
        return {node: check.sequence for node, check in sorted(self._chains.items())}

    @property
    def unsigned(self) -> Mapping[str, int]:
        """How many events at the end of each node's chain no trusted signature covers."""
        return {node: check.unsigned for node, check in sorted(self._chains.items()) if check.unsigned}

    def line(self, line: bytes) -> list[Finding]:
        """Return what is wrong at the next line."""
        self._line += 1
        findings = self._judge(line)
        self._digest.update(line)
        return [replace(finding, line=self._line) for finding in findings] if findings else findings

    def end(self, stored: Iterable[ChainHead] = ()) -> list[Finding]:
        """Return what is wrong at the end; `stored` are the heads that are kept beside the events."""
        findings = []
        if self._origin is Origin.EXPORT and (self._is_open or self._start is None):
            findings.append(Finding(flaw=Flaw.EXPORT_UNFINISHED, reason="the export has no signed end"))
        for node in self._missing():
            self._chain(node)
        for node, check in sorted(self._chains.items()):
            findings += check.end()
            if self._origin is Origin.EXPORT and check.unsigned:
                reason = f"no signed head covers the last {check.unsigned} events"
                findings.append(Finding(flaw=Flaw.UNSIGNED, node=node, reason=reason))
        for head in stored:
            findings += self._chain(head.node).stored_end(head)
        return findings

    def _judge(self, line: bytes) -> list[Finding]:
        try:
            value = read_line(line)
        except LineUnreadable:
            return [Finding(flaw=Flaw.UNREADABLE, reason="is not a line of ours")]
        if isinstance(value, ExportStart):
            return self._begin(value)
        if not self._is_open:
            return [Finding(flaw=Flaw.EXPORT_BEGINNING, reason="no export has begun here")]
        return self._take(value)

    def _take(self, value: Link | SignedHead | KeyStatement | ExportEnd) -> list[Finding]:
        match value:
            case Link():
                self.events += 1
                return self._chain(value.node).event(value)
            case SignedHead():
                self.heads += 1
                return self._chain(value.node).head(value)
            case KeyStatement():
                return learned(self._trusted, value)
            case ExportEnd():
                return self._finish(value)

    def _begin(self, start: ExportStart) -> list[Finding]:
        findings = []
        if self._is_open:
            findings.append(
                Finding(flaw=Flaw.EXPORT_UNFINISHED, reason="the export before has no signed end")
            )
        self._digest = hashlib.sha256()
        self._start, self._is_open = start, True
        return findings

    def _finish(self, end: ExportEnd) -> list[Finding]:
        self._is_open = False
        if self._trusted.standing(end.key_id) is not Standing.TRUSTED:
            reason = f"the end of the export is signed by a key that is not trusted: {end.key_id[:16]}…"
            return [Finding(flaw=Flaw.KEY_UNKNOWN, reason=reason)]
        if end.sha256 != self._digest.digest():
            return [Finding(flaw=Flaw.EXPORT_CHANGED, reason="the export is not the one that was signed")]
        if not self._trusted.signed(end.key_id, end.signature, end.statement):
            return [Finding(flaw=Flaw.EXPORT_CHANGED, reason="the end of the export is not signed so")]
        return []

    def _chain(self, node: str) -> ChainCheck:
        check = self._chains.get(node)
        if check is None:
            after = self._start.since if self._start else 0
            check = ChainCheck(node, trusted=self._trusted, after=after, kept=self._kept.of(node))
            self._chains[node] = check
        return check

    def _missing(self) -> list[str]:
        """Return the nodes of which heads are kept elsewhere, and no event is here though it should be."""
        wanted = self._start.node if self._start else None
        return [node for node in self._kept.nodes if node not in self._chains and wanted in {None, node}]


def learned(trusted: TrustedKeys, statement: KeyStatement) -> list[Finding]:
    """Take notice of a key; return what is wrong with it."""
    if trusted.learn(statement):
        return []
    return [
        Finding(flaw=Flaw.KEY_UNPROVEN, reason=f"key {statement.key_id[:16]}… is not signed as it must be")
    ]
