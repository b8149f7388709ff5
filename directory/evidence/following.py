"""Is one node's chain whole? Follows its events and signed heads, and tells what is wrong, and where.

Knows hashes and signatures, not what the events say, nor where they are kept.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from directory.audit import GENESIS_HASH, ChainedEvent, ChainHead, content_of
from directory.evidence.statements import SignedHead
from directory.evidence.trust import Standing, TrustedKeys


class Flaw(StrEnum):
    """What can be wrong; stable."""

    UNREADABLE = "line.unreadable"
    OUT_OF_PLACE = "event.out_of_place"
    BROKEN_LINK = "event.broken_link"
    CHANGED = "event.changed"
    CUT = "chain.cut"
    UNSIGNED = "chain.unsigned"
    FORKED = "chain.forked"
    HEAD_OUT_OF_PLACE = "head.out_of_place"
    HEAD_DIFFERS = "head.differs"
    HEAD_SIGNATURE = "head.signature"
    KEY_UNKNOWN = "key.unknown"
    KEY_UNPROVEN = "key.unproven"
    EXPORT_BEGINNING = "export.beginning"
    EXPORT_CHANGED = "export.changed"
    EXPORT_UNFINISHED = "export.unfinished"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """Something that is wrong."""

    flaw: Flaw
    reason: str
    node: str | None = None
    sequence: int | None = None
    line: int | None = None
    """Of the file, from 1."""

    def __str__(self) -> str:
        chain = f"audit chain {self.node}" if self.node is not None else ""
        event = f" event {self.sequence}" if self.sequence is not None else ""
        line = f"line {self.line}" if self.line is not None else ""
        place = ", ".join(part for part in (line, chain + event) if part)
        return f"{place}: {self.reason}" if place else self.reason


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """What of an event makes the chain."""

    node: str
    sequence: int
    previous_hash: bytes
    hash: bytes
    is_genuine: bool
    """Whether the hash is that of the event."""


def link_of(chained: ChainedEvent) -> Link:
    """Return a stored event's place in the chain, and whether its hash is its own."""
    return Link(
        node=chained.node,
        sequence=chained.sequence,
        previous_hash=chained.previous_hash,
        hash=chained.hash,
        is_genuine=hashlib.sha256(content_of(chained).encode()).digest() == chained.hash,
    )


class ChainCheck:
    """Follows one node's chain, in order of sequence, from a place that is known or from its first event.

    `hash_there` is the hash of event `after`; None where that is taken from the first event that comes.
    `kept` are hashes by sequence that somebody else has of this chain, signed.
    """

    def __init__(
        self,
        node: str,
        *,
        trusted: TrustedKeys,
        after: int = 0,
        hash_there: bytes | None = None,
        kept: Mapping[int, bytes] | None = None,
    ) -> None:
        self._node = node
        self._trusted = trusted
        self._sequence = after
        self._hash = GENESIS_HASH if after == 0 else hash_there
        self._kept = kept or {}
        self._covered = after
        self._heads_here: set[tuple[int, str]] = set()

    @property
    def sequence(self) -> int:
        """The last event."""
        return self._sequence

    @property
    def unsigned(self) -> int:
        """How many events at the end no trusted signature covers."""
        return self._sequence - self._covered

    def event(self, link: Link) -> list[Finding]:
        """Return what is wrong at the next event."""
        findings = []
        if link.sequence != self._sequence + 1:
            findings.append(self._wrong(Flaw.OUT_OF_PLACE, link.sequence, f"follows event {self._sequence}"))
        if self._hash is not None and link.previous_hash != self._hash:
            reason = "does not continue the event before it"
            findings.append(self._wrong(Flaw.BROKEN_LINK, link.sequence, reason))
        if not link.is_genuine:
            findings.append(self._wrong(Flaw.CHANGED, link.sequence, "was changed"))
        if self._kept and self._kept.get(link.sequence, link.hash) != link.hash:
            reason = "is not the one of which a signed head is kept elsewhere"
            findings.append(self._wrong(Flaw.HEAD_DIFFERS, link.sequence, reason))
        self._sequence, self._hash = link.sequence, link.hash
        self._heads_here.clear()
        return findings

    def head(self, head: SignedHead) -> list[Finding]:
        """Return what is wrong with a signed head, which follows the event that it is about."""
        findings = []
        standing = self._trusted.standing(head.key_id)
        if standing is Standing.UNKNOWN:
            reason = f"its head is signed by a key that is not trusted: {head.key_id[:16]}…"
            findings.append(self._wrong(Flaw.KEY_UNKNOWN, head.sequence, reason))
        elif head.node != self._node or not self._trusted.signed(head.key_id, head.signature, head.statement):
            findings.append(self._wrong(Flaw.HEAD_SIGNATURE, head.sequence, "its head is not signed so"))
        if head.sequence > self._sequence:
            reason = f"its head is signed, but the chain stands at event {self._sequence}"
            findings.append(self._wrong(Flaw.CUT, head.sequence, reason))
        elif head.sequence < self._sequence:
            reason = f"its head comes after event {self._sequence}"
            findings.append(self._wrong(Flaw.HEAD_OUT_OF_PLACE, head.sequence, reason))
        elif (head.sequence, head.key_id) in self._heads_here:
            findings.append(self._wrong(Flaw.HEAD_OUT_OF_PLACE, head.sequence, "its head is there twice"))
        elif head.hash != self._hash:
            reason = "is not the one that was signed"
            findings.append(self._wrong(Flaw.HEAD_DIFFERS, head.sequence, reason))
        elif not findings and standing is Standing.TRUSTED:
            self._covered = head.sequence
        if head.sequence == self._sequence:
            self._heads_here.add((head.sequence, head.key_id))
        return findings

    def end(self) -> list[Finding]:
        """Return what is wrong with the end, given what is kept elsewhere."""
        last = max(self._kept, default=0)
        if last <= self._sequence:
            return []
        reason = f"ends at event {self._sequence}, but the head of event {last} is kept elsewhere"
        return [self._wrong(Flaw.CUT, None, reason)]

    def stored_end(self, head: ChainHead) -> list[Finding]:
        """Return what is wrong with the end, given the head that is kept beside the events."""
        if (self._sequence, self._hash) == (head.sequence, head.hash):
            return []
        reason = f"ends at event {self._sequence}, its head says {head.sequence}"
        return [self._wrong(Flaw.CUT, None, reason)]

    def _wrong(self, flaw: Flaw, sequence: int | None, reason: str) -> Finding:
        return Finding(flaw=flaw, node=self._node, sequence=sequence, reason=reason)
