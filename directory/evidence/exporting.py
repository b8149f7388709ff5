"""How does the audit log leave the database? Line by line, in constant memory, whole and signed."""

import hashlib
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from directory.audit import ChainedEvent, ChainHead
from directory.evidence.lines import ExportStart, event_line, line_of
from directory.evidence.statements import AuditSigner, KeyStatement, SignedHead


@dataclass(frozen=True, slots=True, kw_only=True)
class ChainStanding:
    """How far a node's chain has come, and how far it is signed; of one moment."""

    head: ChainHead
    last: int
    """The last event, which the head must be of."""
    signed: SignedHead | None

    @property
    def end(self) -> int:
        """How far there is anything to be read."""
        return max(self.last, self.signed.sequence if self.signed else 0)


class EvidenceReader(Protocol):
    """Reads what an export is made of."""

    async def standings(self) -> Sequence[ChainStanding]:
        """Return how every chain stands."""
        ...

    async def key_statements(self) -> Sequence[KeyStatement]:
        """Return every key that signs or has signed, in order."""
        ...

    def chain(self, node: str, *, after: int, last: int) -> AsyncIterator[ChainedEvent | SignedHead]:
        """Yield a node's events in that range in order, and each signed head behind the event it is of."""
        ...


async def export_lines(
    reader: EvidenceReader, start: ExportStart, ends: Mapping[str, int]
) -> AsyncIterator[str]:
    """Yield the lines of an export, up to these ends, without the line that ends it.

    Raises:
        StoreUnavailable: the database does not answer.
    """
    yield line_of(start)
    for statement in await reader.key_statements():
        yield line_of(statement)
    for node, last in sorted(ends.items()):
        if start.node not in {None, node}:
            continue
        async for item in reader.chain(node, after=start.since, last=last):
            yield line_of(item) if isinstance(item, SignedHead) else event_line(item)


async def signed_export_lines(
    lines: AsyncIterator[str], signer: AuditSigner, at: datetime
) -> AsyncIterator[str]:
    """Yield the lines, and the signature over all of them."""
    digest = hashlib.sha256()
    async for line in lines:
        digest.update(line.encode())
        yield line
    yield line_of(signer.end(digest.digest(), at))
